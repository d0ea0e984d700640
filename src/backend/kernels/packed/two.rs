//! `Two`: Q2_K, whose halves of a block have offsets of their own.
//!
//! A pair of blocks is 384 bytes: the weights of both (128 bytes each); for
//! each block and half of its columns sixteen bytes with a scale in the lower
//! and an offset in the upper nibble; sixteen f16 that all scales are multiplied
//! with, and sixteen for the offsets. So nothing is rounded, and a weight takes
//! 3 bits instead of the file's 2.625.

#[cfg(target_arch = "aarch64")]
mod neon;

use half::f16;

use super::matmul::{Level, Results, Work};
use super::portable::{activations, widen};
use super::words::{Here, Words};
use super::{BLOCK, Block, Format, TILE};

/// Where block `b` has its weights, its nibbles, and its pair's two factors.
pub(super) const fn places(b: usize) -> [usize; 3] {
    let pair = b / 2 * Format::Two.pair_bytes();
    [pair + b % 2 * 128, pair + 256 + b % 2 * 32, pair + 320]
}

/// Writes block `b` of all sixteen rows.
#[inline(always)]
pub fn put(tile: &mut [u8], b: usize, rows: &[Block; TILE]) {
    let [weights, nibbles, factors] = places(b);
    for (r, row) in rows.iter().enumerate() {
        for (c, &q) in row.q.iter().enumerate() {
            let g = c / 4;
            tile[weights + g / 4 * 64 + 4 * r + c % 4] |= q << (2 * (g % 4));
        }
        for slot in 0..2 {
            tile[nibbles + slot * 16 + r] = row.nibbles[slot];
            let at = factors + slot * 32 + 2 * r;
            tile[at..at + 2].copy_from_slice(&f16::from_f32(row.scales[slot]).to_le_bytes());
        }
    }
}

/// Scale and offset of lane `r` in one half of block `b`.
fn scale(tile: &[u8], b: usize, half: usize, r: usize) -> (f32, f32) {
    let [_, nibbles, factors] = places(b);
    let byte = tile[nibbles + half * 16 + r];
    let factor = |slot: usize| {
        let at = factors + slot * 32 + 2 * r;
        f16::from_le_bytes([tile[at], tile[at + 1]]).to_f32()
    };
    (f32::from(byte & 15) * factor(0), f32::from(byte >> 4) * factor(1))
}

fn weight(tile: &[u8], b: usize, r: usize, c: usize) -> u8 {
    let g = c / 4;
    (tile[places(b)[0] + g / 4 * 64 + 4 * r + c % 4] >> (2 * (g % 4))) & 3
}

/// One lane's 32 weights of a block in f32.
pub fn dequantize(tile: &[u8], b: usize, r: usize, out: &mut [f32]) {
    for (half, out) in out.chunks_exact_mut(BLOCK / 2).enumerate() {
        let (s, o) = scale(tile, b, half, r);
        for (c, out) in out.iter_mut().enumerate() {
            *out = f32::from(weight(tile, b, r, half * 16 + c)) * s - o;
        }
    }
}

