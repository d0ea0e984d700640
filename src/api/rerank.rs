//! `POST /v1/rerank`: which texts answer a query best.

use axum::Json as Answer;
use axum::extract::State;
use uuid::Uuid;

use super::error::ApiError;
use super::extract::Json;
use super::inputs::{Field, encode};
use super::scores::{predict, ranking, sigmoid};
use super::state::Shared;
use super::wire::rerank::{Ranked, RankedText, RerankRequest, RerankResponse, RerankUsage};
use crate::engine::ModelKind;

/// Ranks texts.
pub async fn rerank(
    State(shared): State<Shared>,
    Json(body): Json<RerankRequest>,
) -> Result<Answer<RerankResponse>, ApiError> {
    let engine = shared.engine(body.model.as_deref(), ModelKind::Reranking)?;
    if body.query.is_empty() {
        return Err(ApiError::invalid("query", "`query` is empty; send some text"));
    }
    let top = match body.top_n {
        Some(0) => return Err(ApiError::invalid("top_n", "top_n is 0; send 1 or more")),
        top => top.unwrap_or(usize::MAX),
    };
    let texts: Vec<String> = body.documents.into_iter().map(|document| document.0).collect();
    let pairs = texts.iter().map(|text| (body.query.clone(), Some(text.clone()))).collect();
    let field = Field { name: "documents", single: false, hint: RERANK_HINT };
    let cut = body.truncate.unwrap_or(false).then_some(false);
    let found = predict(engine, encode(engine, pairs, field, cut).await?).await?;
    let scores: Vec<f32> = found.scores.iter().map(|row| sigmoid(row[0])).collect();
    let document = |index: usize| {
        let text = texts.get(index).filter(|_| body.return_documents == Some(true))?;
        Some(RankedText { text: text.clone() })
    };
    let ranked =
        |index: usize| Ranked { index, relevance_score: scores[index], document: document(index) };
    Ok(Answer(RerankResponse {
        id: format!("rerank-{}", Uuid::new_v4().simple()),
        object: "list",
        model: engine.info().id.clone(),
        results: ranking(&scores).into_iter().take(top).map(ranked).collect(),
        usage: RerankUsage {
            prompt_tokens: found.prompt_tokens,
            total_tokens: found.prompt_tokens,
        },
    }))
}

/// What to do about a pair that is too long.
pub const RERANK_HINT: &str =
    "that is together with the query; split it, or send \"truncate\": true to shorten it";
