//! The kernels with AVX-512 VNNI: one `vpdpbusd` multiplies four columns of
//! sixteen rows.

use std::arch::x86_64::*;

use super::matmul::{PAIR, Results, VECTOR_ROWS, Work};
use super::{BLOCK, Format, TABLE, format};

/// Computes the rows of a group for up to two tiles.
///
/// # Safety
/// The machine has AVX-512 F, BW and VNNI.
pub unsafe fn kernel(work: &Work<'_>, results: &mut Results) {
    macro_rules! dispatch {
        ($format:ident) => {
            // SAFETY: the caller's promise; `tiles` and `rows` are in range.
            unsafe {
                const F: u8 = Format::$format as u8;
                match (work.tiles.len(), work.group.rows) {
                    (2, 1) => rows::<F, 2, 1>(work, results),
                    (2, 2) => rows::<F, 2, 2>(work, results),
                    (2, 3) => rows::<F, 2, 3>(work, results),
                    (2, 4) => rows::<F, 2, 4>(work, results),
                    (2, 5) => rows::<F, 2, 5>(work, results),
                    (2, 6) => rows::<F, 2, 6>(work, results),
                    (_, 1) => rows::<F, 1, 1>(work, results),
                    (_, 2) => rows::<F, 1, 2>(work, results),
                    (_, 3) => rows::<F, 1, 3>(work, results),
                    (_, 4) => rows::<F, 1, 4>(work, results),
                    (_, 5) => rows::<F, 1, 5>(work, results),
                    _ => rows::<F, 1, 6>(work, results),
                }
            }
        };
    }
    let Work { tiles, group, columns, .. } = work;
    assert!((1..=VECTOR_ROWS).contains(&group.rows) && (1..=PAIR).contains(&tiles.len()));
    let blocks = columns / BLOCK;
    assert!(tiles.iter().all(|t| t.len() >= blocks.div_ceil(2) * work.format.pair_bytes()));
    assert!(group.q.len() >= group.rows * columns && group.steps.len() >= group.rows * blocks);
    for_format!(work.format, dispatch)
}

/// The 64 stored weights of group `g` of the block at `w`.
///
/// # Safety
/// The block can be read there.
#[target_feature(enable = "avx512f,avx512bw")]
#[inline]
pub(super) unsafe fn group<const F: u8>(w: *const u8, g: usize) -> __m512i {
    // SAFETY: the block holds 8 groups, or 4 of nibbles and what is above them.
    unsafe {
        if matches!(format::<F>(), Format::Eight) {
            return _mm512_load_si512(w.add(g * 64).cast());
        }
        let v = _mm512_load_si512(w.add((g & 3) * 64).cast());
        let low = _mm512_set1_epi8(15);
        let n = match g < 4 {
            true => _mm512_and_si512(v, low),
            false => _mm512_and_si512(_mm512_srli_epi16::<4>(v), low),
        };
        match format::<F>() {
            Format::Five | Format::FiveZero => {
                let fifth = w.add(256 + g * 8).cast::<u64>().read_unaligned();
                _mm512_mask_add_epi8(n, fifth, n, _mm512_set1_epi8(16))
            }
            Format::Six => {
                let v = _mm512_load_si512(w.add(256 + (g >> 2) * 64).cast());
                let v = match g & 3 {
                    0 => _mm512_slli_epi16::<4>(v),
                    1 => _mm512_slli_epi16::<2>(v),
                    2 => v,
                    _ => _mm512_srli_epi16::<2>(v),
                };
                // n | (v & 0x30)
                _mm512_ternarylogic_epi32::<0xf8>(n, v, _mm512_set1_epi8(0x30))
            }
            Format::FourTable => {
                let table = _mm_loadu_si128(TABLE.as_ptr().cast());
                _mm512_shuffle_epi8(_mm512_broadcast_i32x4(table), n)
            }
            _ => n,
        }
    }
}

