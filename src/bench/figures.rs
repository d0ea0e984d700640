//! The figures of a run, each with the one definition that is printed with it.

use std::collections::BTreeMap;

use super::record::Record;
use super::run::{Endpoint, Run};
use super::stats::Summary;

/// What every figure means, as the reports print it.
pub const DEFINITIONS: [(&str, &str); 13] = [
    ("TTFT", "time to first token: from sending a request to reading the first piece of its text"),
    ("TPOT", "time per output token: (E2EL - TTFT) / (output tokens - 1) of each request"),
    (
        "ITL",
        "inter-token latency: every gap between two pieces of text of one request; a piece may hold more than one token",
    ),
    ("E2EL", "end-to-end latency: from sending a request to reading the last piece of its text"),
    ("duration", "from the beginning of the run, after warm-up, to the end of its last request"),
    ("request throughput", "completed requests / duration"),
    ("input throughput", "embedded texts of completed requests / duration"),
    ("output throughput", "output tokens of completed requests / duration"),
    ("total token throughput", "(input + output tokens) of completed requests / duration"),
    ("peak output tokens/s", "most output tokens in one second of the clock of the run"),
    ("peak concurrency", "most requests that were unanswered at one moment"),
    ("goodput", "completed requests that keep every limit of --slo / duration"),
    (
        "percentiles",
        "over completed requests (ITL: over all their gaps), between two values by a straight line; std divides by n",
    ),
];

/// How sure the token counts are.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TokenCheck {
    /// Completed requests whose output tokens the server counted.
    pub with_usage: usize,
    /// Completed requests whose answer our tokenizer counted too.
    pub checked: usize,
    /// Of those, how many differ from the server's count by more than a token
    /// and 2 %: text that is split again does not always give the same tokens.
    pub disagree: usize,
    /// Output tokens of the checked requests by our tokenizer, and by usage.
    pub own_total: usize,
    pub usage_total: usize,
    /// Requests with more pieces of text than output tokens in the usage,
    /// which no server can mean.
    pub fewer_than_pieces: usize,
    /// Requests whose prompt has fewer tokens by the server's count than by our
    /// tokenizer, by more than 2 and 2 %: a template only adds to a prompt, so
    /// the server may have cut it.
    pub prompts_cut: usize,
    /// Completed requests with neither usage nor tokenizer: a piece of text
    /// was taken for a token.
    pub guessed: usize,
}

/// The figures of a run. Times in seconds, rates per second.
#[derive(Debug, Clone, PartialEq)]
pub struct Figures {
    pub completed: usize,
    /// The server's failures.
    pub failed: usize,
    /// Requests that were under way when the run was stopped.
    pub interrupted: usize,
    /// Completed requests without any text.
    pub empty: usize,
    /// Completed requests that came whole although a stream was asked for.
    pub not_streamed: usize,
    pub duration: f64,
    pub input_tokens: usize,
    pub output_tokens: usize,
    pub inputs: usize,
    pub request_throughput: f64,
    pub input_throughput: f64,
    pub output_throughput: f64,
    pub total_throughput: f64,
    pub peak_output: f64,
    pub peak_concurrency: usize,
    pub goodput: Option<f64>,
    pub ttft: Option<Summary>,
    pub tpot: Option<Summary>,
    pub itl: Option<Summary>,
    pub e2el: Option<Summary>,
    /// Failures and interruptions by kind.
    pub failures: BTreeMap<String, usize>,
    pub check: TokenCheck,
}

