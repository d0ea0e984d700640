//! Summaries as jobs: what is kept of a request is the request, and what comes of
//! it is the answer that it would have had.

use std::sync::Weak;

use axum::body::Bytes;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

use super::Prepared;
use super::given::Given;
use crate::api::desk::jobs::info;
use crate::api::desk::record::Uploaded;
use crate::api::desk::store::now;
use crate::api::desk::submit::store;
use crate::api::error::ApiError;
use crate::api::extract::parse;
use crate::api::state::{Inner, Shared};
use crate::api::wire::summary::SummarizeRequest;
use crate::documents::jobs::{Answer, Asked, Options, StoredJob, Summaries, Upload, Work};
use crate::documents::source::Source;
use crate::documents::summary::{Request, Summarizer, Summary};

/// Stores a job, and answers with it. `key` is the client's own name for its
/// request.
///
/// # Errors
/// What the request would be refused for, and as [`store`].
pub async fn submit(
    shared: &Shared,
    given: Given,
    key: Option<String>,
) -> Result<Response, ApiError> {
    let body = &given.body;
    if body.stream.unwrap_or(false) {
        let message = "stream does not go with background; follow the job at /v1/jobs/ID/events";
        return Err(ApiError::invalid("stream", message));
    }
    if body.priority.is_some() {
        let message = "priority does not go with background: jobs run in the order in which they \
                       came, behind requests that somebody waits for";
        return Err(ApiError::invalid("priority", message));
    }
    let name = given.name.clone().or_else(|| body.title.clone());
    let (kept, kind) = (Kept::of(&given)?, given.kind());
    // The same form for a translation is another request.
    let fingerprint = format!("summarize {}", given.fingerprint);
    let prepared = Prepared::new(shared, given).await?;
    let Prepared { desk, summarizer, source, request, .. } = &prepared;
    let target = request.target.clone();
    let options = Options::new(None, target.clone(), target);
    let model = summarizer.engine.info().id.clone();
    let job = StoredJob {
        work: Work::Summarize,
        name: name.unwrap_or_else(|| "text".to_owned()),
        kind,
        written: kind,
        segments: summarizer.passages(source, request)?,
        characters: source.paragraphs().iter().map(|p| p.text.chars().count()).sum(),
        request: key,
        ..StoredJob::new(Uuid::new_v4().to_string(), now(), (model, options))
    };
    let upload = Upload { document: kept, terms: Vec::new(), fingerprint };
    let (job, new) = store(desk, job, upload).await?;
    let status = if new { StatusCode::ACCEPTED } else { StatusCode::OK };
    let place = [(header::LOCATION, format!("/v1/jobs/{}", job.id))];
    Ok((status, place, axum::Json(info(&job, desk.retention()))).into_response())
}

/// What is kept of a request whose record names a file; of others it is the request
/// alone.
#[derive(Serialize, Deserialize)]
struct Kept {
    file: Uploaded,
    request: Box<RawValue>,
}

impl Kept {
    fn of(given: &Given) -> Result<Vec<u8>, ApiError> {
        let Some(file) = given.file.clone().filter(|_| given.body.record.unwrap_or(false)) else {
            return Ok(given.bytes.to_vec());
        };
        let failed = |_: serde_json::Error| ApiError::internal();
        let request = serde_json::from_slice(&given.bytes).map_err(failed)?;
        serde_json::to_vec(&Self { file, request }).map_err(failed)
    }

    /// The request as it came, and its file.
    fn read(kept: Vec<u8>) -> (Bytes, Option<Uploaded>) {
        match serde_json::from_slice::<Self>(&kept) {
            Ok(Self { file, request }) => (request.get().to_owned().into(), Some(file)),
            Err(_) => (kept.into(), None),
        }
    }
}

/// Reads the requests of jobs.
pub struct Requests {
    /// It holds the jobs, so they must not hold it.
    shared: Weak<Inner>,
}

impl Requests {
    pub fn new(shared: Weak<Inner>) -> Self {
        Self { shared }
    }
}

impl Summaries for Requests {
    fn read<'a>(
        &'a self,
        request: Vec<u8>,
        model: &'a str,
    ) -> BoxFuture<'a, Option<Result<Box<dyn Asked>, String>>> {
        async move {
            let shared = Shared::upgrade(&self.shared)?;
            let read = async {
                let (request, file) = Kept::read(request);
                let mut body = parse::<SummarizeRequest>(&request)?;
                body.model = Some(model.to_owned());
                let given = Given { file, ..Given::of_request(body, request) };
                Prepared::new(&shared, given).await
            };
            Some(match read.await {
                Ok(prepared) => Ok(Box::new(prepared) as Box<dyn Asked>),
                Err(error) => Err(error.message),
            })
        }
        .boxed()
    }
}

impl Asked for Prepared {
    fn summarizer(&self) -> &Summarizer {
        &self.summarizer
    }

    fn source(&self) -> &Source {
        &self.source
    }

    fn request(&self) -> &Request {
        &self.request
    }

    fn answer(
        self: Box<Self>,
        summary: Summary,
        varies: Option<String>,
    ) -> BoxFuture<'static, Result<Answer, String>> {
        async move {
            let (mut answer, record) = self.written(summary, varies).await;
            let failed = |error: serde_json::Error| error.to_string();
            let (record, note) = match record {
                None => (None, None),
                Some(Ok(record)) => {
                    let bytes = serde_json::to_vec(&record).map_err(failed)?;
                    answer.record = Some(record);
                    (Some(bytes), None)
                }
                // The summary is worth more than its record.
                Some(Err(error)) => (None, Some(format!("it has no record: {}", error.message))),
            };
            Ok(Answer { bytes: serde_json::to_vec(&answer).map_err(failed)?, record, note })
        }
        .boxed()
    }
}
