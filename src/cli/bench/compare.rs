//! `dragoman bench compare`: ratios of measurements.

use std::path::PathBuf;

/// Flags of `dragoman bench compare`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// JSON files of `dragoman bench serve` or `vllm bench serve`; the others
    /// are divided by the first.
    #[arg(required = true, num_args = 2.., value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// Runs the command.
pub fn run(args: &Args) -> anyhow::Result<()> {
    anyhow::bail!("bench compare cannot compare {} files yet", args.files.len())
}
