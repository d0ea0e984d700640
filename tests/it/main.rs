//! The one integration binary.
#![allow(clippy::unwrap_used)]

mod api;
mod architecture;
mod bench;
mod bench_engine;
mod clients;
mod config;
mod embeddings;
mod encoders;
mod engine;
mod llamacpp;
mod modules;
mod parity;
mod provision;
mod random_weights;
mod rust_source;
mod support;
mod tei;
mod text;
