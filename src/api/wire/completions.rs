//! `POST /v1/completions`.

use serde::{Deserialize, Serialize};

use super::super::fields::{Fields, Rule, neutral};
use super::super::strict::strict_option;
use super::common::{CALLER_LABELS, FinishReason, Stop, StreamOptions, Usage};
use super::inputs::Inputs;

/// Texts to go on with, as they are: no chat template.
#[derive(Debug, Deserialize)]
pub struct CompletionRequest {
    /// A loaded model, required; `/v1/models` lists them.
    pub model: Option<String>,
    /// A text, texts, token ids, or lists of token ids. Text gets the special
    /// tokens that the model's tokenizer adds; token ids are taken as they are.
    pub prompt: Inputs,
    /// 0 to 2; 0 always takes the most likely token. Default 1.
    pub temperature: Option<f32>,
    /// Sample from the most likely tokens that together reach this
    /// probability; above 0, up to 1. Default 1.
    pub top_p: Option<f32>,
    /// Sample from the k most likely tokens; 0 or -1, the default, for all.
    pub top_k: Option<i64>,
    /// Sample from tokens at least this fraction as likely as the best one;
    /// 0 to 1. Default 0.
    pub min_p: Option<f32>,
    /// Above 1 makes tokens of the prompt and the answer less likely. Default 1.
    pub repetition_penalty: Option<f32>,
    /// -2 to 2; above 0 makes tokens of the answer less likely. Default 0.
    pub presence_penalty: Option<f32>,
    /// -2 to 2; the same, once for each occurrence. Default 0.
    pub frequency_penalty: Option<f32>,
    /// The same seed and request give the same text. Choice i of a prompt uses
    /// seed + i.
    pub seed: Option<i64>,
    /// Up to 16 texts that end the answer; they are not part of it.
    pub stop: Option<Stop>,
    /// Token ids that end the answer; an extension.
    pub stop_token_ids: Option<Vec<u32>>,
    /// At most so many tokens. By default the answer may fill the context;
    /// OpenAI's old default of 16 would cut texts off.
    pub max_tokens: Option<usize>,
    /// Go on through the model's end-of-text tokens; an extension for measuring.
    pub ignore_eos: Option<bool>,
    /// How many answers to each prompt, 1 to 128. Default 1.
    pub n: Option<usize>,
    /// Send the answer as server-sent events while it is written.
    pub stream: Option<bool>,
    /// Only with `stream`.
    #[serde(default, deserialize_with = "strict_option")]
    pub stream_options: Option<StreamOptions>,
}

impl Fields for CompletionRequest {
    const RULES: &'static [Rule] = &RULES;
}

static RULES: [Rule; 11] = {
    let [user, metadata, safety, cache_key, cache_retention] = CALLER_LABELS;
    [
        user,
        metadata,
        safety,
        cache_key,
        cache_retention,
        Rule::refuse("echo", neutral::no, "join the prompt and the answer yourself"),
        Rule::refuse("suffix", neutral::empty, "leave it out; the model only goes on"),
        Rule::refuse("best_of", |v| *v == 1, "send n and choose among the answers"),
        Rule::refuse("logprobs", neutral::no, "leave it out; probabilities are not returned yet"),
        Rule::refuse("logit_bias", neutral::empty, "leave it out"),
        Rule::refuse("messages", neutral::never, "send messages to /v1/chat/completions"),
    ]
};

/// The whole answer.
#[derive(Debug, Serialize)]
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
#[derive(Debug, Serialize)]
pub struct CompletionChoice {
    /// Prompt number times `n`, plus the number of the answer.
    pub index: usize,
    pub text: String,
    /// Always null: not supported yet.
    pub logprobs: Option<()>,
    pub finish_reason: FinishReason,
}

/// A piece of one answer, in a stream.
#[derive(Debug, Serialize)]
pub struct CompletionDelta<'a> {
    pub index: usize,
    pub text: &'a str,
    /// Always null: not supported yet.
    pub logprobs: Option<()>,
    /// Null until the last piece of this answer.
    pub finish_reason: Option<FinishReason>,
}