/// Computes the rows of a group for up to two tiles; the level is available.
pub fn kernel(level: Level, work: &Work<'_>, results: &mut Results) {
    let Work { tiles, group, columns, .. } = work;
    let blocks = columns / BLOCK;
    assert!(group.rows <= results.len() && blocks.is_multiple_of(2));
    assert!(tiles.iter().all(|t| t.len() >= blocks / 2 * Format::Two.pair_bytes()));
    assert!(group.q.len() >= group.rows * columns && group.steps.len() >= group.rows * blocks);
    match level {
        Level::Portable => portable(work, results),
        // SAFETY: the level is available, and the lengths were checked.
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 | Level::AvxVnni => unsafe { x86::avx2(work, results) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Level::Vnni => unsafe { x86::vnni(work, results) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Level::Amx => unsafe { super::amx::kernel(work, results) },
        // SAFETY: the lengths were checked.
        #[cfg(target_arch = "aarch64")]
        Level::Neon => unsafe { neon::kernel(work, results) },
        // SAFETY: as above.
        #[cfg(target_arch = "aarch64")]
        Level::Dotprod | Level::I8mm => unsafe { neon::kernel_dotprod(work, results) },
    }
}

/// For any machine.
fn portable(work: &Work<'_>, results: &mut Results) {
    let rows = work.group.rows;
    results.iter_mut().take(rows).for_each(|row| row.fill([0.0; TILE]));
    let (q, _) = work.group.q.as_chunks::<BLOCK>();
    let blocks = q.chunks_exact(rows).zip(work.group.steps.chunks_exact(rows));
    let (mut dots, mut factors) = ([[[0; 4]; 4]; 2], [[[0.0; TILE]; 2]; 2]);
    for (b, (q, steps)) in blocks.enumerate().take(work.columns / BLOCK) {
        for (t, tile) in work.tiles.iter().enumerate() {
            scales(tile, b, &mut factors);
            let weights = &tile[places(b)[0]..][..128];
            for (m, (q, step)) in q.iter().zip(steps).enumerate() {
                multiply::<Here>(weights, q, &mut dots);
                for (half, (dots, [s, o])) in dots.iter().zip(&factors).enumerate() {
                    let (scale, weighted) = (step.scale, step.weighted_of(half));
                    let dots = dots.as_flattened();
                    for (r, lane) in results[m][t].iter_mut().enumerate() {
                        *lane += dots[r] as f32 * (s[r] * scale) - o[r] * weighted;
                    }
                }
            }
        }
    }
}

/// Scales and offsets of both halves of block `b`.
#[inline(never)]
fn scales(tile: &[u8], b: usize, to: &mut [[[f32; TILE]; 2]; 2]) {
    let [_, nibbles, factors] = places(b);
    let mut wide = [[0.0; TILE]; 2];
    for (to, from) in wide.iter_mut().zip(tile[factors..].as_chunks::<{ 2 * TILE }>().0) {
        widen(from, to);
    }
    for (to, nibbles) in to.iter_mut().zip(tile[nibbles..].as_chunks::<TILE>().0) {
        for r in 0..TILE {
            to[0][r] = f32::from(nibbles[r] & 15) * wide[0][r];
            to[1][r] = f32::from(nibbles[r] >> 4) * wide[1][r];
        }
    }
}

/// Sums of products of both halves of a block.
#[inline(never)]
fn multiply<W: Words>(weights: &[u8], q: &[i8; BLOCK], dots: &mut [[[i32; 4]; 4]; 2]) {
    let x = activations::<W>(q);
    for ((weights, [even, odd]), dots) in weights.as_chunks::<64>().0.iter().zip(x).zip(dots) {
        let even = [even.pair(0), even.pair(1), even.pair(2), even.pair(3)];
        let odd = [odd.pair(0), odd.pair(1), odd.pair(2), odd.pair(3)];
        for (w, to) in weights.as_chunks().0.iter().zip(dots) {
            let (w, mut sums) = (W::load(w), W::none());
            for g in 0..4 {
                let by = 2 * g as u32;
                sums = w.right(by).and(3).add_products(sums, even[g]);
                sums = w.right(8 + by).and(3).add_products(sums, odd[g]);
            }
            W::store(sums, to);
        }
    }
}

#[cfg(target_arch = "x86_64")]
pub(super) use x86::factors;

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::super::matmul::{Results, Work};
    use super::{BLOCK, places};

    /// # Safety
    /// The machine has AVX2, FMA and F16C; tiles and rows are as long as the
    /// work says.
    pub unsafe fn avx2(work: &Work<'_>, results: &mut Results) {
        for t in 0..work.tiles.len() {
            for side in 0..2 {
                let mut row = 0;
                while row < work.group.rows {
                    // SAFETY: by the caller's promise.
                    row += unsafe {
                        match work.group.rows - row {
                            1 => eight::<1>(work, (t, side, row), results),
                            2 => eight::<2>(work, (t, side, row), results),
                            _ => eight::<3>(work, (t, side, row), results),
                        }
                    };
                }
            }
        }
    }

    /// `MR` rows for lanes 0-7 or 8-15 of a tile; returns `MR`.
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn eight<const MR: usize>(
        work: &Work<'_>,
        (t, side, row): (usize, usize, usize),
        results: &mut Results,
    ) -> usize {
        let rows = work.group.rows;
        let tile = work.tiles[t].as_ptr();
        let (three, fifteen) = (_mm256_set1_epi8(3), _mm256_set1_epi32(15));
        let ones = _mm256_set1_epi16(1);
        let mut sums = [_mm256_setzero_ps(); MR];
        // SAFETY: every pointer stays in the tile or in the rows of the group.
        unsafe {
            for b in 0..work.columns / BLOCK {
                if (side, row) == (0, 0) {
                    work.ahead.ask(tile, b);
                }
                let [weights, nibbles, factors] = places(b);
                let factor = |slot: usize| {
                    let at = tile.add(factors + slot * 32 + side * 16);
                    _mm256_cvtph_ps(_mm_load_si128(at.cast()))
                };
                let (d, dmin) = (factor(0), factor(1));
                let steps = work.group.steps.as_ptr().add(b * rows + row);
                for half in 0..2 {
                    let q = work.group.q.as_ptr().add((b * rows + row) * BLOCK + half * 16);
                    let mut w = _mm256_load_si256(tile.add(weights + half * 64 + side * 32).cast());
                    // Sixteen products below 3 * 127 * 2 fit 16 bits.
                    let mut pairs = [_mm256_setzero_si256(); MR];
                    for g in 0..4 {
                        let two = _mm256_and_si256(w, three);
                        w = _mm256_srli_epi16::<2>(w);
                        for m in 0..MR {
                            let four = q.add(m * BLOCK + g * 4).cast::<i32>().read_unaligned();
                            let product = _mm256_maddubs_epi16(two, _mm256_set1_epi32(four));
                            pairs[m] = _mm256_add_epi16(pairs[m], product);
                        }
                    }
                    let bytes = tile.add(nibbles + half * 16 + side * 8).cast();
                    let bytes = _mm256_cvtepu8_epi32(_mm_loadl_epi64(bytes));
                    let low = _mm256_cvtepi32_ps(_mm256_and_si256(bytes, fifteen));
                    let high = _mm256_cvtepi32_ps(_mm256_srli_epi32::<4>(bytes));
                    let (s, o) = (_mm256_mul_ps(low, d), _mm256_mul_ps(high, dmin));
                    for m in 0..MR {
                        let step = *steps.add(m);
                        let dot = _mm256_cvtepi32_ps(_mm256_madd_epi16(pairs[m], ones));
                        let scale = _mm256_mul_ps(s, _mm256_set1_ps(step.scale));
                        sums[m] = _mm256_fmadd_ps(dot, scale, sums[m]);
                        let weighted = _mm256_set1_ps(step.weighted_of(half));
                        sums[m] = _mm256_fnmadd_ps(o, weighted, sums[m]);
                    }
                }
            }
            for (m, &sum) in sums.iter().enumerate() {
                _mm256_storeu_ps(results[row + m][t].as_mut_ptr().add(side * 8), sum);
            }
        }
        MR
    }

    /// Scales and offsets of one half of block `b`.
    ///
    /// # Safety
    /// The block is in the tile.
    #[target_feature(enable = "avx512f,avx512bw")]
    #[inline]
    pub unsafe fn factors(tile: *const u8, b: usize, half: usize) -> (__m512, __m512) {
        let [_, nibbles, factors] = places(b);
        // SAFETY: by the caller's promise.
        unsafe {
            let d = _mm512_cvtph_ps(_mm256_load_si256(tile.add(factors).cast()));
            let dmin = _mm512_cvtph_ps(_mm256_load_si256(tile.add(factors + 32).cast()));
            let bytes = _mm_load_si128(tile.add(nibbles + half * 16).cast());
            let bytes = _mm512_cvtepu8_epi32(bytes);
            let low = _mm512_cvtepi32_ps(_mm512_and_si512(bytes, _mm512_set1_epi32(15)));
            let high = _mm512_cvtepi32_ps(_mm512_srli_epi32::<4>(bytes));
            (_mm512_mul_ps(low, d), _mm512_mul_ps(high, dmin))
        }
    }

    /// # Safety
    /// The machine has AVX-512 F, BW and VNNI; tiles and rows are as long as
    /// the work says.
    pub unsafe fn vnni(work: &Work<'_>, results: &mut Results) {
        // SAFETY: by the caller's promise.
        unsafe {
            match (work.tiles.len(), work.group.rows) {
                (2, 1) => rows::<2, 1>(work, results),
                (2, 2) => rows::<2, 2>(work, results),
                (2, 3) => rows::<2, 3>(work, results),
                (2, 4) => rows::<2, 4>(work, results),
                (2, 5) => rows::<2, 5>(work, results),
                (2, _) => rows::<2, 6>(work, results),
                (_, 1) => rows::<1, 1>(work, results),
                (_, 2) => rows::<1, 2>(work, results),
                (_, 3) => rows::<1, 3>(work, results),
                (_, 4) => rows::<1, 4>(work, results),
                (_, 5) => rows::<1, 5>(work, results),
                _ => rows::<1, 6>(work, results),
            }
        }
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    unsafe fn rows<const NT: usize, const MR: usize>(work: &Work<'_>, results: &mut Results) {
        let three = _mm512_set1_epi8(3);
        let mut sums = [[_mm512_setzero_ps(); MR]; NT];
        // SAFETY: every pointer stays in its tile or in the rows of the group.
        unsafe {
            for b in 0..work.columns / BLOCK {
                work.tiles.iter().for_each(|tile| work.ahead.ask(tile.as_ptr(), b));
                let [weights, ..] = places(b);
                let steps = work.group.steps.as_ptr().add(b * MR);
                for half in 0..2 {
                    let q = work.group.q.as_ptr().add(b * MR * BLOCK + half * 16);
                    let mut w = [_mm512_setzero_si512(); NT];
                    for t in 0..NT {
                        let at = work.tiles[t].as_ptr().add(weights + half * 64);
                        w[t] = _mm512_load_si512(at.cast());
                    }
                    let mut dots = [[_mm512_setzero_si512(); MR]; NT];
                    for g in 0..4 {
                        let mut two = [_mm512_setzero_si512(); NT];
                        for t in 0..NT {
                            two[t] = _mm512_and_si512(w[t], three);
                            w[t] = _mm512_srli_epi16::<2>(w[t]);
                        }
                        for m in 0..MR {
                            let four = q.add(m * BLOCK + g * 4).cast::<i32>().read_unaligned();
                            let x = _mm512_set1_epi32(four);
                            for t in 0..NT {
                                dots[t][m] = _mm512_dpbusd_epi32(dots[t][m], two[t], x);
                            }
                        }
                    }
                    for t in 0..NT {
                        let (s, o) = factors(work.tiles[t].as_ptr(), b, half);
                        for m in 0..MR {
                            let step = *steps.add(m);
                            let scale = _mm512_mul_ps(s, _mm512_set1_ps(step.scale));
                            let dot = _mm512_cvtepi32_ps(dots[t][m]);
                            let weighted = _mm512_set1_ps(step.weighted_of(half));
                            sums[t][m] = _mm512_fmadd_ps(dot, scale, sums[t][m]);
                            sums[t][m] = _mm512_fnmadd_ps(o, weighted, sums[t][m]);
                        }
                    }
                }
            }
            for (m, row) in results.iter_mut().enumerate().take(MR) {
                for t in 0..NT {
                    _mm512_storeu_ps(row[t].as_mut_ptr(), sums[t][m]);
                }
            }
        }
    }
}
