//! `POST /v1/summarize`.

mod answer;
mod background;
mod given;

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};

use self::answer::answer;
pub use self::background::Requests;
pub use self::given::Given;
use super::paragraphs::{paragraphs, read};
use super::record::{Input, held, record};
use super::store::Desk;
use super::texts;
use crate::api::error::ApiError;
use crate::api::idempotency::key;
use crate::api::multipart::FileOrJson;
use crate::api::progress;
use crate::api::state::Shared;
use crate::api::wire::record::RecordBody;
use crate::api::wire::summary::{
    Length, SummarizeRequest, SummarizeResponse, SummaryProgress, TaskField,
};
use crate::documents::record::{Facts, Form, Role, Work};
use crate::documents::source::Source;
use crate::documents::summary::{MAX_STATEMENTS, Request, Summarizer, Summary, Task};
use crate::engine::ModelKind;

/// Answers with the summary, with events, or with a job: 202 for a new one, 200 for
/// that of an earlier request with the same `Idempotency-Key` and content.
pub async fn summarize(
    State(shared): State<Shared>,
    headers: HeaderMap,
    sent: FileOrJson<SummarizeRequest>,
) -> Result<Response, ApiError> {
    let given = Given::read(sent).await?;
    let field = given.field();
    // What is wrong with the words is wrong with where they stand.
    let named = |error: ApiError| error.rename("text", field);
    let stream = given.body.stream.unwrap_or(false);
    if given.body.background.unwrap_or(false) {
        let key = key(&headers)?;
        return background::submit(&shared, given, key).await.map_err(named);
    }
    let prepared = Prepared::new(&shared, given).await.map_err(named)?;
    if stream {
        return Ok(progress::respond(&shared.life, "progress", move |send| async move {
            // Nobody reads it any more when the receiver is gone.
            let answer = prepared.answer(&move |report| drop(send.send(report))).await;
            answer.map_err(|error| error.rename("text", field))
        }));
    }
    Ok(axum::Json(prepared.answer(&|_| {}).await.map_err(named)?).into_response())
}

/// A request that can be answered.
pub struct Prepared {
    desk: Arc<Desk>,
    summarizer: Summarizer,
    source: Source,
    request: Request,
    task: TaskField,
    /// Paragraphs have names of the caller's.
    named: bool,
    /// With what it was made from, for its record.
    facts: Option<(Facts, Input)>,
}

impl Prepared {
    /// Reads a request, and the document in it.
    ///
    /// # Errors
    /// As the route has them.
    pub async fn new(shared: &Shared, given: Given) -> Result<Self, ApiError> {
        let Given { body, bytes, file, .. } = given;
        let engine = shared.any_engine(body.model.as_deref(), &[ModelKind::Generation])?.clone();
        let embedder = shared.any_engine(None, &[ModelKind::Embedding]).ok().cloned();
        let deterministic = held(body.deterministic, [&engine].into_iter().chain(&embedder))?;
        let statements = statements(body.statements, body.length)?;
        let target = body.target.as_deref();
        let target = target.map(|target| texts::language(&engine, "target", target)).transpose()?;
        let (paragraphs, named) = paragraphs("", body.text, body.paragraphs)?;
        let source = read(paragraphs).await?;
        let Some(target) = target.or_else(|| source.language().map(str::to_owned)) else {
            let message = "the document's language cannot be told; say with target which to write";
            return Err(ApiError::invalid("target", message));
        };
        let task = body.task.unwrap_or(TaskField::Points);
        let request = Request {
            task: match task {
                TaskField::Points => Task::Points,
                TaskField::Obligations => Task::Obligations,
                TaskField::Positions => Task::Positions,
            },
            target,
            statements,
            focus: body.focus,
            title: body.title,
            priority: body.priority.unwrap_or(0),
        };
        let facts = body.record.unwrap_or(false).then(|| {
            let mut models = vec![(Role::Writes, engine.clone())];
            models.extend(embedder.clone().map(|embedder| (Role::Embeds, embedder)));
            let form = if file.is_some() { Form::Upload } else { Form::Json };
            let facts = Facts::new(Work::Summarize, form, models);
            (Facts { deterministic, ..facts }, Given::input(bytes, file))
        });
        let summarizer = Summarizer { engine, embedder };
        let desk = shared.desk.clone();
        Ok(Self { desk, summarizer, source, request, task, named, facts })
    }

    /// The answer; `report` hears how far it is.
    ///
    /// # Errors
    /// As the route has them.
    pub async fn answer(
        self,
        report: &(dyn Fn(SummaryProgress) + Send + Sync),
    ) -> Result<SummarizeResponse, ApiError> {
        let progress = |progress: crate::documents::summary::Progress| {
            report(SummaryProgress { done: progress.done, total: progress.total });
        };
        let summary = self.summarizer.summarise(&self.source, &self.request, progress).await;
        // What is too long is a sentence of the document.
        let summary = summary.map_err(|error| ApiError::from(error).rename("prompt", "text"))?;
        let (mut answer, record) = self.written(summary, None).await;
        answer.record = record.transpose()?;
        Ok(answer)
    }

    /// The answer without its record, and that, where one is wanted. `varies` says
    /// why another run may give another answer.
    async fn written(
        self,
        summary: Summary,
        varies: Option<String>,
    ) -> (SummarizeResponse, Option<Result<RecordBody, ApiError>>) {
        let model = self.summarizer.engine.info().id.clone();
        let answer = answer(summary, &self.source, &self.request, (model, self.task, self.named));
        let Some((mut facts, input)) = self.facts else { return (answer, None) };
        facts.varies.extend(varies);
        let record = record(&self.desk, facts, input, &answer).await;
        (answer, Some(record))
    }
}

fn statements(given: Option<usize>, length: Option<Length>) -> Result<usize, ApiError> {
    match (given, length) {
        (Some(_), Some(_)) => {
            Err(ApiError::invalid("statements", "send one of statements and length"))
        }
        (Some(count), None) if (1..=MAX_STATEMENTS).contains(&count) => Ok(count),
        (Some(count), None) => {
            let message = format!("statements is {count}; it must be 1 to {MAX_STATEMENTS}");
            Err(ApiError::invalid("statements", message))
        }
        (None, Some(Length::Short)) => Ok(5),
        (None, Some(Length::Medium) | None) => Ok(10),
        (None, Some(Length::Long)) => Ok(20),
    }
}
