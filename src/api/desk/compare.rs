//! `POST /v1/compare`.

use std::ops::Range;

use axum::body::Bytes;
use axum::extract::State;

use super::paragraphs::{paragraphs, read};
use super::record::{Input, held, record};
use crate::api::error::ApiError;
use crate::api::extract::Kept;
use crate::api::state::Shared;
use crate::api::wire::compare::{
    ChangeBody, CompareRequest, CompareResponse, Counts, PassageBody, RowBody, TextField,
};
use crate::documents::compare::{
    Change, Comparison, NOTE, Outcome, Row, compare as compared, same_language,
};
use crate::documents::record::{Facts, Form, Role, Work};
use crate::documents::source::Source;
use crate::engine::ModelKind;

pub async fn compare(
    State(shared): State<Shared>,
    Kept(body, request): Kept<CompareRequest>,
) -> Result<axum::Json<CompareResponse>, ApiError> {
    Ok(axum::Json(answer(&shared, body, request).await?))
}

/// The answer to a request, whose bytes are for its record.
///
/// # Errors
/// As the route has them.
pub async fn answer(
    shared: &Shared,
    body: CompareRequest,
    request: Bytes,
) -> Result<CompareResponse, ApiError> {
    let model = body.model.as_deref();
    let embedder = match shared.any_engine(model, &[ModelKind::Embedding]) {
        // Two versions in one language need none.
        Err(_) if model.is_none() => None,
        found => Some(found?.clone()),
    };
    let (a, named_a) = source("a.", body.a).await?;
    let (b, named_b) = source("b.", body.b).await?;
    // Words decide in one language.
    let model = embedder.clone().filter(|_| !same_language(&a, &b));
    let deterministic = held(body.deterministic, &model)?;
    let found = compared(&a, &b, embedder.as_ref()).await?;
    let equal = body.equal.unwrap_or(false);
    let kept = found.rows.iter().filter(|row| equal || row.outcome != Outcome::Equal);
    let rows = kept.map(|row| show(row, (&a, named_a), (&b, named_b))).collect();
    let mut answer = CompareResponse {
        language_a: a.language().map(str::to_owned),
        language_b: b.language().map(str::to_owned),
        model: model.as_ref().map(|engine| engine.info().id.clone()),
        counts: counts(&found),
        rows,
        note: NOTE,
        record: None,
    };
    if body.record.unwrap_or(false) {
        let models = model.into_iter().map(|engine| (Role::Embeds, engine)).collect();
        let facts = Facts { deterministic, ..Facts::new(Work::Compare, Form::Json, models) };
        answer.record = Some(record(&shared.desk, facts, Input::Request(request), &answer).await?);
    }
    Ok(answer)
}

async fn source(within: &'static str, field: TextField) -> Result<(Source, bool), ApiError> {
    let (paragraphs, named) = paragraphs(within, field.text, field.paragraphs)?;
    Ok((read(paragraphs).await?, named))
}

fn counts(found: &Comparison) -> Counts {
    let mut counts = Counts::default();
    for row in &found.rows {
        *match row.outcome {
            Outcome::Equal => &mut counts.equal,
            Outcome::Changed => &mut counts.changed,
            Outcome::Moved => &mut counts.moved,
            Outcome::OnlyA => &mut counts.only_a,
            Outcome::OnlyB => &mut counts.only_b,
        } += 1;
    }
    counts
}

fn show(row: &Row, a: (&Source, bool), b: (&Source, bool)) -> RowBody {
    let change = |change: &Change| ChangeBody {
        of: match change.only_a {
            None => "both",
            Some(true) => "a",
            Some(false) => "b",
        },
        text: change.text.clone(),
    };
    RowBody {
        outcome: row.outcome.name(),
        a: passages(a, &row.a),
        b: passages(b, &row.b),
        likeness: row.likeness,
        changes: row.changes.iter().map(change).collect(),
        sentences_only_a: row.sentences_only_a.clone(),
        sentences_only_b: row.sentences_only_b.clone(),
        notes: row.notes.clone(),
    }
}

fn passages((source, named): (&Source, bool), range: &Range<usize>) -> Vec<PassageBody> {
    let paragraphs = source.paragraphs().get(range.clone()).unwrap_or_default();
    (paragraphs.iter().zip(range.clone()))
        .map(|(paragraph, number)| PassageBody {
            paragraph: number + 1,
            id: named.then(|| paragraph.id.clone()),
            text: paragraph.text.clone(),
        })
        .collect()
}
