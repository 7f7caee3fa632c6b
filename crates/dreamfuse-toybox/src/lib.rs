//! A procedural world with captions: training data for the embedded prior, and ground truth for the
//! evaluation of everything behind it.
//!
//! A [`Sentence`] of the grammar ("a red mushroom next to a wooden house") has a text and a scene of
//! simple solids, which [`render`](render::render) draws exactly: closed-form ray intersections, the
//! shading formula of `dreamfuse-core`, supersampling. Instances of a kind vary (proportions, tint);
//! the canonical one serves evaluation. Images are drawn as they are needed, never stored.

pub mod captions;
pub mod grammar;
pub mod kinds;
mod layout;
pub mod material;
mod object;
pub mod parse;
pub mod render;
pub mod scene;
pub mod solid;
pub mod toy;
pub mod wording;
pub mod words;

pub use captions::{Caption, CaptionSampler, CaptionShares};
pub use grammar::{Phrase, Relation, Sentence};
pub use parse::{ParseError, parse};
pub use render::{Look, View, render};
pub use scene::Scene;
