//! The document desk: files whose words are translated while everything else
//! stays as it was.
//!
//! [`tagged::Tagged`] is the text that all of it passes on: words, with the
//! inline tags that stand among them.

mod ask;
mod charset;
pub mod collections;
pub mod compare;
mod decode;
pub mod format;
pub mod fragment;
pub mod jobs;
pub mod language;
pub mod memory;
mod offload;
pub mod quality;
pub mod record;
mod script;
pub mod search;
pub mod segment;
pub mod source;
pub mod store;
pub mod summary;
pub mod tagged;
pub mod termbase;
pub mod translate;
mod vectors;
mod xml;
