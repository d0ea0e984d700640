//! With products of matrices of bytes: two rows of a tile and two of
//! activations make four sums, eight columns at a time.
//!
//! Eight rows of a tile are computed with all rows of the group, whose pairs
//! share what it costs to unpack weights and to bring eight columns together.

use std::arch::aarch64::*;

use super::{check, halves, kernel_dotprod, vector};
use crate::backend::kernels::arm::multiply_pairs;
use crate::backend::kernels::packed::matmul::{Results, Work};
use crate::backend::kernels::packed::{BLOCK, Format, format};

/// Computes the rows of a group for up to two tiles.
///
/// # Safety
/// The machine has products of matrices and dot products of bytes.
pub unsafe fn kernel(work: &Work<'_>, results: &mut Results) {
    if work.group.rows == 1 {
        // SAFETY: by the caller's promise.
        return unsafe { kernel_dotprod(work, results) };
    }
    check(work);
    for place in (0..work.tiles.len()).flat_map(|t| [(t, 0), (t, 1)]) {
        macro_rules! dispatch {
            ($format:ident) => {
                // SAFETY: the caller's promise; lengths were checked.
                unsafe {
                    const F: u8 = Format::$format as u8;
                    match work.group.rows {
                        ..=2 => rows::<F, 1>(work, place, results),
                        3..=4 => rows::<F, 2>(work, place, results),
                        _ => rows::<F, 3>(work, place, results),
                    }
                }
            };
        }
        for_format!(work.format, dispatch);
    }
}

/// `[a, b, a, b]`
#[inline(always)]
unsafe fn alternate(a: f32, b: f32) -> float32x4_t {
    // SAFETY: every 64-bit ARM has NEON.
    unsafe {
        let pair = vset_lane_f32::<1>(b, vdup_n_f32(a));
        vcombine_f32(pair, pair)
    }
}

/// Eight f16, each twice.
#[inline(always)]
unsafe fn doubled_halves(at: *const u8) -> [float32x4_t; 4] {
    // SAFETY: by the caller's promise.
    unsafe {
        let [a, b] = [halves(at), halves(at.add(8))];
        [vzip1q_f32(a, a), vzip2q_f32(a, a), vzip1q_f32(b, b), vzip2q_f32(b, b)]
    }
}

/// `NP` pairs of rows, of which the last may be twice the same row, for rows
/// 0-7 or 8-15 of a tile.
#[target_feature(enable = "neon,i8mm")]
unsafe fn rows<const F: u8, const NP: usize>(
    work: &Work<'_>,
    (t, half): (usize, usize),
    results: &mut Results,
) {
    let shape = const { format::<F>() };
    let all = work.group.rows;
    // SAFETY: every pointer stays in the tile or in the rows of the group.
    unsafe {
        let tile = work.tiles[t].as_ptr();
        let mut pairs = [[0; 2]; NP];
        for (p, pair) in pairs.iter_mut().enumerate() {
            *pair = [2 * p, (2 * p + 1).min(all - 1)];
        }
        let mut sums = [[vdupq_n_f32(0.0); 4]; NP];
        let mut q = work.group.q.as_ptr();
        let mut steps = work.group.steps.as_ptr();
        for b in 0..work.columns / BLOCK {
            if half == 0 {
                work.ahead.ask(tile, b);
            }
            let (weights_at, scales_at) = shape.block_at(b);
            let weights = tile.add(weights_at);
            let mut dots = [[vdupq_n_s32(0); 4]; NP];
            // Starting at minus the zero point times Σq takes the zero point out.
            macro_rules! start {
                ($step:ident => $minus:expr) => {
                    if let Some(shift) = shape.zero_shift() {
                        for p in 0..NP {
                            let minus = pairs[p].map(|m| {
                                let $step = *steps.add(m);
                                $minus << shift
                            });
                            let pair = vset_lane_s32::<1>(minus[1], vdup_n_s32(minus[0]));
                            dots[p] = [vcombine_s32(pair, pair); 4];
                        }
                    }
                };
            }
            // Eight columns each: two groups.
            macro_rules! columns {
                ($($c:literal)*) => { $(
                    let mut w = [vdupq_n_u8(0); 4];
                    for v in 0..2 {
                        let a = vector::<F>(weights, 2 * $c, 2 * half + v);
                        let b = vector::<F>(weights, 2 * $c + 1, 2 * half + v);
                        let (a, b) = (vreinterpretq_u32_u8(a), vreinterpretq_u32_u8(b));
                        w[2 * v] = vreinterpretq_u8_u32(vzip1q_u32(a, b));
                        w[2 * v + 1] = vreinterpretq_u8_u32(vzip2q_u32(a, b));
                    }
                    for p in 0..NP {
                        let [a, b] = pairs[p].map(|m| vld1_s8(q.add(m * BLOCK + $c * 8)));
                        let x = vcombine_s8(a, b);
                        for i in 0..4 {
                            dots[p][i] = multiply_pairs(dots[p][i], w[i], x);
                        }
                    }
                )* };
            }
            macro_rules! add {
                ($slot:literal) => {
                    let s = doubled_halves(tile.add(scales_at + $slot * 32 + half * 16));
                    for p in 0..NP {
                        let [a, b] = pairs[p].map(|m| (*steps.add(m)).scale);
                        let by = alternate(a, b);
                        for i in 0..4 {
                            let dot = vcvtq_f32_s32(dots[p][i]);
                            sums[p][i] = vfmaq_f32(sums[p][i], dot, vmulq_f32(s[i], by));
                        }
                    }
                };
            }
            if shape.has_halves() {
                start!(step => step.minus_low);
                columns!(0 1);
                add!(0);
                start!(step => step.minus_high());
                columns!(2 3);
                add!(1);
            } else {
                start!(step => step.minus);
                columns!(0 1 2 3);
                add!(0);
                if shape.zero_shift().is_none() {
                    let offsets = doubled_halves(tile.add(scales_at + 32 + half * 16));
                    for p in 0..NP {
                        let [a, b] = pairs[p].map(|m| (*steps.add(m)).weighted);
                        let weighted = alternate(a, b);
                        for i in 0..4 {
                            sums[p][i] = vfmaq_f32(sums[p][i], offsets[i], weighted);
                        }
                    }
                }
            }
            q = q.wrapping_add(all * BLOCK);
            steps = steps.wrapping_add(all);
        }
        for p in 0..NP {
            let [first, second] = pairs[p];
            for v in 0..2 {
                let (a, b) = (sums[p][2 * v], sums[p][2 * v + 1]);
                let at = half * 8 + v * 4;
                // Where both are the same row, so are the results.
                vst1q_f32(results[first][t].as_mut_ptr().add(at), vuzp1q_f32(a, b));
                vst1q_f32(results[second][t].as_mut_ptr().add(at), vuzp2q_f32(a, b));
            }
        }
    }
}
