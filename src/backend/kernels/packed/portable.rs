//! The kernels in plain loops: the definition the fast ones are held to.

use half::f16;

use super::activations::Step;
use super::matmul::{Results, Work};
use super::{BLOCK, Format, TABLE, TILE};

/// The stored weight of lane `r` and column `c` of block `b`.
fn weight(format: Format, tile: &[u8], b: usize, r: usize, c: usize) -> i32 {
    let (base, _) = format.block_at(b);
    let (g, at) = (c / 4, 4 * r + c % 4);
    if format == Format::Eight {
        return i32::from(tile[base + g * 64 + at]);
    }
    let nibble = (tile[base + (g % 4) * 64 + at] >> (4 * (g / 4))) & 15;
    if format == Format::FourTable {
        return i32::from(TABLE[usize::from(nibble)]);
    }
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
    for (t, tile) in work.tiles.iter().enumerate() {
        results.iter_mut().take(rows).for_each(|row| row[t].fill(0.0));
        for b in 0..work.columns / BLOCK {
            let w = Expanded::new(work.format, tile, b);
            for m in 0..rows {
                let i = b * rows + m;
                let q = &work.group.q[i * BLOCK..(i + 1) * BLOCK];
                w.add_product(q, work.group.steps[i], &mut results[m][t]);
            }
        }
    }
}

/// A block of a tile with a number for each weight, which all rows share:
/// column by column, so that loops over the sixteen lanes become vectors.
struct Expanded {
    format: Format,
    columns: [[i16; TILE]; BLOCK],
    scales: [[f32; TILE]; 2],
}

impl Expanded {
    fn new(format: Format, tile: &[u8], b: usize) -> Self {
        let (base, _) = format.block_at(b);
        let weights = &tile[base..base + format.weight_bytes()];
        let mut columns = [[0i16; TILE]; BLOCK];
        for g in 0..8 {
            let bytes = group(format, weights, g);
            for (c, column) in columns[4 * g..4 * g + 4].iter_mut().enumerate() {
                for (r, w) in column.iter_mut().enumerate() {
                    *w = i16::from(bytes[4 * r + c]);
                }
            }
        }
        let slot = |slot| std::array::from_fn(|r| scale(format, tile, b, slot, r));
        let both = format.has_halves() || format.zero_shift().is_none();
        let scales = [slot(0), if both { slot(1) } else { [0.0; TILE] }];
        Self { format, columns, scales }
    }

    fn add_product(&self, q: &[i8], step: Step, lanes: &mut [f32; TILE]) {
        let shift = self.format.zero_shift();
        let zero = |minus: i32| shift.map_or(0, |shift| minus << shift);
        let mut low = [zero(step.minus_low); TILE];
        // Sums of a row that holds what is no number are anything; its scale makes
        // the result no number either.
        let mut high = [zero(step.minus.wrapping_sub(step.minus_low)); TILE];
        let (first, second) = self.columns.split_at(BLOCK / 2);
        for (dots, columns, q) in
            [(&mut low, first, &q[..BLOCK / 2]), (&mut high, second, &q[BLOCK / 2..])]
        {
            for (column, &q) in columns.iter().zip(q) {
                for (dot, &w) in dots.iter_mut().zip(column) {
                    *dot = dot.wrapping_add(i32::from(w) * i32::from(q));
                }
            }
        }
        let [s, t] = &self.scales;
        for r in 0..TILE {
            lanes[r] += match self.format.has_halves() {
                true => low[r] as f32 * (s[r] * step.scale) + high[r] as f32 * (t[r] * step.scale),
                // Without offsets the second slot is 0.
                false => (low[r] + high[r]) as f32 * (s[r] * step.scale) + t[r] * step.weighted,
            };
        }
    }
}

/// The 64 stored weights of group `g` of a block.
fn group(format: Format, weights: &[u8], g: usize) -> [u8; 64] {
    if format == Format::Eight {
        return std::array::from_fn(|i| weights[g * 64 + i]);
    }
    let shift = 4 * (g / 4);
    let low: &[u8] = &weights[g % 4 * 64..][..64];
    let mut bytes: [u8; 64] = std::array::from_fn(|i| (low[i] >> shift) & 15);
    match format {
        Format::Five | Format::FiveZero => {
            for (i, byte) in bytes.iter_mut().enumerate() {
                *byte |= ((weights[256 + g * 8 + i / 8] >> (i % 8)) & 1) << 4;
            }
        }
        Format::Six => {
            let upper = &weights[256 + g / 4 * 64..][..64];
            for (byte, upper) in bytes.iter_mut().zip(upper) {
                *byte |= ((upper >> (2 * (g % 4))) & 3) << 4;
            }
        }
        Format::FourTable => bytes = bytes.map(|nibble| TABLE[usize::from(nibble)]),
        _ => {}
    }
    bytes
}
