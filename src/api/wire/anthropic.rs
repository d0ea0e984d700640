//! `POST /v1/messages` and `/v1/messages/count_tokens`, as Anthropic has them.

use std::fmt;

use schemars::JsonSchema;
use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::super::fields::{Fields, Rule, neutral};
use super::super::openapi::closed;
use super::super::strict::{Strict, strict_list, strict_list_option, strict_option};

/// A conversation to go on with.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(transform = closed::<Self>)]
pub struct MessagesRequest {
    /// A loaded model; `/v1/models` lists them.
    #[schemars(required, length(min = 1))]
    pub model: Option<String>,
    /// The conversation so far.
    #[serde(deserialize_with = "strict_list")]
    pub messages: Vec<Turn>,
    /// Most tokens of the answer; required but to count tokens.
    #[schemars(range(min = 1))]
    pub max_tokens: Option<usize>,
    /// What goes before the conversation: a text, or text blocks.
    pub system: Option<Blocks>,
    /// Up to 16 texts that end the answer.
    #[schemars(length(max = 16))]
    pub stop_sequences: Option<Vec<String>>,
    /// Send the answer as events while it is written.
    pub stream: Option<bool>,
    /// 0 to 2; 0 always takes the most likely token. Default 1.
    #[schemars(range(min = 0, max = 2))]
    pub temperature: Option<f32>,
    /// Sample from the most likely tokens that together reach this probability.
    #[schemars(extend("exclusiveMinimum" = 0), range(max = 1))]
    pub top_p: Option<f32>,
    /// Sample from the k most likely tokens.
    #[schemars(range(min = -1))]
    pub top_k: Option<i64>,
    /// What the model may call.
    #[serde(default, deserialize_with = "strict_list_option")]
    pub tools: Option<Vec<Tool>>,
    /// Whether it calls something.
    #[serde(default, deserialize_with = "strict_option")]
    pub tool_choice: Option<Choice>,
    /// Whether it thinks first.
    #[serde(default, deserialize_with = "strict_option")]
    pub thinking: Option<Thinking>,
    /// The form of the answer.
    #[serde(default, deserialize_with = "strict_option")]
    pub output_config: Option<OutputConfig>,
    /// Further variables of the chat template; an extension.
    pub chat_template_kwargs: Option<Map<String, Value>>,
}

impl Fields for MessagesRequest {
    const RULES: &'static [Rule] = &[
        Rule::accept("metadata", "names the end user; nothing is done with it"),
        CACHE,
        Rule::accept("inference_geo", "where to compute; everything is computed here"),
        Rule::refuse(
            "service_tier",
            |v| matches!(v.as_str(), Some("auto" | "standard_only")),
            "there is one tier; send auto or leave it out",
        ),
        Rule::refuse("speed", |v| *v == "standard", "there is one speed; leave it out"),
        Rule::refuse("container", neutral::never, "the server runs no tools of its own"),
        Rule::refuse("mcp_servers", neutral::empty, "the server calls no tools of its own"),
        Rule::refuse("context_management", neutral::empty, "shorten the conversation yourself"),
        Rule::refuse("diagnostics", neutral::never, "leave it out"),
    ];
}

const CACHE: Rule =
    Rule::accept("cache_control", "a hint for a cache that does not change the text");

/// One turn.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "AnthropicTurn", transform = closed::<Self>)]
pub struct Turn {
    /// Who speaks.
    pub role: Role,
    /// What is said.
    pub content: Blocks,
}

impl Fields for Turn {
    const RULES: &'static [Rule] = &[];
}

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "AnthropicRole")]
pub enum Role {
    User,
    Assistant,
}

/// A text, or blocks.
#[derive(Debug, JsonSchema)]
#[schemars(rename = "AnthropicBlocks", untagged)]
pub enum Blocks {
    Text(String),
    List(Vec<Block>),
}

/// A block of any type; which fields it has depends on that.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "AnthropicBlock", transform = closed::<Self>)]
pub struct Block {
    /// `text`, `tool_use`, `tool_result` or `thinking`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Of `text`.
    pub text: Option<String>,
    /// Of `tool_use`.
    pub id: Option<String>,
    /// What is called.
    pub name: Option<String>,
    /// With what.
    pub input: Option<Value>,
    /// Of `tool_result`: the call that it answers.
    pub tool_use_id: Option<String>,
    /// What the call gave.
    pub content: Option<Blocks>,
    /// The call failed.
    pub is_error: Option<bool>,
    /// Of `thinking`, with a signature that nothing is done with.
    pub thinking: Option<String>,
}

impl Fields for Block {
    const RULES: &'static [Rule] = &[
        CACHE,
        Rule::accept("signature", "proves who wrote a thought; nothing is signed here"),
        Rule::accept("caller", "who made a call"),
        Rule::refuse("citations", neutral::empty, "only text goes in and out"),
        Rule::refuse("source", neutral::never, "only text goes in and out; send text blocks"),
        Rule::refuse("data", neutral::never, "leave out thoughts that cannot be read"),
    ];
}

impl<'de> Deserialize<'de> for Blocks {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct BlocksVisitor;
        impl<'de> Visitor<'de> for BlocksVisitor {
            type Value = Blocks;

            fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
                formatter.write_str("a string or an array of blocks")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Blocks, E> {
                Ok(Blocks::Text(text.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Blocks, A::Error> {
                let mut blocks = Vec::new();
                while let Some(Strict(block)) = items.next_element()? {
                    blocks.push(block);
                }
                Ok(Blocks::List(blocks))
            }
        }
        deserializer.deserialize_any(BlocksVisitor)
    }
}

/// Something that the model may call.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "AnthropicTool", transform = closed::<Self>)]
pub struct Tool {
    /// What it is called by.
    pub name: String,
    /// `custom`, also when it is left out.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// What it does, for the model.
    pub description: Option<String>,
    /// A JSON schema of its input.
    pub input_schema: Option<Value>,
    /// Refuse a schema that calls cannot be held to.
    pub strict: Option<bool>,
}

impl Fields for Tool {
    const RULES: &'static [Rule] = &[
        CACHE,
        Rule::accept("eager_input_streaming", "inputs are streamed as they are written"),
        Rule::refuse("defer_loading", neutral::no, "send the tools that may be called"),
        Rule::refuse("input_examples", neutral::empty, "put examples into the description"),
        Rule::refuse("allowed_callers", |v| *v == serde_json::json!(["direct"]), "leave it out"),
    ];
}

/// Whether tools are called.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "AnthropicChoice", transform = closed::<Self>)]
pub struct Choice {
    /// `auto`, `any`, `tool` or `none`.
    #[serde(rename = "type")]
    pub kind: String,
    /// With `tool`.
    pub name: Option<String>,
    /// One call at most.
    pub disable_parallel_tool_use: Option<bool>,
}

impl Fields for Choice {
    const RULES: &'static [Rule] = &[];
}

/// Whether the model thinks first.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "AnthropicThinking", transform = closed::<Self>)]
pub struct Thinking {
    /// `adaptive` or `disabled`.
    #[serde(rename = "type")]
    pub kind: String,
}

impl Fields for Thinking {
    const RULES: &'static [Rule] = &[
        Rule::refuse(
            "budget_tokens",
            neutral::never,
            "thoughts are not counted apart; send {\"type\": \"adaptive\"} and max_tokens",
        ),
        Rule::refuse("display", |v| *v == "summarized", "thoughts are given as they are"),
    ];
}

/// The form of the answer.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "AnthropicOutputConfig", transform = closed::<Self>)]
pub struct OutputConfig {
    /// How much to think, for models whose chat template knows it.
    pub effort: Option<String>,
    /// What the answer must be.
    #[serde(default, deserialize_with = "strict_option")]
    pub format: Option<OutputFormat>,
}

impl Fields for OutputConfig {
    const RULES: &'static [Rule] = &[];
}

/// A schema that the answer follows.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "AnthropicOutputFormat", transform = closed::<Self>)]
pub struct OutputFormat {
    /// `json_schema`.
    #[serde(rename = "type")]
    pub kind: String,
    /// A JSON schema.
    pub schema: Value,
}

impl Fields for OutputFormat {
    const RULES: &'static [Rule] = &[];
}

/// The whole answer; in a stream, its beginning.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "AnthropicMessage")]
pub struct Message {
    pub id: String,
    /// `message`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// `assistant`.
    pub role: &'static str,
    pub model: String,
    pub content: Vec<AnswerBlock>,
    pub stop_reason: Option<&'static str>,
    /// The stop sequence that ended the answer.
    pub stop_sequence: Option<String>,
    pub usage: Usage,
}

/// A block of the answer.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
#[schemars(rename = "AnthropicAnswerBlock")]
pub enum AnswerBlock {
    Thinking {
        thinking: String,
        /// Empty: nothing is signed here.
        signature: &'static str,
    },
    Text {
        text: String,
    },
    ToolUse {
        id: String,
        name: String,
        /// An object; the text of one where the answer was cut off in it.
        input: Value,
    },
}

/// Tokens counted for one request.
#[derive(Debug, Clone, Copy, Default, Serialize, JsonSchema)]
#[schemars(rename = "AnthropicUsage")]
pub struct Usage {
    /// Of the prompt, without those found in the cache.
    pub input_tokens: usize,
    /// Always 0: the cache costs nothing to fill.
    pub cache_creation_input_tokens: usize,
    pub cache_read_input_tokens: usize,
    pub output_tokens: usize,
}

/// The answer of `count_tokens`.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "AnthropicTokenCount")]
pub struct TokenCount {
    pub input_tokens: usize,
}

/// One event of a stream.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
#[schemars(rename = "AnthropicStreamEvent")]
pub enum StreamEvent<'a> {
    MessageStart { message: &'a Message },
    Ping,
    ContentBlockStart { index: usize, content_block: &'a AnswerBlock },
    ContentBlockDelta { index: usize, delta: BlockDelta<'a> },
    ContentBlockStop { index: usize },
    MessageDelta { delta: MessageEnd, usage: Usage },
    MessageStop,
}

impl StreamEvent<'_> {
    /// Its name beside the data.
    pub fn name(&self) -> &'static str {
        match self {
            Self::MessageStart { .. } => "message_start",
            Self::Ping => "ping",
            Self::ContentBlockStart { .. } => "content_block_start",
            Self::ContentBlockDelta { .. } => "content_block_delta",
            Self::ContentBlockStop { .. } => "content_block_stop",
            Self::MessageDelta { .. } => "message_delta",
            Self::MessageStop => "message_stop",
        }
    }
}

/// What a piece adds to a block.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
#[schemars(rename = "AnthropicBlockDelta")]
pub enum BlockDelta<'a> {
    TextDelta { text: &'a str },
    ThinkingDelta { thinking: &'a str },
    InputJsonDelta { partial_json: &'a str },
}

/// How a streamed answer ended.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "AnthropicMessageEnd")]
pub struct MessageEnd {
    pub stop_reason: &'static str,
    pub stop_sequence: Option<String>,
}

/// What went wrong.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "AnthropicErrorBody")]
pub struct ErrorBody {
    /// `error`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub error: ErrorDetail,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "AnthropicErrorDetail")]
pub struct ErrorDetail {
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub message: String,
    /// The field at fault; an extension.
    pub param: Option<String>,
    /// A stable word for programs; an extension.
    pub code: Option<&'static str>,
}
