//! Starting the process that measures a cold start, and what it does.

use std::ffi::OsString;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::Context;

use super::Args;
use crate::bench::engine::target::TargetKind;
use crate::bench::engine::{ColdStart, Target, cold};
use crate::engine::EngineOptions;

/// Loads the model in a fresh process of this program; `name` is what the user
/// called it.
///
/// # Errors
/// The process cannot be started, or fails.
pub fn in_child(
    args: &Args,
    target: &Target,
    name: Option<&String>,
    threads: usize,
) -> anyhow::Result<ColdStart> {
    let program = std::env::current_exe().context("this program's own path is unknown")?;
    let mut command = Command::new(program);
    command.args(["bench", "engine", "--cold-start-here", "--threads"]).arg(threads.to_string());
    // What was fetched is on disk; the files are the same as here.
    command.arg("--offline").args(config_flag(std::env::args_os()));
    if let Some(device) = &args.device {
        command.arg("--device").arg(device);
    }
    command.arg("--quantize").arg(target.quantize.to_string());
    match &target.kind {
        TargetKind::Files(source) => {
            command.arg(name.unwrap_or(&source.id));
        }
        TargetKind::Random(random) => {
            command.arg("--random-weights").arg(&random.config);
            command.arg("--weights-type").arg(random.weights.to_string());
            command.arg("--seed").arg(random.seed.to_string());
            if let Some(layers) = random.layers {
                command.arg("--layers").arg(layers.to_string());
            }
        }
    }
    let begun = Instant::now();
    let output = command.stdin(Stdio::null()).stderr(Stdio::piped()).output()?;
    let all = begun.elapsed().as_secs_f64();
    let failed = || {
        let said = String::from_utf8_lossy(&output.stderr);
        format!("{}: the process of a cold start failed: {}", target.id, said.trim())
    };
    anyhow::ensure!(output.status.success(), failed());
    let found: ColdStart = serde_json::from_slice(&output.stdout).with_context(failed)?;
    Ok(ColdStart { start_to_first_token_s: all, ..found })
}

/// What that process does: one line of JSON on stdout.
///
/// # Errors
/// The model cannot be loaded, or a step fails.
pub fn here(target: &Target, options: &EngineOptions) -> anyhow::Result<()> {
    println!("{}", serde_json::to_string(&cold::in_this_process(target, options)?)?);
    Ok(())
}

/// `--config FILE` of this process's own command line.
fn config_flag(args: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut args = args
        .skip_while(|a| a != "--config" && !a.to_str().is_some_and(|a| a.starts_with("--config=")));
    match args.next() {
        Some(flag) if flag == "--config" => {
            [Some(flag), args.next()].into_iter().flatten().collect()
        }
        joined => joined.into_iter().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_is_handed_on() {
        for (given, expected) in [
            (&["dragoman", "bench"][..], &[][..]),
            (&["dragoman", "--config", "a.toml", "bench"], &["--config", "a.toml"]),
            (&["dragoman", "bench", "--config=b.toml", "x"], &["--config=b.toml"]),
        ] {
            assert_eq!(config_flag(given.iter().map(OsString::from)), expected, "{given:?}");
        }
    }
}
