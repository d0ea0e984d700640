//! Normalisation of rows.

use std::ops::Range;

use super::math::{LANES, reduce};
use super::multiversion;
use super::team::{Parts, team};

/// What is done to a row.
#[derive(Debug, Clone, Copy)]
pub enum NormView<'a> {
    /// `x / rms(x) * weight` (arXiv:1910.07467).
    Rms { weight: &'a [f32], eps: f32 },
    /// `(x - mean) / std * weight + bias` (arXiv:1607.06450).
    Layer { weight: &'a [f32], bias: &'a [f32], eps: f32 },
}

/// What a norm of queries and keys is taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Over {
    /// Each head; with one head's weights for all, or with its own.
    Heads,
    /// All heads as one row (OLMo 2).
    Row,
}

impl<'a> NormView<'a> {
    /// The same of `len` columns from `first` on; weights of so many columns
    /// are those of all others too.
    pub fn columns(self, first: usize, len: usize) -> Self {
        let part = |all: &'a [f32]| {
            let first = first % all.len();
            &all[first..first + len]
        };
        match self {
            Self::Rms { weight, eps } => Self::Rms { weight: part(weight), eps },
            Self::Layer { weight, bias, eps } => {
                Self::Layer { weight: part(weight), bias: part(bias), eps }
            }
        }
    }
}

multiversion!(
    /// Writes the normalised `x` to `out`, of the same length as the weights.
    pub fn normalize(norm: NormView<'_>, x: &[f32], out: &mut [f32]) = body
);
multiversion!(
    /// Normalises a row where it stands.
    pub fn normalize_in_place(norm: NormView<'_>, row: &mut [f32]) = in_place
);

/// Normalises each row of `x` into `out`, on all threads.
pub fn normalize_rows(norm: NormView<'_>, x: &[f32], out: &mut [f32]) {
    each_row(norm, x.len(), out, |range, out| out.copy_from_slice(&x[range]));
}

/// Normalises each row of `a + b + row` into `out`, on all threads.
pub fn normalize_sums(norm: NormView<'_>, (a, b): (&[f32], &[f32]), row: &[f32], out: &mut [f32]) {
    assert_eq!(a.len(), b.len());
    each_row(norm, a.len(), out, |range, out| {
        let sums = a[range.clone()].iter().zip(&b[range]).zip(row);
        for (out, ((a, b), row)) in out.iter_mut().zip(sums) {
            *out = a + b + row;
        }
    });
}

/// Lets `fill` fill each row of `out` and normalises it.
fn each_row(
    norm: NormView<'_>,
    len: usize,
    out: &mut [f32],
    fill: impl Fn(Range<usize>, &mut [f32]) + Sync,
) {
    let width = match norm {
        NormView::Rms { weight, .. } | NormView::Layer { weight, .. } => weight.len(),
    };
    assert!(len == out.len() && len.is_multiple_of(width));
    let out = Parts::new(out);
    team().run(|member| {
        for r in member.share(len / width) {
            let range = r * width..(r + 1) * width;
            // SAFETY: shares are distinct.
            let row = unsafe { out.write(range.clone()) };
            fill(range, row);
            normalize_in_place(norm, row);
        }
    });
}

#[inline(always)]
fn body(norm: NormView<'_>, x: &[f32], out: &mut [f32]) {
    out.copy_from_slice(x);
    in_place(norm, out);
}

#[inline(always)]
fn in_place(norm: NormView<'_>, row: &mut [f32]) {
    let n = row.len() as f32;
    match norm {
        NormView::Rms { weight, eps } => {
            let inverse = 1.0 / (sum(row, |x| x * x) / n + eps).sqrt();
            for (x, w) in row.iter_mut().zip(weight) {
                *x = *x * inverse * w;
            }
        }
        NormView::Layer { weight, bias, eps } => {
            let mean = sum(row, |x| x) / n;
            let variance = sum(row, |x| (x - mean) * (x - mean)) / n;
            let inverse = 1.0 / (variance + eps).sqrt();
            for (x, (w, b)) in row.iter_mut().zip(weight.iter().zip(bias)) {
                *x = (*x - mean) * inverse * w + b;
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
