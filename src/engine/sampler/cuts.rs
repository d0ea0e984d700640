//! Temperature, the cuts that leave out unlikely tokens, and the draw.

use super::super::request::SamplingParams;
use super::top;
use crate::backend::kernels::softmax::softmax_weights;

/// A token from the distribution that temperature, top-k, typical-p, top-p and
/// min-p leave, in that order, at `uniform` in [0, 1) of its cumulative sum,
/// the most likely token first. Without cuts the order is that of the ids.
///
/// `None` if no logit is finite.
pub fn draw(
    p: &SamplingParams,
    logits: &[f32],
    uniform: f64,
    weights: &mut Vec<f32>,
) -> Option<u32> {
    let max = top::highest(logits)?;
    let mut sum = 0.0;
    softmax_weights(logits, max, 1.0 / p.temperature, weights, &mut sum);
    let top_k = p.top_k > 0 && p.top_k < logits.len();
    if !top_k && p.typical_p >= 1.0 && p.top_p >= 1.0 && p.min_p <= 0.0 {
        return at(weights.iter().copied().zip(0..), uniform * sum);
    }
    // The likeliest weighs 1.
    let mut kept = if top_k {
        top::largest(weights, p.top_k)
    } else if p.typical_p < 1.0 {
        top::at_least(weights, f32::MIN_POSITIVE)
    } else {
        // What is below the first bound weighs less than 1 - top_p together,
        // so the smallest set that reaches top_p has none of it; what is below
        // the second is cut by min-p.
        let bound = sum * f64::from(1.0 - p.top_p) / logits.len() as f64;
        top::at_least(weights, (bound as f32).max(p.min_p).max(f32::MIN_POSITIVE))
    };
    if top_k {
        sum = total(&kept);
    }
    if p.typical_p < 1.0 {
        typical(&mut kept, sum, p.typical_p);
        sum = total(&kept);
    }
    kept.sort_unstable_by(top::by_value);
    if p.top_p < 1.0 {
        smallest_set(&mut kept, sum * f64::from(p.top_p));
    }
    let least = kept.first()?.0 * p.min_p;
    kept.retain(|k| k.0 >= least);
    let sum = total(&kept);
    at(kept.into_iter(), uniform * sum)
}

fn total(kept: &[(f32, u32)]) -> f64 {
    kept.iter().map(|k| f64::from(k.0)).sum()
}

/// The token at which the cumulative sum passes `left`.
fn at(kept: impl Iterator<Item = (f32, u32)>, mut left: f64) -> Option<u32> {
    let mut last = None;
    for (weight, id) in kept {
        if weight > 0.0 {
            last = Some(id);
            left -= f64::from(weight);
            if left < 0.0 {
                break;
            }
        }
    }
    last
}

/// Keeps the first that together reach `enough`; at least one.
fn smallest_set(kept: &mut Vec<(f32, u32)>, enough: f64) {
    let mut reached = 0.0;
    let mut len = 0;
    while reached < enough && len < kept.len() {
        reached += f64::from(kept[len].0);
        len += 1;
    }
    kept.truncate(len.max(1));
}

/// Keeps the tokens whose surprise is closest to the expected one until they
/// have `mass` of the probability: locally typical sampling (arXiv:2202.00666).
fn typical(kept: &mut Vec<(f32, u32)>, sum: f64, mass: f32) {
    let surprise = |weight: f32| -(f64::from(weight) / sum).ln();
    let entropy: f64 = kept.iter().map(|k| f64::from(k.0) / sum * surprise(k.0)).sum();
    let distance = |k: &(f32, u32)| (surprise(k.0) - entropy).abs();
    kept.sort_by(|a, b| distance(a).total_cmp(&distance(b)).then(a.1.cmp(&b.1)));
    smallest_set(kept, sum * f64::from(mass));
}
