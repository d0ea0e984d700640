//! What kind of failure an error of the HTTP client is.

use std::error::Error;
use std::io;

use crate::bench::record::{Failure, FailureKind};

/// An error before the answer began.
pub fn before_answer(error: &reqwest::Error) -> Failure {
    let io = io_kind(error);
    let kind = match io {
        Some(io::ErrorKind::ConnectionRefused) => FailureKind::Refused,
        _ if error.is_connect() => FailureKind::Connect,
        _ => FailureKind::Closed,
    };
    Failure::new(kind, words(error))
}

/// An error while the answer was read.
pub fn during_answer(error: &reqwest::Error) -> Failure {
    Failure::new(FailureKind::CutOff, words(error))
}

fn io_kind(error: &reqwest::Error) -> Option<io::ErrorKind> {
    chain(error).find_map(|e| e.downcast_ref::<io::Error>()).map(io::Error::kind)
}

/// The error and its causes, without the address, which is the same for all.
fn words(error: &reqwest::Error) -> String {
    let mut parts: Vec<String> = Vec::new();
    for cause in chain(error).skip(1) {
        let text = cause.to_string();
        // Some layers repeat what the one below them says.
        if !parts.iter().any(|p| p.contains(&text)) {
            parts.push(text);
        }
    }
    if parts.is_empty() { error.to_string() } else { parts.join(": ") }
}

fn chain<'a>(error: &'a reqwest::Error) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    let first: &'a (dyn Error + 'static) = error;
    std::iter::successors(Some(first), |e| (*e).source())
}
