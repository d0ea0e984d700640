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
            // No key was seen. Where none of the scores was a number the sum says so.
            if later.max[r] == f32::NEG_INFINITY && later.sum[r] == 0.0 {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn part(max: f32, sum: f32, out: f32) -> Partial {
        let mut part = Partial::default();
        part.clear(1, 16);
        (part.max[0], part.sum[0]) = (max, sum);
        part.out(0, 1).fill(out);
        part
    }

    #[test]
    fn what_is_no_number_stays_visible() {
        let nothing = || part(f32::NEG_INFINITY, 0.0, 0.0);
        let broken = || part(f32::NEG_INFINITY, f32::NAN, f32::NAN);
        for (mut first, mut later) in [
            (nothing(), broken()),
            (broken(), part(1.0, 2.0, 3.0)),
            (part(1.0, 2.0, 3.0), broken()),
            (broken(), broken()),
        ] {
            first.merge(&mut later);
            assert!(first.sum[0].is_nan() && first.out(0, 1)[0].is_nan());
        }
        let mut whole = nothing();
        whole.merge(&mut part(1.0, 2.0, 3.0));
        whole.merge(&mut nothing());
        assert_eq!((whole.max[0], whole.sum[0], whole.out(0, 1)[0]), (1.0, 2.0, 3.0));
    }
}
