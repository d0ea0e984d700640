//! `/v1/files`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::body::Limit;
use super::super::fields::{Fields, Rule};
use super::super::form::Form;
use super::super::openapi::closed;
use crate::config;

/// A file to keep; fields of `multipart/form-data` beside the `file`.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(transform = closed::<Self>)]
pub struct FileRequest {
    /// `batch`: the file has the requests of a batch, one JSON object a line.
    /// Nothing here uses files for anything else, so that is all it may be.
    pub purpose: String,
    /// `created_at`; goes with `expires_after[seconds]`.
    #[serde(rename = "expires_after[anchor]")]
    pub anchor: Option<String>,
    /// Seconds after which the file is deleted, 3600 to 2592000. Without it
    /// `server.file_retention_h` decides.
    #[serde(rename = "expires_after[seconds]")]
    #[schemars(range(min = 3600, max = 2592000))]
    pub seconds: Option<u64>,
}

impl Fields for FileRequest {
    const RULES: &'static [Rule] = &[];
}

impl Form for FileRequest {
    const NUMBERS: &'static [&'static str] = &["expires_after[seconds]"];

    fn limit(config: &config::Server) -> Limit {
        Limit { bytes: config.max_file_bytes, setting: "server.max_file_bytes" }
    }
}

/// A stored file.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct FileObject {
    pub id: String,
    pub object: &'static str,
    pub bytes: u64,
    /// Seconds since 1970.
    pub created_at: i64,
    /// When it will be deleted; later if a batch that has not ended needs it.
    pub expires_at: i64,
    pub filename: String,
    /// `batch`, or `batch_output` for what a batch made.
    pub purpose: &'static str,
    /// `processed`: it can be used.
    pub status: &'static str,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct FileDeleted {
    pub id: String,
    pub object: &'static str,
    pub deleted: bool,
}

/// `GET /v1/files`, in the query.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(transform = closed::<Self>)]
pub struct FilesQuery {
    /// Most that are listed: 1 to 10000; 10000 without it.
    #[schemars(range(min = 1, max = 10000))]
    pub limit: Option<usize>,
    /// Only those after the file with this id.
    pub after: Option<String>,
    /// `desc`, the newest first, or `asc`.
    pub order: Option<String>,
    /// Only files of this purpose.
    pub purpose: Option<String>,
}

impl Fields for FilesQuery {
    const RULES: &'static [Rule] = &[];
}

impl Form for FilesQuery {
    const NUMBERS: &'static [&'static str] = &["limit"];
}

/// A part of a list.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "{T}Page")]
pub struct Page<T> {
    pub object: &'static str,
    pub data: Vec<T>,
    /// Ids of the first and the last of them.
    pub first_id: Option<String>,
    pub last_id: Option<String>,
    /// There are further ones, to be had with `after`.
    pub has_more: bool,
}
