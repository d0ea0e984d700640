//! Normalisation of one row.

use super::math::{LANES, reduce};
use super::multiversion;

/// What is done to a row.
#[derive(Debug, Clone, Copy)]
pub enum NormView<'a> {
    /// `x / rms(x) * weight` (arXiv:1910.07467).
    Rms { weight: &'a [f32], eps: f32 },
    /// `(x - mean) / std * weight + bias` (arXiv:1607.06450).
    Layer { weight: &'a [f32], bias: &'a [f32], eps: f32 },
}

multiversion!(
    /// Writes the normalised `x` to `out`, of the same length as the weights.
    pub fn normalize(norm: NormView<'_>, x: &[f32], out: &mut [f32]) = body
);

#[inline(always)]
fn body(norm: NormView<'_>, x: &[f32], out: &mut [f32]) {
    let n = x.len() as f32;
    match norm {
        NormView::Rms { weight, eps } => {
            let inverse = 1.0 / (sum(x, |x| x * x) / n + eps).sqrt();
            for ((out, x), w) in out.iter_mut().zip(x).zip(weight) {
                *out = x * inverse * w;
            }
        }
        NormView::Layer { weight, bias, eps } => {
            let mean = sum(x, |x| x) / n;
            let variance = sum(x, |x| (x - mean) * (x - mean)) / n;
            let inverse = 1.0 / (variance + eps).sqrt();
            for ((out, x), (w, b)) in out.iter_mut().zip(x).zip(weight.iter().zip(bias)) {
                *out = (x - mean) * inverse * w + b;
            }
        }
    }
}

/// The sum of `f` over a row, in lanes: the order is fixed.
#[inline(always)]
fn sum(x: &[f32], f: impl Fn(f32) -> f32) -> f32 {
    let mut lanes = [0f32; LANES];
    let whole = x.chunks_exact(LANES);
    for (lane, x) in lanes.iter_mut().zip(whole.remainder()) {
        *lane = f(*x);
    }
    for chunk in whole {
        for l in 0..LANES {
            lanes[l] += f(chunk[l]);
        }
    }
    reduce(lanes, |a, b| a + b)
}
