//! Quantized weights in the layouts that the CUDA kernels read.
//!
//! GGML's blocks have 18 bytes and the like, which a GPU cannot load 16 at a
//! time. Here codes, high bits and scales stand in arrays of their own, row by
//! row, and each array of a row is whole blocks of 32 columns:
//!
//! | layout | codes of a block | high bits | scales (f16) | a weight is | from |
//! |---|---|---|---|---|---|
//! | `Four` | 16 bytes | | scale, offset | `q s + o`, q in 0..16 | Q4_0, Q4_1, Q4_K |
//! | `Five` | 16 bytes | 4 bytes | scale, offset | `q s + o`, q in 0..32 | Q5_0, Q5_1, Q5_K |
//! | `Six` | 16 bytes | 8 bytes | of columns 0-15, of 16-31 | `q s`, q in -32..32 | Q6_K, Q3_K |
//! | `Eight` | 2 × 16 bytes | | scale | `q s`, q in -128..128 | Q8_0 |
//!
//! Codes: byte `k` of a block's 16 has the low four bits of column `k` in its
//! low nibble and those of column `16 + k` in its high one. A 32-bit word is
//! thus two operands of a dot product of four bytes. Bit `8 j + g` of the high
//! bits of `Five` belongs to column `4 g + j`. `Six` holds `q + 32` with its
//! highest bit flipped, so that the six bits are a two's complement; bits
//! `8 j + 2 g` and the next of the high word `h` belong to column
//! `16 h + 4 g + j`. A row of `Eight` is the bytes of the first halves of all
//! its blocks, then those of the second halves.
//!
//! Scales and offsets are relative to a factor of the row's, a power of two that
//! brings the largest of them to 2^10 or more, below 2^11. Those of the K types
//! are products of up to 18 bits, which f16 rounds to 11: by at most 2^-11 of
//! the scale and of the offset, so a weight is off by at most
//! `2^-11 (|q s| + |o|)`. All others stand exactly, but for those below 2^-24 of
//! the row's largest.

use candle_core::quantized::GgmlDType;
use half::f16;
use rayon::prelude::*;

use super::packed::{Stored, decode};

/// Columns of a block.
const BLOCK: usize = 32;
/// Columns of half a block.
const HALF: usize = BLOCK / 2;

/// How weights stand; see the module's table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    Four,
    Five,
    Six,
    Eight,
}

impl Layout {
    /// The one for a type; `None` if it has none.
    pub const fn of(dtype: GgmlDType) -> Option<Self> {
        Some(match dtype {
            GgmlDType::Q4_0 | GgmlDType::Q4_1 | GgmlDType::Q4K => Self::Four,
            GgmlDType::Q5_0 | GgmlDType::Q5_1 | GgmlDType::Q5K => Self::Five,
            GgmlDType::Q3K | GgmlDType::Q6K => Self::Six,
            GgmlDType::Q8_0 => Self::Eight,
            _ => return None,
        })
    }

    /// As in the names of the kernels.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Four => "four",
            Self::Five => "five",
            Self::Six => "six",
            Self::Eight => "eight",
        }
    }

    /// Bytes of a block's codes.
    pub const fn codes(self) -> usize {
        if matches!(self, Self::Eight) { BLOCK } else { HALF }
    }

    /// Bytes of a block's high bits.
    pub const fn high(self) -> usize {
        match self {
            Self::Four | Self::Eight => 0,
            Self::Five => 4,
            Self::Six => 8,
        }
    }

    /// Scales and offsets of a block.
    pub const fn scales(self) -> usize {
        if matches!(self, Self::Eight) { 1 } else { 2 }
    }
}

/// A matrix of weights, (rows, columns); a row makes one output.
#[derive(Debug, Clone, PartialEq)]
pub struct Blocks {
    pub layout: Layout,
    pub rows: usize,
    pub columns: usize,
    pub codes: Vec<u8>,
    /// Empty where the layout has none.
    pub high: Vec<u8>,
    /// The bits of f16.
    pub scales: Vec<u16>,
    /// By which the scales of each row are to be multiplied.
    pub factors: Vec<f32>,
}

/// 32 columns as they are in the file.
struct Block {
    /// Of `Six` plus 32, of `Eight` as the bytes of an i8.
    codes: [u8; BLOCK],
    /// As many as the layout has.
    scales: [f32; 2],
}

