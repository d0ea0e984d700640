//! `/v1/collections` and `/v1/search`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::fields::{Fields, Rule, neutral};
use super::super::form::Form;
use super::super::openapi::closed;
use super::summary::ParagraphField;

/// A collection to be made.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(transform = closed::<Self>)]
pub struct CreateCollection {
    /// A name for people.
    pub name: String,
    /// A loaded model that embeds; the first one without it. The collection keeps
    /// to it.
    pub model: Option<String>,
}

impl Fields for CreateCollection {
    const RULES: &'static [Rule] = &[];
}

#[derive(Debug, PartialEq, Serialize, JsonSchema)]
pub struct CollectionInfo {
    pub id: String,
    /// `collection`.
    pub object: &'static str,
    pub name: String,
    /// Seconds since 1970.
    pub created: i64,
    /// The model that its vectors are of.
    pub model: String,
    /// How that model's weights were kept when the collection was made.
    pub quantization: String,
    /// Length of its vectors, which are kept in 32 bits.
    pub dimensions: usize,
    pub documents: u64,
    pub passages: u64,
    /// Of the documents' files, which are not kept.
    pub bytes: u64,
}

/// A document to be added: a file in `multipart/form-data`, or JSON with `text`
/// or `paragraphs`.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(transform = closed::<Self>)]
pub struct AddDocument {
    /// What it is called; that of the file without it.
    pub name: Option<String>,
    /// What kind of file it is, if its name does not tell: "docx", "html",
    /// "markdown", "pdf", "srt", "text" or "xliff". Of `text` without it, text.
    pub format: Option<String>,
    /// Its language. Without it, it is detected in each passage.
    pub language: Option<String>,
    /// The document, as what a file of its format would have in it.
    pub text: Option<String>,
    /// Its paragraphs, instead of `text`.
    pub paragraphs: Option<Vec<ParagraphField>>,
}

impl Fields for AddDocument {
    const RULES: &'static [Rule] = &[Rule::refuse(
        "file",
        neutral::never,
        "send it in multipart/form-data, as `curl -F file=@NAME` does, or its words as `text`",
    )];
}

impl Form for AddDocument {}

/// A document of a collection.
#[derive(Debug, PartialEq, Serialize, JsonSchema)]
pub struct CollectionDocument {
    pub id: String,
    /// `collection.document`.
    pub object: &'static str,
    pub collection: String,
    pub name: String,
    /// That of the file; "paragraphs" for a list of them.
    pub format: String,
    /// Passages by language; those whose language is not known are in none.
    pub languages: BTreeMap<String, u64>,
    pub passages: u64,
    /// Of its passages.
    pub characters: u64,
    /// Of its file.
    pub bytes: u64,
    /// Of its file, by which it is known again.
    pub sha256: String,
    /// Seconds since 1970.
    pub created: i64,
}

/// What is looked for.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(transform = closed::<Self>)]
pub struct SearchRequest {
    /// The id of a collection.
    pub collection: String,
    /// A question or words, in any language.
    #[schemars(length(min = 1, max = 10000))]
    pub query: String,
    /// Results at most, 1 to 100; 10 without it.
    #[schemars(range(min = 1, max = 100))]
    pub limit: Option<usize>,
    /// "hybrid", "semantic" or "lexical"; hybrid without it. Only lexical does
    /// without the collection's model.
    pub mode: Option<ModeField>,
    /// Only passages in these languages.
    pub languages: Option<Vec<String>>,
    /// Only passages of these documents, by their ids.
    pub documents: Option<Vec<String>>,
    /// Let a loaded reranking model put the first 50 in order; true with
    /// `rerank_model`, false without.
    pub rerank: Option<bool>,
    /// The reranking model; the first one without it.
    pub rerank_model: Option<String>,
}

impl Fields for SearchRequest {
    const RULES: &'static [Rule] = &[Rule::refuse(
        "model",
        neutral::never,
        "queries are embedded by the collection's model; leave it out",
    )];
}

/// What passages are ranked by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ModeField {
    Hybrid,
    Semantic,
    Lexical,
}

/// Passages, the best first.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SearchResponse {
    /// `search`.
    pub object: &'static str,
    pub collection: String,
    pub mode: ModeField,
    /// The model that embedded the query; null for lexical.
    pub model: Option<String>,
    /// The model that put the first in order; null without `rerank`.
    pub rerank_model: Option<String>,
    /// Passages of the collection.
    pub passages: usize,
    pub results: Vec<SearchResult>,
}

/// A passage that was found.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SearchResult {
    /// From 1.
    pub rank: usize,
    /// What it is ranked by: the last of `scores` that is there.
    pub score: f32,
    pub scores: Scores,
    /// The passage, word for word.
    pub text: String,
    /// What stands over it, such as "Article 5"; null without one.
    pub heading: Option<String>,
    /// Two letters; null where it is not known.
    pub language: Option<String>,
    pub citation: PassageCitation,
}

/// Each is comparable within one query alone, but for the cosine; null where it
/// was not asked for or there is none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, JsonSchema)]
pub struct Scores {
    /// Cosine of the embeddings of query and passage.
    pub cosine: Option<f32>,
    /// Of words that both have (BM25).
    pub bm25: Option<f32>,
    /// Of the places in both orders (reciprocal rank fusion), of `hybrid`.
    pub fused: Option<f32>,
    /// Of the reranking model, from 0 to 1.
    pub relevance: Option<f32>,
}

/// Where a passage stands.
#[derive(Debug, Serialize, JsonSchema)]
pub struct PassageCitation {
    /// The document's id.
    pub document: String,
    pub name: String,
    /// Number of the paragraph, from 1.
    pub paragraph: usize,
    /// The paragraph's name, by the document's format or the caller's; empty
    /// without one.
    pub id: String,
    /// The first and the last sentence of the paragraph that it has part of,
    /// from 1.
    pub first_sentence: usize,
    pub last_sentence: usize,
    /// In characters of the paragraph, up to `end`.
    pub start: usize,
    pub end: usize,
}
