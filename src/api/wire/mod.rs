//! Request and response types, as they are on the wire. Only these types carry
//! serde's derives for HTTP; the engine's types never do.

pub mod anthropic;
pub mod batches;
pub mod chat;
pub mod common;
#[cfg(feature = "documents")]
pub mod compare;
pub mod completions;
#[cfg(feature = "documents")]
pub mod deepl;
#[cfg(feature = "documents")]
pub mod desk;
pub mod embeddings;
pub mod files;
pub mod generation;
pub mod inputs;
#[cfg(feature = "documents")]
pub mod jobs;
pub mod logprobs;
pub mod models;
#[cfg(feature = "documents")]
pub mod record;
pub mod rerank;
pub mod responses;
#[cfg(feature = "documents")]
pub mod search;
#[cfg(feature = "documents")]
pub mod summary;
pub mod tei;
pub mod tool_choice;
pub mod tools;
pub mod translate;
