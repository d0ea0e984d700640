//! The kernels with AVX-512 VNNI, where one `vpdpwssd` multiplies two columns
//! of sixteen rows, and with AVX2.

use std::arch::x86_64::*;

use super::{PAIR_BYTES, SPAN, SPAN_BYTES, scales_at, tile_bytes};
use crate::backend::kernels::packed::BLOCK;
use crate::backend::kernels::packed::matmul::{PAIR, Results, VECTOR_ROWS, Work};

/// Everything that the kernels rely on when they read.
fn check(work: &Work<'_>) {
    let (group, columns) = (&work.group, work.columns);
    assert!((1..=VECTOR_ROWS).contains(&group.rows) && (1..=PAIR).contains(&work.tiles.len()));
    assert!(work.tiles.iter().all(|t| t.len() >= tile_bytes(columns)));
    assert!(group.wide.len() >= group.rows * columns);
    assert!(group.wide_scales.len() >= group.rows * columns.div_ceil(SPAN));
}

/// Computes the rows of a group for up to two tiles.
///
/// # Safety
/// The machine has AVX-512 F and VNNI.
pub unsafe fn vnni(work: &Work<'_>, results: &mut Results) {
    check(work);
    macro_rules! dispatch {
        ($($rows:literal)*) => {
            // SAFETY: the caller's promise, and what was checked.
            unsafe {
                match (work.tiles.len(), work.group.rows) {
                    $(
                        (2, $rows) => wide::<2, $rows>(work, results),
                        (_, $rows) => wide::<1, $rows>(work, results),
                    )*
                    _ => unreachable!("a group has one to six rows"),
                }
            }
        };
    }
    dispatch!(1 2 3 4 5 6);
}

#[target_feature(enable = "avx512f,avx512vnni")]
unsafe fn wide<const NT: usize, const MR: usize>(work: &Work<'_>, results: &mut Results) {
    let mut sums = [[_mm512_setzero_ps(); MR]; NT];
    // SAFETY: every pointer stays in its tile or in the rows of the group.
    unsafe {
        let mut tiles = [std::ptr::null::<u8>(); NT];
        for (tile, bytes) in tiles.iter_mut().zip(work.tiles) {
            *tile = bytes.as_ptr();
        }
        let mut x = work.group.wide.as_ptr();
        let mut by = work.group.wide_scales.as_ptr();
        let mut left = work.columns;
        let mut first = 0;
        while left > 0 {
            let columns = left.min(SPAN);
            let mut dots = [[_mm512_setzero_si512(); MR]; NT];
            for block in 0..columns / BLOCK {
                work.tiles.iter().for_each(|tile| work.ahead.ask(tile.as_ptr(), first + block));
                let at = block * (BLOCK / 2 * PAIR_BYTES);
                macro_rules! pairs {
                    ($($p:literal)*) => { $(
                        let mut w = [_mm512_setzero_si512(); NT];
                        for t in 0..NT {
                            w[t] = _mm512_load_si512(tiles[t].add(at + $p * PAIR_BYTES).cast());
                        }
                        for m in 0..MR {
                            let two = x.add(m * BLOCK + 2 * $p).cast::<i32>();
                            let x = _mm512_set1_epi32(two.read_unaligned());
                            for t in 0..NT {
                                dots[t][m] = _mm512_dpwssd_epi32(dots[t][m], w[t], x);
                            }
                        }
                    )* };
                }
                pairs!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
                x = x.add(MR * BLOCK);
            }
            for t in 0..NT {
                let scale = _mm512_load_ps(tiles[t].add(scales_at(columns)).cast());
                for m in 0..MR {
                    let scale = _mm512_mul_ps(scale, _mm512_set1_ps(*by.add(m)));
                    sums[t][m] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dots[t][m]), scale, sums[t][m]);
                }
                tiles[t] = tiles[t].wrapping_add(SPAN_BYTES);
            }
            by = by.add(MR);
            first += SPAN / BLOCK;
            left -= columns;
        }
        for (m, row) in results.iter_mut().enumerate().take(MR) {
            for t in 0..NT {
                _mm512_storeu_ps(row[t].as_mut_ptr(), sums[t][m]);
            }
        }
    }
}

/// The same with AVX2.
///
/// # Safety
/// The machine has AVX2 and FMA.
pub unsafe fn avx2(work: &Work<'_>, results: &mut Results) {
    check(work);
    macro_rules! dispatch {
        ($($rows:literal)*) => {
            for t in 0..work.tiles.len() {
                // SAFETY: the caller's promise, and what was checked.
                unsafe {
                    match work.group.rows {
                        $($rows => narrow::<$rows>(work, t, results),)*
                        _ => unreachable!("a group has one to six rows"),
                    }
                }
            }
        };
    }
    dispatch!(1 2 3 4 5 6);
}

/// `MR` rows for one tile, two vectors of eight. Dot products of six rows take
/// all registers but four, so that weights are read once for all of them; sums
/// of spans wait in memory.
#[target_feature(enable = "avx2,fma")]
unsafe fn narrow<const MR: usize>(work: &Work<'_>, t: usize, results: &mut Results) {
    let mut sums = [[_mm256_setzero_ps(); 2]; MR];
    // SAFETY: every pointer stays in the tile or in the rows of the group, but
    // for those of what is only asked for.
    unsafe {
        let mut tile = work.tiles[t].as_ptr();
        let mut x = work.group.wide.as_ptr();
        let mut by = work.group.wide_scales.as_ptr();
        let mut first = 0;
        let mut left = work.columns;
        while left > 0 {
            let columns = left.min(SPAN);
            let mut dots = [[_mm256_setzero_si256(); 2]; MR];
            for block in 0..columns / BLOCK {
                work.ahead.ask(work.tiles[t].as_ptr(), first + block);
                for p in 0..BLOCK / 2 {
                    let at = tile.add((block * (BLOCK / 2) + p) * PAIR_BYTES).cast::<__m256i>();
                    let w = [_mm256_load_si256(at), _mm256_load_si256(at.add(1))];
                    for m in 0..MR {
                        let two = x.add(m * BLOCK + 2 * p).cast::<i32>();
                        let x = _mm256_set1_epi32(two.read_unaligned());
                        for h in 0..2 {
                            let products = _mm256_madd_epi16(w[h], x);
                            dots[m][h] = _mm256_add_epi32(dots[m][h], products);
                        }
                    }
                }
                x = x.wrapping_add(MR * BLOCK);
            }
            let scales = tile.add(scales_at(columns)).cast::<f32>();
            for h in 0..2 {
                let scale = _mm256_load_ps(scales.add(h * 8));
                for m in 0..MR {
                    let scale = _mm256_mul_ps(scale, _mm256_set1_ps(*by.add(m)));
                    let dot = _mm256_cvtepi32_ps(dots[m][h]);
                    sums[m][h] = _mm256_fmadd_ps(dot, scale, sums[m][h]);
                }
            }
            tile = tile.wrapping_add(SPAN_BYTES);
            by = by.wrapping_add(MR);
            first += SPAN / BLOCK;
            left -= columns;
        }
        for (m, row) in results.iter_mut().enumerate().take(MR) {
            let to = row[t].as_mut_ptr();
            _mm256_storeu_ps(to, sums[m][0]);
            _mm256_storeu_ps(to.add(8), sums[m][1]);
        }
    }
}
