//! The one integration binary.
#![allow(clippy::unwrap_used)]

mod api;
mod architecture;
mod bench;
mod clients;
mod config;
mod embeddings;
mod engine;
mod llamacpp;
mod parity;
mod provision;
mod rust_source;
mod support;
mod text;
