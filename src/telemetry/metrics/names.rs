//! Metric names. Every metric but those of batches carries the label
//! [`MODEL_LABEL`].

/// Label with the model's public name.
pub const MODEL_LABEL: &str = "model_name";
/// Label of [`REQUEST_SUCCESS`]: `stop`, `length`, `timeout` or `repetition`.
pub const REASON_LABEL: &str = "finished_reason";

/// Label of [`BATCHES`] and [`BATCHES_ENDED`]: the state, as the API has it.
pub const STATUS_LABEL: &str = "status";
/// Label of [`BATCH_REQUESTS`]: `completed`, `failed` or `unanswered`.
pub const OUTCOME_LABEL: &str = "outcome";

pub const REQUESTS_WAITING: &str = "dragoman_requests_waiting";
pub const REQUESTS_RUNNING: &str = "dragoman_requests_running";
pub const KV_CACHE_USAGE: &str = "dragoman_kv_cache_usage_perc";
pub const PROMPT_TOKENS: &str = "dragoman_prompt_tokens_total";
pub const GENERATION_TOKENS: &str = "dragoman_generation_tokens_total";
pub const REQUEST_SUCCESS: &str = "dragoman_request_success_total";
pub const REQUESTS_REJECTED: &str = "dragoman_requests_rejected_total";
pub const REQUESTS_CANCELLED: &str = "dragoman_requests_cancelled_total";
pub const REQUESTS_FAILED: &str = "dragoman_requests_failed_total";
pub const PREFIX_CACHE_HIT_TOKENS: &str = "dragoman_prefix_cache_hit_tokens_total";
pub const PREEMPTIONS: &str = "dragoman_preemptions_total";
pub const DRAFT_TOKENS: &str = "dragoman_speculative_draft_tokens_total";
pub const ACCEPTED_TOKENS: &str = "dragoman_speculative_accepted_tokens_total";
pub const TIME_TO_FIRST_TOKEN: &str = "dragoman_time_to_first_token_seconds";
pub const INTER_TOKEN_LATENCY: &str = "dragoman_inter_token_latency_seconds";
pub const E2E_LATENCY: &str = "dragoman_e2e_request_latency_seconds";
pub const QUEUE_TIME: &str = "dragoman_request_queue_time_seconds";
pub const BATCHES: &str = "dragoman_batches";
pub const BATCHES_ENDED: &str = "dragoman_batches_ended_total";
pub const BATCH_REQUESTS: &str = "dragoman_batch_requests_total";
pub const BATCH_REQUESTS_WAITING: &str = "dragoman_batch_requests_waiting";

/// The gauges under the names that Kubernetes inference gateways look for
/// (Gateway API Inference Extension, model server protocol).
pub const GATEWAY_WAITING: &str = "vllm:num_requests_waiting";
pub const GATEWAY_RUNNING: &str = "vllm:num_requests_running";
pub const GATEWAY_KV_CACHE_USAGE: &str = "vllm:kv_cache_usage_perc";
