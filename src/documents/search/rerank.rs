//! What a reranker says of passages.

use crate::engine::{Engine, PredictionRequest, SubmitError};

/// Passages that a reranker is asked about, unless more are wanted.
pub const RERANKED: usize = 50;

/// The places of texts, those that answer a query best first and of equals the
/// first, with how well they do, from 0 to 1.
///
/// # Errors
/// As [`Engine::predict`]; [`SubmitError::Invalid`] of `query` where it is too
/// long for the model together with a text: nothing is cut off.
pub async fn rerank(
    engine: &Engine,
    query: &str,
    texts: &[String],
) -> Result<Vec<(usize, f32)>, SubmitError> {
    let scores = relevance(engine, query, texts).await?;
    let mut order: Vec<(usize, f32)> = scores.into_iter().enumerate().collect();
    order.sort_by(|a, b| b.1.total_cmp(&a.1));
    Ok(order)
}

async fn relevance(
    engine: &Engine,
    query: &str,
    texts: &[String],
) -> Result<Vec<f32>, SubmitError> {
    let info = engine.info();
    let mut inputs = Vec::with_capacity(texts.len());
    for text in texts {
        let pair = engine.encode_text(query.to_owned(), Some(text.clone()), None).await?;
        if pair.ids.len() > info.limits.context_length {
            let message = format!(
                "query and a passage have {} tokens together, and {} reads {}; shorten the query \
                 or search without a reranker",
                pair.ids.len(),
                info.id,
                info.limits.context_length
            );
            return Err(SubmitError::invalid("query", message));
        }
        inputs.push(pair);
    }
    if inputs.is_empty() {
        return Ok(Vec::new());
    }
    let found = engine.predict(PredictionRequest { inputs }).await?.scores;
    let scores: Vec<f32> =
        found.iter().filter_map(|row| row.first()).map(|x| logistic(*x)).collect();
    match scores.len() == texts.len() {
        true => Ok(scores),
        false => Err(SubmitError::Failed("scores are missing".to_owned())),
    }
}

fn logistic(x: f32) -> f32 {
    (1.0 / (1.0 + (-f64::from(x)).exp())) as f32
}
