//! The kernels with AVX-512 VNNI: one `vpdpbusd` multiplies four columns of
//! sixteen rows.

use std::arch::x86_64::*;

use super::matmul::{MAX_ROWS, PAIR, Results, Work};
use super::{BLOCK, Format};

const FOUR: u8 = 0;
const FIVE: u8 = 1;
const EIGHT: u8 = 2;
const HALVES: u8 = 3;

/// Computes `work.rows` rows of up to two tiles.
///
/// # Safety
/// The machine has AVX-512 F, BW and VNNI.
pub unsafe fn kernel(work: &Work<'_>, results: &mut Results) {
    macro_rules! dispatch {
        ($format:ident) => {
            // SAFETY: the caller's promise; `tiles` and `rows` are in range.
            unsafe {
                match (work.tiles.len(), work.rows) {
                    (2, 1) => rows::<$format, 2, 1>(work, results),
                    (2, 2) => rows::<$format, 2, 2>(work, results),
                    (2, 3) => rows::<$format, 2, 3>(work, results),
                    (2, 4) => rows::<$format, 2, 4>(work, results),
                    (2, 5) => rows::<$format, 2, 5>(work, results),
                    (2, 6) => rows::<$format, 2, 6>(work, results),
                    (_, 1) => rows::<$format, 1, 1>(work, results),
                    (_, 2) => rows::<$format, 1, 2>(work, results),
                    (_, 3) => rows::<$format, 1, 3>(work, results),
                    (_, 4) => rows::<$format, 1, 4>(work, results),
                    (_, 5) => rows::<$format, 1, 5>(work, results),
                    _ => rows::<$format, 1, 6>(work, results),
                }
            }
        };
    }
    debug_assert!((1..=MAX_ROWS).contains(&work.rows) && (1..=PAIR).contains(&work.tiles.len()));
    match work.format {
        Format::Four => dispatch!(FOUR),
        Format::Five => dispatch!(FIVE),
        Format::Eight => dispatch!(EIGHT),
        Format::EightHalves => dispatch!(HALVES),
    }
}

/// The 64 stored weights of group `g` of the block at `w`.
#[target_feature(enable = "avx512f,avx512bw")]
#[inline]
unsafe fn group<const F: u8>(w: *const u8, g: usize) -> __m512i {
    // SAFETY: the block holds 8 groups, or 4 of nibbles and 8 masks.
    unsafe {
        if F == EIGHT || F == HALVES {
            return _mm512_load_si512(w.add(g * 64).cast());
        }
        let v = _mm512_load_si512(w.add((g & 3) * 64).cast());
        let low = _mm512_set1_epi8(15);
        let n = match g < 4 {
            true => _mm512_and_si512(v, low),
            false => _mm512_and_si512(_mm512_srli_epi16::<4>(v), low),
        };
        if F == FIVE {
            let fifth = w.add(256 + g * 8).cast::<u64>().read_unaligned();
            _mm512_mask_add_epi8(n, fifth, n, _mm512_set1_epi8(16))
        } else {
            n
        }
    }
}

