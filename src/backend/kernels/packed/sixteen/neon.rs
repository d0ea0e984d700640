//! The kernel with NEON: four columns' products are added at a time.

use std::arch::aarch64::*;

use super::{PAIR_BYTES, SPAN, SPAN_BYTES, scales_at, tile_bytes};
use crate::backend::kernels::packed::BLOCK;
use crate::backend::kernels::packed::matmul::{PAIR, Results, VECTOR_ROWS, Work};
use crate::backend::kernels::packed::neon::{VECTORS, next_rows};

/// Computes the rows of a group for up to two tiles.
pub fn kernel(work: &Work<'_>, results: &mut Results) {
    let (group, columns) = (&work.group, work.columns);
    assert!((1..=VECTOR_ROWS).contains(&group.rows) && (1..=PAIR).contains(&work.tiles.len()));
    assert!(work.tiles.iter().all(|t| t.len() >= tile_bytes(columns)));
    assert!(group.wide.len() >= group.rows * columns);
    assert!(group.wide_scales.len() >= group.rows * columns.div_ceil(SPAN));
    for t in 0..work.tiles.len() {
        let mut first = 0;
        while first < group.rows {
            let some = next_rows(group.rows - first, 3);
            // SAFETY: what was checked.
            unsafe {
                match some {
                    1 => rows::<1>(work, (t, first), results),
                    2 => rows::<2>(work, (t, first), results),
                    _ => rows::<3>(work, (t, first), results),
                }
            }
            first += some;
        }
    }
}

/// `MR` rows from a first one on for one tile.
unsafe fn rows<const MR: usize>(
    work: &Work<'_>,
    (t, first): (usize, usize),
    results: &mut Results,
) {
    let all = work.group.rows;
    // SAFETY: every pointer stays in the tile or in the rows of the group.
    unsafe {
        let mut sums = [[vdupq_n_f32(0.0); VECTORS]; MR];
        let mut tile = work.tiles[t].as_ptr();
        let mut x = work.group.wide.as_ptr().add(first * BLOCK);
        let mut by = work.group.wide_scales.as_ptr().add(first);
        let mut left = work.columns;
        while left > 0 {
            let columns = left.min(SPAN);
            let mut dots = [[vdupq_n_s32(0); VECTORS]; MR];
            for block in 0..columns / BLOCK {
                for eight in 0..BLOCK / 8 {
                    let at = tile.add((block * BLOCK + eight * 8) / 2 * PAIR_BYTES);
                    let mut xs = [vdupq_n_s16(0); MR];
                    for m in 0..MR {
                        xs[m] = vld1q_s16(x.add(m * BLOCK + eight * 8));
                    }
                    // Two columns of eight rows at a time, taken apart.
                    macro_rules! columns {
                        ($($pair:literal $even:literal $odd:literal),*) => { $(
                            for h in 0..2 {
                                let w = at.add($pair * PAIR_BYTES + h * 32).cast::<i16>();
                                let int16x8x2_t(even, odd) = vld2q_s16(w);
                                for m in 0..MR {
                                    let [low, high] = [dots[m][2 * h], dots[m][2 * h + 1]];
                                    let low = add_low::<$even>(low, even, xs[m]);
                                    let high = vmlal_high_laneq_s16::<$even>(high, even, xs[m]);
                                    dots[m][2 * h] = add_low::<$odd>(low, odd, xs[m]);
                                    dots[m][2 * h + 1] =
                                        vmlal_high_laneq_s16::<$odd>(high, odd, xs[m]);
                                }
                            }
                        )* };
                    }
                    columns!(0 0 1, 1 2 3, 2 4 5, 3 6 7);
                }
                x = x.wrapping_add(all * BLOCK);
            }
            let scales = tile.add(scales_at(columns)).cast::<f32>();
            for v in 0..VECTORS {
                let scale = vld1q_f32(scales.add(v * 4));
                for m in 0..MR {
                    let scale = vmulq_n_f32(scale, *by.add(m));
                    sums[m][v] = vfmaq_f32(sums[m][v], vcvtq_f32_s32(dots[m][v]), scale);
                }
            }
            tile = tile.wrapping_add(SPAN_BYTES);
            by = by.wrapping_add(all);
            left -= columns;
        }
        for (m, sums) in sums.into_iter().enumerate() {
            for (v, sums) in sums.into_iter().enumerate() {
                vst1q_f32(results[first + m][t].as_mut_ptr().add(v * 4), sums);
            }
        }
    }
}

/// Adds the products of the first four of `w` and lane `LANE` of `x`.
#[inline(always)]
unsafe fn add_low<const LANE: i32>(sums: int32x4_t, w: int16x8_t, x: int16x8_t) -> int32x4_t {
    // SAFETY: every 64-bit ARM has NEON.
    unsafe { vmlal_laneq_s16::<LANE>(sums, vget_low_s16(w), x) }
}
