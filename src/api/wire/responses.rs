//! `POST /v1/responses`, as OpenAI has it.

use std::fmt;

use schemars::JsonSchema;
use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::super::fields::{Fields, Rule, neutral};
use super::super::openapi::closed;
use super::super::strict::{Strict, strict_list_option, strict_option};
use super::tool_choice::{Choice, FlatToolChoice};

/// A response to be made.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(transform = closed::<Self>)]
pub struct ResponseRequest {
    /// A loaded model, required; `/v1/models` lists them.
    #[schemars(required, length(min = 1))]
    pub model: Option<String>,
    /// A text, or the items of a conversation.
    pub input: Option<Input>,
    /// Goes before the conversation; not kept for the next response.
    pub instructions: Option<String>,
    /// Goes on from this stored response.
    pub previous_response_id: Option<String>,
    /// Keep the response for later, the default. It is kept in memory, within
    /// the bounds of `server.responses_mib` and `server.responses_s`.
    pub store: Option<bool>,
    /// At most so many tokens, reasoning included.
    #[schemars(range(min = 1))]
    pub max_output_tokens: Option<usize>,
    /// 0 always takes the most likely token. Default 1.
    #[schemars(range(min = 0, max = 2))]
    pub temperature: Option<f32>,
    /// Sample from the most likely tokens that together reach this probability.
    #[schemars(extend("exclusiveMinimum" = 0), range(max = 1))]
    pub top_p: Option<f32>,
    /// Send the response as events while it is written.
    pub stream: Option<bool>,
    /// Functions that the model may call.
    #[serde(default, deserialize_with = "strict_list_option")]
    pub tools: Option<Vec<Tool>>,
    /// "auto", the default, "none", "required", one function by its name, or
    /// some that alone may be called.
    pub tool_choice: Option<Choice<FlatToolChoice>>,
    /// Whether several calls may be made at once. Default true.
    pub parallel_tool_calls: Option<bool>,
    /// The form of the answer.
    #[serde(default, deserialize_with = "strict_option")]
    pub text: Option<Text>,
    /// How the model thinks.
    #[serde(default, deserialize_with = "strict_option")]
    pub reasoning: Option<Reasoning>,
    /// Labels, which come back with the response.
    pub metadata: Option<Map<String, Value>>,
    /// Further variables of the chat template; an extension.
    pub chat_template_kwargs: Option<Map<String, Value>>,
}

impl Fields for ResponseRequest {
    const RULES: &'static [Rule] = &[
        Rule::accept("user", "names the end user; nothing is done with it"),
        Rule::accept("safety_identifier", "names the end user; nothing is done with it"),
        Rule::accept("prompt_cache_key", "a hint for a cache that does not change the text"),
        Rule::accept("prompt_cache_retention", "a hint for a cache that does not change the text"),
        Rule::accept("prompt_cache_options", "hints for a cache that does not change the text"),
        Rule::refuse("background", neutral::no, "wait for the answer, or stream it"),
        Rule::refuse("include", neutral::empty, "what there is to include is included"),
        Rule::refuse("conversation", neutral::never, "send previous_response_id"),
        Rule::refuse("prompt", neutral::never, "send instructions and input"),
        Rule::refuse("max_tool_calls", neutral::never, "the server runs no tools of its own"),
        Rule::refuse("context_management", neutral::empty, "shorten the conversation yourself"),
        Rule::refuse("moderation", neutral::never, "nothing is moderated here"),
        Rule::refuse("top_logprobs", |v| *v == 0, "ask at /v1/chat/completions"),
        Rule::refuse("truncation", |v| *v == "disabled", "nothing is cut; send what fits"),
        Rule::refuse(
            "service_tier",
            |v| matches!(v.as_str(), Some("auto" | "default")),
            "there is one tier; send auto or leave it out",
        ),
        Rule::refuse(
            "stream_options",
            |v| v.as_object().is_some_and(|o| o.values().all(|v| *v == false)),
            "the usage comes with the last event",
        ),
        Rule::refuse("messages", neutral::never, "send them as input"),
    ];
}

/// A text, or items.
#[derive(Debug, JsonSchema)]
#[schemars(rename = "ResponsesInput", untagged)]
pub enum Input {
    Text(String),
    Items(Vec<Item>),
}

