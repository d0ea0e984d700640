//! Types that several endpoints share.

use std::fmt;

use schemars::JsonSchema;
use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::super::fields::{Fields, Rule, neutral};
use super::super::openapi::{closed, shaped};
use crate::engine;

/// Names the version that made an answer, OpenAI's `system_fingerprint`.
pub const FINGERPRINT: &str = concat!("dragoman-", env!("CARGO_PKG_VERSION"));

/// Fields of every generation endpoint that cannot change the text.
pub const CALLER_LABELS: [Rule; 5] = [
    Rule::accept("user", "names the end user; nothing is done with it"),
    Rule::accept("metadata", "labels for stored answers, and nothing is stored"),
    Rule::accept("safety_identifier", "names the end user; nothing is done with it"),
    Rule::accept("prompt_cache_key", "a hint for a cache that does not change the text"),
    Rule::accept("prompt_cache_retention", "a hint for a cache that does not change the text"),
];

/// The body of every answer that is not a success.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ErrorBody {
    pub error: ErrorDetail,
}

/// What went wrong, in OpenAI's shape.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ErrorDetail {
    /// What is wrong and what to do about it.
    pub message: String,
    /// `invalid_request_error`, `rate_limit_error` or `server_error`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The field at fault, as a path like `messages[0].content`.
    pub param: Option<String>,
    /// A stable word for programs.
    pub code: Option<&'static str>,
}

/// Tokens counted for one request.
#[derive(Debug, Clone, Copy, Default, Serialize, JsonSchema)]
pub struct Usage {
    /// Tokens of the prompt, once however many choices were asked for.
    pub prompt_tokens: usize,
    /// Tokens generated, over all choices.
    pub completion_tokens: usize,
    pub total_tokens: usize,
    pub prompt_tokens_details: PromptTokensDetails,
}

/// Where tokens of the prompt came from.
#[derive(Debug, Clone, Copy, Default, Serialize, JsonSchema)]
pub struct PromptTokensDetails {
    /// Found in the cache instead of being computed.
    pub cached_tokens: usize,
}

impl Usage {
    pub fn new(prompt_tokens: usize, cached_tokens: usize, completion_tokens: usize) -> Self {
        Self {
            prompt_tokens,
            completion_tokens,
            total_tokens: prompt_tokens + completion_tokens,
            prompt_tokens_details: PromptTokensDetails { cached_tokens },
        }
    }
}

/// Why a text ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FinishReason {
    /// The model ended it, or a stop string was reached.
    Stop,
    /// `max_tokens` or the end of the model's context.
    Length,
    /// The model called tools.
    ToolCalls,
}

impl FinishReason {
    /// The reason of an answer that holds calls, or none.
    pub fn with_calls(self, calls: bool) -> Self {
        match self {
            Self::Stop if calls => Self::ToolCalls,
            other => other,
        }
    }

    /// OpenAI's word for the reason, and ours where it has none.
    pub fn of(reason: engine::FinishReason) -> (Self, Option<&'static str>) {
        match reason {
            engine::FinishReason::Stop => (Self::Stop, None),
            engine::FinishReason::Length => (Self::Length, None),
            engine::FinishReason::Timeout => (Self::Length, Some("timeout")),
            engine::FinishReason::Repetition => (Self::Stop, Some("repetition")),
        }
    }
}

/// Choices about the stream itself.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[schemars(transform = closed::<Self>)]
pub struct StreamOptions {
    /// Send one more chunk, with no choices, that carries the usage.
    pub include_usage: Option<bool>,
}

impl Fields for StreamOptions {
    const RULES: &'static [Rule] = &[
        Rule::refuse("include_obfuscation", neutral::no, "send false or leave it out"),
        Rule::refuse(
            "continuous_usage_stats",
            neutral::no,
            "the usage comes once, in the last chunk, with include_usage",
        ),
    ];
}

/// One event of a stream: a piece of one choice, or the usage.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "{C}Chunk")]
pub struct Chunk<'a, C> {
    pub id: &'a str,
    pub object: &'static str,
    pub created: u64,
    pub model: &'a str,
    pub system_fingerprint: &'static str,
    /// One piece; none in the chunk that carries the usage.
    pub choices: &'a [C],
    /// Absent unless `stream_options.include_usage`; then null in all chunks
    /// but the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<Option<Usage>>,
}

/// Up to 16 texts that end the answer; a string stands for a list of one.
#[derive(Debug, Default)]
pub struct Stop(pub Vec<String>);

shaped!(Stop = {"anyOf": [
    {"type": "string", "minLength": 1},
    {"type": "array", "items": {"type": "string", "minLength": 1}, "maxItems": 16},
]});

impl<'de> Deserialize<'de> for Stop {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct StopVisitor;
        impl<'de> Visitor<'de> for StopVisitor {
            type Value = Stop;

            fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
                formatter.write_str("a string or an array of strings")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Stop, E> {
                Ok(Stop(vec![text.to_owned()]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Stop, A::Error> {
                let mut texts = Vec::new();
                while let Some(text) = items.next_element()? {
                    texts.push(text);
                }
                Ok(Stop(texts))
            }
        }
        deserializer.deserialize_any(StopVisitor)
    }
}
