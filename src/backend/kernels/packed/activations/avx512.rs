//! The same with AVX-512: what is folded over a block, its highest number and
//! its sums, takes most of the time, and the compiler folds lane by lane.

use std::arch::is_x86_feature_detected as has;
use std::arch::x86_64::*;

use super::{Row, Step};
use crate::backend::kernels::instructions::{Instructions, allows};
use crate::backend::kernels::packed::sixteen::{self, SPAN};
use crate::backend::kernels::packed::{BLOCK, TINY};

/// Whether the machine has what the functions below are compiled for, and may
/// use it.
pub fn available() -> bool {
    allows(Instructions::Avx512)
        && has!("avx512f")
        && has!("avx512bw")
        && has!("avx512vl")
        && has!("avx512vnni")
}

/// The highest of the numbers whose greatest bits but for the sign these are, or
/// NaN: infinity and NaN have higher bits than all numbers.
#[inline(always)]
fn highest(bits: u32) -> f32 {
    let highest = f32::from_bits(bits);
    if highest.is_finite() { highest } else { f32::NAN }
}

#[inline(always)]
fn inverse(most: f32, highest: f32) -> f32 {
    // Not so for NaN, which stays visible in the scale.
    if highest > TINY { most / highest } else { 0.0 }
}

/// Rounds a row to bytes.
///
/// # Safety
/// They are [`available`]; the row is the caller's alone, see `Inputs::set`.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
pub unsafe fn bytes(x: &[f32], row: Row<'_>) {
    let (sign, ones) = (_mm512_set1_epi32(i32::MAX), _mm256_set1_epi8(1));
    for (b, x) in x.as_chunks::<BLOCK>().0.iter().enumerate() {
        let at = row.first + b * row.stride;
        // SAFETY: by the caller's promise; a block has two vectors of f32 and
        // one half of bytes.
        unsafe {
            let (q, step) =
                (row.q.write(at..at + BLOCK), row.steps.write(at / BLOCK..at / BLOCK + 1));
            let x = [0, 16].map(|half| _mm512_loadu_ps(x.as_ptr().add(half)));
            let bits = x.map(|x| _mm512_and_si512(_mm512_castps_si512(x), sign));
            let highest = highest(_mm512_reduce_max_epu32(_mm512_max_epu32(bits[0], bits[1])));
            let by = _mm512_set1_ps(inverse(127.0, highest));
            let [low, high] =
                x.map(|x| _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(_mm512_mul_ps(x, by))));
            let all = _mm256_set_m128i(high, low);
            _mm256_storeu_si256(q.as_mut_ptr().cast(), all);
            // Sums of four bytes, then of eight and of all sixteen of a half.
            let sums = _mm256_dpbusd_epi32(_mm256_setzero_si256(), ones, all);
            let sums = _mm256_add_epi32(sums, _mm256_shuffle_epi32::<0b01_00_11_10>(sums));
            let sums = _mm256_add_epi32(sums, _mm256_shuffle_epi32::<0b10_11_00_01>(sums));
            let low = _mm256_cvtsi256_si32(sums);
            let high = _mm_cvtsi128_si32(_mm256_extracti128_si256::<1>(sums));
            let scale = highest / 127.0;
            step[0] = Step {
                scale,
                weighted: (low + high) as f32 * scale,
                minus: -(low + high),
                minus_low: -low,
            };
        }
    }
}

/// Rounds a row to 15 bits.
///
/// # Safety
/// They are [`available`]; the row is the caller's alone.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
pub unsafe fn sixteens(x: &[f32], row: sixteen::Row<'_>) {
    let sign = _mm512_set1_epi32(i32::MAX);
    for (s, x) in x.chunks(SPAN).enumerate() {
        let blocks = x.as_chunks::<BLOCK>().0;
        // SAFETY: by the caller's promise; a block has two vectors of f32 and
        // two halves of 16-bit integers.
        unsafe {
            let mut bits = _mm512_setzero_si512();
            for half in blocks.as_flattened().as_chunks::<16>().0 {
                let half = _mm512_castps_si512(_mm512_loadu_ps(half.as_ptr()));
                bits = _mm512_max_epu32(bits, _mm512_and_si512(half, sign));
            }
            let highest = highest(_mm512_reduce_max_epu32(bits));
            let by = _mm512_set1_ps(inverse(sixteen::HIGHEST, highest));
            row.scales.put(row.scale + s * row.scale_stride, highest / sixteen::HIGHEST);
            for (b, block) in blocks.iter().enumerate() {
                let at = row.first + (s * (SPAN / BLOCK) + b) * row.stride;
                let q = row.q.write(at..at + BLOCK);
                for half in [0, 16] {
                    let x = _mm512_mul_ps(_mm512_loadu_ps(block.as_ptr().add(half)), by);
                    let rounded = _mm512_cvtepi32_epi16(_mm512_cvtps_epi32(x));
                    _mm256_storeu_si256(q.as_mut_ptr().add(half).cast(), rounded);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::kernels::team::Parts;

    const COLUMNS: usize = 96;

    fn row_of(x: &[f32], wide: bool) -> (Vec<i8>, Vec<Step>) {
        let (mut q, mut steps) = (vec![1i8; COLUMNS], vec![Step::default(); COLUMNS / BLOCK]);
        let row =
            Row { q: Parts::new(&mut q), steps: Parts::new(&mut steps), first: 0, stride: BLOCK };
        match wide {
            // SAFETY: the caller has asked; nobody else has the row.
            true => unsafe { bytes(x, row) },
            false => super::super::quantize(x, row),
        }
        (q, steps)
    }

    fn sixteens_of(x: &[f32], wide: bool) -> (Vec<i16>, Vec<f32>) {
        let (mut q, mut scales) = (vec![1i16; COLUMNS], vec![0f32; COLUMNS.div_ceil(SPAN)]);
        let row = sixteen::Row {
            q: Parts::new(&mut q),
            scales: Parts::new(&mut scales),
            first: 0,
            stride: BLOCK,
            scale: 0,
            scale_stride: 1,
        };
        match wide {
            // SAFETY: the caller has asked; nobody else has the row.
            true => unsafe { sixteens(x, row) },
            false => sixteen::quantize(x, row),
        }
        (q, scales)
    }

    #[test]
    fn they_round_as_the_others_do() {
        if !available() {
            return;
        }
        let mut x = vec![0f32; COLUMNS];
        for round in 0..200 {
            for (i, x) in x.iter_mut().enumerate() {
                let turn = ((i * 7919 + round * 104_729) % 10_007) as f32 / 10_007.0 - 0.5;
                *x = turn
                    * 10f32.powi((round as i32 % 60) - 33)
                    * if i % 5 == 0 { 0.0 } else { 1.0 };
            }
            assert_eq!(row_of(&x, true), row_of(&x, false), "{x:?}");
            assert_eq!(sixteens_of(&x, true), sixteens_of(&x, false), "{x:?}");
        }
        for broken in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            x[40] = broken;
            for wide in [true, false] {
                assert!(row_of(&x, wide).1[1].scale.is_nan());
                assert!(!row_of(&x, wide).1[0].scale.is_nan());
                assert!(sixteens_of(&x, wide).1[0].is_nan());
            }
        }
    }
}
