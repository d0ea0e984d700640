//! The routes of text-embeddings-inference: `/embed` and its kin. Requests may
//! name a `model`, an extension; otherwise the first loaded one that can serves.

use std::fmt;

use schemars::JsonSchema;
use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::super::fields::{Fields, Rule, neutral};
use super::super::openapi::{Any, closed, shaped};
use super::super::strict::{Strict, strict_list_option};
use super::chat::Message;
use super::inputs::Inputs;
use super::tools::Tool;

/// Which end of a text goes when it is too long.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[schemars(extend("enum" = ["Left", "Right", "left", "right"]))]
pub enum Direction {
    #[serde(alias = "left")]
    Left,
    #[default]
    #[serde(alias = "right")]
    Right,
}

/// `POST /embed`.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(transform = closed::<Self>)]
pub struct EmbedRequest {
    /// A loaded model; an extension. Without it the first that can.
    pub model: Option<String>,
    /// A text, texts, token ids, or lists of token ids.
    pub inputs: Inputs,
    /// Shorten texts that are too long. Default false.
    pub truncate: Option<bool>,
    /// With `truncate`: which end goes. Default right.
    pub truncation_direction: Option<Direction>,
    /// The model's prompt to put before each text.
    pub prompt_name: Option<String>,
    /// Scale vectors to length 1. Default true.
    pub normalize: Option<bool>,
    /// Keep the first so many components, and scale again.
    pub dimensions: Option<usize>,
}

/// `POST /embed_all` and `POST /embed_sparse`.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(transform = closed::<Self>)]
pub struct EmbedAllRequest {
    /// A loaded model; an extension. Without it the first that can.
    pub model: Option<String>,
    /// A text, texts, token ids, or lists of token ids.
    pub inputs: Inputs,
    /// Shorten what is too long. Default false: it is an error.
    pub truncate: Option<bool>,
    /// With `truncate`: which end goes. Default right.
    pub truncation_direction: Option<Direction>,
    /// The model's prompt to put before each text.
    pub prompt_name: Option<String>,
}

/// `POST /similarity`.
#[derive(Deserialize, JsonSchema)]
#[schemars(transform = closed::<Self>)]
pub struct SimilarityRequest {
    /// A loaded model; an extension. Without it the first that can.
    pub model: Option<String>,
    /// What is compared with what.
    pub inputs: Strict<SimilarityInputs>,
    /// How texts are taken.
    pub parameters: Option<Strict<SimilarityParameters>>,
}

/// What is compared with what.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(transform = closed::<Self>)]
pub struct SimilarityInputs {
    /// The one.
    pub source_sentence: String,
    /// The others.
    #[schemars(length(min = 1))]
    pub sentences: Vec<String>,
}

/// How texts are taken.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[schemars(transform = closed::<Self>)]
pub struct SimilarityParameters {
    /// Shorten what is too long. Default false: it is an error.
    pub truncate: Option<bool>,
    /// With `truncate`: which end goes. Default right.
    pub truncation_direction: Option<Direction>,
    /// The model's prompt to put before each text.
    pub prompt_name: Option<String>,
}

/// `POST /predict`.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(transform = closed::<Self>)]
pub struct PredictRequest {
    /// A loaded model; an extension. Without it the first that can.
    pub model: Option<String>,
    /// A text, a pair of texts, or a batch of arrays of one or two.
    pub inputs: Sequences,
    /// Shorten what is too long. Default false: it is an error.
    pub truncate: Option<bool>,
    /// With `truncate`: which end goes. Default right.
    pub truncation_direction: Option<Direction>,
    /// What the model says, before softmax or sigmoid. Default false.
    pub raw_scores: Option<bool>,
}

/// Texts or pairs: a string is a text, an array of two strings a pair, and an
/// array of arrays of one or two strings a batch.
#[derive(Debug, PartialEq, Eq)]
pub struct Sequences {
    pub texts: Vec<(String, Option<String>)>,
    pub single: bool,
}

shaped!(Sequences = {"anyOf": [
    {"type": "string"},
    {"type": "array", "items": {"type": "string"}, "maxItems": 2},
    {"type": "array", "items": {
        "type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 2,
    }},
]});

