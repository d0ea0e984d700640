//! `/v1/summarize`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::super::fields::{Fields, Rule, neutral};
use super::super::form::Form;
use super::super::openapi::closed;
use super::record::RecordBody;

/// A document to be summarised.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[schemars(transform = closed::<Self>)]
pub struct SummarizeRequest {
    /// A loaded model that generates; the first one without it.
    pub model: Option<String>,
    /// The document as plain text, a paragraph a line, or with `paragraphs` as a
    /// list. A file is sent in a form.
    pub text: Option<String>,
    pub paragraphs: Option<Vec<ParagraphField>>,
    /// What kind of file it is, if its name does not tell: "docx", "html",
    /// "markdown", "pdf", "srt", "text" or "xliff".
    pub format: Option<String>,
    /// The language to write; that of the document without it.
    pub target: Option<String>,
    /// "points", "obligations" or "positions"; points without it.
    pub task: Option<TaskField>,
    /// "short", "medium" or "long": 5, 10 or 20 statements; medium without it.
    pub length: Option<Length>,
    /// Statements at most, 1 to 100, in place of `length`.
    #[schemars(range(min = 1, max = 100))]
    pub statements: Option<usize>,
    /// What to look at above all.
    pub focus: Option<String>,
    /// What the document is called.
    pub title: Option<String>,
    /// Report progress as server-sent events.
    pub stream: Option<bool>,
    /// Answer at once with a job, whose result the answer will be. It survives a
    /// restart of the server, and goes behind requests that somebody waits for.
    pub background: Option<bool>,
    /// Answer with a signed record of what made the summary.
    pub record: Option<bool>,
    /// Refuse the request unless the same one always gets the same bytes.
    pub deterministic: Option<bool>,
    /// Lower goes first.
    #[schemars(range(min = -1000, max = 1000))]
    pub priority: Option<i32>,
}

impl Fields for SummarizeRequest {
    const RULES: &'static [Rule] = &[Rule::refuse(
        "file",
        neutral::never,
        "send it in multipart/form-data, as `curl -F file=@NAME` does, or its words as `text`",
    )];
}

impl Form for SummarizeRequest {
    const NUMBERS: &'static [&'static str] = &["statements", "priority"];
    const FLAGS: &'static [&'static str] = &["stream", "background", "record", "deterministic"];
}

/// A paragraph, with a name of the caller's or without.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(untagged, expecting = "expected a string, or an object with the strings id and text")]
pub enum ParagraphField {
    Text(String),
    Named(NamedParagraph),
}

#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NamedParagraph {
    pub id: String,
    pub text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TaskField {
    Points,
    Obligations,
    Positions,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Length {
    Short,
    Medium,
    Long,
}

/// How far the work is.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SummaryProgress {
    /// Passages that the model was asked about.
    pub done: usize,
    pub total: usize,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct SummarizeResponse {
    pub model: String,
    pub task: TaskField,
    /// Two letters.
    pub target: String,
    /// Of the document's beginning; null where it is not known.
    pub source_language: Option<String>,
    /// In the order of the document.
    pub statements: Vec<StatementBody>,
    /// The statements as lines, with the numbers of the paragraphs they rest on.
    pub text: String,
    /// Paragraphs of the document.
    pub paragraphs: usize,
    /// Passages whose answer did not come to an end and could not be read, so
    /// that statements may be missing.
    pub broken: usize,
    /// What the checks are worth.
    pub note: &'static str,
    pub usage: SummaryUsage,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record: Option<RecordBody>,
}

/// Something that the document says.
#[derive(Debug, Serialize, JsonSchema)]
pub struct StatementBody {
    /// `text`; of obligations `party`, `obligation` and `deadline` (null where
    /// the document sets none); of positions `party` and `position`.
    #[serde(flatten)]
    pub fields: Map<String, Value>,
    pub citations: Vec<CitationBody>,
    /// Cosine of the embeddings of the statement and its quotes; null without an
    /// embedding model.
    pub support: Option<f32>,
    /// What to look at.
    pub notes: Vec<String>,
}

/// A sentence of the document.
#[derive(Debug, Serialize, JsonSchema)]
pub struct CitationBody {
    /// Number of the paragraph, from 1.
    pub paragraph: usize,
    /// The caller's name of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Word for word.
    pub quote: String,
    /// In characters of the paragraph.
    pub start: usize,
    pub end: usize,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct SummaryUsage {
    pub prompt_tokens: usize,
    pub completion_tokens: usize,
}
