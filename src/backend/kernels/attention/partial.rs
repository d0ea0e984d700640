//! What some keys contribute to some rows.

use super::lines::Lines;
use crate::backend::kernels::math::exp;

/// A softmax that is not yet divided by its sum. Rows are
/// r = row * group + head.
// Apart from each other: different threads write them.
#[repr(align(128))]
#[derive(Debug, Default)]
pub struct Partial {
    /// Highest score of each row.
    pub max: Vec<f32>,
    /// Sum of each row's weights exp(score - max).
    pub sum: Vec<f32>,
    out: Lines,
    width: usize,
}

impl Partial {
    /// No keys yet, for so many rows of heads of `head_dim`.
    pub fn clear(&mut self, rows: usize, head_dim: usize) {
        self.max.clear();
        self.max.resize(rows, f32::NEG_INFINITY);
        self.sum.clear();
        self.sum.resize(rows, 0.0);
        self.width = head_dim.next_multiple_of(16);
        self.out.f32s(rows * self.width).fill(0.0);
    }

    /// Weighted sums of the values of some rows, each as wide as whole vectors.
    #[inline(always)]
    pub fn out(&mut self, first: usize, rows: usize) -> &mut [f32] {
        let (start, len) = (first * self.width, rows * self.width);
        &mut self.out.f32s(start + len)[start..]
    }

    /// Adds what later keys contribute.
    #[inline(always)]
    pub fn merge(&mut self, later: &mut Self) {
        for r in 0..self.max.len() {
            if later.max[r] == f32::NEG_INFINITY {
                continue;
            }
            let max = self.max[r].max(later.max[r]);
            let old = if self.max[r] == f32::NEG_INFINITY { 0.0 } else { exp(self.max[r] - max) };
            let new = exp(later.max[r] - max);
            self.max[r] = max;
            self.sum[r] = self.sum[r] * old + later.sum[r] * new;
            for (o, l) in self.out(r, 1).iter_mut().zip(later.out(r, 1)) {
                *o = *o * old + *l * new;
            }
        }
    }
}
