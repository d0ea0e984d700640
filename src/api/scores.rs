//! From what a classifier says to numbers between 0 and 1.

use super::error::ApiError;
use crate::engine::{Engine, PredictionRequest, Predictions};
use crate::text::EncodedText;

/// The logistic function.
pub fn sigmoid(x: f32) -> f32 {
    (1.0 / (1.0 + (-f64::from(x)).exp())) as f32
}

/// Exponentials that sum to 1.
pub fn softmax(row: &mut [f32]) {
    let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut sum = 0f64;
    for x in row.iter_mut() {
        let e = f64::from(*x - largest).exp();
        sum += e;
        *x = e as f32;
    }
    row.iter_mut().for_each(|x| *x = (f64::from(*x) / sum) as f32);
}

/// The places of scores, largest score first, equal ones in order.
pub fn ranking(scores: &[f32]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    order
}

/// Asks the model about all of them.
pub async fn predict(engine: &Engine, inputs: Vec<EncodedText>) -> Result<Predictions, ApiError> {
    let count = inputs.len();
    let found = engine.predict(PredictionRequest { inputs }).await?;
    if found.scores.len() != count || found.scores.iter().any(Vec::is_empty) {
        tracing::error!(count, got = found.scores.len(), "scores are missing");
        return Err(ApiError::internal());
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_between_0_and_1() {
        assert_eq!(sigmoid(0.0), 0.5);
        assert_eq!((sigmoid(1000.0), sigmoid(-1000.0)), (1.0, 0.0));
        let mut row = [1000.0, 1000.0, -1000.0];
        softmax(&mut row);
        assert_eq!(row, [0.5, 0.5, 0.0]);
        assert_eq!(ranking(&[0.1, 0.9, 0.1, 0.5]), [1, 3, 0, 2]);
    }
}