/// Where the parts of a row go.
struct Row<'a> {
    codes: &'a mut [u8],
    high: &'a mut [u8],
    scales: &'a mut [u16],
    factor: &'a mut f32,
}

impl Blocks {
    /// From the bytes of a tensor of a GGML type. `None` if the type has no
    /// layout, or if rows are not whole blocks or not as many as there are bytes.
    pub fn from_ggml(bytes: &[u8], dtype: GgmlDType, rows: usize, columns: usize) -> Option<Self> {
        let layout = Layout::of(dtype)?;
        if rows == 0 || columns == 0 || !columns.is_multiple_of(dtype.block_size()) {
            return None;
        }
        let row_bytes = columns / dtype.block_size() * dtype.type_size();
        if rows.checked_mul(row_bytes) != Some(bytes.len()) {
            return None;
        }
        let blocks = columns / BLOCK;
        let mut new = Self {
            layout,
            rows,
            columns,
            codes: vec![0; rows * blocks * layout.codes()],
            high: vec![0; rows * blocks * layout.high()],
            scales: vec![0; rows * blocks * layout.scales()],
            factors: vec![0.0; rows],
        };
        let mut high = new.high.chunks_exact_mut((blocks * layout.high()).max(1));
        let mut parts: Vec<Row<'_>> = new
            .codes
            .chunks_exact_mut(blocks * layout.codes())
            .zip(new.scales.chunks_exact_mut(blocks * layout.scales()))
            .zip(&mut new.factors)
            .map(|((codes, scales), factor)| Row {
                codes,
                high: high.next().unwrap_or_default(),
                scales,
                factor,
            })
            .collect();
        parts.par_iter_mut().zip(bytes.par_chunks_exact(row_bytes)).for_each_init(
            Vec::new,
            |found, (row, bytes)| {
                found.clear();
                for b in 0..blocks {
                    let block = block(dtype, bytes, b);
                    row.put(layout, b, &block.codes);
                    found.extend(&block.scales[..layout.scales()]);
                }
                *row.factor = factor(found);
                for (to, from) in row.scales.iter_mut().zip(found) {
                    *to = f16::from_f32(*from / *row.factor).to_bits();
                }
            },
        );
        Some(new)
    }

    /// The size of all arrays.
    pub fn bytes(&self) -> usize {
        let (scales, factors) = (size_of_val(&self.scales[..]), size_of_val(&self.factors[..]));
        self.codes.len() + self.high.len() + scales + factors
    }

    /// The weights of row `r`, as the kernels compute them.
    ///
    /// # Panics
    /// If there is no such row or `out` is not as long as it.
    pub fn row(&self, r: usize, out: &mut [f32]) {
        assert_eq!(out.len(), self.columns);
        let blocks = self.columns / BLOCK;
        let part = |size: usize| r * blocks * size..(r + 1) * blocks * size;
        let codes = &self.codes[part(self.layout.codes())];
        let high = &self.high[part(self.layout.high())];
        let scales = &self.scales[part(self.layout.scales())];
        for (column, out) in out.iter_mut().enumerate() {
            let (b, c) = (column / BLOCK, column % BLOCK);
            let (half, k) = (c / HALF, c % HALF);
            let (g, j) = (k / 4, k % 4);
            let low = || codes[b * HALF + k] >> (4 * half) & 15;
            let scale = |i: usize| f16::from_bits(scales[b * self.layout.scales() + i]).to_f32();
            let weight = match self.layout {
                Layout::Four => f32::from(low()) * scale(0) + scale(1),
                Layout::Five => {
                    let fifth = high[b * 4 + j] >> (4 * half + g) & 1;
                    f32::from(low() | fifth << 4) * scale(0) + scale(1)
                }
                Layout::Six => {
                    let top = high[b * 8 + half * 4 + j] >> (2 * g) & 3;
                    // The six bits as those of a signed number, four times as large.
                    let four_times = (low() << 2 | top << 6) as i8;
                    f32::from(four_times >> 2) * scale(half)
                }
                Layout::Eight => f32::from(codes[(half * blocks + b) * HALF + k] as i8) * scale(0),
            };
            *out = weight * self.factors[r];
        }
    }
}

