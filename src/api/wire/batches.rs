//! `/v1/batches`, and the lines of their files.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::super::fields::{Fields, Rule};
use super::super::form::Form;
use super::super::openapi::closed;
use super::super::strict::strict_option;

/// Requests of a file to be answered in the background.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[schemars(transform = closed::<Self>)]
pub struct BatchRequest {
    /// The id of a file that was uploaded for the purpose `batch`.
    pub input_file_id: String,
    /// The route that all its requests are for: `/v1/chat/completions`,
    /// `/v1/completions`, `/v1/responses`, `/v1/embeddings` or `/v1/rerank`.
    pub endpoint: String,
    /// How long it may take: `24h`, or any number of hours from `1h` to `168h`,
    /// an extension. What is not answered by then is not answered.
    pub completion_window: String,
    /// Up to 16 labels, of 64 characters with values of 512.
    pub metadata: Option<BTreeMap<String, String>>,
    /// How long the files of answers and errors are kept after their creation.
    /// Without it `server.file_retention_h` decides.
    #[serde(default, deserialize_with = "strict_option")]
    pub output_expires_after: Option<ExpiresAfter>,
}

impl Fields for BatchRequest {
    const RULES: &'static [Rule] = &[];
}

/// When a file is deleted.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[schemars(transform = closed::<Self>)]
pub struct ExpiresAfter {
    /// `created_at`.
    pub anchor: String,
    /// 3600 to 2592000.
    #[schemars(range(min = 3600, max = 2592000))]
    pub seconds: u64,
}

impl Fields for ExpiresAfter {
    const RULES: &'static [Rule] = &[];
}

/// A batch on its way.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Batch {
    pub id: String,
    pub object: &'static str,
    pub endpoint: String,
    /// The model of all its requests, if they name the same.
    pub model: Option<String>,
    /// What is wrong with the file of a batch that failed.
    pub errors: Option<BatchErrors>,
    pub input_file_id: String,
    pub completion_window: String,
    /// `validating`, `in_progress`, `finalizing`, `completed`, `failed`,
    /// `expired`, `cancelling` or `cancelled`.
    pub status: &'static str,
    /// The file of answers, once the batch has ended, if there are any.
    pub output_file_id: Option<String>,
    /// The file of errors: of requests that were refused or failed, and of those
    /// that an end before time left without an answer.
    pub error_file_id: Option<String>,
    /// Times are in seconds since 1970.
    pub created_at: i64,
    pub in_progress_at: Option<i64>,
    pub expires_at: i64,
    pub finalizing_at: Option<i64>,
    pub completed_at: Option<i64>,
    pub failed_at: Option<i64>,
    pub expired_at: Option<i64>,
    pub cancelling_at: Option<i64>,
    pub cancelled_at: Option<i64>,
    pub request_counts: RequestCounts,
    pub usage: BatchUsage,
    pub metadata: Option<BTreeMap<String, String>>,
}

#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct BatchErrors {
    pub object: &'static str,
    pub data: Vec<BatchError>,
}

#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct BatchError {
    /// A stable word for programs.
    pub code: String,
    /// Of the file, from 1.
    pub line: Option<u64>,
    pub message: String,
    /// The field at fault.
    pub param: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct RequestCounts {
    pub total: u64,
    pub completed: u64,
    pub failed: u64,
}

/// Tokens that the answers took so far.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct BatchUsage {
    pub input_tokens: u64,
    pub input_tokens_details: BatchInputDetails,
    pub output_tokens: u64,
    pub output_tokens_details: BatchOutputDetails,
    pub total_tokens: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct BatchInputDetails {
    pub cached_tokens: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct BatchOutputDetails {
    /// Not counted apart here: 0.
    pub reasoning_tokens: u64,
}

/// `GET /v1/batches`, in the query.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(transform = closed::<Self>)]
pub struct BatchesQuery {
    /// Most that are listed: 1 to 100; 20 without it.
    #[schemars(range(min = 1, max = 100))]
    pub limit: Option<usize>,
    /// Only those after the batch with this id.
    pub after: Option<String>,
}

impl Fields for BatchesQuery {
    const RULES: &'static [Rule] = &[];
}

impl Form for BatchesQuery {
    const NUMBERS: &'static [&'static str] = &["limit"];
}

/// A line of a batch's file: one request.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "BatchRequestLine", transform = closed::<Self>)]
pub struct RequestLine {
    /// The client's own name for it, another one in each line.
    #[schemars(length(min = 1, max = 512))]
    pub custom_id: String,
    /// `POST`.
    pub method: String,
    /// The batch's endpoint.
    pub url: String,
    /// As the endpoint takes it, without `stream` and `priority`. Lines may name
    /// different models.
    #[schemars(with = "Map<String, Value>")]
    pub body: Box<RawValue>,
}

impl Fields for RequestLine {
    const RULES: &'static [Rule] = &[];
}

/// A line of a file of answers or errors.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "BatchAnswerLine")]
pub struct AnswerLine<'a> {
    pub id: String,
    /// The client's name for the request.
    pub custom_id: &'a str,
    /// Null where there is no answer.
    pub response: Option<LineResponse<'a>>,
    /// Null where there is one.
    pub error: Option<LineError>,
}

/// What came of a request.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "BatchLineResponse")]
pub struct LineResponse<'a> {
    pub status_code: u16,
    pub request_id: String,
    /// What the endpoint answered, an error if the status is one.
    #[schemars(with = "Map<String, Value>")]
    pub body: &'a RawValue,
}

/// Why there is no answer.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "BatchLineError")]
pub struct LineError {
    pub code: &'static str,
    pub message: &'static str,
}
