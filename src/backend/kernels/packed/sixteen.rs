//! Weights and activations as 16-bit integers with a scale for each 64 columns:
//! half of f32's bytes and twice its multiplications in one instruction, for
//! what f16 would lose. (Products of bf16 are as fast where a processor has
//! them, and lose thirty times as much.)
//!
//! A tile has, for each span of 64 columns (the last may have 32), two columns
//! of all sixteen rows in each 64 bytes, then sixteen scales in f32. The sums
//! of a span's products are exact: scales are chosen so that 32 bits hold them
//! whatever the activations are.

#[cfg(target_arch = "aarch64")]
pub mod neon;
#[cfg(target_arch = "x86_64")]
pub mod x86;

use super::matmul::{Results, Work};
use super::words::{Here, Words};
use super::{BLOCK, TILE, TINY};
use crate::backend::kernels::math::{LANES, reduce};
use crate::backend::kernels::multiversion;
use crate::backend::kernels::team::Parts;

/// Columns that share a scale.
pub const SPAN: usize = 64;
/// The largest activation: 14 bits and a sign.
pub const HIGHEST: f32 = 16_383.0;
/// What the weights of a span add up to at most, signs aside. With half a unit
/// for the rounding of each, times [`HIGHEST`], it stays below 2³¹.
const TOTAL: f32 = 131_000.0;
const _: () = assert!((TOTAL as i64 + SPAN as i64 / 2) * (HIGHEST as i64) < 1 << 31);

/// Bytes of two columns of a tile.
const PAIR_BYTES: usize = 2 * TILE * 2;
const SPAN_BYTES: usize = SPAN / 2 * PAIR_BYTES + TILE * 4;

/// Whether rows of so many columns can be stored.
pub const fn fits(columns: usize) -> bool {
    columns.is_multiple_of(BLOCK)
}

/// Bytes of a tile, whole cache lines.
pub const fn tile_bytes(columns: usize) -> usize {
    columns / 2 * PAIR_BYTES + columns.div_ceil(SPAN) * TILE * 4
}

/// Where a span's scales are, from its beginning.
const fn scales_at(columns: usize) -> usize {
    columns / 2 * PAIR_BYTES
}

/// Writes one row of a tile.
pub fn pack(tile: &mut [u8], lane: usize, row: &[f32]) {
    for (span, part) in tile.chunks_mut(SPAN_BYTES).zip(row.chunks(SPAN)) {
        let total: f32 = part.iter().map(|w| w.abs()).sum();
        let highest = part.iter().fold(0f32, |m, w| m.max(w.abs()));
        let (scale, inverse) = match total {
            // What is broken stays visible in the result.
            t if !t.is_finite() => (f32::NAN, 0.0),
            t if t < TINY => (0.0, 0.0),
            t => {
                let scale = (t / TOTAL).max(highest / f32::from(i16::MAX));
                (scale, 1.0 / scale)
            }
        };
        for (c, w) in part.iter().enumerate() {
            let q = (w * inverse).round() as i16;
            let at = c / 2 * PAIR_BYTES + lane * 4 + c % 2 * 2;
            span[at..at + 2].copy_from_slice(&q.to_le_bytes());
        }
        let at = scales_at(part.len()) + lane * 4;
        span[at..at + 4].copy_from_slice(&scale.to_le_bytes());
    }
}

fn weight(span: &[u8], lane: usize, c: usize) -> i16 {
    let at = c / 2 * PAIR_BYTES + lane * 4 + c % 2 * 2;
    i16::from_le_bytes([span[at], span[at + 1]])
}

fn scale(span: &[u8], columns: usize, lane: usize) -> f32 {
    let at = scales_at(columns) + lane * 4;
    f32::from_le_bytes([span[at], span[at + 1], span[at + 2], span[at + 3]])
}

/// One row in f32.
pub fn row(tile: &[u8], lane: usize, out: &mut [f32]) {
    for (span, out) in tile.chunks(SPAN_BYTES).zip(out.chunks_mut(SPAN)) {
        let scale = scale(span, out.len(), lane);
        for (c, out) in out.iter_mut().enumerate() {
            *out = f32::from(weight(span, lane, c)) * scale;
        }
    }
}

/// Where one row of activations goes: block `b`'s numbers are at
/// `first + b * stride`, span `s`'s scale at `scale + s * scale_stride`.
#[derive(Clone, Copy)]
pub struct Row<'a> {
    pub q: Parts<'a, i16>,
    pub scales: Parts<'a, f32>,
    pub first: usize,
    pub stride: usize,
    pub scale: usize,
    pub scale_stride: usize,
}

