//! `POST /v1/completions`.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::super::fields::{Fields, Rule, neutral};
use super::super::openapi::shaped;
use super::super::strict::strict_option;
use super::common::{CALLER_LABELS, FinishReason, Stop, StreamOptions, Usage};
use super::generation::{Raw, ResponseFormat, StructuredOutputs, generation_request};
use super::inputs::Inputs;
use super::logprobs::CompletionLogprobs;
use crate::engine::EarlyStopping;

generation_request! {
    /// Texts to go on with, as they are: no chat template.
    #[schemars(transform = none_with_echo)]
    pub struct CompletionRequest {
        /// A loaded model, required; `/v1/models` lists them.
        #[schemars(required, length(min = 1))]
        pub model: Option<String>,
        /// A text, texts, token ids, or lists of token ids. Text gets the special
        /// tokens that the model's tokenizer adds; token ids are taken as they are.
        pub prompt: Inputs,
        /// Texts begin with their prompts. With `logprobs` the prompts' tokens are
        /// reported too, and with `"max_tokens": 0` there is nothing else.
        pub echo: Option<bool>,
        /// What follows the answer, for models that were trained to fill in.
        pub suffix: Option<String>,
        /// Report the log probability of each token, and of so many of the most
        /// likely ones beside it, up to 20.
        #[serde(default, deserialize_with = "count")]
        #[schemars(schema_with = "count_schema")]
        pub logprobs: Option<usize>,
        /// Of encoder-decoders that are told it: the language of the texts, by
        /// the model's own code or by two letters; an extension.
        pub source_language: Option<String>,
        /// Of encoder-decoders that are told it: the language to write; an
        /// extension.
        pub target_language: Option<String>,
        /// Of encoder-decoders: search for the likeliest text with so many beams
        /// instead of drawing one, as transformers' `generate` does; an extension.
        #[schemars(range(min = 1))]
        pub num_beams: Option<usize>,
        /// With `num_beams`: a text's score is divided by its length to this
        /// power. Default: the model's own, or 1.
        pub length_penalty: Option<f32>,
        /// With `num_beams`: true, false or "never", as transformers defines
        /// them. Default: the model's own, or false.
        pub early_stopping: Option<EarlyStop>,
    }
}

/// Nothing need be written after a prompt that is given back.
fn none_with_echo(schema: &mut Schema) {
    for name in ["max_tokens", "max_completion_tokens"] {
        let field = schema.pointer_mut(&format!("/properties/{name}"));
        if let Some(field) = field.and_then(Value::as_object_mut) {
            field.insert("minimum".to_owned(), 0.into());
            if let Some(Value::String(about)) = field.get_mut("description") {
                about.push_str(" 0 only with `echo`.");
            }
        }
    }
}

/// When a search with beams ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EarlyStop(pub EarlyStopping);

shaped!(EarlyStop = {"enum": [true, false, "never"]});

impl<'de> Deserialize<'de> for EarlyStop {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "expected true, false or \"never\"")]
        enum Given {
            Switch(bool),
            Word(Never),
        }
        #[derive(Deserialize)]
        enum Never {
            #[serde(rename = "never")]
            Never,
        }
        Ok(Self(match Given::deserialize(deserializer)? {
            Given::Switch(true) => EarlyStopping::Yes,
            Given::Switch(false) => EarlyStopping::No,
            Given::Word(Never::Never) => EarlyStopping::Never,
        }))
    }
}

/// `false` stands for none: some clients send it.
fn count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<usize>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected a whole number of tokens, 0 to 20")]
    enum Given {
        Count(usize),
        Switch(bool),
    }
    match Option::<Given>::deserialize(deserializer)? {
        None | Some(Given::Switch(false)) => Ok(None),
        Some(Given::Count(n)) => Ok(Some(n)),
        Some(Given::Switch(true)) => {
            Err(D::Error::custom("expected a whole number of tokens, 0 to 20, not true"))
        }
    }
}

fn count_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"anyOf": [
        {"type": ["integer", "null"], "minimum": 0, "maximum": 20},
        {"const": false},
    ]})
}

impl Fields for CompletionRequest {
    const RULES: &'static [Rule] = &RULES;
}

static RULES: [Rule; 7] = {
    let [user, metadata, safety, cache_key, cache_retention] = CALLER_LABELS;
    [
        user,
        metadata,
        safety,
        cache_key,
        cache_retention,
        Rule::refuse("best_of", |v| *v == 1, "send n and choose among the answers"),
        Rule::refuse("messages", neutral::never, "send messages to /v1/chat/completions"),
    ]
};

/// The whole answer.
#[derive(Debug, Serialize, JsonSchema)]
pub struct CompletionResponse {
    pub id: String,
    /// `text_completion`.
    pub object: &'static str,
    /// Unix seconds.
    pub created: u64,
    pub model: String,
    pub choices: Vec<CompletionChoice>,
    pub usage: Usage,
    pub system_fingerprint: &'static str,
}

/// One answer.
#[derive(Debug, Serialize, JsonSchema)]
pub struct CompletionChoice {
    /// Prompt number times `n`, plus the number of the answer.
    pub index: usize,
    pub text: String,
    /// When they were asked for.
    pub logprobs: Option<CompletionLogprobs>,
    pub finish_reason: FinishReason,
    /// An extension: "timeout" or "repetition".
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_reason: Option<&'static str>,
}

/// A piece of one answer, in a stream.
#[derive(Debug, Serialize, JsonSchema)]
pub struct CompletionDelta<'a> {
    pub index: usize,
    pub text: &'a str,
    /// Of this piece's tokens, when they were asked for.
    pub logprobs: Option<CompletionLogprobs>,
    /// Null until the last piece of this answer.
    pub finish_reason: Option<FinishReason>,
    /// An extension: "timeout" or "repetition", with the last piece.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_reason: Option<&'static str>,
}