impl Row<'_> {
    /// Puts the codes of block `b`.
    fn put(&mut self, layout: Layout, b: usize, codes: &[u8; BLOCK]) {
        if layout == Layout::Eight {
            let second = self.codes.len() / 2;
            for (half, from) in codes.chunks_exact(HALF).enumerate() {
                let at = half * second + b * HALF;
                self.codes[at..at + HALF].copy_from_slice(from);
            }
            return;
        }
        for (k, to) in self.codes[b * HALF..][..HALF].iter_mut().enumerate() {
            *to = codes[k] & 15 | codes[HALF + k] << 4;
        }
        for (c, code) in codes.iter().enumerate() {
            let (g, j) = (c / 4, c % 4);
            match layout {
                Layout::Five => self.high[b * 4 + j] |= (code >> 4) << g,
                Layout::Six => {
                    let (half, g) = (g / 4, g % 4);
                    self.high[b * 8 + half * 4 + j] |= (code >> 4 ^ 2) << (2 * g);
                }
                Layout::Four | Layout::Eight => {}
            }
        }
    }
}

/// The power of two that brings the largest of some numbers to 2^10.
fn factor(numbers: &[f32]) -> f32 {
    let largest = numbers.iter().filter(|s| s.is_finite()).fold(0f32, |m, s| m.max(s.abs()));
    match (largest.to_bits() >> 23).checked_sub(10) {
        Some(exponent) if exponent > 0 => f32::from_bits(exponent << 23),
        _ => 1.0,
    }
}

