//! The one integration binary.
#![allow(clippy::unwrap_used)]

mod api;
mod architecture;
mod batches;
mod bench;
mod bench_engine;
mod catalogue;
mod chat_templates;
mod clients;
mod compare;
mod config;
#[cfg(feature = "documents")]
mod desk;
mod doctor;
#[cfg(feature = "documents")]
mod documents;
mod embeddings;
mod encoders;
mod engine;
mod fields;
#[cfg(feature = "documents")]
mod jobs;
mod llamacpp;
mod loaders;
mod modules;
mod openapi;
mod parity;
mod perplexity;
mod process;
mod provision;
mod random_weights;
#[cfg(feature = "documents")]
mod records;
mod rust_source;
#[cfg(feature = "documents")]
mod search;
mod seq2seq;
mod summary;
mod support;
mod tei;
mod text;
mod tokenizers;
mod translation;