/// Sixteen f16 in f32.
///
/// # Safety
/// They can be read there, at half a cache line.
#[target_feature(enable = "avx512f")]
#[inline]
pub(super) unsafe fn halves(at: *const u8) -> __m512 {
    // SAFETY: sixteen f16 stand there.
    unsafe { _mm512_cvtph_ps(_mm256_load_si256(at.cast())) }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn rows<const F: u8, const NT: usize, const MR: usize>(
    work: &Work<'_>,
    results: &mut Results,
) {
    let shape = const { format::<F>() };
    let mut sums = [[_mm512_setzero_ps(); MR]; NT];
    // SAFETY: every pointer stays in its tile or in the rows of the group:
    // `kernel` has checked their lengths.
    unsafe {
        let mut tiles = [std::ptr::null::<u8>(); NT];
        for (tile, bytes) in tiles.iter_mut().zip(work.tiles) {
            *tile = bytes.as_ptr();
        }
        let mut q = work.group.q.as_ptr();
        let mut steps = work.group.steps.as_ptr();
        for b in 0..work.columns / BLOCK {
            let (weights_at, scales_at) = shape.block_at(b);
            tiles.iter().for_each(|tile| work.ahead.ask(*tile, b));
            let mut dots = [[_mm512_setzero_si512(); MR]; NT];
            macro_rules! columns {
                ($($g:literal)*) => { $(
                    // No closure here: a function without these target
                    // features could not be inlined around it.
                    let mut w = [_mm512_setzero_si512(); NT];
                    for t in 0..NT {
                        w[t] = group::<F>(tiles[t].add(weights_at), $g);
                    }
                    for m in 0..MR {
                        let four = q.add(m * BLOCK + $g * 4).cast::<i32>();
                        let x = _mm512_set1_epi32(four.read_unaligned());
                        for t in 0..NT {
                            dots[t][m] = _mm512_dpbusd_epi32(dots[t][m], w[t], x);
                        }
                    }
                )* };
            }
            // Starting at minus the zero point times Σq takes the zero point out.
            macro_rules! start {
                ($m:ident => $minus:expr) => {
                    if let Some(shift) = shape.zero_shift() {
                        for $m in 0..MR {
                            let start = _mm512_set1_epi32($minus << shift);
                            for t in 0..NT {
                                dots[t][$m] = start;
                            }
                        }
                    }
                };
            }
            macro_rules! add {
                ($slot:literal) => {
                    for t in 0..NT {
                        let s = halves(tiles[t].add(scales_at + $slot * 32));
                        for m in 0..MR {
                            let scale = _mm512_mul_ps(s, _mm512_set1_ps((*steps.add(m)).scale));
                            let dot = _mm512_cvtepi32_ps(dots[t][m]);
                            sums[t][m] = _mm512_fmadd_ps(dot, scale, sums[t][m]);
                        }
                    }
                };
            }
            if shape.has_halves() {
                start!(m => (*steps.add(m)).minus_low);
                columns!(0 1 2 3);
                add!(0);
                start!(m => (*steps.add(m)).minus_high());
                columns!(4 5 6 7);
                add!(1);
            } else {
                start!(m => (*steps.add(m)).minus);
                columns!(0 1 2 3 4 5 6 7);
                add!(0);
                if shape.zero_shift().is_none() {
                    for t in 0..NT {
                        let offset = halves(tiles[t].add(scales_at + 32));
                        for m in 0..MR {
                            let weighted = _mm512_set1_ps((*steps.add(m)).weighted);
                            sums[t][m] = _mm512_fmadd_ps(offset, weighted, sums[t][m]);
                        }
                    }
                }
            }
            q = q.add(MR * BLOCK);
            steps = steps.add(MR);
        }
        for (m, row) in results.iter_mut().enumerate().take(MR) {
            for t in 0..NT {
                _mm512_storeu_ps(row[t].as_mut_ptr(), sums[t][m]);
            }
        }
    }
}
