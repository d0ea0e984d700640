//! Measuring: load over HTTP against any server of OpenAI's formats, the
//! engine in this process, and the reports of both.
//!
//! Every figure has one definition, which is printed with it (`figures`).

pub mod compare;
pub mod count;
pub mod engine;
pub mod figures;
#[cfg(feature = "server")]
pub mod load;
pub mod perplexity;
pub mod record;
pub mod report;
pub mod roofline;
pub mod run;
pub mod slo;
pub mod stats;
pub mod workload;
