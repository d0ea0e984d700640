//! The kernels with AVX2: a tile is two vectors of eight rows.

use std::arch::x86_64::*;

use super::matmul::{Results, Work};
use super::{BLOCK, Format};

/// Computes `work.rows` rows of up to two tiles.
///
/// # Safety
/// The machine has AVX2, FMA and F16C.
#[target_feature(enable = "avx2,fma,f16c")]
pub unsafe fn kernel(work: &Work<'_>, results: &mut Results) {
    for (m, row) in results.iter_mut().enumerate().take(work.rows) {
        for (tile, lanes) in work.tiles.iter().zip(row) {
            // SAFETY: the caller's promise; the tile has `work.blocks` blocks.
            unsafe {
                match work.format {
                    Format::Four => tile_row::<false, false>(work, tile, m, lanes),
                    Format::Five => tile_row::<true, false>(work, tile, m, lanes),
                    Format::Eight | Format::EightHalves => {
                        tile_row::<false, true>(work, tile, m, lanes);
                    }
                }
            }
        }
    }
}

/// Half `h` (rows 0-7 or 8-15) of group `g` of the block at `w`: unsigned for
/// four and five bits, signed for eight.
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn group<const FIVE: bool, const EIGHT: bool>(w: *const u8, g: usize, h: usize) -> __m256i {
    // SAFETY: the block holds 8 groups, or 4 of nibbles and 8 masks.
    unsafe {
        if EIGHT {
            let v = _mm256_loadu_si256(w.add(g * 64 + h * 32).cast());
            return _mm256_xor_si256(v, _mm256_set1_epi8(-128));
        }
        let v = _mm256_loadu_si256(w.add((g & 3) * 64 + h * 32).cast());
        let low = _mm256_set1_epi8(15);
        let n = match g < 4 {
            true => _mm256_and_si256(v, low),
            false => _mm256_and_si256(_mm256_srli_epi16::<4>(v), low),
        };
        if !FIVE {
            return n;
        }
        // Spread 32 bits over 32 bytes: byte i takes bit i % 8 of byte i / 8.
        let bits = w.add(256 + g * 8 + h * 4).cast::<i32>().read_unaligned();
        let spread = _mm256_shuffle_epi8(
            _mm256_set1_epi32(bits),
            _mm256_setr_epi8(
                0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3,
                3, 3, 3, 3,
            ),
        );
        let bit = _mm256_set1_epi64x(0x8040_2010_0804_0201_u64 as i64);
        let set = _mm256_cmpeq_epi8(_mm256_and_si256(spread, bit), bit);
        _mm256_or_si256(n, _mm256_and_si256(set, _mm256_set1_epi8(16)))
    }
}

#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn tile_row<const FIVE: bool, const EIGHT: bool>(
    work: &Work<'_>,
    tile: &[u8],
    m: usize,
    lanes: &mut [f32; 16],
) {
    let (weight_bytes, scale_bytes) = (work.format.weight_bytes(), work.format.scale_bytes());
    let (a, row) = (work.activations, work.first_row + m);
    let ones = _mm256_set1_epi16(1);
    let mut acc = [_mm256_setzero_ps(); 2];
    // SAFETY: every pointer stays in the tile or in the row of the activations.
    unsafe {
        for b in 0..work.blocks {
            let w = tile.as_ptr().add(b * weight_bytes);
            let q = a.q.as_ptr().add(row * a.columns + b * BLOCK);
            let (step, sum) = (a.scales[row * work.blocks + b], a.sums[row * work.blocks + b]);
            let scales = tile.as_ptr().add(work.blocks * weight_bytes + b * scale_bytes);
            for (h, acc) in acc.iter_mut().enumerate() {
                let half = |slot: usize| {
                    _mm256_cvtph_ps(_mm_loadu_si128(scales.add(slot * 32 + h * 16).cast()))
                };
                let mut dots = [_mm256_setzero_si256(); 2];
                for g in 0..8 {
                    let w = group::<FIVE, EIGHT>(w, g, h);
                    let x = _mm256_set1_epi32(q.add(g * 4).cast::<i32>().read_unaligned());
                    // Products of signed bytes: |w| times x with w's sign
                    // stays below the 16 bits of a pair's sum.
                    let pairs = match EIGHT {
                        true => _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(x, w)),
                        false => _mm256_maddubs_epi16(w, x),
                    };
                    let fours = _mm256_madd_epi16(pairs, ones);
                    dots[g / 4] = _mm256_add_epi32(dots[g / 4], fours);
                }
                let step8 = _mm256_set1_ps(step);
                if work.format == Format::EightHalves {
                    for (slot, dots) in dots.into_iter().enumerate() {
                        let scale = _mm256_mul_ps(half(slot), step8);
                        *acc = _mm256_fmadd_ps(_mm256_cvtepi32_ps(dots), scale, *acc);
                    }
                } else {
                    let dots = _mm256_cvtepi32_ps(_mm256_add_epi32(dots[0], dots[1]));
                    *acc = _mm256_fmadd_ps(dots, _mm256_mul_ps(half(0), step8), *acc);
                }
                if !EIGHT {
                    *acc = _mm256_fmadd_ps(half(1), _mm256_set1_ps(sum as f32 * step), *acc);
                }
            }
        }
        _mm256_storeu_ps(lanes.as_mut_ptr(), acc[0]);
        _mm256_storeu_ps(lanes.as_mut_ptr().add(8), acc[1]);
    }
}
