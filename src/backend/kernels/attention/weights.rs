//! From scores to weights: one row over one tile of keys.

use super::multiply::PIECES;
use crate::backend::kernels::math::{exp, tanh};
use crate::backend::kernels::simd::Simd;

/// Scores of a row with a tile, and then its weights.
pub type Line = [[f32; 16]; PIECES];

/// A row's running maximum and sum.
#[derive(Debug, Clone, Copy)]
pub struct Running {
    pub max: f32,
    pub sum: f32,
    /// What is there already has to be multiplied by this.
    pub shrink: f32,
}

/// Turns the scores of keys `low..high` of the tile into weights, and those of
/// the others into zeros. Scores are capped, then get the bias of their keys,
/// which may be empty. With `PAIRS` weights become bf16, at the beginning of
/// the line.
#[inline(always)]
pub fn weigh<S: Simd, const PAIRS: bool>(
    line: &mut Line,
    (softcap, bias): (Option<f32>, &[f32]),
    (low, high): (usize, usize),
    before: (f32, f32),
) -> Running {
    let (max, sum) = before;
    if high <= low {
        line.as_flattened_mut().fill(0.0);
        return Running { max, sum, shrink: 1.0 };
    }
    if let Some(cap) = softcap {
        line.as_flattened_mut().iter_mut().for_each(|s| *s = cap * tanh(*s / cap));
    }
    line.as_flattened_mut().iter_mut().zip(bias).for_each(|(s, b)| *s += b);
    let mut scores = line.each_ref().map(S::load);
    if low > 0 || high < 16 * PIECES {
        for (n, scores) in scores.iter_mut().enumerate() {
            *scores = scores.only(low.saturating_sub(16 * n), high.saturating_sub(16 * n));
        }
    }
    // NaN is passed over here and comes back below: it must stay visible.
    let mut highest = S::splat(max);
    for scores in scores {
        highest = scores.or_higher(highest);
    }
    let new = highest.highest();
    let shrink = match max {
        // As exp says too, but most tiles do not raise the maximum.
        _ if max == new => 1.0,
        f32::NEG_INFINITY => 0.0,
        _ => exp(max - new),
    };
    let mut total = S::splat(0.0);
    for (n, scores) in scores.into_iter().enumerate() {
        let mut weights = scores.subtract(S::splat(new)).exp::<PAIRS>();
        match PAIRS {
            true => {
                // SAFETY: a line of f32 has room for as many bf16, and all
                // its scores were read.
                let narrow = unsafe { &mut *line.as_mut_ptr().cast::<[u16; 16]>().add(n) };
                weights.store_factors(narrow);
                // Only what is multiplied with is summed.
                weights = S::load_bf16(narrow);
            }
            false => weights.store(&mut line[n]),
        }
        total = total.add(weights);
    }
    Running { max: new, sum: sum * shrink + total.total(), shrink }
}
