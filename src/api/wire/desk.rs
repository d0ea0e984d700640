//! `/v1/translate`, `/v1/termbases` and `/v1/memories`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::fields::{Fields, Rule};
use super::super::openapi::closed;
use super::super::strict::strict_list;
use super::record::RecordBody;

/// Texts to be translated.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(transform = closed::<Self>)]
pub struct TranslateRequest {
    /// A loaded model that generates or translates; the first one without it.
    pub model: Option<String>,
    /// A text, or with `texts` several. They are cut into
    /// lines and sentences.
    pub text: Option<String>,
    /// Several texts, instead of `text`.
    pub texts: Option<Vec<String>>,
    /// The language of the texts. Without it, it is detected in each segment.
    pub source: Option<String>,
    /// The language to write.
    pub target: String,
    /// What is known of the texts; not translated.
    pub context: Option<ContextField>,
    /// Segments before each one that the model is shown: 0 to 5.
    #[schemars(range(max = 5))]
    pub neighbours: Option<usize>,
    /// Terms to use.
    #[serde(default, deserialize_with = "strict_list")]
    pub glossary: Vec<Entry>,
    /// The id of a stored termbase.
    pub termbase: Option<String>,
    /// The id of a stored memory.
    pub memory: Option<String>,
    /// From which score on a text of the memory is shown to the model, above 0
    /// and up to 1; 0.75 without it.
    #[schemars(extend("exclusiveMinimum" = 0), range(max = 1))]
    pub memory_threshold: Option<f32>,
    /// Store what is translated in the memory.
    pub memory_store: Option<bool>,
    /// Report on the quality.
    pub quality: Option<bool>,
    /// Report on the quality, and for that translate each segment back with the same
    /// model.
    pub back_translation: Option<bool>,
    /// "more" or "less".
    pub formality: Option<Formality>,
    /// "text", "markdown", "html" or "xml"; text without it. Of Markdown, emphasis,
    /// links, code, footnotes and tables stay as they are in documents of it.
    pub format: Option<Format>,
    /// Answer with server-sent events: `segment` with each finished segment in the
    /// order of the texts, and `result` with all of the answer.
    pub stream: Option<bool>,
    /// Try once more where terms or tags are missed; true without it.
    pub enforce: Option<bool>,
    /// Answer with a signed record of what made the translation.
    pub record: Option<bool>,
    /// Refuse the request unless the same one always gets the same bytes, as long
    /// as termbase and memory stay as they are.
    pub deterministic: Option<bool>,
    /// Lower goes first.
    #[schemars(range(min = -1000, max = 1000))]
    pub priority: Option<i32>,
}

impl Fields for TranslateRequest {
    const RULES: &'static [Rule] = &[];
}

