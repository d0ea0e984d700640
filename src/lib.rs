//! Dragoman: an inference server for open transformer models.
//!
//! ARCHITECTURE.md is the map: which module may know what, and how a request
//! becomes tokens.

#[cfg(feature = "server")]
pub mod api;
pub mod backend;
#[cfg(feature = "server")]
pub mod batches;
pub mod bench;
#[cfg(feature = "server")]
pub mod cli;
pub mod config;
#[cfg(feature = "documents")]
pub mod documents;
pub mod engine;
pub mod models;
pub mod provision;
#[cfg(any(feature = "server", feature = "documents"))]
pub mod storage;
pub mod telemetry;
pub mod text;
