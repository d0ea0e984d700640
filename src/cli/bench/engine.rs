//! `dragoman bench engine`: the engine without HTTP.

use crate::config::Config;

/// Flags of `dragoman bench engine`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the command.
pub fn run(_args: Args, _config: &Config) -> anyhow::Result<()> {
    anyhow::bail!("bench engine cannot measure yet")
}
