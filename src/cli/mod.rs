//! The command line: one file a command.

pub mod bench;
#[cfg(feature = "documents")]
pub mod compare;
pub mod doctor;
pub mod load;
pub mod models;
pub mod pull;
#[cfg(feature = "documents")]
mod record;
pub mod remove;
#[cfg(feature = "documents")]
pub mod search;
pub mod serve;
#[cfg(feature = "documents")]
pub mod summarise;
#[cfg(feature = "documents")]
pub mod translate;
pub mod verify;
#[cfg(feature = "documents")]
pub mod verify_record;

use std::path::PathBuf;

use anyhow::Context;
use clap::{Parser, Subcommand};

use crate::config::{Config, Overrides};

/// Serves open transformer models over HTTP: text generation and embeddings
/// for multilingual documents.
#[derive(Debug, Parser)]
#[command(name = "dragoman", version, about)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    /// Configuration file; `config/dragoman.toml` in the repository is a
    /// commented template.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Never open a connection; use only what is on disk.
    #[arg(long, global = true)]
    offline: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Load models and serve them (the default).
    Serve(serve::Args),
    /// Fetch models into the cache.
    Pull(pull::Args),
    /// List the catalogue and what is on disk.
    Models(models::Args),
    /// Check that a model works here: files, tokenizer, results, memory, speed.
    Doctor(doctor::Args),
    /// Check the files of models against their hashes.
    Verify(verify::Args),
    /// Delete models from the cache.
    Remove(remove::Args),
    /// Translate documents, and folders of them.
    #[cfg(feature = "documents")]
    Translate(translate::Args),
    /// Say what two versions of a document, or two of its languages, do not both
    /// say.
    #[cfg(feature = "documents")]
    Compare(compare::Args),
    /// Say what documents say, each statement with the sentences it rests on.
    #[cfg(feature = "documents")]
    #[command(visible_alias = "summarize")]
    Summarise(summarise::Args),
    /// Check the record of a result, and make the result again.
    #[cfg(feature = "documents")]
    VerifyRecord(verify_record::Args),
    /// Find passages of documents by what they say, across languages, and by
    /// their words.
    #[cfg(feature = "documents")]
    Search(search::Args),
    /// Measure a server or the engine, and compare measurements.
    #[command(subcommand)]
    Bench(bench::Bench),
    /// Print the commented default configuration.
    Config,
}

/// Runs the command line.
///
/// # Errors
/// Whatever the command could not do, with what to do about it.
pub fn run() -> anyhow::Result<()> {
    let cli = Cli::parse();
    let command = cli.command.unwrap_or(Command::Serve(serve::Args::default()));
    let mut overrides = Overrides::default();
    if cli.offline {
        overrides.offline = Some(true);
    }
    if let Command::Serve(args) = &command {
        args.override_config(&mut overrides);
    }
    // The file that was named, or the one in its usual place.
    let file = cli.config.or_else(Config::default_file);
    let config = Config::load(file.as_deref(), &overrides)?;
    crate::telemetry::logs::init(&config.log.level, log_format(&config))
        .context("the log could not be set up")?;
    match command {
        Command::Serve(_) => serve::run(config),
        Command::Pull(args) => pull::run(args, &config),
        Command::Models(args) => models::run(args, &config),
        Command::Doctor(args) => doctor::run(args, &config),
        Command::Verify(args) => verify::run(args, &config),
        Command::Remove(args) => remove::run(args, &config),
        #[cfg(feature = "documents")]
        Command::Translate(args) => translate::run(args, &config),
        #[cfg(feature = "documents")]
        Command::Compare(args) => compare::run(&args, &config),
        #[cfg(feature = "documents")]
        Command::Summarise(args) => summarise::run(args, &config),
        #[cfg(feature = "documents")]
        Command::VerifyRecord(args) => verify_record::run(&args, &config),
        #[cfg(feature = "documents")]
        Command::Search(args) => search::run(&args, &config),
        Command::Bench(command) => bench::run(command, &config),
        Command::Config => {
            print!("{}", Config::template());
            Ok(())
        }
    }
}

fn log_format(config: &Config) -> crate::telemetry::logs::Format {
    match config.log.format {
        crate::config::LogFormat::Text => crate::telemetry::logs::Format::Text,
        crate::config::LogFormat::Json => crate::telemetry::logs::Format::Json,
    }
}
