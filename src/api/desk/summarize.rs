//! `POST /v1/summarize`.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value};

use super::paragraphs::{paragraphs, read};
use super::record::{held, record};
use super::store::Desk;
use super::texts;
use crate::api::error::ApiError;
use crate::api::extract::Kept;
use crate::api::progress;
use crate::api::state::Shared;
use crate::api::wire::summary::{
    CitationBody, Length, StatementBody, SummarizeRequest, SummarizeResponse, SummaryProgress,
    SummaryUsage, TaskField,
};
use crate::documents::record::{Facts, Form, Role, Work};
use crate::documents::source::{Citation, Source};
use crate::documents::summary::{
    MAX_STATEMENTS, NOTE, Request, Statement, Summarizer, Summary, Task,
};
use crate::engine::ModelKind;

pub async fn summarize(
    State(shared): State<Shared>,
    Kept(body, request): Kept<SummarizeRequest>,
) -> Result<Response, ApiError> {
    let stream = body.stream.unwrap_or(false);
    let prepared = Prepared::new(&shared, body, request).await?;
    if stream {
        return Ok(progress::respond(&shared.life, |send| async move {
            // Nobody reads it any more when the receiver is gone.
            prepared.answer(&move |report| drop(send.send(report))).await
        }));
    }
    Ok(axum::Json(prepared.answer(&|_| {}).await?).into_response())
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
    /// With the request's bytes, for its record.
    facts: Option<(Facts, Bytes)>,
}

impl Prepared {
    /// Reads a request, and the document in it.
    ///
    /// # Errors
    /// As the route has them.
    pub async fn new(
        shared: &Shared,
        body: SummarizeRequest,
        bytes: Bytes,
    ) -> Result<Self, ApiError> {
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
            let facts = Facts::new(Work::Summarize, Form::Json, models);
            (Facts { deterministic, ..facts }, bytes)
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
        let model = self.summarizer.engine.info().id.clone();
        let mut answer =
            answer(summary, &self.source, &self.request, (model, self.task, self.named));
        if let Some((facts, request)) = self.facts {
            answer.record = Some(record(&self.desk, facts, request, &answer).await?);
        }
        Ok(answer)
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

fn answer(
    summary: Summary,
    source: &Source,
    request: &Request,
    (model, task, named): (String, TaskField, bool),
) -> SummarizeResponse {
    let lines: Vec<String> = summary.statements.iter().map(Statement::line).collect();
    let body = |statement: &Statement| StatementBody {
        fields: fields(request.task, statement),
        citations: vec![citation(source, &statement.citation, named)],
        support: statement.support,
        notes: statement.notes.clone(),
    };
    SummarizeResponse {
        model,
        task,
        target: request.target.clone(),
        source_language: source.language().map(str::to_owned),
        statements: summary.statements.iter().map(body).collect(),
        text: lines.join("\n"),
        paragraphs: source.paragraphs().len(),
        broken: summary.broken,
        note: NOTE,
        usage: SummaryUsage {
            prompt_tokens: summary.usage.prompt_tokens,
            completion_tokens: summary.usage.completion_tokens,
        },
        record: None,
    }
}

fn citation(source: &Source, citation: &Citation, named: bool) -> CitationBody {
    let paragraph = source.paragraphs().get(citation.paragraph);
    let before = paragraph.and_then(|p| p.text.get(..citation.span.start));
    let start = before.map_or(0, |before| before.chars().count());
    let quote = source.quote(citation).to_owned();
    CitationBody {
        paragraph: citation.paragraph + 1,
        id: paragraph.map(|p| p.id.clone()).filter(|_| named),
        end: start + quote.chars().count(),
        start,
        quote,
    }
}

fn fields(task: Task, statement: &Statement) -> Map<String, Value> {
    let texts = task.fields().iter().zip(&statement.texts);
    let value = |(name, text): (&&str, &String)| {
        let value = match text.is_empty() {
            true => Value::Null,
            false => Value::String(text.clone()),
        };
        ((*name).to_owned(), value)
    };
    texts.map(value).collect()
}
