//! Why the engine refused or lost a request.

use std::time::Duration;

/// Why a request was not admitted, or ended without its result.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SubmitError {
    /// A field is out of range. `param` is the field's name in [`super::request`].
    #[error("{message}")]
    Invalid { param: &'static str, message: String },
    #[error(
        "the prompt has {prompt_tokens} tokens{}, more than the model's context of {context_length}; shorten the prompt or lower max_tokens",
        max_tokens.map(|n| format!(" and max_tokens asks for {n} more")).unwrap_or_default()
    )]
    ContextExceeded { prompt_tokens: usize, max_tokens: Option<usize>, context_length: usize },
    /// The waiting queue is at its bound.
    #[error("{waiting} requests are waiting, which is the limit; try again in {} s", retry_after.as_secs())]
    QueueFull { waiting: usize, retry_after: Duration },
    #[error("this model {has}, so it cannot {wanted}")]
    WrongKind { has: &'static str, wanted: &'static str },
    /// The request's `timeout` passed before its turn came.
    #[error("the request waited {} s without its turn coming, which is its timeout; try again later", waited.as_secs())]
    TimedOut { waited: Duration },
    /// The engine is stopping or its thread is gone.
    #[error("the model is not available: {0}")]
    Unavailable(String),
    /// The model's computation failed.
    #[error("the model failed on this request: {0}")]
    Failed(String),
}

impl SubmitError {
    pub fn invalid(param: &'static str, message: impl Into<String>) -> Self {
        Self::Invalid { param, message: message.into() }
    }
}
