//! `dragoman bench perplexity`: how well a model foretells a text.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::Context;
use indicatif::ProgressBar;

use crate::bench::engine::target::TargetKind;
use crate::bench::engine::{Target, Watch};
use crate::bench::perplexity::{self, Plan};
use crate::config::Config;
use crate::provision::{Provisioner, progress};

/// Flags of `dragoman bench perplexity`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A name of the catalogue, a path, or a hub id.
    #[arg(value_name = "MODEL")]
    model: String,
    /// The text, in UTF-8. A line break at its very end does not count.
    #[arg(long, value_name = "FILE")]
    text: PathBuf,
    /// Tokens of a chunk.
    #[arg(long, value_name = "N", default_value_t = 512)]
    context: usize,
    /// Read only the first so many chunks.
    #[arg(long, value_name = "N")]
    chunks: Option<usize>,
    /// Threads of the pool; without it the configuration's, or one a core.
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Write the report as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Runs the command.
///
/// # Errors
/// The model cannot be had or loaded, or the text is not fit for it.
pub fn run(args: &Args, config: &Config) -> anyhow::Result<()> {
    anyhow::ensure!(args.threads != Some(0), "--threads is 0; give at least 1");
    anyhow::ensure!(args.chunks != Some(0), "--chunks is 0; give at least 1");
    crate::cli::load::cpu(&config.engine, args.threads)?;
    let place = args.text.display();
    let text =
        std::fs::read_to_string(&args.text).with_context(|| format!("{place} cannot be read"))?;
    let provisioner = Provisioner::new(&config.provision, progress::for_stderr())?;
    let source = crate::cli::load::source(provisioner.resolve(&args.model)?);
    let bar = ProgressBar::new(0).with_style(super::engine::bar_style()?);
    let target = Target {
        id: source.id.clone(),
        quantize: crate::cli::load::quantize(&config.models, &source.id)?,
        kind: TargetKind::Files(Box::new(source)),
        on_load: Arc::new(|_, _| {}),
    };
    let on_progress = |done: usize, all: usize, what: &str| {
        bar.set_length(all as u64);
        bar.set_position(done as u64);
        bar.set_message(format!("{}: {what}", target.id));
    };
    let options = crate::cli::load::options(config)?;
    let plan = Plan { context: args.context, chunks: args.chunks, options };
    let watch = Watch { stop: &AtomicBool::new(false), on_progress: &on_progress };
    let text = text.strip_suffix('\n').unwrap_or(&text);
    let report = perplexity::run(&target, text, &plan, watch)?;
    bar.finish_and_clear();
    print!("{}", perplexity::text(&report));
    if let Some(path) = &args.json {
        super::engine::write(path, &(serde_json::to_string_pretty(&report)? + "\n"))?;
    }
    Ok(())
}
