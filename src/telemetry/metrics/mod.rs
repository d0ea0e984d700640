//! Counters, gauges and histograms in Prometheus' text format.
//!
//! [`install`] sets up the one recorder of the process. Each model then holds a
//! [`ModelMetrics`], whose handles are registered once, so that a step of the
//! engine costs a few atomic writes and no lookup.

pub mod batches;
mod model;
pub mod names;

use std::sync::OnceLock;
use std::time::Duration;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

pub use model::{Finished, ModelMetrics};
use names::*;

/// Upper bounds in seconds. Queue and first token range from an idle GPU to a
/// long prompt on a busy laptop.
const WAIT_BUCKETS: &[f64] = &[
    0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0,
];
/// Gaps between tokens: 2.5 ms is a small model on a GPU, above half a second
/// somebody is waiting for a word.
const TOKEN_BUCKETS: &[f64] = &[
    0.0025, 0.005, 0.01, 0.015, 0.02, 0.03, 0.04, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.5,
    10.0,
];
/// Whole requests: from one embedding to a long document.
const REQUEST_BUCKETS: &[f64] = &[
    0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0,
];

const BUCKETS: [(&str, &[f64]); 4] = [
    (TIME_TO_FIRST_TOKEN, WAIT_BUCKETS),
    (QUEUE_TIME, WAIT_BUCKETS),
    (INTER_TOKEN_LATENCY, TOKEN_BUCKETS),
    (E2E_LATENCY, REQUEST_BUCKETS),
];

/// How often recorded samples are folded into their buckets.
const UPKEEP: Duration = Duration::from_secs(5);

/// The process's metrics; cheap to clone.
#[derive(Debug, Clone)]
pub struct Metrics {
    handle: PrometheusHandle,
}

impl Metrics {
    /// Everything recorded so far, in Prometheus' text format
    /// (`text/plain; version=0.0.4`).
    pub fn render(&self) -> String {
        self.handle.render()
    }
}

/// Sets the recorder up, or returns the one that is: safe to call from several
/// servers and tests in one process, which then share the numbers.
pub fn install() -> Metrics {
    static INSTALLED: OnceLock<Metrics> = OnceLock::new();
    INSTALLED.get_or_init(start).clone()
}

fn start() -> Metrics {
    let mut builder = PrometheusBuilder::new();
    for (name, buckets) in BUCKETS {
        builder = builder
            .set_buckets_for_metric(Matcher::Full(name.to_owned()), buckets)
            .expect("the list of buckets is a constant and not empty");
    }
    let recorder = builder.build_recorder();
    let handle = recorder.handle();
    if metrics::set_global_recorder(recorder).is_err() {
        tracing::warn!(
            "another metrics recorder is installed; /metrics of this server stays empty"
        );
    }
    describe();
    // Samples pile up until somebody folds them, and nobody may ever scrape us.
    let folding = handle.clone();
    let spawned = std::thread::Builder::new().name("metrics-upkeep".to_owned()).spawn(move || {
        loop {
            std::thread::sleep(UPKEEP);
            folding.run_upkeep();
        }
    });
    if let Err(error) = spawned {
        tracing::warn!(%error, "no thread for metrics; their memory grows until they are scraped");
    }
    Metrics { handle }
}

