//! Plain weights as bf16, for processors that multiply whole tiles of it: eight
//! bits of each number (`Brain`), or what that leaves as a second bf16
//! (`Brains`), with which sixteen are kept, as many as the 16-bit integers of
//! `sixteen` have. Products of two `Brains` are three of bf16: that of the two
//! rests would be lost in the sum.
//!
//! A tile has, for each block of 32 columns, two columns of all sixteen rows in
//! each 64 bytes; of `Brains` first the rests and then the numbers.

#[cfg(target_arch = "x86_64")]
pub mod amx;

use half::bf16;

use super::matmul::{Results, Work};
use super::{BLOCK, Format, TILE};
use crate::backend::kernels::math::LANES;
use crate::backend::kernels::multiversion;
use crate::backend::kernels::simd::Simd;

/// Bytes of a block's numbers in a tile.
const PLANE: usize = BLOCK * TILE * 2;

/// Whether rows of so many columns can be stored.
pub const fn fits(columns: usize) -> bool {
    columns.is_multiple_of(BLOCK)
}

/// A number, rounded, and what that leaves.
#[inline(always)]
fn split(x: f32) -> [bf16; 2] {
    let high = bf16::from_f32(x);
    [high, bf16::from_f32(x - high.to_f32())]
}

/// Where block `b` of a tile has its numbers, and its rests if it has any.
const fn places(format: Format, b: usize) -> (usize, Option<usize>) {
    match format {
        Format::Brains => ((2 * b + 1) * PLANE, Some(2 * b * PLANE)),
        _ => (b * PLANE, None),
    }
}

const fn at(lane: usize, c: usize) -> usize {
    c / 2 * (4 * TILE) + lane * 4 + c % 2 * 2
}

/// Writes one row of a tile.
pub fn pack(format: Format, tile: &mut [u8], lane: usize, row: &[f32]) {
    for (b, row) in row.chunks_exact(BLOCK).enumerate() {
        let (numbers, rests) = places(format, b);
        for (c, &x) in row.iter().enumerate() {
            let [high, low] = split(x);
            let mut put = |plane: usize, x: bf16| {
                let at = plane + at(lane, c);
                tile[at..at + 2].copy_from_slice(&x.to_le_bytes());
            };
            put(numbers, high);
            if let Some(rests) = rests {
                put(rests, low);
            }
        }
    }
}

#[inline(always)]
fn weight(format: Format, tile: &[u8], lane: usize, column: usize) -> f32 {
    let (numbers, rests) = places(format, column / BLOCK);
    let read = |plane: usize| {
        let at = plane + at(lane, column % BLOCK);
        bf16::from_le_bytes([tile[at], tile[at + 1]]).to_f32()
    };
    read(numbers) + rests.map_or(0.0, read)
}

/// One row in f32.
pub fn row(format: Format, tile: &[u8], lane: usize, out: &mut [f32]) {
    for (c, out) in out.iter_mut().enumerate() {
        *out = weight(format, tile, lane, c);
    }
}

/// Where one row of activations goes: block `b`'s numbers are at
/// `first + 2 * b * stride`, what they leave `stride` after them.
#[derive(Clone, Copy)]
pub struct Row<'a> {
    pub q: crate::backend::kernels::team::Parts<'a, u16>,
    pub first: usize,
    pub stride: usize,
}

multiversion!(
    /// Rounds a row.
    ///
    /// The row is the caller's alone, see `Inputs::set`.
    pub simd fn round(x: &[f32], row: Row<'_>) = round_body
);

#[inline(always)]
fn round_body<S: Simd>(x: &[f32], row: Row<'_>) {
    for (b, x) in x.chunks_exact(BLOCK).enumerate() {
        let at = row.first + 2 * b * row.stride;
        // SAFETY: the row is the caller's alone.
        let (high, low) = unsafe {
            (row.q.write(at..at + BLOCK), row.q.write(at + row.stride..at + row.stride + BLOCK))
        };
        let (x, _) = x.as_chunks::<LANES>();
        let (high, _) = high.as_chunks_mut::<LANES>();
        let (low, _) = low.as_chunks_mut::<LANES>();
        for ((x, high), low) in x.iter().zip(high).zip(low) {
            S::load(x).store_bf16(high);
            let mut rest = [0.0; LANES];
            for i in 0..LANES {
                rest[i] = x[i] - bf16::from_bits(high[i]).to_f32();
            }
            S::load(&rest).store_bf16(low);
        }
    }
}

multiversion!(
    /// Computes the rows of a group for up to two tiles; what AMX is held to,
    /// and other machines' way.
    pub fn kernel(work: &Work<'_>, results: &mut Results) = body
);

#[inline(always)]
fn body(work: &Work<'_>, results: &mut Results) {
    let rows = work.group.rows;
    for (t, tile) in work.tiles.iter().enumerate() {
        for row in results.iter_mut().take(rows) {
            row[t] = [0.0; TILE];
        }
        for c in 0..work.columns {
            let w: [f32; TILE] = std::array::from_fn(|lane| weight(work.format, tile, lane, c));
            for m in 0..rows {
                let at = (c / BLOCK * 2 * rows + m) * BLOCK + c % BLOCK;
                let read = |at: usize| bf16::from_bits(work.group.brains[at]).to_f32();
                let rest = match work.format {
                    Format::Brains => read(at + rows * BLOCK),
                    _ => 0.0,
                };
                let x = read(at) + rest;
                for (sum, w) in results[m][t].iter_mut().zip(w) {
                    *sum = x.mul_add(w, *sum);
                }
            }
        }
    }
}
