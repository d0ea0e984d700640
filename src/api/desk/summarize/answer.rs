//! A summary as clients see it.

use serde_json::{Map, Value};

use crate::api::wire::summary::{
    CitationBody, StatementBody, SummarizeResponse, SummaryUsage, TaskField,
};
use crate::documents::source::{Citation, Source};
use crate::documents::summary::{NOTE, Request, Statement, Summary, Task};

/// The answer, without a record. `named` is whether paragraphs have names of the
/// caller's.
pub fn answer(
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
