//! How likely tokens were, in the shapes of chat and of completions.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

/// Of a chat's answer, or of a piece of it.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ChatLogprobs {
    pub content: Vec<ChatToken>,
    /// Always null: the model's refusals are ordinary text.
    pub refusal: Option<()>,
}

/// One token of the answer.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ChatToken {
    #[serde(flatten)]
    pub token: TokenScore,
    pub top_logprobs: Vec<TokenScore>,
}

/// A token and the natural logarithm of its probability.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct TokenScore {
    /// Its text; `bytes:\xe2\x82` if that is no whole character.
    pub token: String,
    pub logprob: f32,
    /// Its exact bytes.
    pub bytes: Vec<u8>,
}

/// Of a completion, or of a piece of it: lists with an entry for each token.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub struct CompletionLogprobs {
    pub tokens: Vec<String>,
    /// Null for the first token of a prompt, before which there is nothing.
    pub token_logprobs: Vec<Option<f32>>,
    /// By text; null when none were asked for, and for the first token of a
    /// prompt.
    pub top_logprobs: Option<Vec<Option<BTreeMap<String, f32>>>>,
    /// Characters of the text before each token.
    pub text_offset: Vec<usize>,
}
