//! `POST /v1/rerank`, the interface that Cohere and Jina share.

use std::fmt;

use schemars::JsonSchema;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::super::fields::{Fields, Rule, neutral};
use super::super::openapi::{Any, closed, shaped};
use super::super::strict::Strict;

/// Texts to be put in order by how well they answer a query.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(transform = closed::<Self>)]
pub struct RerankRequest {
    /// A loaded reranking model, required; `/v1/models` lists them.
    #[schemars(required, length(min = 1))]
    pub model: Option<String>,
    /// What the texts are to answer.
    #[schemars(length(min = 1))]
    pub query: String,
    /// Texts, or objects with a `text`; none may be empty.
    pub documents: Vec<Document>,
    /// Answer with the best so many. By default all.
    pub top_n: Option<usize>,
    /// Repeat the texts in the answer. Default false.
    pub return_documents: Option<bool>,
    /// Shorten what is too long together with the query, the longer of the two
    /// first; an extension. Default false: too long is an error.
    pub truncate: Option<bool>,
}

impl Fields for RerankRequest {
    const RULES: &'static [Rule] = &[
        Rule::accept("user", "names the end user; nothing is done with it"),
        Rule::refuse("max_tokens_per_doc", neutral::never, TRUNCATE),
        Rule::refuse("max_chunks_per_doc", neutral::never, TRUNCATE),
        Rule::refuse("truncation", neutral::no, TRUNCATE),
        Rule::refuse("rank_fields", neutral::empty, "put what is to be ranked into `text`"),
        Rule::refuse("return_embeddings", neutral::no, "ask /v1/embeddings for them"),
    ];
}

const TRUNCATE: &str = "send \"truncate\": true to shorten what is too long for the model";

/// A text to be ranked.
#[derive(Debug, PartialEq, Eq)]
pub struct Document(pub String);

shaped!(Document => Any<(String, TextObject)>);

#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "RerankDocument", transform = closed::<Self>)]
struct TextObject {
    /// The text.
    text: String,
}

impl Fields for TextObject {
    const RULES: &'static [Rule] =
        &[Rule::refuse("image", neutral::never, "only texts can be ranked")];
}

impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct DocumentVisitor;
        impl<'de> Visitor<'de> for DocumentVisitor {
            type Value = Document;

            fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
                formatter.write_str("a string or an object with a `text`")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Document, E> {
                Ok(Document(text.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<Document, A::Error> {
                let object = Strict::<TextObject>::deserialize(MapAccessDeserializer::new(fields))?;
                Ok(Document(object.0.text))
            }
        }
        deserializer.deserialize_any(DocumentVisitor)
    }
}

/// The texts, best first.
#[derive(Debug, Serialize, JsonSchema)]
pub struct RerankResponse {
    pub id: String,
    /// `list`.
    pub object: &'static str,
    pub model: String,
    pub results: Vec<Ranked>,
    pub usage: RerankUsage,
}

/// One text of the request.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Ranked {
    /// Its place in the request.
    pub index: usize,
    /// Between 0 and 1, larger is better; to be compared within one model.
    pub relevance_score: f32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub document: Option<RankedText>,
}

/// The text, when the request asked for it.
#[derive(Debug, Serialize, JsonSchema)]
pub struct RankedText {
    pub text: String,
}

/// Tokens of all pairs of the query and a text.
#[derive(Debug, Serialize, JsonSchema)]
pub struct RerankUsage {
    pub prompt_tokens: usize,
    pub total_tokens: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_texts_or_hold_one() {
        let read = |json: &str| serde_json::from_str::<Document>(json).map_err(|e| e.to_string());
        assert_eq!(read(r#""a""#), Ok(Document("a".into())));
        assert_eq!(read(r#"{"text": "a"}"#), Ok(Document("a".into())));
        for (json, says) in [
            ("7", "a string or an object"),
            ("{}", "missing field `text`"),
            (r#"{"text": "a", "txet": "b"}"#, "did you mean `text`?"),
            (r#"{"text": "a", "image": "b"}"#, "only texts"),
        ] {
            let error = read(json).unwrap_err();
            assert!(error.contains(says), "{error}");
        }
    }
}
