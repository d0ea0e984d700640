//! `Two` with NEON, with or without dot products of bytes.

use std::arch::aarch64::*;

use super::{BLOCK, places};
use crate::backend::kernels::packed::matmul::{Results, Work};
use crate::backend::kernels::packed::neon::dots::{Bytes, Dots, Pairs};
use crate::backend::kernels::packed::neon::{VECTORS, halves, next_rows};

/// Lets `$rows` compute all rows of a group.
macro_rules! all_rows {
    ($rows:ident, $work:ident, $results:ident) => {
        for t in 0..$work.tiles.len() {
            let mut first = 0;
            while first < $work.group.rows {
                let some = next_rows($work.group.rows - first, 3);
                // SAFETY: by the caller's promise.
                unsafe {
                    match some {
                        1 => $rows::<1>($work, (t, first), $results),
                        2 => $rows::<2>($work, (t, first), $results),
                        _ => $rows::<3>($work, (t, first), $results),
                    }
                }
                first += some;
            }
        }
    };
}

/// # Safety
/// Tiles and rows are as long as the work says.
pub unsafe fn kernel(work: &Work<'_>, results: &mut Results) {
    all_rows!(rows, work, results);
}

/// # Safety
/// The machine has dot products of bytes; tiles and rows are as long as the work
/// says.
pub unsafe fn kernel_dotprod(work: &Work<'_>, results: &mut Results) {
    all_rows!(rows_dotprod, work, results);
}

unsafe fn rows<const MR: usize>(work: &Work<'_>, place: (usize, usize), results: &mut Results) {
    // SAFETY: by the caller's promise.
    unsafe { body::<Pairs, MR>(work, place, results) }
}

#[target_feature(enable = "neon,dotprod")]
unsafe fn rows_dotprod<const MR: usize>(
    work: &Work<'_>,
    place: (usize, usize),
    results: &mut Results,
) {
    // SAFETY: by the caller's promise.
    unsafe { body::<Bytes, MR>(work, place, results) }
}

/// `MR` rows from a first one on for one tile.
#[inline(always)]
unsafe fn body<D: Dots, const MR: usize>(
    work: &Work<'_>,
    (t, first): (usize, usize),
    results: &mut Results,
) {
    let all = work.group.rows;
    // SAFETY: every pointer stays in the tile or in the rows of the group.
    unsafe {
        let tile = work.tiles[t].as_ptr();
        let mut sums = [[vdupq_n_f32(0.0); VECTORS]; MR];
        for b in 0..work.columns / BLOCK {
            let [weights, nibbles, factors] = places(b);
            let steps = work.group.steps.as_ptr().add(b * all + first);
            for half in 0..2 {
                let q = work.group.q.as_ptr().add((b * all + first) * BLOCK + half * 16);
                let mut x = [vdupq_n_s8(0); MR];
                for m in 0..MR {
                    x[m] = vld1q_s8(q.add(m * BLOCK));
                }
                let bytes = vld1q_u8(tile.add(nibbles + half * 16));
                for v in 0..VECTORS {
                    let mut w = vld1q_u8(tile.add(weights + half * 64 + v * 16));
                    // Four products below 3 * 127 fit 16 bits.
                    let mut dots = [D::start(0); MR];
                    macro_rules! groups {
                        ($($lane:literal)*) => { $(
                            let two = vreinterpretq_s8_u8(vandq_u8(w, vdupq_n_u8(3)));
                            w = vshrq_n_u8::<2>(w);
                            for m in 0..MR {
                                dots[m].add::<$lane>(two, x[m]);
                            }
                        )* };
                    }
                    groups!(0 1 2 3);
                    let _ = w;
                    let [low, high] = four(bytes, v);
                    let s = vmulq_f32(low, halves(tile.add(factors + v * 8)));
                    let o = vmulq_f32(high, halves(tile.add(factors + 32 + v * 8)));
                    for m in 0..MR {
                        let step = *steps.add(m);
                        dots[m].widen();
                        let dot = vcvtq_f32_s32(dots[m].sums());
                        sums[m][v] = vfmaq_f32(sums[m][v], dot, vmulq_n_f32(s, step.scale));
                        let weighted = vdupq_n_f32(step.weighted_of(half));
                        sums[m][v] = vfmsq_f32(sums[m][v], o, weighted);
                    }
                }
            }
        }
        for (m, sums) in sums.into_iter().enumerate() {
            for (v, sums) in sums.into_iter().enumerate() {
                vst1q_f32(results[first + m][t].as_mut_ptr().add(v * 4), sums);
            }
        }
    }
}

/// The lower and the upper nibbles of bytes `4 v ..`.
#[inline(always)]
unsafe fn four(bytes: uint8x16_t, v: usize) -> [float32x4_t; 2] {
    // SAFETY: every 64-bit ARM has NEON.
    unsafe {
        let words = match v < 2 {
            true => vmovl_u8(vget_low_u8(bytes)),
            false => vmovl_high_u8(bytes),
        };
        let words = match v % 2 {
            0 => vmovl_u16(vget_low_u16(words)),
            _ => vmovl_high_u16(words),
        };
        let low = vcvtq_f32_u32(vandq_u32(words, vdupq_n_u32(15)));
        [low, vcvtq_f32_u32(vshrq_n_u32::<4>(words))]
    }
}