/// Columns `32 b` and following of a row.
fn block(dtype: GgmlDType, row: &[u8], b: usize) -> Block {
    let read = decode::block(Stored::Candle(dtype), row, b);
    let [scale, other] = read.scales;
    let (codes, scales) = match dtype {
        // These stand for what they are less a constant.
        GgmlDType::Q4_0 => (read.q, [scale, -8.0 * scale]),
        GgmlDType::Q5_0 => (read.q, [scale, -16.0 * scale]),
        GgmlDType::Q3K => (read.q.map(|q| q + 32 - 4), [scale, other]),
        GgmlDType::Q6K => (read.q, [scale, other]),
        GgmlDType::Q8_0 => (read.q.map(|q| q ^ 0x80), [scale, 0.0]),
        _ => (read.q, [scale, read.offset]),
    };
    Block { codes, scales }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use candle_core::quantized::{QStorage, QTensor};
    use candle_core::{Device, Result};

    use super::*;

    const TYPES: [GgmlDType; 9] = [
        GgmlDType::Q4_0,
        GgmlDType::Q4_1,
        GgmlDType::Q5_0,
        GgmlDType::Q5_1,
        GgmlDType::Q8_0,
        GgmlDType::Q3K,
        GgmlDType::Q4K,
        GgmlDType::Q5K,
        GgmlDType::Q6K,
    ];

    /// Where a block's f16 are.
    fn floats(dtype: GgmlDType) -> &'static [usize] {
        match dtype {
            GgmlDType::Q4_1 | GgmlDType::Q5_1 | GgmlDType::Q4K | GgmlDType::Q5K => &[0, 2],
            GgmlDType::Q6K => &[208],
            GgmlDType::Q3K => &[108],
            _ => &[0],
        }
    }

    /// Blocks of random bytes, with scales of about `size`.
    fn random(dtype: GgmlDType, weights: usize, size: f32, mut state: u64) -> Vec<u8> {
        let mut next = || {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 33) as u32
        };
        let blocks = weights / dtype.block_size();
        let mut bytes: Vec<u8> = (0..blocks * dtype.type_size()).map(|_| next() as u8).collect();
        for block in bytes.chunks_exact_mut(dtype.type_size()) {
            for &at in floats(dtype) {
                let d = size * (next() as f32 / 2f32.powi(30) - 1.0);
                block[at..at + 2].copy_from_slice(&f16::from_f32(d).to_le_bytes());
            }
        }
        bytes
    }

    fn dequantized(bytes: &[u8], dtype: GgmlDType, shape: (usize, usize)) -> Result<Vec<f32>> {
        let storage = QStorage::from_data(Cow::Borrowed(bytes), &Device::Cpu, dtype)?;
        QTensor::new(storage, shape)?.dequantize(&Device::Cpu)?.flatten_all()?.to_vec1()
    }

    /// How far a weight of block `b` of row `r` may be off.
    fn tolerance(blocks: &Blocks, r: usize, b: usize) -> f32 {
        let n = blocks.layout.scales();
        let at = (r * blocks.columns / BLOCK + b) * n;
        let scale = |i: usize| f16::from_bits(blocks.scales[at + i]).to_f32().abs();
        let code = [15.0, 31.0, 32.0, 128.0][blocks.layout as usize];
        let largest = match blocks.layout {
            Layout::Four | Layout::Five => scale(0) * code + scale(1),
            Layout::Six => scale(0).max(scale(1)) * code,
            Layout::Eight => scale(0) * code,
        };
        blocks.factors[r] * (largest / 2048.0 + 2f32.powi(-25))
    }

    #[test]
    fn rows_are_those_that_candle_reads() -> Result<()> {
        for (t, dtype) in TYPES.into_iter().enumerate() {
            for (rows, columns, size) in [(5, 768, 0.01), (3, 256, 700.0), (2, 2304, 1e-6)] {
                let bytes = random(dtype, rows * columns, size, (t * columns) as u64);
                let expected = dequantized(&bytes, dtype, (rows, columns))?;
                let blocks = Blocks::from_ggml(&bytes, dtype, rows, columns).expect("it fits");
                let mut row = vec![0.0; columns];
                for (r, expected) in expected.chunks_exact(columns).enumerate() {
                    blocks.row(r, &mut row);
                    for (c, (w, e)) in row.iter().zip(expected).enumerate() {
                        let exact = dtype.block_size() == BLOCK;
                        let allowed = if exact { 0.0 } else { tolerance(&blocks, r, c / BLOCK) };
                        assert!((w - e).abs() <= allowed, "{dtype:?} {r} {c}: {w}, not {e}");
                    }
                }
            }
        }
        Ok(())
    }

    #[test]
    fn scales_fill_the_range_of_f16() {
        let bytes = random(GgmlDType::Q6K, 4 * 512, 1e-5, 7);
        let blocks = Blocks::from_ggml(&bytes, GgmlDType::Q6K, 4, 512).expect("it fits");
        for (scales, factor) in blocks.scales.chunks(512 / 16).zip(&blocks.factors) {
            let scales = scales.iter().map(|s| f16::from_bits(*s).to_f32().abs());
            let largest = scales.fold(0.0, f32::max);
            assert!((1024.0..=2048.0).contains(&largest), "{largest}");
            assert_eq!(factor.to_bits() << 9, 0, "{factor} is no power of two");
        }
    }

    #[test]
    fn codes_stand_where_the_kernels_look() {
        // Column c of a block of Q8_0 is c - 5; of one of Q5_0 c.
        let mut eight = f16::ONE.to_le_bytes().to_vec();
        eight.extend((0..32u8).map(|c| c.wrapping_sub(5)));
        let eight = Blocks::from_ggml(&eight.repeat(2), GgmlDType::Q8_0, 1, 64).expect("it fits");
        assert_eq!(eight.codes[17..20], [252, 253, 254]);
        assert_eq!(eight.codes[32..35], [11, 12, 13]);
        assert_eq!(f32::from(f16::from_bits(eight.scales[1])) * eight.factors[0], 1.0);
        let mut five = f16::ONE.to_le_bytes().to_vec();
        five.extend([0, 0, 255, 255]);
        five.extend((0..16u8).map(|k| k | k << 4));
        let five = Blocks::from_ggml(&five, GgmlDType::Q5_0, 1, 32).expect("it fits");
        assert_eq!(five.codes[..3], [0x00, 0x11, 0x22]);
        assert_eq!(five.high, [0xf0; 4]);
        assert_eq!(five.bytes(), 16 + 4 + 4 + 4);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let bytes = [0; 18 * 4];
        let from = |dtype, rows, columns| Blocks::from_ggml(&bytes, dtype, rows, columns);
        assert!(from(GgmlDType::Q4_0, 2, 64).is_some());
        assert!(from(GgmlDType::Q4_0, 3, 64).is_none());
        assert!(from(GgmlDType::Q4_0, 2, 48).is_none());
        assert!(from(GgmlDType::Q4_0, 0, 64).is_none());
        assert!(from(GgmlDType::Q2K, 2, 64).is_none());
        let zeros = from(GgmlDType::Q4_0, 2, 64).expect("it fits");
        let mut row = [1.0; 64];
        zeros.row(1, &mut row);
        assert_eq!(row, [0.0; 64]);
    }
}
