//! `dragoman bench serve`: load over HTTP.

use crate::config::Config;

/// Flags of `dragoman bench serve`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the command.
pub fn run(_args: Args, _config: &Config) -> anyhow::Result<()> {
    anyhow::bail!("bench serve cannot measure yet")
}
