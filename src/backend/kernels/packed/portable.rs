//! The kernels in plain loops: the definition the fast ones are held to.

use half::f16;

use super::matmul::{Results, Work};
use super::{BLOCK, Format, TILE};

/// The stored weight of lane `r` and column `c` of block `b`.
fn weight(format: Format, tile: &[u8], b: usize, r: usize, c: usize) -> i32 {
    let base = b * format.weight_bytes();
    let (g, at) = (c / 4, 4 * r + c % 4);
    match format {
        Format::Eight | Format::EightHalves => i32::from(tile[base + g * 64 + at]) - 128,
        Format::Four | Format::Five => {
            let nibble = (tile[base + (g % 4) * 64 + at] >> (4 * (g / 4))) & 15;
            let fifth = match format {
                Format::Five => (tile[base + 256 + g * 8 + at / 8] >> (at % 8)) & 1,
                _ => 0,
            };
            i32::from(nibble | (fifth << 4))
        }
    }
}

/// Scale slot 0 or 1 of lane `r`.
fn scale(format: Format, tile: &[u8], blocks: usize, b: usize, slot: usize, r: usize) -> f32 {
    let at = blocks * format.weight_bytes() + b * format.scale_bytes() + slot * 32 + r * 2;
    f16::from_le_bytes([tile[at], tile[at + 1]]).to_f32()
}

/// One lane's 32 weights of a block in f32.
pub fn dequantize(format: Format, tile: &[u8], blocks: usize, b: usize, r: usize, out: &mut [f32]) {
    let first = scale(format, tile, blocks, b, 0, r);
    let (second, offset) = match format {
        Format::Eight => (first, 0.0),
        Format::EightHalves => (scale(format, tile, blocks, b, 1, r), 0.0),
        Format::Four | Format::Five => (first, scale(format, tile, blocks, b, 1, r)),
    };
    for (c, out) in out.iter_mut().enumerate().take(BLOCK) {
        let s = if c < BLOCK / 2 { first } else { second };
        *out = weight(format, tile, b, r, c) as f32 * s + offset;
    }
}

/// Computes `work.rows` rows of up to two tiles.
pub fn kernel(work: &Work<'_>, results: &mut Results) {
    let a = work.activations;
    for (m, row) in results.iter_mut().enumerate().take(work.rows) {
        let q = &a.q[(work.first_row + m) * a.columns..][..a.columns];
        for (tile, lanes) in work.tiles.iter().zip(row) {
            for b in 0..work.blocks {
                let i = (work.first_row + m) * work.blocks + b;
                let q = &q[b * BLOCK..(b + 1) * BLOCK];
                block(work, tile, b, q, (a.scales[i], a.sums[i]), lanes);
            }
        }
    }
}

fn block(
    work: &Work<'_>,
    tile: &[u8],
    b: usize,
    q: &[i8],
    (step, sum): (f32, i32),
    lanes: &mut [f32; TILE],
) {
    let format = work.format;
    for (r, lane) in lanes.iter_mut().enumerate() {
        let dot = |columns: std::ops::Range<usize>| -> i32 {
            columns.map(|c| weight(format, tile, b, r, c) * i32::from(q[c])).sum()
        };
        let s = |slot| scale(format, tile, work.blocks, b, slot, r);
        match format {
            Format::Eight => *lane += dot(0..32) as f32 * (s(0) * step),
            Format::EightHalves => {
                *lane += dot(0..16) as f32 * (s(0) * step);
                *lane += dot(16..32) as f32 * (s(1) * step);
            }
            Format::Four | Format::Five => {
                *lane += dot(0..32) as f32 * (s(0) * step);
                *lane += s(1) * (sum as f32 * step);
            }
        }
    }
}
