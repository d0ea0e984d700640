//! The document desk: files whose words are translated while everything else
//! stays as it was.
//!
//! [`tagged::Tagged`] is the text that all of it passes on: words, with the
//! inline tags that stand among them.

pub mod format;
pub mod segment;
pub mod tagged;
