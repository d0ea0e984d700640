//! The handles one model reports through.

use std::sync::Arc;
use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};

use super::install;
use super::names::*;

/// How a request ended well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finished {
    /// At an end-of-text token, a stop token or a stop string; embeddings too.
    Stop,
    /// At its token limit or the end of the context.
    Length,
    /// At its own time limit.
    Timeout,
    /// Because it only repeated itself.
    Repetition,
}

impl Finished {
    const ALL: [Self; 4] = [Self::Stop, Self::Length, Self::Timeout, Self::Repetition];

    fn label(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
            Self::Timeout => "timeout",
            Self::Repetition => "repetition",
        }
    }
}

/// The metrics of one model, registered once; clones share them. All methods
/// are a few atomic writes, so the engine may call them in every step.
#[derive(Debug, Clone)]
pub struct ModelMetrics {
    handles: Arc<Handles>,
}

#[derive(Debug)]
struct Handles {
    waiting: [Gauge; 2],
    running: [Gauge; 2],
    kv_cache_usage: [Gauge; 2],
    prompt_tokens: Counter,
    generation_tokens: Counter,
    /// By [`Finished`], in the order of its variants.
    finished: [Counter; 4],
    prefix_cache_hit_tokens: Counter,
    preemptions: Counter,
    draft_tokens: Counter,
    accepted_tokens: Counter,
    rejected: Counter,
    cancelled: Counter,
    failed: Counter,
    time_to_first_token: Histogram,
    inter_token_latency: Histogram,
    e2e_latency: Histogram,
    queue_time: Histogram,
}

impl ModelMetrics {
    /// Registers the metrics of `model`, its public name, and installs the
    /// recorder if nobody has yet. Two models of one name share their numbers.
    pub fn new(model: &str) -> Self {
        install();
        let model = model.to_owned();
        let gauge = |name: &'static str| gauge!(name, MODEL_LABEL => model.clone());
        let count = |name: &'static str| counter!(name, MODEL_LABEL => model.clone());
        let times = |name: &'static str| histogram!(name, MODEL_LABEL => model.clone());
        let finished = |reason: &'static str| counter!(REQUEST_SUCCESS, MODEL_LABEL => model.clone(), REASON_LABEL => reason);
        let handles = Handles {
            waiting: [gauge(REQUESTS_WAITING), gauge(GATEWAY_WAITING)],
            running: [gauge(REQUESTS_RUNNING), gauge(GATEWAY_RUNNING)],
            kv_cache_usage: [gauge(KV_CACHE_USAGE), gauge(GATEWAY_KV_CACHE_USAGE)],
            prompt_tokens: count(PROMPT_TOKENS),
            generation_tokens: count(GENERATION_TOKENS),
            finished: Finished::ALL.map(|how| finished(how.label())),
            prefix_cache_hit_tokens: count(PREFIX_CACHE_HIT_TOKENS),
            preemptions: count(PREEMPTIONS),
            draft_tokens: count(DRAFT_TOKENS),
            accepted_tokens: count(ACCEPTED_TOKENS),
            rejected: count(REQUESTS_REJECTED),
            cancelled: count(REQUESTS_CANCELLED),
            failed: count(REQUESTS_FAILED),
            time_to_first_token: times(TIME_TO_FIRST_TOKEN),
            inter_token_latency: times(INTER_TOKEN_LATENCY),
            e2e_latency: times(E2E_LATENCY),
            queue_time: times(QUEUE_TIME),
        };
        let new = Self { handles: Arc::new(handles) };
        // A scrape before the first request should show zeros, not nothing.
        new.set_load(0, 0);
        new.set_kv_cache_usage(0.0);
        new
    }

    /// Requests waiting and running now.
    pub fn set_load(&self, waiting: usize, running: usize) {
        self.handles.waiting.iter().for_each(|gauge| gauge.set(waiting as f64));
        self.handles.running.iter().for_each(|gauge| gauge.set(running as f64));
    }

    /// Share of the cache in use, from 0 to 1.
    pub fn set_kv_cache_usage(&self, share: f64) {
        self.handles.kv_cache_usage.iter().for_each(|gauge| gauge.set(share));
    }

    /// Prompt tokens of a request that was admitted.
    pub fn add_prompt_tokens(&self, tokens: usize) {
        self.handles.prompt_tokens.increment(tokens as u64);
    }

    pub fn add_generation_tokens(&self, tokens: usize) {
        self.handles.generation_tokens.increment(tokens as u64);
    }

    /// A request ended well, `elapsed` after it was submitted.
    pub fn finished(&self, how: Finished, elapsed: Duration) {
        self.handles.finished[how as usize].increment(1);
        self.handles.e2e_latency.record(elapsed);
    }

    /// Prompt tokens that were found in the cache instead of being computed.
    pub fn prefix_cache_hit(&self, tokens: usize) {
        self.handles.prefix_cache_hit_tokens.increment(tokens as u64);
    }

    /// Sequences that gave their blocks back and are computed again.
    pub fn preempted(&self, sequences: u64) {
        self.handles.preemptions.increment(sequences);
    }

    /// `accepted` of `drafted` guessed tokens were right.
    pub fn speculated(&self, drafted: usize, accepted: usize) {
        self.handles.draft_tokens.increment(drafted as u64);
        self.handles.accepted_tokens.increment(accepted as u64);
    }

    /// A request was refused because the queue was full.
    pub fn rejected(&self) {
        self.handles.rejected.increment(1);
    }

    /// A request's client went away before it ended.
    pub fn cancelled(&self) {
        self.handles.cancelled.increment(1);
    }

    /// A request failed after it was admitted.
    pub fn failed(&self) {
        self.handles.failed.increment(1);
    }

    /// A request is scheduled for the first time, `waited` after it was submitted.
    pub fn scheduled(&self, waited: Duration) {
        self.handles.queue_time.record(waited);
    }

    /// A request's first token came, `elapsed` after it was submitted.
    pub fn first_token(&self, elapsed: Duration) {
        self.handles.time_to_first_token.record(elapsed);
    }

    /// A further token of a request came, `gap` after the one before.
    pub fn next_token(&self, gap: Duration) {
        self.handles.inter_token_latency.record(gap);
    }
}
