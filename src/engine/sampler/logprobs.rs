//! How likely the model itself found a token.

use super::super::request::TokenLogprob;
use super::top;
use crate::backend::kernels::softmax::softmax_weights;

/// The log probabilities of `token` and of the `n` most likely ones.
pub fn of(logits: &[f32], token: u32, n: usize, weights: &mut Vec<f32>) -> TokenLogprob {
    // The caller knows that some logit is finite.
    let max = top::highest(logits).unwrap_or(0.0);
    let mut sum = 0.0;
    softmax_weights(logits, max, 1.0, weights, &mut sum);
    let log_sum = sum.ln();
    let logprob = |logit: f32| (f64::from(logit - max) - log_sum) as f32;
    TokenLogprob {
        token,
        logprob: logits.get(token as usize).map_or(f32::NEG_INFINITY, |&l| logprob(l)),
        top: top::largest(logits, n).into_iter().map(|(l, id)| (id, logprob(l))).collect(),
    }
}