fn describe() {
    use metrics::{describe_counter, describe_gauge, describe_histogram};

    for name in [REQUESTS_WAITING, GATEWAY_WAITING] {
        describe_gauge!(name, "Requests that wait to be scheduled.");
    }
    for name in [REQUESTS_RUNNING, GATEWAY_RUNNING] {
        describe_gauge!(name, "Requests that are being computed.");
    }
    for name in [KV_CACHE_USAGE, GATEWAY_KV_CACHE_USAGE] {
        describe_gauge!(name, "Share of the key-value cache in use; 1 is full.");
    }
    describe_counter!(PROMPT_TOKENS, "Prompt tokens of admitted requests.");
    describe_counter!(GENERATION_TOKENS, "Tokens generated.");
    describe_counter!(REQUEST_SUCCESS, "Requests that finished, by reason.");
    describe_counter!(REQUESTS_REJECTED, "Requests refused because the queue was full.");
    describe_counter!(REQUESTS_CANCELLED, "Requests whose client went away.");
    describe_counter!(REQUESTS_FAILED, "Requests that failed after they were admitted.");
    describe_counter!(
        PREFIX_CACHE_HIT_TOKENS,
        "Prompt tokens found in the cache instead of being computed."
    );
    describe_counter!(PREEMPTIONS, "Requests that gave their cache back to others for a while.");
    describe_counter!(DRAFT_TOKENS, "Tokens guessed ahead.");
    describe_counter!(ACCEPTED_TOKENS, "Tokens guessed ahead that were right.");
    describe_gauge!(BATCHES, "Batches that have not come to an end, by state.");
    describe_gauge!(
        BATCH_REQUESTS_WAITING,
        "Requests of such batches that have no answer, of files that were read."
    );
    describe_counter!(BATCHES_ENDED, "Batches that came to an end, by state.");
    describe_counter!(BATCH_REQUESTS, "Requests of batches that came to an end, by outcome.");
    describe_histogram!(TIME_TO_FIRST_TOKEN, "Seconds from submission to the first token.");
    describe_histogram!(INTER_TOKEN_LATENCY, "Seconds between two tokens of one request.");
    describe_histogram!(E2E_LATENCY, "Seconds from submission to the end of the request.");
    describe_histogram!(QUEUE_TIME, "Seconds from submission to the first computed step.");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_rendered_under_its_name() {
        let metrics = install();
        let model = ModelMetrics::new("names-test");
        let before = metrics.render();
        assert!(
            before.contains("dragoman_requests_waiting{model_name=\"names-test\"} 0"),
            "{before}"
        );

        model.set_load(3, 2);
        model.set_kv_cache_usage(0.25);
        model.add_prompt_tokens(7);
        model.add_generation_tokens(5);
        model.finished(Finished::Stop, Duration::from_millis(1500));
        model.finished(Finished::Length, Duration::from_millis(700));
        model.finished(Finished::Repetition, Duration::from_millis(700));
        model.prefix_cache_hit(48);
        model.preempted(2);
        model.speculated(8, 6);
        model.rejected();
        model.cancelled();
        model.failed();
        model.scheduled(Duration::from_millis(3));
        model.first_token(Duration::from_millis(30));
        model.next_token(Duration::from_millis(12));

        let text = metrics.render();
        for line in [
            "# TYPE vllm:num_requests_waiting gauge",
            "vllm:num_requests_waiting{model_name=\"names-test\"} 3",
            "vllm:num_requests_running{model_name=\"names-test\"} 2",
            "vllm:kv_cache_usage_perc{model_name=\"names-test\"} 0.25",
            "# HELP dragoman_requests_running Requests that are being computed.",
            "dragoman_requests_running{model_name=\"names-test\"} 2",
            "dragoman_kv_cache_usage_perc{model_name=\"names-test\"} 0.25",
            "# TYPE dragoman_prompt_tokens_total counter",
            "dragoman_prompt_tokens_total{model_name=\"names-test\"} 7",
            "dragoman_generation_tokens_total{model_name=\"names-test\"} 5",
            "dragoman_request_success_total{model_name=\"names-test\",finished_reason=\"stop\"} 1",
            "dragoman_request_success_total{model_name=\"names-test\",finished_reason=\"length\"} 1",
            "dragoman_request_success_total{model_name=\"names-test\",finished_reason=\"timeout\"} 0",
            "dragoman_request_success_total{model_name=\"names-test\",finished_reason=\"repetition\"} 1",
            "dragoman_prefix_cache_hit_tokens_total{model_name=\"names-test\"} 48",
            "dragoman_preemptions_total{model_name=\"names-test\"} 2",
            "dragoman_speculative_draft_tokens_total{model_name=\"names-test\"} 8",
            "dragoman_speculative_accepted_tokens_total{model_name=\"names-test\"} 6",
            "dragoman_requests_rejected_total{model_name=\"names-test\"} 1",
            "dragoman_requests_cancelled_total{model_name=\"names-test\"} 1",
            "dragoman_requests_failed_total{model_name=\"names-test\"} 1",
            "# TYPE dragoman_time_to_first_token_seconds histogram",
            "dragoman_time_to_first_token_seconds_bucket{model_name=\"names-test\",le=\"0.025\"} 0",
            "dragoman_time_to_first_token_seconds_bucket{model_name=\"names-test\",le=\"0.05\"} 1",
            "dragoman_inter_token_latency_seconds_bucket{model_name=\"names-test\",le=\"0.015\"} 1",
            "dragoman_e2e_request_latency_seconds_bucket{model_name=\"names-test\",le=\"1\"} 2",
            "dragoman_e2e_request_latency_seconds_count{model_name=\"names-test\"} 3",
            "dragoman_request_queue_time_seconds_bucket{model_name=\"names-test\",le=\"0.005\"} 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is missing in\n{text}");
        }
    }

    #[test]
    fn installing_twice_shares_the_numbers() {
        let (first, second) = (install(), install());
        ModelMetrics::new("twice-test").add_prompt_tokens(1);
        let line = "dragoman_prompt_tokens_total{model_name=\"twice-test\"} 1";
        assert!(first.render().contains(line) && second.render().contains(line));
    }
}
