//! `/v1/documents` and `/v1/jobs`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::fields::{Fields, Rule, neutral};
use super::super::form::Form;
use super::super::openapi::closed;
use super::desk::{Formality, Quality, Segment};

/// What is to become of a document; fields of `multipart/form-data` beside the
/// `file`.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(transform = closed::<Self>)]
pub struct DocumentRequest {
    /// A loaded model that generates or translates; the first one without it.
    pub model: Option<String>,
    /// What kind of file it is, if its name does not tell: "docx", "html",
    /// "markdown", "pdf", "srt", "text" or "xliff".
    pub format: Option<String>,
    /// The language of the document. Without it, it is detected in each segment.
    pub source: Option<String>,
    /// The language to write.
    pub target: String,
    /// What is known of the document; not translated.
    pub title: Option<String>,
    pub subject: Option<String>,
    pub context: Option<String>,
    /// Segments before each one that the model is shown: 0 to 5.
    #[schemars(range(max = 5))]
    pub neighbours: Option<usize>,
    /// The id of a stored termbase. It is taken as it is now.
    pub termbase: Option<String>,
    /// The id of a stored memory.
    pub memory: Option<String>,
    /// From which score on a text of the memory is shown to the model, above 0
    /// and up to 1; 0.75 without it.
    #[schemars(extend("exclusiveMinimum" = 0), range(max = 1))]
    pub memory_threshold: Option<f32>,
    /// Store what is translated in the memory, when all of it is.
    pub memory_store: Option<bool>,
    /// Compare source and translation by their embeddings, for the report.
    pub similarity: Option<bool>,
    /// Translate each segment back with the same model, and report how near that is
    /// to the source, by embeddings if a model for them is loaded.
    pub back_translation: Option<bool>,
    /// "more" or "less".
    pub formality: Option<Formality>,
    /// Try once more where terms or tags are missed; true without it.
    pub enforce: Option<bool>,
    /// Keep a signed record of what made the translation; true without it.
    pub record: Option<bool>,
    /// Refuse the document unless the same request always gets the same bytes, as
    /// long as termbase and memory stay as they are.
    pub deterministic: Option<bool>,
}

impl Fields for DocumentRequest {
    const RULES: &'static [Rule] = &[
        Rule::accept("quality", "a job's report always has it"),
        Rule::refuse("glossary", neutral::never, "store it at /v1/termbases and send `termbase`"),
        Rule::refuse(
            "priority",
            neutral::never,
            "jobs run in the order in which they came, behind requests that somebody waits for",
        ),
    ];
}

impl Form for DocumentRequest {
    const NUMBERS: &'static [&'static str] = &["neighbours"];
    const DECIMALS: &'static [&'static str] = &["memory_threshold"];
    const FLAGS: &'static [&'static str] =
        &["memory_store", "similarity", "back_translation", "enforce", "record", "deterministic"];
}

/// A document on its way.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct JobInfo {
    pub id: String,
    pub object: &'static str,
    /// "translate" or "summarize".
    pub work: &'static str,
    /// "queued", "running", "done", "failed" or "cancelled".
    pub status: &'static str,
    /// Why it failed, or what it waits for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Of the file; of a request without one its title, or "text".
    pub name: String,
    /// Of the document; "text" for one that was in the request.
    pub format: String,
    pub model: String,
    /// As it was given; null where it is detected, as for summaries.
    pub source: Option<String>,
    pub target: String,
    pub progress: Progress,
    pub usage: JobUsage,
    /// Seconds since 1970.
    pub created: i64,
    pub started: Option<i64>,
    pub finished: Option<i64>,
    /// When it will be deleted.
    pub expires: Option<i64>,
}

#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Progress {
    /// Of a summary the passages that the model is asked about.
    pub segments: usize,
    /// Of them, how many are finished.
    pub done: usize,
    /// An estimate, while it runs.
    pub seconds_left: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct JobUsage {
    pub prompt_tokens: usize,
    pub completion_tokens: usize,
    /// Of what is to be translated, or read.
    pub characters: usize,
}

/// `GET /v1/jobs`, in the query.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(transform = closed::<Self>)]
pub struct JobsQuery {
    /// Most that are listed: 1 to 1000; 100 without it.
    #[schemars(range(min = 1, max = 1000))]
    pub limit: Option<usize>,
    /// Only those after the job with this id.
    pub after: Option<String>,
}

impl Fields for JobsQuery {
    const RULES: &'static [Rule] = &[];
}

impl Form for JobsQuery {
    const NUMBERS: &'static [&'static str] = &["limit"];
}

/// Jobs, the newest first.
#[derive(Debug, Serialize, JsonSchema)]
pub struct JobList {
    pub object: &'static str,
    pub data: Vec<JobInfo>,
    /// There are older ones.
    pub has_more: bool,
}

/// What was found in a job's segments, of those that are finished.
#[derive(Debug, Serialize, JsonSchema)]
pub struct JobReport {
    pub id: String,
    pub object: &'static str,
    pub status: &'static str,
    pub model: String,
    pub target: String,
    pub progress: Progress,
    pub quality: Quality,
    /// How many segments are the model's, from memory, and as they were.
    pub origins: Origins,
    /// Those worth a look first, the worst before the others; then the rest as
    /// they come in the document.
    pub segments: Vec<NumberedSegment>,
}

#[derive(Debug, Default, Serialize, JsonSchema)]
pub struct Origins {
    pub model: usize,
    pub memory: usize,
    pub source: usize,
}

/// A segment and where it stands.
#[derive(Debug, Serialize, JsonSchema)]
pub struct NumberedSegment {
    /// Number of the segment in the document, from 0.
    pub segment: usize,
    /// The paragraph, cell or subtitle that it belongs to.
    pub unit: Option<String>,
    #[serde(flatten)]
    pub content: Segment,
}
