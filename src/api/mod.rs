//! HTTP and JSON: the only module that knows either.
//!
//! A request passes [`trace`] (request id, log line, panic guard), then
//! [`auth`], then the route. [`extract`] turns the body into a type of
//! [`wire`], which honours each field or refuses it by name; the handler
//! checks it once and hands the engine a value that cannot be wrong. What
//! comes back leaves as one JSON document or, through [`stream`], as
//! server-sent events.

mod anthropic;
mod auth;
mod batches;
mod body;
mod caller;
mod chat;
mod choices;
mod completions;
mod constraint;
mod conversation;
#[cfg(feature = "documents")]
mod desk;
mod embeddings;
pub mod error;
mod extract;
pub mod fields;
mod form;
mod health;
mod idempotency;
mod inputs;
mod logprobs;
mod messages;
mod models;
mod multipart;
pub mod openapi;
mod options;
mod path;
#[cfg(feature = "documents")]
mod progress;
mod rerank;
mod responses;
mod router;
mod scores;
mod serve;
mod sources;
mod state;
mod stream;
mod strict;
mod suggest;
mod tei;
mod tools;
mod trace;
mod translate;
pub mod wire;

#[cfg(feature = "documents")]
pub use desk::{Replayed, replay};
pub use router::router;
pub use serve::run;
pub use state::AppState;
