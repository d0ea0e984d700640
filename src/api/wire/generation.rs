//! Fields that chat and completions have in common.

use serde::Deserialize;
use serde_json::Value;

use super::super::fields::{Fields, Rule};
use super::super::openapi::closed;
use super::super::strict::strict_option;
use super::common::{Stop, StreamOptions};

/// Defines the shared fields once: in [`Raw`], and in every request type that
/// `generation_request!` makes. `serde(flatten)` would lose the place of an
/// error in the request.
macro_rules! shared_fields {
    ($d:tt $($(#[$meta:meta])* $field:ident: $ty:ty,)*) => {
        /// The shared fields, as they came.
        #[derive(Debug, Default, Deserialize, schemars::JsonSchema)]
        pub struct Raw { $($(#[$meta])* pub $field: Option<$ty>,)* }

        macro_rules! generation_request {
            ($d(#[$d meta:meta])* pub struct $d name:ident { $d($d own:tt)* }) => {
                #[derive(Debug, Deserialize, schemars::JsonSchema)]
                #[schemars(transform = $crate::api::openapi::closed::<Self>)]
                $d(#[$d meta])*
                pub struct $d name { $d($d own)* $($(#[$meta])* pub $field: Option<$ty>,)* }

                impl $d name {
                    /// Takes the shared fields out.
                    pub fn take_shared(&mut self) -> Raw {
                        Raw { $($field: self.$field.take(),)* }
                    }
                }
            };
        }
        pub(super) use generation_request;
    };
}

shared_fields! { $
    /// 0 to 2; 0 always takes the most likely token. Default 1.
    #[schemars(range(min = 0, max = 2))]
    temperature: f32,
    /// Sample from the most likely tokens that together reach this
    /// probability; above 0, up to 1. Default 1.
    #[schemars(extend("exclusiveMinimum" = 0), range(max = 1))]
    top_p: f32,
    /// Sample from the k most likely tokens; 0 or -1, the default, for all.
    #[schemars(range(min = -1))]
    top_k: i64,
    /// Sample from tokens at least this fraction as likely as the best one;
    /// 0 to 1. Default 0.
    #[schemars(range(min = 0, max = 1))]
    min_p: f32,
    /// Sample from the tokens closest to the expected surprise that together
    /// reach this probability; above 0, up to 1. Default 1.
    #[schemars(extend("exclusiveMinimum" = 0), range(max = 1))]
    typical_p: f32,
    /// Above 1 makes tokens of the prompt and the answer less likely. Default 1.
    #[schemars(range(min = 0.01, max = 10))]
    repetition_penalty: f32,
    /// -2 to 2; above 0 makes tokens of the answer less likely. Default 0.
    #[schemars(range(min = -2, max = 2))]
    presence_penalty: f32,
    /// -2 to 2; the same, once for each occurrence. Default 0.
    #[schemars(range(min = -2, max = 2))]
    frequency_penalty: f32,
    /// Above 0 makes going on with an earlier passage less likely ("don't
    /// repeat yourself"). Default 0. The names are llama.cpp's.
    #[schemars(range(min = 0, max = 100))]
    dry_multiplier: f32,
    /// By how much for each further token of the passage. Default 1.75.
    dry_base: f32,
    /// Longest passage that may be repeated freely. Default 2.
    dry_allowed_length: usize,
    /// Tokens looked back over; -1, the default, for all.
    #[schemars(range(min = -1))]
    dry_penalty_last_n: i64,
    /// A passage ends at these. Default line break, colon, quotation mark, asterisk.
    #[schemars(length(max = 16), inner(length(min = 1)))]
    dry_sequence_breakers: Vec<String>,
    /// Token ids, each with -100 to 100 to be added to its logit.
    logit_bias: std::collections::BTreeMap<String, f32>,
    /// The same seed and request give the same text. Choice i of a prompt uses
    /// seed + i.
    seed: i64,
    /// Up to 16 texts that end the answer; they are not part of it.
    stop: Stop,
    /// Token ids that end the answer; an extension.
    stop_token_ids: Vec<u32>,
    /// At most so many tokens. By default the answer may fill the context.
    #[schemars(range(min = 1))]
    max_tokens: usize,
    /// The newer name of `max_tokens`.
    #[schemars(range(min = 1))]
    max_completion_tokens: usize,
    /// No end of the text before so many tokens; an extension. Default 0.
    min_tokens: usize,
    /// Go on through the model's end-of-text tokens; an extension for measuring.
    ignore_eos: bool,
    /// End an answer that only repeats itself; an extension. `stop_reason` is
    /// "repetition" then.
    stop_on_repetition: bool,
    /// Who goes first when requests wait: lower before higher, -1000 to 1000,
    /// as in vLLM; a step is worth ten seconds of waiting. Default 0.
    #[schemars(range(min = -1000, max = 1000))]
    priority: i32,
    /// Seconds after which the answer ends with what it has, `stop_reason`
    /// "timeout"; an extension.
    #[schemars(extend("exclusiveMinimum" = 0))]
    timeout: f64,
    /// Whether tokens may be guessed ahead. It never changes the text; an
    /// extension for measuring. Default true.
    speculation: bool,
    /// How many answers to each prompt, 1 to 128. Default 1.
    #[schemars(range(min = 1, max = 128))]
    n: usize,
    /// Send the answer as server-sent events while it is written.
    stream: bool,
    /// Only with `stream`.
    #[serde(default, deserialize_with = "strict_option")]
    stream_options: StreamOptions,
    /// `{"type": "json_object"}`, or a `json_schema` that the answer follows.
    #[serde(default, deserialize_with = "strict_option")]
    response_format: ResponseFormat,
    /// What the answer must be: a JSON schema, a regular expression, one of
    /// several texts, or a grammar in llguidance's variant of Lark, as in vLLM.
    #[serde(default, deserialize_with = "strict_option")]
    structured_outputs: StructuredOutputs,
    /// A JSON schema; vLLM's older name.
    guided_json: Value,
    /// A regular expression; vLLM's older name.
    guided_regex: String,
    /// Texts to choose from; vLLM's older name.
    guided_choice: Vec<String>,
    /// A grammar; vLLM's older name.
    guided_grammar: String,
}

/// What kind of text the answer must be.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[schemars(transform = closed::<Self>)]
pub struct ResponseFormat {
    /// `text`, `json_object` or `json_schema`.
    #[serde(rename = "type")]
    pub kind: String,
    /// With `json_schema`.
    #[serde(default, deserialize_with = "strict_option")]
    pub json_schema: Option<JsonSchema>,
}

impl Fields for ResponseFormat {
    const RULES: &'static [Rule] = &[];
}

/// OpenAI's wrapper of a schema.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[schemars(transform = closed::<Self>)]
pub struct JsonSchema {
    /// The schema; required.
    pub schema: Option<Value>,
}

impl Fields for JsonSchema {
    const RULES: &'static [Rule] = &[
        Rule::accept("name", "a label"),
        Rule::accept("description", "a label; put it in a message to tell the model"),
        Rule::accept("strict", "an answer follows its schema in any case"),
    ];
}

/// vLLM's choice of constraints; one of them.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[schemars(transform = closed::<Self>)]
pub struct StructuredOutputs {
    /// A JSON schema.
    pub json: Option<Value>,
    /// Any JSON object.
    pub json_object: Option<bool>,
    /// A regular expression.
    pub regex: Option<String>,
    /// One of these texts.
    pub choice: Option<Vec<String>>,
    /// A grammar in llguidance's variant of Lark.
    pub grammar: Option<String>,
}

impl Fields for StructuredOutputs {
    const RULES: &'static [Rule] = &[];
}
