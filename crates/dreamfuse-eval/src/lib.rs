//! Evaluation against ground truth: the toybox has one for every sentence of its grammar.

mod ablation;
mod agreement;
mod bootstrap;
mod chamfer;
mod consistency;
mod controls;
mod ground_truth;
mod janus;
mod knowledge;
mod lists;
mod novel_views;
mod pictures;
mod pool;
mod report;
mod retrieval;
mod things;
mod toybench;
mod views;

pub use ablation::{Study, ablation_table};
pub use agreement::{Agreement, agreement};
pub use bootstrap::{Interval, mean_interval};
pub use chamfer::{chamfer, surface};
pub use consistency::{Consistency, consistency};
pub use controls::{Blurred, Controls, Flat};
pub use ground_truth::GroundTruthPrior;
pub use janus::janus;
pub use knowledge::{Closeness, Knowledge, LEVELS, knowledge, knowledge_table, mean_knowledge};
pub use lists::{daily_prompts, lines, toybench_prompts, validation_prompts};
pub use novel_views::{NovelViews, ViewSettings, novel_views};
pub use pictures::{PictureScore, from_picture};
pub use pool::{Pool, apart, scene_views};
pub use report::{Report, table};
pub use retrieval::{distances, nearest};
pub use things::{Nearness, Thing, held_out_toys, told, unseen_things};
pub use toybench::{Bench, EvalError, Measured, Score};
pub use views::{Mode, Premultiplied, Subject, VIEWS, cameras};