#[target_feature(enable = "avx512f")]
#[inline]
unsafe fn halves(at: *const u8) -> __m512 {
    // SAFETY: sixteen f16 stand there.
    unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(at.cast())) }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn rows<const F: u8, const NT: usize, const MR: usize>(
    work: &Work<'_>,
    results: &mut Results,
) {
    let (weight_bytes, scale_bytes) = (work.format.weight_bytes(), work.format.scale_bytes());
    let a = work.activations;
    let mut acc = [[_mm512_setzero_ps(); MR]; NT];
    // SAFETY: every pointer stays in its tile or in the rows of the
    // activations: `blocks` blocks of 32 columns each.
    unsafe {
        let mut tiles = [std::ptr::null::<u8>(); NT];
        for (tile, bytes) in tiles.iter_mut().zip(work.tiles) {
            *tile = bytes.as_ptr();
        }
        let q = a.q.as_ptr().add(work.first_row * a.columns);
        let steps = a.scales.as_ptr().add(work.first_row * work.blocks);
        let sums = a.sums.as_ptr().add(work.first_row * work.blocks);
        for b in 0..work.blocks {
            let mut dots = [[_mm512_setzero_si512(); MR]; NT];
            if F == EIGHT {
                // Weights are stored plus 128: starting at -128 Σq takes it out.
                for m in 0..MR {
                    let start = _mm512_set1_epi32(*sums.add(m * work.blocks + b) * -128);
                    for dots in &mut dots {
                        dots[m] = start;
                    }
                }
            }
            macro_rules! columns {
                ($($g:literal)*) => { $(
                    // No closure here: a function without these target
                    // features could not be inlined around it.
                    let mut w = [_mm512_setzero_si512(); NT];
                    for t in 0..NT {
                        w[t] = group::<F>(tiles[t].add(b * weight_bytes), $g);
                    }
                    for m in 0..MR {
                        let four = q.add(m * a.columns + b * BLOCK + $g * 4).cast::<i32>();
                        let x = _mm512_set1_epi32(four.read_unaligned());
                        for t in 0..NT {
                            dots[t][m] = _mm512_dpbusd_epi32(dots[t][m], w[t], x);
                        }
                    }
                )* };
            }
            let scales = |t: usize| tiles[t].add(work.blocks * weight_bytes + b * scale_bytes);
            if F == HALVES {
                // Each half's own offset: 128 times the sum of its columns.
                for m in 0..MR {
                    let (low, _) = half_sums(q.add(m * a.columns + b * BLOCK));
                    let start = _mm512_set1_epi32(low * -128);
                    for dots in &mut dots {
                        dots[m] = start;
                    }
                }
                columns!(0 1 2 3);
                for t in 0..NT {
                    let s = halves(scales(t));
                    for m in 0..MR {
                        let step = _mm512_set1_ps(*steps.add(m * work.blocks + b));
                        let dot = _mm512_cvtepi32_ps(dots[t][m]);
                        acc[t][m] = _mm512_fmadd_ps(dot, _mm512_mul_ps(s, step), acc[t][m]);
                    }
                }
                for m in 0..MR {
                    let (_, high) = half_sums(q.add(m * a.columns + b * BLOCK));
                    let start = _mm512_set1_epi32(high * -128);
                    for dots in &mut dots {
                        dots[m] = start;
                    }
                }
                columns!(4 5 6 7);
            } else {
                columns!(0 1 2 3 4 5 6 7);
            }
            for t in 0..NT {
                let s = halves(scales(t).add(if F == HALVES { 32 } else { 0 }));
                let offset = match F == FOUR || F == FIVE {
                    true => halves(scales(t).add(32)),
                    false => s,
                };
                for m in 0..MR {
                    let i = m * work.blocks + b;
                    let step = *steps.add(i);
                    let scale = _mm512_mul_ps(s, _mm512_set1_ps(step));
                    acc[t][m] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dots[t][m]), scale, acc[t][m]);
                    if F == FOUR || F == FIVE {
                        let sum = _mm512_set1_ps(*sums.add(i) as f32 * step);
                        acc[t][m] = _mm512_fmadd_ps(offset, sum, acc[t][m]);
                    }
                }
            }
        }
        for (m, row) in results.iter_mut().enumerate().take(MR) {
            for t in 0..NT {
                _mm512_storeu_ps(row[t].as_mut_ptr(), acc[t][m]);
            }
        }
    }
}

/// Sums of columns 0-15 and of 16-31.
#[inline]
unsafe fn half_sums(q: *const i8) -> (i32, i32) {
    // SAFETY: 32 columns stand there.
    let q = unsafe { std::slice::from_raw_parts(q, BLOCK) };
    let sum = |q: &[i8]| q.iter().map(|&x| i32::from(x)).sum();
    (sum(&q[..16]), sum(&q[16..]))
}