multiversion!(
    /// Rounds a row to 15 bits.
    ///
    /// The row is the caller's alone, see `Inputs::set`.
    pub fn quantize(x: &[f32], row: Row<'_>) = quantize_body
);

#[inline(always)]
fn quantize_body(x: &[f32], row: Row<'_>) {
    // 1.5 * 2^23: adding it rounds to the nearest integer, ties to even.
    const MAGIC: f32 = 12_582_912.0;
    const ZERO: i32 = MAGIC.to_bits() as i32;
    for (s, x) in x.chunks(SPAN).enumerate() {
        let (mut lanes, mut taint) = ([0f32; LANES], [0f32; LANES]);
        for x in x.chunks_exact(LANES) {
            for i in 0..LANES {
                let a = x[i].abs();
                lanes[i] = if a > lanes[i] { a } else { lanes[i] };
                // 0, or NaN where a value is not finite.
                taint[i] += x[i] * 0.0;
            }
        }
        let highest = reduce(lanes, |a, b| if a > b { a } else { b });
        let inverse = if highest > TINY { HIGHEST / highest } else { 0.0 };
        let at = row.scale + s * row.scale_stride;
        // SAFETY: the row is the caller's alone.
        let scale = unsafe { row.scales.write(at..at + 1) };
        scale[0] = highest / HIGHEST + reduce(taint, |a, b| a + b);
        for (b, x) in x.chunks_exact(BLOCK).enumerate() {
            let at = row.first + (s * (SPAN / BLOCK) + b) * row.stride;
            // SAFETY: as above.
            let q = unsafe { row.q.write(at..at + BLOCK) };
            for i in 0..BLOCK {
                let bits = (x[i] * inverse + MAGIC).to_bits() as i32;
                q[i] = bits.wrapping_sub(ZERO) as i16;
            }
        }
    }
}

/// Computes the rows of a group for up to two tiles.
pub fn kernel(work: &Work<'_>, results: &mut Results) {
    let rows = work.group.rows;
    let results = &mut results[..rows];
    results.iter_mut().for_each(|row| row.fill([0.0; TILE]));
    let (x, _) = work.group.wide.as_chunks::<BLOCK>();
    for (t, tile) in work.tiles.iter().enumerate() {
        for (s, span) in tile.chunks(SPAN_BYTES).enumerate() {
            let columns = SPAN.min(work.columns - s * SPAN);
            let (weights, scales) = span.split_at(scales_at(columns));
            let scales = scales.as_chunks().0.iter().map(|scale| f32::from_le_bytes(*scale));
            for (m, row) in results.iter_mut().enumerate() {
                let mut dots = [[0; 4]; 4];
                for (b, weights) in weights.as_chunks().0.iter().enumerate() {
                    multiply::<Here>(weights, &x[(s * (SPAN / BLOCK) + b) * rows + m], &mut dots);
                }
                let by = work.group.wide_scales[s * rows + m];
                let dots = dots.as_flattened().iter().zip(scales.clone());
                for (lane, (dot, scale)) in row[t].iter_mut().zip(dots) {
                    *lane += *dot as f32 * (scale * by);
                }
            }
        }
    }
}

/// Adds the products of 32 columns to sixteen rows' sums.
#[inline(never)]
fn multiply<W: Words>(
    weights: &[u8; BLOCK / 2 * PAIR_BYTES],
    x: &[i16; BLOCK],
    to: &mut [[i32; 4]; 4],
) {
    let mut sums = [W::none(); 4];
    let (pairs, _) = weights.as_chunks::<PAIR_BYTES>();
    for (pairs, x) in pairs.as_chunks::<4>().0.iter().zip(x.as_chunks().0) {
        let x = W::of(x);
        let by = [x.pair(0), x.pair(1), x.pair(2), x.pair(3)];
        for (pair, by) in pairs.iter().zip(by) {
            for (sum, w) in sums.iter_mut().zip(pair.as_chunks().0) {
                *sum = W::load(w).add_products(*sum, by);
            }
        }
    }
    for (to, sums) in to.iter_mut().zip(sums) {
        let mut more = [0; 4];
        W::store(sums, &mut more);
        to.iter_mut().zip(more).for_each(|(to, more)| *to = to.wrapping_add(more));
    }
}
