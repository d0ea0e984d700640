//! What batches report. They change seldom, so that their metrics are looked up
//! each time. Several servers in one process share the counters.

use metrics::{counter, gauge};

use super::install;
use super::names::*;

/// Registers the metrics for batches that are in, and come to, these states: a
/// scrape before the first batch should show zeros, not nothing.
pub fn register(
    open: impl IntoIterator<Item = &'static str>,
    ended: impl IntoIterator<Item = &'static str>,
) {
    install();
    for status in open {
        gauge!(BATCHES, STATUS_LABEL => status).increment(0.0);
    }
    for status in ended {
        counter!(BATCHES_ENDED, STATUS_LABEL => status).increment(0);
    }
    gauge!(BATCH_REQUESTS_WAITING).increment(0.0);
    answered(0, 0);
    unanswered(0);
}

/// How many batches are in a state now.
pub fn set_open(status: &'static str, count: usize) {
    gauge!(BATCHES, STATUS_LABEL => status).set(count as f64);
}

/// Lines of open batches that have no answer now.
pub fn set_waiting(lines: u64) {
    gauge!(BATCH_REQUESTS_WAITING).set(lines as f64);
}

/// Lines were answered, and so many of them refused or failed.
pub fn answered(completed: u64, failed: u64) {
    counter!(BATCH_REQUESTS, OUTCOME_LABEL => "completed").increment(completed);
    counter!(BATCH_REQUESTS, OUTCOME_LABEL => "failed").increment(failed);
}

/// Lines whose batch came to its end before they were answered.
pub fn unanswered(lines: u64) {
    counter!(BATCH_REQUESTS, OUTCOME_LABEL => "unanswered").increment(lines);
}

/// A batch came to its end.
pub fn ended(status: &'static str) {
    counter!(BATCHES_ENDED, STATUS_LABEL => status).increment(1);
}