/// `POST /rerank`.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "TeiRerankRequest", transform = closed::<Self>)]
pub struct RerankRequest {
    /// A loaded model; an extension. Without it the first that can.
    pub model: Option<String>,
    /// What the texts are to answer.
    #[schemars(length(min = 1))]
    pub query: String,
    /// The texts to be put in order.
    pub texts: Vec<String>,
    /// Shorten what is too long. Default false: it is an error.
    pub truncate: Option<bool>,
    /// With `truncate`: which end goes. Default right.
    pub truncation_direction: Option<Direction>,
    /// What the model says, instead of a number between 0 and 1. Default false.
    pub raw_scores: Option<bool>,
    /// Repeat the texts in the answer. Default false.
    pub return_text: Option<bool>,
}

/// `POST /tokenize`.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(transform = closed::<Self>)]
pub struct TokenizeRequest {
    /// A loaded model; an extension. Without it the first that can.
    pub model: Option<String>,
    /// A text or texts.
    pub inputs: Option<Inputs>,
    /// Add what the model expects around a text. Default true.
    pub add_special_tokens: Option<bool>,
    /// The model's prompt to put before each text.
    pub prompt_name: Option<String>,
    /// A text for a generator, or a conversation, as vLLM's interface has it.
    pub prompt: Option<String>,
    /// A conversation, through the model's chat template.
    #[serde(default, deserialize_with = "strict_list_option")]
    pub messages: Option<Vec<Message>>,
    /// With `prompt` or `messages`: give the tokens' texts as well.
    pub return_token_strs: Option<bool>,
    /// With `messages`.
    #[serde(default, deserialize_with = "strict_list_option")]
    pub tools: Option<Vec<Tool>>,
    /// With `messages`: further variables of the chat template.
    pub chat_template_kwargs: Option<Map<String, Value>>,
}

/// The tokens of a text or of a conversation, as vLLM's interface has them.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "TeiTokenList")]
pub struct TokenList {
    pub count: usize,
    pub max_model_len: usize,
    pub tokens: Vec<u32>,
    /// When they were asked for.
    pub token_strs: Option<Vec<String>>,
}

/// In the shape of what was asked.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum TokenizeAnswer {
    Texts(Vec<Vec<Token>>),
    One(TokenList),
}

/// `POST /detokenize`.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(transform = closed::<Self>)]
pub struct DetokenizeRequest {
    /// A loaded model; an extension. Without it the first that can.
    pub model: Option<String>,
    /// Token ids.
    pub tokens: Vec<u32>,
}

/// The text of tokens.
#[derive(Debug, Serialize, JsonSchema)]
pub struct DetokenizeAnswer {
    pub prompt: String,
}

/// `POST /decode`.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(transform = closed::<Self>)]
pub struct DecodeRequest {
    /// A loaded model; an extension. Without it the first that can.
    pub model: Option<String>,
    /// Token ids, or lists of token ids.
    #[schemars(with = "Any<(Vec<u32>, Vec<Vec<u32>>)>")]
    pub ids: Inputs,
    /// Leave out special tokens. Default true.
    pub skip_special_tokens: Option<bool>,
}

macro_rules! strict {
    ($($request:ty),*) => { $(
        impl Fields for $request {
            const RULES: &'static [Rule] = &[Rule::refuse(
                "parameters",
                neutral::empty,
                "its fields stand beside `inputs` here",
            )];
        }
    )* };
}

strict!(
    EmbedRequest,
    EmbedAllRequest,
    SimilarityRequest,
    SimilarityInputs,
    SimilarityParameters,
    PredictRequest,
    RerankRequest,
    TokenizeRequest,
    DetokenizeRequest,
    DecodeRequest
);

/// The weight of a word.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "TeiSparseValue")]
pub struct SparseValue {
    /// Its token id.
    pub index: u32,
    pub value: f32,
}

/// A label and its score.
#[derive(Debug, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "TeiPrediction")]
pub struct Prediction {
    pub score: f32,
    pub label: String,
}

/// A text of a reranking.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "TeiRank")]
pub struct Rank {
    /// Its place in the request.
    pub index: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    pub score: f32,
}