impl Figures {
    pub fn of(run: &Run) -> Self {
        let done: Vec<&Record> = run.records.iter().filter(|r| r.is_complete()).collect();
        let rate = |amount: f64| if run.duration > 0.0 { amount / run.duration } else { 0.0 };
        let sum = |f: fn(&Record) -> usize| done.iter().map(|r| f(r)).sum::<usize>();
        let (input_tokens, output_tokens) = (sum(Record::input_tokens), sum(Record::output_tokens));
        let inputs = sum(|r| r.inputs);
        let list = |f: fn(&Record) -> Option<f64>| {
            Summary::of(&done.iter().filter_map(|r| f(r)).collect::<Vec<_>>())
        };
        let gaps: Vec<f64> = done.iter().flat_map(|r| r.gaps()).collect();
        let interrupted = run.records.iter().filter(|r| r.is_interrupted()).count();
        let mut failures = BTreeMap::new();
        for failure in run.records.iter().filter_map(|r| r.failure.as_ref()) {
            *failures.entry(failure.kind.to_string()).or_insert(0) += 1;
        }
        let text = run.settings.endpoint != Endpoint::Embeddings;
        Self {
            completed: done.len(),
            failed: run.records.len() - done.len() - interrupted,
            interrupted,
            empty: if text { done.iter().filter(|r| r.pieces.is_empty()).count() } else { 0 },
            not_streamed: if text { done.iter().filter(|r| !r.streamed).count() } else { 0 },
            duration: run.duration,
            input_tokens,
            output_tokens,
            inputs,
            request_throughput: rate(done.len() as f64),
            input_throughput: rate(inputs as f64),
            output_throughput: rate(output_tokens as f64),
            total_throughput: rate((input_tokens + output_tokens) as f64),
            peak_output: tokens_by_second(&done).into_iter().fold(0.0, f64::max),
            peak_concurrency: peak_concurrency(&run.records),
            goodput: run
                .settings
                .slo
                .map(|slo| rate(run.records.iter().filter(|r| slo.is_met(r)).count() as f64)),
            ttft: list(Record::ttft),
            tpot: list(Record::tpot),
            itl: Summary::of(&gaps),
            e2el: list(|r| Some(r.e2el())),
            failures,
            check: check(&done, text),
        }
    }
}

fn check(done: &[&Record], text: bool) -> TokenCheck {
    let mut check = TokenCheck::default();
    for record in done {
        if let (Some(usage), Some(own)) = (record.usage.prompt, record.own_prompt) {
            let expected = 0.98 * own as f64 - 2.0;
            check.prompts_cut += usize::from((usage as f64) < expected);
        }
        if !text {
            continue;
        }
        let usage = record.usage.completion;
        check.with_usage += usize::from(usage.is_some());
        check.guessed += usize::from(usage.or(record.own_completion).is_none());
        check.fewer_than_pieces += usize::from(usage.is_some_and(|n| n < record.pieces.len()));
        if let (Some(usage), Some(own)) = (usage, record.own_completion) {
            check.checked += 1;
            check.own_total += own;
            check.usage_total += usage;
            let slack = 1.0 + 0.02 * usage as f64;
            check.disagree += usize::from(usage.abs_diff(own) as f64 > slack);
        }
    }
    check
}

/// Output tokens in each second of the run. Each piece of text counts as an
/// equal share of its request's tokens.
pub fn tokens_by_second(records: &[&Record]) -> Vec<f64> {
    let mut seconds: Vec<f64> = Vec::new();
    for record in records {
        let share = record.output_tokens() as f64 / record.pieces.len().max(1) as f64;
        for &at in &record.pieces {
            let second = at.max(0.0) as usize;
            if second >= seconds.len() {
                seconds.resize(second + 1, 0.0);
            }
            seconds[second] += share;
        }
    }
    seconds
}

/// How many requests were unanswered, after every change: (time, count).
pub fn concurrency(records: &[Record]) -> Vec<(f64, usize)> {
    let mut changes: Vec<(f64, bool)> =
        records.iter().flat_map(|r| [(r.sent, true), (r.ended, false)]).collect();
    // Ends before beginnings of the same moment: a slot is given on.
    changes.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let mut running = 0usize;
    let mut steps = Vec::with_capacity(changes.len());
    for (at, begins) in changes {
        running = if begins { running + 1 } else { running.saturating_sub(1) };
        steps.push((at, running));
    }
    steps
}

fn peak_concurrency(records: &[Record]) -> usize {
    concurrency(records).into_iter().map(|(_, running)| running).max().unwrap_or(0)
}
