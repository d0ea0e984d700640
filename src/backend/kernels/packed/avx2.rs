//! The kernels with AVX2: a tile is two vectors of eight rows.

use std::arch::x86_64::*;

use super::matmul::{MAX_ROWS, Results, Work};
use super::{BLOCK, Format, TABLE};

/// Computes the rows of a group for up to two tiles.
///
/// # Safety
/// The machine has AVX2, FMA and F16C.
pub unsafe fn kernel(work: &Work<'_>, results: &mut Results) {
    let Work { group, columns, .. } = work;
    let blocks = columns / BLOCK;
    assert!((1..=MAX_ROWS).contains(&group.rows));
    assert!(work.tiles.iter().all(|t| t.len() >= blocks.div_ceil(2) * work.format.pair_bytes()));
    assert!(group.q.len() >= group.rows * columns && group.steps.len() >= group.rows * blocks);
    for (t, tile) in work.tiles.iter().enumerate() {
        for half in 0..2 {
            let mut row = 0;
            while row < group.rows {
                let place = Place { tile: tile.as_ptr(), number: t, half, row };
                // SAFETY: the caller's promise; lengths were checked.
                row += unsafe {
                    match group.rows - row {
                        1 => rows::<1>(work, place, results),
                        2 => rows::<2>(work, place, results),
                        _ => rows::<3>(work, place, results),
                    }
                };
            }
        }
    }
}

/// Rows 0-7 or 8-15 of a tile, and the first row of activations.
#[derive(Clone, Copy)]
struct Place {
    tile: *const u8,
    number: usize,
    half: usize,
    row: usize,
}

/// Half `h` (rows 0-7 or 8-15) of group `g` of the block at `w`: unsigned, but
/// for eight bits and for those from a table signed.
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn group(format: Format, w: *const u8, g: usize, h: usize) -> __m256i {
    // SAFETY: the block holds 8 groups, or 4 of nibbles and what is above them.
    unsafe {
        if format == Format::Eight {
            let v = _mm256_load_si256(w.add(g * 64 + h * 32).cast());
            return _mm256_xor_si256(v, _mm256_set1_epi8(-128));
        }
        let v = _mm256_load_si256(w.add((g & 3) * 64 + h * 32).cast());
        let low = _mm256_set1_epi8(15);
        let n = match g < 4 {
            true => _mm256_and_si256(v, low),
            false => _mm256_and_si256(_mm256_srli_epi16::<4>(v), low),
        };
        match format {
            Format::Five | Format::FiveZero => {
                // Spread 32 bits over 32 bytes: byte i takes bit i % 8 of byte i / 8.
                let bits = w.add(256 + g * 8 + h * 4).cast::<i32>().read_unaligned();
                let spread = _mm256_shuffle_epi8(
                    _mm256_set1_epi32(bits),
                    _mm256_setr_epi8(
                        0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 3,
                        3, 3, 3, 3, 3, 3, 3,
                    ),
                );
                let bit = _mm256_set1_epi64x(0x8040_2010_0804_0201_u64 as i64);
                let set = _mm256_cmpeq_epi8(_mm256_and_si256(spread, bit), bit);
                _mm256_or_si256(n, _mm256_and_si256(set, _mm256_set1_epi8(16)))
            }
            Format::Six => {
                let v = _mm256_load_si256(w.add(256 + (g >> 2) * 64 + h * 32).cast());
                let v = match g & 3 {
                    0 => _mm256_slli_epi16::<4>(v),
                    1 => _mm256_slli_epi16::<2>(v),
                    2 => v,
                    _ => _mm256_srli_epi16::<2>(v),
                };
                _mm256_or_si256(n, _mm256_and_si256(v, _mm256_set1_epi8(0x30)))
            }
            Format::FourTable => {
                let table = _mm_loadu_si128(TABLE.as_ptr().cast());
                let table =
                    _mm256_xor_si256(_mm256_broadcastsi128_si256(table), _mm256_set1_epi8(-128));
                _mm256_shuffle_epi8(table, n)
            }
            _ => n,
        }
    }
}

/// `MR` rows for eight lanes of a tile; returns `MR`.
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn rows<const MR: usize>(work: &Work<'_>, place: Place, results: &mut Results) -> usize {
    let format = work.format;
    let (all, h) = (work.group.rows, place.half);
    let signed = matches!(format, Format::Eight | Format::FourTable);
    let ones = _mm256_set1_epi16(1);
    let mut sums = [_mm256_setzero_ps(); MR];
    // SAFETY: every pointer stays in the tile or in the rows of the group.
    unsafe {
        for b in 0..work.columns / BLOCK {
            let (weights_at, scales_at) = format.block_at(b);
            let w = place.tile.add(weights_at);
            let q = work.group.q.as_ptr().add((b * all + place.row) * BLOCK);
            let steps = work.group.steps.as_ptr().add(b * all + place.row);
            let half = |slot: usize| {
                let at = place.tile.add(scales_at + slot * 32 + h * 16);
                _mm256_cvtph_ps(_mm_load_si128(at.cast()))
            };
            let mut dots = [[_mm256_setzero_si256(); MR]; 2];
            // Bytes are stored plus 128 and made signed; others have a zero point.
            if let (Some(shift), false) = (format.zero_shift(), signed) {
                for m in 0..MR {
                    let step = *steps.add(m);
                    let high = step.minus - step.minus_low;
                    dots[0][m] = _mm256_set1_epi32(step.minus_low << shift);
                    dots[1][m] = _mm256_set1_epi32(high << shift);
                }
            }
            for g in 0..8 {
                let w = group(format, w, g, h);
                for m in 0..MR {
                    let four = q.add(m * BLOCK + g * 4).cast::<i32>().read_unaligned();
                    let x = _mm256_set1_epi32(four);
                    // Products of signed bytes: |w| times x with w's sign
                    // stays below the 16 bits of a pair's sum.
                    let pairs = match signed {
                        true => _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(x, w)),
                        false => _mm256_maddubs_epi16(w, x),
                    };
                    let fours = _mm256_madd_epi16(pairs, ones);
                    dots[g / 4][m] = _mm256_add_epi32(dots[g / 4][m], fours);
                }
            }
            let scale = half(0);
            for m in 0..MR {
                let step = *steps.add(m);
                let step8 = _mm256_set1_ps(step.scale);
                if format.has_halves() {
                    for (slot, dots) in dots.iter().enumerate() {
                        let scale = _mm256_mul_ps(half(slot), step8);
                        sums[m] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(dots[m]), scale, sums[m]);
                    }
                    continue;
                }
                let both = _mm256_cvtepi32_ps(_mm256_add_epi32(dots[0][m], dots[1][m]));
                sums[m] = _mm256_fmadd_ps(both, _mm256_mul_ps(scale, step8), sums[m]);
                if format.zero_shift().is_none() {
                    let weighted = _mm256_set1_ps(step.weighted);
                    sums[m] = _mm256_fmadd_ps(half(1), weighted, sums[m]);
                }
            }
        }
        for (m, &sum) in sums.iter().enumerate() {
            let lanes = &mut results[place.row + m][place.number];
            _mm256_storeu_ps(lanes.as_mut_ptr().add(h * 8), sum);
        }
    }
    MR
}
