//! Log lines on standard error, so that standard output stays free for results.

use std::io::IsTerminal;

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

/// How a line is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Format {
    /// For people: time, level, where, message.
    #[default]
    Text,
    /// One JSON object a line, for log collectors.
    Json,
}

/// The filter is not one.
#[derive(Debug, thiserror::Error)]
#[error("the log level \"{level}\" is not understood: {why}")]
pub struct LevelError {
    pub level: String,
    pub why: String,
}

/// Starts logging. `level` is a level (`info`), or several parts separated by
/// commas, of which `target=level` sets one target (`info,hf_hub=debug`).
///
/// Only the first call in a process takes effect, so tests may each call it.
///
/// # Errors
/// [`LevelError`] when `level` cannot be read; then nothing was started.
pub fn init(level: &str, format: Format) -> Result<(), LevelError> {
    let filter = filter(level)?;
    let lines = fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none());
    let lines = match format {
        Format::Text => lines.boxed(),
        Format::Json => lines.json().flatten_event(true).boxed(),
    };
    // An error means that a subscriber is there already, which is fine.
    let _ = tracing_subscriber::registry().with(lines.with_filter(filter)).try_init();
    Ok(())
}

/// The level as given holds for this crate. Libraries are heard from `warn` up
/// unless they are named: at `debug`, the HTTP stack alone would drown the rest.
fn filter(level: &str) -> Result<Targets, LevelError> {
    let error = |why: String| LevelError { level: level.to_owned(), why };
    let mut own = LevelFilter::INFO;
    let mut named = Vec::new();
    for part in level.split(',').map(str::trim) {
        let (target, text) = match part.split_once('=') {
            Some((target, text)) => (Some(target.trim()), text.trim()),
            None => (None, part),
        };
        let parsed = parse(text).ok_or_else(|| {
            error(format!("\"{text}\" is none of off, error, warn, info, debug, trace"))
        })?;
        match target {
            Some(target) => named.push((target, parsed)),
            None => own = parsed,
        }
    }
    Ok(Targets::new()
        .with_default(own.min(LevelFilter::WARN))
        .with_target(env!("CARGO_CRATE_NAME"), own)
        .with_targets(named))
}

/// By name only: the library's own parser takes numbers and empty texts too.
fn parse(level: &str) -> Option<LevelFilter> {
    Some(match level.to_ascii_lowercase().as_str() {
        "off" => LevelFilter::OFF,
        "error" => LevelFilter::ERROR,
        "warn" => LevelFilter::WARN,
        "info" => LevelFilter::INFO,
        "debug" => LevelFilter::DEBUG,
        "trace" => LevelFilter::TRACE,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[track_caller]
    fn check(level: &str, target: &str, at: Level, expected: bool) {
        let filter = filter(level).expect("the level parses");
        assert_eq!(filter.would_enable(target, &at), expected, "{level}: {target} at {at}");
    }

    #[test]
    fn libraries_are_quiet_unless_named() {
        check("info", "dragoman::engine", Level::INFO, true);
        check("info", "dragoman::engine", Level::DEBUG, false);
        check("trace", "dragoman::engine", Level::TRACE, true);
        check("trace", "hyper::proto", Level::DEBUG, false);
        check("info", "hyper::proto", Level::WARN, true);
        check("info,hyper=debug", "hyper::proto", Level::DEBUG, true);
        check("info,dragoman::engine=trace", "dragoman::engine", Level::TRACE, true);
        check("info,dragoman::engine=trace", "dragoman::api", Level::DEBUG, false);
        check("error", "hyper", Level::WARN, false);
        check("off", "dragoman", Level::ERROR, false);
        check("off", "hyper", Level::ERROR, false);
    }

    #[test]
    fn a_bad_level_is_named() {
        for level in ["loud", "", "info,hyper=loud", "info,"] {
            let message = filter(level).expect_err(level).to_string();
            assert!(message.contains("none of off"), "{message}");
        }
    }

    #[test]
    fn a_second_start_is_harmless() {
        init("info", Format::Text).expect("first");
        init("debug", Format::Json).expect("second");
    }
}