/// A token of a text.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "TeiToken")]
pub struct Token {
    pub id: u32,
    pub text: String,
    pub special: bool,
    /// Characters of the text that it is; null for tokens that were added.
    pub start: Option<usize>,
    pub stop: Option<usize>,
}

/// `GET /info`.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "TeiInfo")]
pub struct Info {
    pub model_id: String,
    pub model_sha: Option<String>,
    /// How the weights are stored.
    pub model_dtype: String,
    pub model_type: serde_json::Value,
    /// Tokens of an input.
    pub max_input_length: usize,
    /// Texts are not shortened unless a request asks for it.
    pub auto_truncate: bool,
    pub version: &'static str,
}

/// What is not a success.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "TeiErrorBody")]
pub struct ErrorBody {
    pub error: String,
    pub error_type: &'static str,
    /// The field at fault, and a word for programs; additions.
    pub param: Option<String>,
    pub code: Option<&'static str>,
}

enum Item {
    Text(String),
    Texts(Vec<String>),
}

impl<'de> Deserialize<'de> for Item {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ItemVisitor;
        impl<'de> Visitor<'de> for ItemVisitor {
            type Value = Item;

            fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
                formatter.write_str("a string, or an array of one or two strings")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Item, E> {
                Ok(Item::Text(text.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Item, A::Error> {
                let mut texts = Vec::new();
                while let Some(text) = items.next_element()? {
                    texts.push(text);
                }
                Ok(Item::Texts(texts))
            }
        }
        deserializer.deserialize_any(ItemVisitor)
    }
}

fn sequence<E: Error>(texts: Vec<String>) -> Result<(String, Option<String>), E> {
    let mut texts = texts.into_iter();
    match (texts.next(), texts.next(), texts.next()) {
        (Some(first), second, None) => Ok((first, second)),
        _ => Err(E::custom(
            "an array is one text or two, a pair; for a batch put each input into an array",
        )),
    }
}

impl<'de> Deserialize<'de> for Sequences {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct SequencesVisitor;
        impl<'de> Visitor<'de> for SequencesVisitor {
            type Value = Sequences;

            fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
                formatter.write_str("a string, a pair of strings, or an array of such arrays")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Sequences, E> {
                Ok(Sequences { texts: vec![(text.to_owned(), None)], single: true })
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Sequences, A::Error> {
                let mut found = Sequences { texts: Vec::new(), single: false };
                match items.next_element()? {
                    None => {}
                    Some(Item::Text(first)) => {
                        let mut texts = vec![first];
                        while let Some(text) = items.next_element()? {
                            texts.push(text);
                        }
                        found = Sequences { texts: vec![sequence(texts)?], single: true };
                    }
                    Some(Item::Texts(first)) => {
                        found.texts.push(sequence(first)?);
                        while let Some(texts) = items.next_element()? {
                            found.texts.push(sequence(texts)?);
                        }
                    }
                }
                Ok(found)
            }
        }
        deserializer.deserialize_any(SequencesVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_pairs_and_batches() {
        let read = |json: &str| serde_json::from_str::<Sequences>(json).map_err(|e| e.to_string());
        let check = |json: &str, single: bool, texts: &[(&str, Option<&str>)]| {
            let owned = |(a, b): &(&str, Option<&str>)| ((*a).to_owned(), b.map(str::to_owned));
            let texts = texts.iter().map(owned).collect();
            assert_eq!(read(json), Ok(Sequences { texts, single }), "{json}");
        };
        check(r#""a""#, true, &[("a", None)]);
        check(r#"["a"]"#, true, &[("a", None)]);
        check(r#"["a", "b"]"#, true, &[("a", Some("b"))]);
        check(r#"[["a"], ["a", "b"]]"#, false, &[("a", None), ("a", Some("b"))]);
        check("[]", false, &[]);
        for (json, says) in [
            (r#"["a", "b", "c"]"#, "one text or two"),
            (r#"[["a"], []]"#, "one text or two"),
            (r#"[["a"], "b"]"#, "expected a sequence"),
            ("7", "a pair of strings"),
        ] {
            let error = read(json).unwrap_err();
            assert!(error.contains(says), "{json}: {error}");
        }
    }
}
