//! `POST /v1/embeddings`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::fields::{Fields, Rule, neutral};
use super::super::openapi::closed;
use super::inputs::Inputs;

/// Texts to turn into vectors.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(transform = closed::<Self>)]
pub struct EmbeddingsRequest {
    /// A loaded embedding model, required; `/v1/models` lists them.
    #[schemars(required, length(min = 1))]
    pub model: Option<String>,
    /// A text, texts, token ids, or lists of token ids; none may be empty or
    /// longer than the model's context. Text gets the special tokens that the
    /// model's tokenizer adds; token ids are taken as they are.
    pub input: Inputs,
    /// How vectors are written. Default `float`.
    pub encoding_format: Option<EncodingFormat>,
    /// Keep the first so many components and scale to length 1 again. For
    /// models trained for it (Matryoshka).
    #[schemars(range(min = 1))]
    pub dimensions: Option<usize>,
    /// Put one of the model's prompts, as `query` or `passage`, before each
    /// text; an extension. By default the model's own default prompt, which
    /// few have, and none before token ids.
    pub prompt_name: Option<String>,
}

impl Fields for EmbeddingsRequest {
    const RULES: &'static [Rule] = &[
        Rule::accept("user", "names the end user; nothing is done with it"),
        Rule::refuse("input_type", neutral::never, "name the model's prompt in prompt_name"),
        Rule::refuse("prompt", neutral::empty, "write the prefix into the input"),
        Rule::refuse("truncate", neutral::no, "split long inputs; nothing is truncated in silence"),
    ];
}

/// How a vector is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum EncodingFormat {
    /// A JSON array of numbers.
    #[default]
    Float,
    /// The little-endian 32-bit floats in base64: a quarter of the bytes.
    Base64,
}

/// The vectors, in the order of the inputs.
#[derive(Debug, Serialize, JsonSchema)]
pub struct EmbeddingsResponse {
    /// `list`.
    pub object: &'static str,
    pub data: Vec<Embedding>,
    pub model: String,
    pub usage: EmbeddingsUsage,
}

/// The vector of one input.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Embedding {
    /// `embedding`.
    pub object: &'static str,
    pub index: usize,
    pub embedding: Vector,
}

/// A vector in the format that was asked for.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Vector {
    Float(Vec<f32>),
    Base64(String),
}

/// Tokens counted for one request.
#[derive(Debug, Serialize, JsonSchema)]
pub struct EmbeddingsUsage {
    pub prompt_tokens: usize,
    pub total_tokens: usize,
}
