//! `/predict` and `/rerank`.

use axum::Json as Answer;
use axum::extract::State;
use axum::response::{IntoResponse, Response};

use super::{HINT, cut};
use crate::api::error::ApiError;
use crate::api::extract::Json;
use crate::api::inputs::{Field, encode};
use crate::api::rerank::RERANK_HINT;
use crate::api::scores::{self, ranking, sigmoid, softmax};
use crate::api::state::Shared;
use crate::api::wire::tei::{PredictRequest, Prediction, Rank, RerankRequest};
use crate::engine::{ModelInfo, ModelKind};

/// The labels of each text or pair with their scores, best first.
pub async fn predict(
    State(shared): State<Shared>,
    Json(body): Json<PredictRequest>,
) -> Result<Response, ApiError> {
    let kinds = [ModelKind::Classification, ModelKind::Reranking];
    let engine = shared.any_engine(body.model.as_deref(), &kinds)?;
    let single = body.inputs.single;
    let field = Field { name: "inputs", single, hint: HINT };
    let cut = cut(body.truncate, body.truncation_direction);
    let inputs = encode(engine, body.inputs.texts, field, cut).await?;
    let found = scores::predict(engine, inputs).await?;
    let raw = body.raw_scores.unwrap_or(false);
    let mut all = found.scores.into_iter().map(|row| labelled(row, raw, engine.info()));
    match (single, all.next()) {
        (true, Some(one)) => Ok(Answer(one).into_response()),
        (_, first) => Ok(Answer(first.into_iter().chain(all).collect::<Vec<_>>()).into_response()),
    }
}

fn labelled(mut row: Vec<f32>, raw: bool, info: &ModelInfo) -> Vec<Prediction> {
    match row.len() {
        _ if raw => {}
        1 => row.iter_mut().for_each(|x| *x = sigmoid(*x)),
        _ if info.multi_label => row.iter_mut().for_each(|x| *x = sigmoid(*x)),
        _ => softmax(&mut row),
    }
    let label = |i: usize| info.labels.get(i).cloned().unwrap_or_default();
    ranking(&row).into_iter().map(|i| Prediction { score: row[i], label: label(i) }).collect()
}

/// Texts by how well they answer a query, best first.
pub async fn rerank(
    State(shared): State<Shared>,
    Json(body): Json<RerankRequest>,
) -> Result<Answer<Vec<Rank>>, ApiError> {
    let engine = shared.any_engine(body.model.as_deref(), &[ModelKind::Reranking])?;
    if body.query.is_empty() {
        return Err(ApiError::invalid("query", "`query` is empty; send some text"));
    }
    let pairs = body.texts.iter().map(|text| (body.query.clone(), Some(text.clone()))).collect();
    let field = Field { name: "texts", single: false, hint: RERANK_HINT };
    let cut = cut(body.truncate, body.truncation_direction);
    let found = scores::predict(engine, encode(engine, pairs, field, cut).await?).await?;
    let raw = body.raw_scores.unwrap_or(false);
    let score = |row: &Vec<f32>| if raw { row[0] } else { sigmoid(row[0]) };
    // Sorted before the sigmoid, which makes many far ones equal.
    let order = ranking(&found.scores.iter().map(|row| row[0]).collect::<Vec<_>>());
    let rank = |index: usize| Rank {
        index,
        text: body.texts.get(index).filter(|_| body.return_text == Some(true)).cloned(),
        score: score(&found.scores[index]),
    };
    Ok(Answer(order.into_iter().map(rank).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Limits;

    #[test]
    fn labels_are_named_and_sorted() {
        let mut info = ModelInfo {
            id: "m".into(),
            kind: ModelKind::Classification,
            architecture: "bert".into(),
            limits: Limits { context_length: 8, vocab_size: 8, source: None },
            embedding_dims: None,
            prompts: Default::default(),
            default_prompt: None,
            pooling: None,
            labels: vec!["for".into(), "against".into()],
            multi_label: false,
            writing: None,
            created: 0,
            quantization: "F32".into(),
            parameters: 0,
            device: "cpu".into(),
        };
        let found = labelled(vec![0.0, 3f32.ln()], false, &info);
        assert_eq!((found[0].label.as_str(), found[1].label.as_str()), ("against", "for"));
        assert!((found[0].score - 0.75).abs() < 1e-6 && (found[1].score - 0.25).abs() < 1e-6);
        assert_eq!(labelled(vec![0.0, 2.0], true, &info)[0].score, 2.0);
        info.multi_label = true;
        assert_eq!(labelled(vec![0.0, 0.0], false, &info)[0].score, 0.5);
    }
}
