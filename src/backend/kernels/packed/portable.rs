//! The kernels in plain loops: the definition the fast ones are held to.

use half::f16;

use super::activations::Step;
use super::matmul::{Results, Work};
use super::{BLOCK, Format, TILE};

/// The stored weight of lane `r` and column `c` of block `b`.
fn weight(format: Format, tile: &[u8], b: usize, r: usize, c: usize) -> i32 {
    let (base, _) = format.block_at(b);
    let (g, at) = (c / 4, 4 * r + c % 4);
    if format == Format::Eight {
        return i32::from(tile[base + g * 64 + at]);
    }
    let nibble = (tile[base + (g % 4) * 64 + at] >> (4 * (g / 4))) & 15;
    let upper = match format {
        Format::Five | Format::FiveZero => (tile[base + 256 + g * 8 + at / 8] >> (at % 8)) & 1,
        Format::Six => (tile[base + 256 + g / 4 * 64 + at] >> (2 * (g % 4))) & 3,
        _ => 0,
    };
    i32::from(nibble | (upper << 4))
}

/// Scale slot 0 or 1 of lane `r`.
fn scale(format: Format, tile: &[u8], b: usize, slot: usize, r: usize) -> f32 {
    let (_, base) = format.block_at(b);
    let at = base + slot * 32 + r * 2;
    f16::from_le_bytes([tile[at], tile[at + 1]]).to_f32()
}

/// One lane's 32 weights of a block in f32.
pub fn dequantize(format: Format, tile: &[u8], b: usize, r: usize, out: &mut [f32]) {
    let first = scale(format, tile, b, 0, r);
    let second = if format.has_halves() { scale(format, tile, b, 1, r) } else { first };
    let (zero, offset) = match format.zero_shift() {
        Some(shift) => (1 << shift, 0.0),
        None => (0, scale(format, tile, b, 1, r)),
    };
    for (c, out) in out.iter_mut().enumerate().take(BLOCK) {
        let s = if c < BLOCK / 2 { first } else { second };
        *out = (weight(format, tile, b, r, c) - zero) as f32 * s + offset;
    }
}

/// Computes the rows of a group for up to two tiles.
pub fn kernel(work: &Work<'_>, results: &mut Results) {
    let rows = work.group.rows;
    for (m, row) in results.iter_mut().enumerate().take(rows) {
        for (tile, lanes) in work.tiles.iter().zip(row) {
            lanes.fill(0.0);
            for b in 0..work.columns / BLOCK {
                let i = b * rows + m;
                let q = &work.group.q[i * BLOCK..(i + 1) * BLOCK];
                block(work.format, tile, b, (q, work.group.steps[i]), lanes);
            }
        }
    }
}

fn block(format: Format, tile: &[u8], b: usize, (q, step): (&[i8], Step), lanes: &mut [f32; TILE]) {
    for (r, lane) in lanes.iter_mut().enumerate() {
        let dot = |columns: std::ops::Range<usize>| -> i32 {
            columns.map(|c| weight(format, tile, b, r, c) * i32::from(q[c])).sum()
        };
        let s = |slot| scale(format, tile, b, slot, r);
        match format.zero_shift() {
            None => {
                *lane += dot(0..32) as f32 * (s(0) * step.scale);
                *lane += s(1) * step.weighted;
            }
            Some(shift) if format.has_halves() => {
                let (low, high) = (step.minus_low, step.minus - step.minus_low);
                *lane += (dot(0..16) + (low << shift)) as f32 * (s(0) * step.scale);
                *lane += (dot(16..32) + (high << shift)) as f32 * (s(1) * step.scale);
            }
            Some(shift) => {
                *lane += (dot(0..32) + (step.minus << shift)) as f32 * (s(0) * step.scale);
            }
        }
    }
}
