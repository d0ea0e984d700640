//! `POST /v1/chat/completions`.

use std::fmt;

use schemars::JsonSchema;
use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::super::fields::{Fields, Rule, neutral};
use super::super::openapi::closed;
use super::super::strict::{Strict, strict_list, strict_list_option, strict_option};
use super::common::{CALLER_LABELS, FinishReason, Stop, StreamOptions, Usage};
use super::generation::{Raw, ResponseFormat, StructuredOutputs, generation_request};
use super::logprobs::ChatLogprobs;
use super::tool_choice::{Choice, ToolChoice};
use super::tools::{Call, CallDelta, EarlierCall, Tool};

generation_request! {
    /// A conversation to go on with.
    pub struct ChatRequest {
        /// A loaded model, required; `/v1/models` lists them.
        #[schemars(required, length(min = 1))]
        pub model: Option<String>,
        /// The conversation so far; at least one message.
        #[serde(deserialize_with = "strict_list")]
        #[schemars(length(min = 1))]
        pub messages: Vec<Message>,
        /// Further variables of the chat template, as `enable_thinking`; an extension.
        pub chat_template_kwargs: Option<Map<String, Value>>,
        /// Functions that the model may call.
        #[serde(default, deserialize_with = "strict_list_option")]
        pub tools: Option<Vec<Tool>>,
        /// "auto", the default, "none", "required", one function by its name, or
        /// some that alone may be called.
        pub tool_choice: Option<Choice<ToolChoice>>,
        /// Whether several calls may be made at once. Default true.
        pub parallel_tool_calls: Option<bool>,
        /// How much to think, for models whose chat template knows it.
        pub reasoning_effort: Option<String>,
        /// Report the log probability of each token.
        pub logprobs: Option<bool>,
        /// With `logprobs`: report so many of the most likely tokens beside
        /// each, up to 20.
        #[schemars(range(max = 20))]
        pub top_logprobs: Option<usize>,
    }
}

impl Fields for ChatRequest {
    const RULES: &'static [Rule] = &RULES;
}

const OLD_TOOLS: &str = "send tools and tool_choice, which took its place";
const TEXT_ONLY: &str = "only text goes in and out";

static RULES: [Rule; 17] = {
    let [user, metadata, safety, cache_key, cache_retention] = CALLER_LABELS;
    [
        user,
        metadata,
        safety,
        cache_key,
        cache_retention,
        Rule::refuse(
            "service_tier",
            |v| matches!(v.as_str(), Some("auto" | "default")),
            "there is one tier; send auto or leave it out",
        ),
        Rule::refuse("store", neutral::no, "nothing is stored; send false or leave it out"),
        Rule::refuse("functions", neutral::empty, OLD_TOOLS),
        Rule::refuse("function_call", |v| v.as_str() == Some("none"), OLD_TOOLS),
        Rule::refuse("audio", neutral::never, TEXT_ONLY),
        Rule::refuse(
            "modalities",
            |v| v.as_array().is_some_and(|list| list.iter().all(|m| m == "text")),
            TEXT_ONLY,
        ),
        Rule::refuse("prediction", neutral::never, "leave it out; it would only save time"),
        Rule::refuse("web_search_options", neutral::never, "the server searches nothing"),
        Rule::refuse(
            "verbosity",
            |v| v.as_str() == Some("medium"),
            "say in a message how long the answer should be",
        ),
        Rule::refuse("best_of", |v| *v == 1, "send n and choose among the answers"),
        Rule::refuse("echo", neutral::no, "join the message and the answer yourself"),
        Rule::refuse("suffix", neutral::empty, "say in a message what follows"),
    ]
};

/// One turn of a conversation.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(transform = closed::<Self>)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said, required but beside calls; `""` is allowed.
    pub content: Option<Content>,
    /// The speaker's name, for chat templates that use it.
    pub name: Option<String>,
    /// What the assistant called.
    #[serde(default, deserialize_with = "strict_list_option")]
    pub tool_calls: Option<Vec<EarlierCall>>,
    /// Of a tool's message: the call that it answers.
    pub tool_call_id: Option<String>,
    /// What the assistant thought, for chat templates that use it.
    pub reasoning_content: Option<String>,
}

impl Fields for Message {
    const RULES: &'static [Rule] = &[
        Rule::accept("annotations", "where an answer's quotes came from; no part of its text"),
        Rule::refuse("function_call", neutral::never, "send tool_calls, which took its place"),
        Rule::refuse("refusal", neutral::empty, "put what was said in content"),
        Rule::refuse("audio", neutral::never, TEXT_ONLY),
        Rule::refuse("reasoning", neutral::empty, "send it as reasoning_content"),
    ];
}

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    System,
    /// OpenAI's newer name for `system`; chat templates get `system`.
    Developer,
    User,
    Assistant,
    /// A tool, with the result of a call.
    Tool,
}

/// A text, or parts that are joined by line breaks.
#[derive(Debug, JsonSchema)]
#[schemars(untagged)]
pub enum Content {
    Text(String),
    Parts(Vec<ContentPart>),
}

/// A part of a message. Only `{"type": "text", "text": "…"}` is supported.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(transform = closed::<Self>)]
pub struct ContentPart {
    /// `text`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The text; required.
    pub text: Option<String>,
}

impl Fields for ContentPart {
    const RULES: &'static [Rule] = &[
        Rule::refuse("image_url", neutral::never, TEXT_ONLY),
        Rule::refuse("input_audio", neutral::never, TEXT_ONLY),
        Rule::refuse("file", neutral::never, TEXT_ONLY),
        Rule::refuse("refusal", neutral::never, "put what was said in a text part"),
    ];
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ContentVisitor;
        impl<'de> Visitor<'de> for ContentVisitor {
            type Value = Content;

            fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
                formatter.write_str("a string or an array of parts")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Content, E> {
                Ok(Content::Text(text.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Content, A::Error> {
                let mut parts = Vec::new();
                while let Some(Strict(part)) = items.next_element()? {
                    parts.push(part);
                }
                Ok(Content::Parts(parts))
            }
        }
        deserializer.deserialize_any(ContentVisitor)
    }
}

/// The whole answer.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ChatResponse {
    pub id: String,
    /// `chat.completion`.
    pub object: &'static str,
    /// Unix seconds.
    pub created: u64,
    pub model: String,
    pub choices: Vec<ChatChoice>,
    pub usage: Usage,
    pub system_fingerprint: &'static str,
}

/// One answer of `n`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ChatChoice {
    pub index: usize,
    pub message: Answer,
    /// When they were asked for.
    pub logprobs: Option<ChatLogprobs>,
    pub finish_reason: FinishReason,
    /// An extension: "timeout" or "repetition".
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_reason: Option<&'static str>,
}

/// The assistant's turn.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Answer {
    /// `assistant`.
    pub role: &'static str,
    /// Null where there are only calls.
    pub content: Option<String>,
    /// What the model thought before, of models that do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning_content: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<Call>,
    /// Always null: the model's refusals are ordinary text.
    pub refusal: Option<()>,
}

/// A piece of one answer, in a stream.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ChatDelta<'a> {
    pub index: usize,
    pub delta: Delta<'a>,
    /// Of this piece's tokens, when they were asked for.
    pub logprobs: Option<ChatLogprobs>,
    /// Null until the last piece of this answer.
    pub finish_reason: Option<FinishReason>,
    /// An extension: "timeout" or "repetition", with the last piece.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_reason: Option<&'static str>,
}

/// What a piece adds to the answer.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub struct Delta<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning_content: Option<&'a str>,
    /// One piece of one call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_calls: Option<[CallDelta<'a>; 1]>,
}