/// An item of any type; which fields it has depends on that.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "ResponsesItem", transform = closed::<Self>)]
pub struct Item {
    /// `message`, also when it is left out, `function_call`,
    /// `function_call_output` or `reasoning`.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// Of `message`.
    pub role: Option<String>,
    /// Of `message` and `reasoning`.
    pub content: Option<Parts>,
    /// Of a call and its output.
    pub call_id: Option<String>,
    /// Of `function_call`.
    pub name: Option<String>,
    /// Of `function_call`: JSON text.
    pub arguments: Option<String>,
    /// Of `function_call_output`.
    pub output: Option<Parts>,
}

impl Fields for Item {
    const RULES: &'static [Rule] = &[
        Rule::accept("id", "a label of the item"),
        Rule::accept("status", "how far an item was when it was given"),
        Rule::accept("phase", "a label of the item"),
        Rule::accept("caller", "who made a call"),
        Rule::refuse("summary", neutral::empty, "send thoughts as the item's content"),
        Rule::refuse("encrypted_content", neutral::empty, "leave out what cannot be read"),
        Rule::refuse("namespace", neutral::never, "name the function alone"),
    ];
}

/// A text, or parts of one.
#[derive(Debug, JsonSchema)]
#[schemars(rename = "ResponsesParts", untagged)]
pub enum Parts {
    Text(String),
    List(Vec<Part>),
}

/// A part: `input_text`, `output_text` or `reasoning_text`.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "ResponsesPart", transform = closed::<Self>)]
pub struct Part {
    /// `input_text`, `output_text` or `reasoning_text`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The text; required.
    pub text: Option<String>,
}

const TEXT_ONLY: &str = "only text goes in and out";

impl Fields for Part {
    const RULES: &'static [Rule] = &[
        Rule::accept("annotations", "where an answer's quotes came from; no part of its text"),
        Rule::accept("logprobs", "log probabilities of an answer; no part of its text"),
        Rule::refuse("image_url", neutral::never, TEXT_ONLY),
        Rule::refuse("file_id", neutral::never, TEXT_ONLY),
        Rule::refuse("file_data", neutral::never, TEXT_ONLY),
        Rule::refuse("file_url", neutral::never, TEXT_ONLY),
        Rule::refuse("input_audio", neutral::never, TEXT_ONLY),
    ];
}

/// A text, or a list of strict objects.
struct TextOr<T>(Result<String, Vec<T>>);

impl<'de, T: Deserialize<'de> + Fields> Deserialize<'de> for TextOr<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextOrVisitor<T>(std::marker::PhantomData<T>);
        impl<'de, T: Deserialize<'de> + Fields> Visitor<'de> for TextOrVisitor<T> {
            type Value = TextOr<T>;

            fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
                formatter.write_str("a string or an array of objects")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<TextOr<T>, E> {
                Ok(TextOr(Ok(text.to_owned())))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<TextOr<T>, A::Error> {
                let mut list = Vec::new();
                while let Some(Strict(item)) = items.next_element()? {
                    list.push(item);
                }
                Ok(TextOr(Err(list)))
            }
        }
        deserializer.deserialize_any(TextOrVisitor(std::marker::PhantomData))
    }
}

impl<'de> Deserialize<'de> for Input {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match TextOr::deserialize(deserializer)?.0 {
            Ok(text) => Self::Text(text),
            Err(items) => Self::Items(items),
        })
    }
}

impl<'de> Deserialize<'de> for Parts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match TextOr::deserialize(deserializer)?.0 {
            Ok(text) => Self::Text(text),
            Err(list) => Self::List(list),
        })
    }
}

/// A function that the caller can run.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[schemars(rename = "ResponsesTool", transform = closed::<Self>)]
pub struct Tool {
    /// `function`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Letters, digits, `_`, `-` and `.`, up to 64; required.
    pub name: Option<String>,
    /// What it does, for the model.
    pub description: Option<String>,
    /// A JSON schema of its arguments; without one it takes none.
    pub parameters: Option<Value>,
    /// Refuse a schema that calls cannot be held to.
    pub strict: Option<bool>,
}

impl Fields for Tool {
    const RULES: &'static [Rule] =
        &[Rule::refuse("defer_loading", neutral::no, "send the tools that may be called")];
}

/// The form of the answer.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "ResponsesText", transform = closed::<Self>)]
pub struct Text {
    /// What kind of text it is.
    #[serde(default, deserialize_with = "strict_option")]
    pub format: Option<Format>,
}

