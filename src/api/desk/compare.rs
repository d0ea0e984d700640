//! `POST /v1/compare`.

use std::ops::Range;

use axum::extract::State;

use super::paragraphs::paragraphs;
use crate::api::error::ApiError;
use crate::api::extract::Json;
use crate::api::state::{Shared, offload};
use crate::api::wire::compare::{
    ChangeBody, CompareRequest, CompareResponse, Counts, PassageBody, RowBody, TextField,
};
use crate::documents::compare::{Change, Comparison, NOTE, Outcome, Row, compare as held};
use crate::documents::source::Source;
use crate::engine::ModelKind;

pub async fn compare(
    State(shared): State<Shared>,
    Json(body): Json<CompareRequest>,
) -> Result<axum::Json<CompareResponse>, ApiError> {
    let model = body.model.as_deref();
    let embedder = match shared.any_engine(model, &[ModelKind::Embedding]) {
        // Two versions in one language need none.
        Err(_) if model.is_none() => None,
        found => Some(found?.clone()),
    };
    let (a, named_a) = source("a.", body.a).await?;
    let (b, named_b) = source("b.", body.b).await?;
    let found = held(&a, &b, embedder.as_ref()).await?;
    let equal = body.equal.unwrap_or(false);
    let kept = found.rows.iter().filter(|row| equal || row.outcome != Outcome::Equal);
    let rows = kept.map(|row| show(row, (&a, named_a), (&b, named_b))).collect();
    let model = embedder.filter(|_| !found.same_language);
    Ok(axum::Json(CompareResponse {
        language_a: a.language().map(str::to_owned),
        language_b: b.language().map(str::to_owned),
        model: model.map(|engine| engine.info().id.clone()),
        counts: counts(&found),
        rows,
        note: NOTE,
    }))
}

async fn source(within: &'static str, field: TextField) -> Result<(Source, bool), ApiError> {
    let (paragraphs, named) = paragraphs(within, field.text, field.paragraphs)?;
    let size = paragraphs.iter().map(|paragraph| paragraph.text.len()).sum();
    Ok((offload(size, move || Source::new(paragraphs)).await?, named))
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
