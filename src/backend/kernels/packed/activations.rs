//! Activations as signed bytes, one scale for 32 columns.

use rayon::prelude::*;

use super::BLOCK;
use crate::backend::kernels::math::{LANES, reduce};
use crate::backend::kernels::multiversion;

/// Quantized rows: `x ≈ q * scale`, block by block.
pub struct Activations {
    pub columns: usize,
    /// (rows, columns)
    pub q: Vec<i8>,
    /// (rows, columns / 32)
    pub scales: Vec<f32>,
    /// Sums of each block's `q`: (rows, columns / 32).
    pub sums: Vec<i32>,
}

/// Rows one task takes.
const ROWS: usize = 4;

impl Activations {
    /// Quantizes `x` of (rows, columns); columns are a multiple of 32.
    pub fn new(x: &[f32], columns: usize) -> Self {
        let blocks = x.len() / BLOCK;
        let (mut q, mut scales, mut sums) =
            (vec![0i8; x.len()], vec![0f32; blocks], vec![0i32; blocks]);
        if x.len() <= ROWS * columns {
            quantize(x, &mut q, &mut scales, &mut sums);
        } else {
            let (n, b) = (ROWS * columns, ROWS * columns / BLOCK);
            x.par_chunks(n)
                .zip(q.par_chunks_mut(n))
                .zip(scales.par_chunks_mut(b).zip(sums.par_chunks_mut(b)))
                .for_each(|((x, q), (scales, sums))| quantize(x, q, scales, sums));
        }
        Self { columns, q, scales, sums }
    }
}

multiversion!(fn quantize(x: &[f32], q: &mut [i8], scales: &mut [f32], sums: &mut [i32]) = body);

#[inline(always)]
fn body(x: &[f32], q: &mut [i8], scales: &mut [f32], sums: &mut [i32]) {
    // 1.5 * 2^23: adding it rounds to the nearest integer, ties to even.
    const MAGIC: f32 = 12_582_912.0;
    const ZERO: i32 = MAGIC.to_bits() as i32;
    // Below it the inverse would overflow; such values count as 0.
    const TINY: f32 = 1e-30;
    let outputs = q.chunks_exact_mut(BLOCK).zip(scales.iter_mut().zip(sums));
    for (x, (q, (scale, sum))) in x.chunks_exact(BLOCK).zip(outputs) {
        let (mut lanes, mut taint) = ([0f32; LANES], [0f32; LANES]);
        for i in 0..LANES {
            let (a, b) = (x[i].abs(), x[i + LANES].abs());
            lanes[i] = if a > b { a } else { b };
            // 0, or NaN where a value is not finite.
            taint[i] = (x[i] + x[i + LANES]) * 0.0;
        }
        let highest = reduce(lanes, |a, b| if a > b { a } else { b });
        // A broken input stays visible in the result.
        *scale = highest / 127.0 + reduce(taint, |a, b| a + b);
        let inverse = if highest > TINY { 127.0 / highest } else { 0.0 };
        let mut total = 0i32;
        for (q, &x) in q.iter_mut().zip(x) {
            let rounded = ((x * inverse + MAGIC).to_bits() as i32).wrapping_sub(ZERO);
            *q = rounded as i8;
            total = total.wrapping_add(rounded);
        }
        *sum = total;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extremes_neither_panic_nor_hide() {
        let mut x = vec![0f32; 128];
        x[..32].fill(-6e-37);
        x[33] = f32::NAN;
        x[64] = f32::INFINITY;
        x[96] = 1e38;
        x[97] = -1e38;
        let a = Activations::new(&x, 128);
        assert_eq!((a.sums[0], a.q[0]), (0, 0));
        assert!(a.scales[1].is_nan() && a.scales[2].is_nan());
        assert_eq!((a.q[96], a.q[97], a.sums[3]), (127, -127, 0));
    }
}