impl Fields for Text {
    const RULES: &'static [Rule] = &[Rule::refuse(
        "verbosity",
        |v| v.as_str() == Some("medium"),
        "say in the instructions how long the answer should be",
    )];
}

/// What kind of text it is.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[schemars(rename = "ResponsesFormat", transform = closed::<Self>)]
pub struct Format {
    /// `text`, `json_object` or `json_schema`.
    #[serde(rename = "type")]
    pub kind: String,
    /// A label.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// With `json_schema`: the schema.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema: Option<Value>,
    /// An answer follows its schema in any case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strict: Option<bool>,
}

impl Fields for Format {
    const RULES: &'static [Rule] =
        &[Rule::accept("description", "a label; put it in the instructions to tell the model")];
}

/// How the model thinks.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
#[schemars(rename = "ResponsesReasoning", transform = closed::<Self>)]
pub struct Reasoning {
    /// How much, for models whose chat template knows it.
    pub effort: Option<String>,
}

impl Fields for Reasoning {
    const RULES: &'static [Rule] = &[
        Rule::refuse("summary", neutral::never, "thoughts are given as they are, not summed up"),
        Rule::refuse("generate_summary", neutral::never, "thoughts are given as they are"),
    ];
}

/// A response.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Response {
    pub id: String,
    /// `response`.
    pub object: &'static str,
    /// Unix seconds.
    pub created_at: u64,
    pub completed_at: Option<u64>,
    /// `in_progress`, `completed` or `incomplete`.
    pub status: &'static str,
    pub error: Option<()>,
    pub incomplete_details: Option<Incomplete>,
    pub instructions: Option<String>,
    pub max_output_tokens: Option<usize>,
    pub model: String,
    pub output: Vec<Output>,
    pub parallel_tool_calls: bool,
    pub previous_response_id: Option<String>,
    pub reasoning: Reasoning,
    pub store: bool,
    pub temperature: f32,
    pub text: TextFormat,
    pub tool_choice: Choice<FlatToolChoice>,
    pub tools: Vec<Tool>,
    pub top_p: f32,
    /// `disabled`.
    pub truncation: &'static str,
    pub usage: Option<Usage>,
    pub metadata: Map<String, Value>,
}

/// Why a response is not complete.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(rename = "ResponsesIncomplete")]
pub struct Incomplete {
    /// `max_output_tokens`.
    pub reason: &'static str,
}

/// The form that was asked for.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(rename = "ResponsesTextFormat")]
pub struct TextFormat {
    pub format: Format,
}

/// An item of the answer.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
#[schemars(rename = "ResponsesOutput")]
pub enum Output {
    Reasoning {
        id: String,
        /// Always empty: thoughts are given as they are.
        summary: [(); 0],
        content: Vec<OutputPart>,
        status: &'static str,
    },
    Message {
        id: String,
        role: &'static str,
        content: Vec<OutputPart>,
        status: &'static str,
    },
    FunctionCall {
        id: String,
        call_id: String,
        name: String,
        arguments: String,
        status: &'static str,
    },
}

/// A part of an item.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
#[schemars(rename = "ResponsesOutputPart")]
pub enum OutputPart {
    OutputText { text: String, annotations: [(); 0], logprobs: [(); 0] },
    ReasoningText { text: String },
}

/// Tokens counted for one response.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
#[schemars(rename = "ResponsesUsage")]
pub struct Usage {
    pub input_tokens: usize,
    pub input_tokens_details: InputDetails,
    pub output_tokens: usize,
    pub output_tokens_details: OutputDetails,
    pub total_tokens: usize,
}

/// Where tokens of the input came from.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
#[schemars(rename = "ResponsesInputDetails")]
pub struct InputDetails {
    pub cached_tokens: usize,
    /// Always 0: the cache costs nothing to fill.
    pub cache_write_tokens: usize,
}

/// What tokens of the answer were for.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
#[schemars(rename = "ResponsesOutputDetails")]
pub struct OutputDetails {
    /// Always 0: thoughts are not counted apart.
    pub reasoning_tokens: usize,
}

/// The answer of a deletion.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ResponsesDeleted")]
pub struct Deleted {
    pub id: String,
    /// `response`.
    pub object: &'static str,
    pub deleted: bool,
}
