//! Models from the Hugging Face hub, in the cache that Python's `huggingface_hub` uses too: what either has downloaded, the
//! other finds.

mod cache;
mod download;
mod environment;
mod hub;
mod id;
mod partial;
mod select;
mod tls;

pub use cache::Cache;
pub use hub::{Hub, HubError, Notice, Progress};
pub use id::ModelId;
