//! Weights of a softmax over a vocabulary, for sampling.

use super::math::{LANES, exp, reduce};
use super::multiversion;

/// Values summed in f32 before they join the sum in f64.
const PIECE: usize = 1024;

multiversion!(
    /// `weights[i] = exp((logits[i] - max) * scale)`, and their sum.
    ///
    /// `max` is the highest logit. Logits of -inf weigh nothing; NaN counts as -inf.
    pub fn softmax_weights(logits: &[f32], max: f32, scale: f32, weights: &mut Vec<f32>, sum: &mut f64)
        = softmax_weights_body
);

#[inline(always)]
fn softmax_weights_body(
    logits: &[f32],
    max: f32,
    scale: f32,
    weights: &mut Vec<f32>,
    sum: &mut f64,
) {
    weights.clear();
    weights.resize(logits.len(), 0.0);
    *sum = 0.0;
    for (logits, weights) in logits.chunks(PIECE).zip(weights.chunks_mut(PIECE)) {
        for (logit, weight) in logits.iter().zip(weights.iter_mut()) {
            let x = (logit - max) * scale;
            // exp() clamps; what is so unlikely must weigh nothing. NaN fails
            // the comparison too.
            *weight = if x > -80.0 { exp(x) } else { 0.0 };
        }
        let mut lanes = [0f32; LANES];
        let whole = weights.chunks_exact(LANES);
        let tail: f32 = whole.remainder().iter().sum();
        for chunk in whole {
            for l in 0..LANES {
                lanes[l] += chunk[l];
            }
        }
        *sum += f64::from(reduce(lanes, |a, b| a + b) + tail);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_those_of_the_definition() {
        let mut logits: Vec<f32> =
            (0..5003).map(|i| ((i * 37) % 1000) as f32 * 0.02 - 7.0).collect();
        logits[17] = f32::NEG_INFINITY;
        logits[18] = f32::NAN;
        let max = 12.98;
        let (mut weights, mut sum) = (vec![], 0.0);
        softmax_weights(&logits, max, 1.25, &mut weights, &mut sum);
        let expected: Vec<f64> = logits
            .iter()
            .map(|&l| if l.is_finite() { (f64::from(l - max) * 1.25).exp() } else { 0.0 })
            .collect();
        let total: f64 = expected.iter().sum();
        assert!((sum - total).abs() < 1e-6 * total);
        for (w, e) in weights.iter().zip(&expected) {
            assert!((f64::from(*w) - e).abs() <= 5e-6 * e, "{w} {e}");
        }
    }
}
