//! Dragoman: an inference server for open transformer models.
//!
//! ARCHITECTURE.md is the map: which module may know what, and how a request
//! becomes tokens.

pub mod backend;
pub mod models;
