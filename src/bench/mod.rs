//! Measuring: load over HTTP against any server of OpenAI's formats, the
//! engine in this process, and the reports of both.
//!
//! Every figure has one definition, which is printed with it (`figures`).

pub mod engine;
pub mod report;
pub mod roofline;
pub mod stats;