/// A text, or what is known of it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "expected a string, or an object with the strings title, subject and text"
)]
pub enum ContextField {
    Text(String),
    Known(KnownContext),
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KnownContext {
    /// What it is called.
    pub title: Option<String>,
    /// What it is about.
    pub subject: Option<String>,
    /// What else is known.
    pub text: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Formality {
    Default,
    More,
    Less,
    PreferMore,
    PreferLess,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    Text,
    Markdown,
    Html,
    Xml,
}

/// A term and what it is to be.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[schemars(transform = closed::<Self>)]
pub struct Entry {
    /// The term.
    pub source: String,
    /// What it is to be.
    pub target: String,
    /// The target is not to be written.
    #[serde(default)]
    pub forbidden: bool,
    /// The term is only found as it is written.
    #[serde(default)]
    pub case_sensitive: bool,
    /// For people; comes back with the report on the term.
    pub note: Option<String>,
}

impl Fields for Entry {
    const RULES: &'static [Rule] = &[];
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct TranslateResponse {
    pub model: String,
    /// Two letters.
    pub target: String,
    pub translations: Vec<Translation>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quality: Option<Quality>,
    pub usage: TranslateUsage,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record: Option<RecordBody>,
}

/// A text.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Translation {
    pub text: String,
    pub segments: Vec<Segment>,
}

/// A finished segment, in a stream.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SegmentEvent {
    /// Number of the text that it belongs to, from 0.
    pub text_index: usize,
    /// Its number in the text, from 0.
    pub segment_index: usize,
    #[serde(flatten)]
    pub content: Segment,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct Segment {
    pub source: String,
    pub text: String,
    /// Two letters; null if it is not known.
    pub source_language: Option<String>,
    /// From 0 to 1; 1 where the language was given.
    pub confidence: f32,
    /// "model", "memory", or "source" for what stays as it is.
    pub origin: &'static str,
    /// Of the text of the memory that the model was shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_score: Option<f32>,
    /// How often the model was asked.
    pub attempts: usize,
    pub terms: Vec<TermReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quality: Option<SegmentQuality>,
}

/// What became of a term.
#[derive(Debug, Serialize, JsonSchema)]
pub struct TermReport {
    pub source: String,
    pub expected: Vec<String>,
    /// "used", "used_less_often", "missed" or "forbidden".
    pub status: &'static str,
    pub explanation: String,
    pub source_spans: Vec<Span>,
    pub target_spans: Vec<Span>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// Characters from `start` up to `end`.
#[derive(Debug, Serialize, PartialEq, Eq, JsonSchema)]
pub struct Span {
    pub start: usize,
    pub end: usize,
}

/// In the shape of DeepL's reports.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SegmentQuality {
    /// From 0 to 100.
    pub overall_score: f32,
    pub errors: Vec<QualityError>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub similarity: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub back_translation: Option<BackTranslationBody>,
}

/// The translation in the language of the source again, by the same model. A
/// heuristic: what it misread it may well misread again.
#[derive(Debug, Serialize, JsonSchema)]
pub struct BackTranslationBody {
    pub text: String,
    /// Of it and the source, up to 1.
    pub similarity: f32,
    /// "embeddings" (their cosine), or "chrf" (the runs of characters they share)
    /// where no model for them is loaded.
    pub measure: &'static str,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct QualityError {
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub sub_type: &'static str,
    pub severity: &'static str,
    pub explanation: String,
    pub source_spans: Vec<Span>,
    pub target_spans: Vec<Span>,
}

/// Of all texts together.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Quality {
    pub overall_score: f32,
    /// What the scores are worth.
    pub note: &'static str,
    /// Segments worth a look, the worst first.
    pub look_at: Vec<Place>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct Place {
    /// Number of the text, from 0.
    pub text: usize,
    /// Number of the segment in it, from 0.
    pub segment: usize,
    pub score: f32,
}

#[derive(Debug, Default, Serialize, JsonSchema)]
pub struct TranslateUsage {
    pub prompt_tokens: usize,
    pub completion_tokens: usize,
    /// Of the texts.
    pub characters: usize,
}

/// A termbase to be stored.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(transform = closed::<Self>)]
pub struct CreateTermbase {
    /// A name for people.
    pub name: String,
    /// "tbx", "csv" or "tsv", with `content`.
    pub format: Option<String>,
    /// The text of the file.
    pub content: Option<String>,
    /// Instead of a file.
    #[serde(default, deserialize_with = "strict_list")]
    pub entries: Vec<Entry>,
    /// The languages of `entries`, or of a table of two columns without a
    /// header.
    pub source: Option<String>,
    /// Goes with `source`.
    pub target: Option<String>,
}

impl Fields for CreateTermbase {
    const RULES: &'static [Rule] = &[];
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct TermbaseInfo {
    pub id: String,
    pub object: &'static str,
    pub name: String,
    /// Seconds since 1970.
    pub created: i64,
    pub concepts: usize,
    /// Terms by language.
    pub terms: BTreeMap<String, usize>,
    /// What was odd in the file.
    pub notices: Vec<NoticeInfo>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct NoticeInfo {
    pub line: usize,
    pub kind: String,
    pub message: String,
}

/// A memory to be stored.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(transform = closed::<Self>)]
pub struct CreateMemory {
    /// A name for people.
    pub name: String,
    /// A TMX file.
    pub content: Option<String>,
}

impl Fields for CreateMemory {
    const RULES: &'static [Rule] = &[];
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct MemoryInfo {
    pub id: String,
    pub object: &'static str,
    pub name: String,
    /// Seconds since 1970.
    pub created: i64,
    pub units: u64,
    pub languages: Vec<String>,
    /// What of the file was left out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notices: Vec<NoticeInfo>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "{T}List")]
pub struct List<T> {
    pub object: &'static str,
    pub data: Vec<T>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct Deleted {
    pub id: String,
    pub deleted: bool,
}
