//! Summaries as jobs: what is kept of a request is the request, and what comes of
//! it is the answer that it would have had.

use std::sync::Weak;

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use futures::future::BoxFuture;
use uuid::Uuid;

use super::Prepared;
use super::given::Given;
use crate::api::desk::jobs::info;
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
    let Given { body, bytes, name, kind, fingerprint, .. } = given;
    if body.stream.unwrap_or(false) {
        let message = "stream does not go with background; follow the job at /v1/jobs/ID/events";
        return Err(ApiError::invalid("stream", message));
    }
    if body.priority.is_some() {
        let message = "priority does not go with background: jobs run in the order in which they \
                       came, behind requests that somebody waits for";
        return Err(ApiError::invalid("priority", message));
    }
    let name = name.or_else(|| body.title.clone()).unwrap_or_else(|| "text".to_owned());
    let prepared = Prepared::new(shared, body, bytes.clone()).await?;
    let Prepared { desk, summarizer, source, request, .. } = &prepared;
    let target = request.target.clone();
    let options = Options::new(None, target.clone(), target);
    let model = summarizer.engine.info().id.clone();
    let job = StoredJob {
        work: Work::Summarize,
        name,
        kind,
        written: kind,
        segments: summarizer.passages(source, request)?,
        characters: source.paragraphs().iter().map(|p| p.text.chars().count()).sum(),
        request: key,
        ..StoredJob::new(Uuid::new_v4().to_string(), now(), (model, options))
    };
    // The same form for a translation is another request.
    let fingerprint = format!("summarize {fingerprint}");
    let upload = Upload { document: bytes.to_vec(), terms: Vec::new(), fingerprint };
    let (job, new) = store(desk, job, upload).await?;
    let status = if new { StatusCode::ACCEPTED } else { StatusCode::OK };
    let place = [(header::LOCATION, format!("/v1/jobs/{}", job.id))];
    Ok((status, place, axum::Json(info(&job, desk.retention()))).into_response())
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
                let mut body = parse::<SummarizeRequest>(&request)?;
                body.model = Some(model.to_owned());
                Prepared::new(&shared, body, request.into()).await
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
