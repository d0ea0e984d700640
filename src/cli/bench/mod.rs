//! `dragoman bench`: measure a server, the engine, or compare measurements.

pub mod compare;
pub mod engine;
pub mod perplexity;
pub mod serve;

use crate::config::Config;

#[derive(Debug, clap::Subcommand)]
pub enum Bench {
    /// Load on a running server of OpenAI's formats, and what it made of it.
    Serve(Box<serve::Args>),
    /// The engine in this process, without HTTP.
    Engine(Box<engine::Args>),
    /// How well a model foretells a text.
    Perplexity(perplexity::Args),
    /// Ratios of measurements to the first, with confidence intervals.
    Compare(compare::Args),
}

/// Runs the command.
///
/// # Errors
/// The measurement could not be made; the message says what to change.
pub fn run(bench: Bench, config: &Config) -> anyhow::Result<()> {
    match bench {
        Bench::Serve(args) => serve::run(*args, config),
        Bench::Engine(args) => engine::run(*args, config),
        Bench::Perplexity(args) => perplexity::run(&args, config),
        Bench::Compare(args) => compare::run(&args),
    }
}
