//! `dragoman bench compare`: ratios of measurements.

use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::Value;

use crate::bench::compare::{Measured, render};

/// Flags of `dragoman bench compare`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// JSON files of `dragoman bench serve` or `vllm bench serve`; the others
    /// are divided by the first.
    #[arg(required = true, num_args = 2.., value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// Prints the comparison as Markdown.
///
/// # Errors
/// A file cannot be read or is no measurement.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let files = args.files.iter().map(|path| read(path)).collect::<anyhow::Result<Vec<_>>>()?;
    let text = render(&files).map_err(anyhow::Error::msg)?;
    print!("{text}");
    Ok(())
}

fn read(path: &Path) -> anyhow::Result<Measured> {
    let place = path.display();
    let text = std::fs::read_to_string(path).with_context(|| format!("{place} cannot be read"))?;
    let json: Value =
        serde_json::from_str(&text).with_context(|| format!("{place} is not JSON"))?;
    let name = path.file_name().map_or_else(|| place.to_string(), |n| n.to_string_lossy().into());
    let label = json.get("label").and_then(Value::as_str).map(str::to_owned);
    Ok(Measured { name: label.unwrap_or(name), json })
}
