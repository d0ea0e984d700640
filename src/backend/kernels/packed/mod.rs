//! Weight matrices, packed once for the CPU.
//!
//! Sixteen output rows make a tile, so that one vector holds a number of each.
//!
//! **Quantized**: in a tile, each block of 32 input columns stands as groups of
//! 64 bytes: byte `4r + j` of group `g` is the weight of row `r` and column
//! `4g + j`, so one load feeds one 4-way dot product of all sixteen rows.
//! Weights are unsigned; activations are signed bytes with one scale a block.
//! Blocks come in pairs, whole cache lines: the weights of both, then the
//! scales of both (f16).
//!
//! | format | a block's weights | a block's scales | a weight is |
//! |---|---|---|---|
//! | `Four` | 4 groups; group `g + 4` in the high nibbles | 16 scales, 16 offsets | `q s + o` |
//! | `FourZero` | the same | 16 scales | `(q - 8) s` |
//! | `FourHalves` | the same | 16 scales of columns 0-15, 16 of 16-31 | `(q - 4) s` |
//! | `Five` | the same, then 8 masks of 64 bits: the fifth bits | 16 scales, 16 offsets | `q s + o` |
//! | `FiveZero` | the same | 16 scales | `(q - 16) s` |
//! | `Six` | 4 groups, then 2 of upper bits: those of group `g` in bits `2 (g % 4)` of group `4 + g / 4` | as `FourHalves` | `(q - 32) s` |
//! | `Eight` | 8 groups | 16 scales | `(q - 128) s` |
//!
//! **Plain** (`F32`, `F16`, `BF16`): for each column the sixteen rows' numbers.
//!
//! **`Sixteen`**: what is plain in the file as 16-bit integers; see [`sixteen`].

mod activations;
#[cfg(target_arch = "x86_64")]
mod avx2;
mod decode;
mod dense;
mod lanes;
mod matmul;
mod portable;
mod quantize;
mod sixteen;
#[cfg(target_arch = "x86_64")]
mod vnni;

use candle_core::quantized::GgmlDType;
use half::f16;
use rayon::prelude::*;

use super::team::{Parts, team};

pub use activations::{Activations, Inputs, Wants};
pub use lanes::{add_lanes, add_sum, copy_lanes, set_sum};
pub use matmul::{Level, best_level, matmul, products, products_of_pairs};
pub use quantize::is_plain;

/// Output rows of a tile.
pub(in crate::backend::kernels) const TILE: usize = 16;
/// Input columns of a block.
pub(super) const BLOCK: usize = 32;

/// How weights are stored; see the module's table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Four,
    FourZero,
    FourHalves,
    Five,
    FiveZero,
    Six,
    Eight,
    F32,
    F16,
    BF16,
    Sixteen,
}

/// What products are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Arithmetic {
    Int8,
    Int16,
    F32,
}

impl Format {
    /// How it is multiplied.
    pub const fn arithmetic(self) -> Arithmetic {
        match self {
            Self::Sixteen => Arithmetic::Int16,
            Self::F32 | Self::F16 | Self::BF16 => Arithmetic::F32,
            _ => Arithmetic::Int8,
        }
    }

    /// Whether it is multiplied with quantized activations.
    pub const fn is_quantized(self) -> bool {
        !matches!(self, Self::F32 | Self::F16 | Self::BF16 | Self::Sixteen)
    }

    /// Bytes of one block's weights in a tile.
    const fn weight_bytes(self) -> usize {
        match self {
            Self::Four | Self::FourZero | Self::FourHalves => 256,
            Self::Five | Self::FiveZero => 320,
            Self::Six => 384,
            Self::Eight => 512,
            Self::F32 => 32 * 64,
            Self::F16 | Self::BF16 | Self::Sixteen => 32 * 32,
        }
    }

    /// Bytes of one block's scales in a tile.
    const fn scale_bytes(self) -> usize {
        match self {
            Self::FourZero | Self::FiveZero | Self::Eight => 32,
            Self::F32 | Self::F16 | Self::BF16 | Self::Sixteen => 0,
            _ => 64,
        }
    }

    /// Bytes of a pair of blocks.
    const fn pair_bytes(self) -> usize {
        2 * (self.weight_bytes() + self.scale_bytes())
    }

    /// Bytes of a tile, whole cache lines.
    fn tile_bytes(self, columns: usize) -> usize {
        match self.is_quantized() {
            _ if self == Self::Sixteen => sixteen::tile_bytes(columns),
            true => (columns / BLOCK).div_ceil(2) * self.pair_bytes(),
            // Weights alone, with no blocks.
            false => (columns * self.weight_bytes() / BLOCK).next_multiple_of(64),
        }
    }

    /// Where block `b` of a tile has its weights and its scales.
    const fn block_at(self, b: usize) -> (usize, usize) {
        let (pair, second) = (b / 2 * self.pair_bytes(), b % 2);
        let scales = pair + 2 * self.weight_bytes() + second * self.scale_bytes();
        (pair + second * self.weight_bytes(), scales)
    }

    /// `n` where the stored weight 2^n stands for 0; `None` where weights have
    /// offsets instead.
    const fn zero_shift(self) -> Option<u32> {
        match self {
            Self::FourHalves => Some(2),
            Self::FourZero => Some(3),
            Self::FiveZero => Some(4),
            Self::Six => Some(5),
            Self::Eight => Some(7),
            _ => None,
        }
    }

    /// Whether the two halves of a block have scales of their own.
    const fn has_halves(self) -> bool {
        matches!(self, Self::FourHalves | Self::Six)
    }

    /// The format that holds a GGML type without changing its quants (scales of
    /// K types are multiplied out and rounded to f16); `None`
    /// for types this module does not pack.
    pub fn of(dtype: GgmlDType) -> Option<Self> {
        use GgmlDType::*;
        match dtype {
            Q4_0 => Some(Self::FourZero),
            Q4_1 | Q4K => Some(Self::Four),
            Q5_0 => Some(Self::FiveZero),
            Q5_1 | Q5K => Some(Self::Five),
            Q8_0 => Some(Self::Eight),
            Q3K => Some(Self::FourHalves),
            Q6K => Some(Self::Six),
            F32 => Some(Self::F32),
            F16 => Some(Self::F16),
            BF16 => Some(Self::BF16),
            _ => None,
        }
    }
}

/// Memory in whole cache lines.
#[repr(align(64))]
#[derive(Clone, Copy)]
// Read and written as plain bytes only.
struct Line(#[allow(dead_code)] [u8; 64]);

/// A packed matrix of (rows, columns): it maps `columns` inputs to `rows` outputs.
#[derive(Clone)]
pub struct Packed {
    format: Format,
    /// The type of the numbers it was packed from.
    source: GgmlDType,
    /// The type they were quantized to when they were packed.
    quantized_to: Option<GgmlDType>,
    rows: usize,
    columns: usize,
    tile_bytes: usize,
    data: Vec<Line>,
}

impl std::fmt::Debug for Packed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Packed({:?}, {} x {})", self.format, self.rows, self.columns)
    }
}

impl Packed {
    /// Packs rows of numbers or of GGML blocks, on all threads. `None` if the
    /// type is not packed here or the bytes do not fit the shape.
    pub fn new(bytes: &[u8], dtype: GgmlDType, rows: usize, columns: usize) -> Option<Self> {
        let format = Format::of(dtype)?;
        if rows == 0 || columns == 0 || !columns.is_multiple_of(dtype.block_size()) {
            return None;
        }
        let row_bytes = columns / dtype.block_size() * dtype.type_size();
        if bytes.len() != rows * row_bytes {
            return None;
        }
        Some(Self::build(format, dtype, (rows, columns), |tile, first, lanes| {
            let bytes = &bytes[first * row_bytes..(first + lanes) * row_bytes];
            if format.is_quantized() {
                return pack_blocks(format, tile, dtype, (bytes, lanes, columns));
            }
            let size = dtype.type_size();
            for (r, row) in bytes.chunks_exact(row_bytes).enumerate() {
                for (c, number) in row.chunks_exact(size).enumerate() {
                    tile[(c * TILE + r) * size..][..size].copy_from_slice(number);
                }
            }
        }))
    }

    /// Lets `pack` fill each tile, on all threads; it gets the first row and
    /// how many there are.
    fn build(
        format: Format,
        source: GgmlDType,
        (rows, columns): (usize, usize),
        pack: impl Fn(&mut [u8], usize, usize) + Sync,
    ) -> Self {
        let tile_bytes = format.tile_bytes(columns);
        let tile_lines = tile_bytes / 64;
        let mut data = vec![Line([0; 64]); rows.div_ceil(TILE) * tile_lines];
        data.par_chunks_mut(tile_lines).enumerate().for_each(|(t, tile)| {
            let first = t * TILE;
            pack(tile.as_flattened_bytes(), first, TILE.min(rows - first));
        });
        Self { format, source, quantized_to: None, rows, columns, tile_bytes, data }
    }

    /// Bytes that a matrix takes when it is packed; `None` for types that are
    /// not packed here.
    pub fn bytes_of(dtype: GgmlDType, rows: usize, columns: usize) -> Option<usize> {
        Some(rows.div_ceil(TILE) * Format::of(dtype)?.tile_bytes(columns))
    }

    pub fn format(&self) -> Format {
        self.format
    }

    /// The type of the numbers in the file.
    pub fn source(&self) -> GgmlDType {
        self.source
    }

    /// The type they were quantized to here.
    pub fn quantized_to(&self) -> Option<GgmlDType> {
        self.quantized_to
    }

    pub fn rows(&self) -> usize {
        self.rows
    }

    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Bytes of the packed copy.
    pub fn bytes(&self) -> usize {
        self.data.len() * 64
    }

    fn tiles(&self) -> usize {
        self.rows.div_ceil(TILE)
    }

    fn tile(&self, t: usize) -> &[u8] {
        let lines = self.tile_bytes / 64;
        self.data[t * lines..(t + 1) * lines].as_flat()
    }

    /// Some rows in f32, on all threads.
    pub fn gather(&self, rows: &[u32], out: &mut [f32]) {
        assert_eq!(out.len(), rows.len() * self.columns);
        let out = Parts::new(out);
        team().run(|member| {
            for i in member.share(rows.len()) {
                let to = i * self.columns..(i + 1) * self.columns;
                // SAFETY: shares are distinct.
                self.row(rows[i] as usize, unsafe { out.write(to) });
            }
        });
    }

    /// One row in f32.
    pub fn row(&self, row: usize, out: &mut [f32]) {
        let tile = self.tile(row / TILE);
        if self.format == Format::Sixteen {
            return sixteen::row(tile, row % TILE, out);
        }
        if !self.format.is_quantized() {
            return dense::row(self.format, tile, row % TILE, out);
        }
        for (b, out) in out.chunks_exact_mut(BLOCK).enumerate() {
            portable::dequantize(self.format, tile, b, row % TILE, out);
        }
    }
}

trait Flat {
    fn as_flat(&self) -> &[u8];
    fn as_flattened_bytes(&mut self) -> &mut [u8];
}

impl Flat for [Line] {
    fn as_flat(&self) -> &[u8] {
        // SAFETY: a `Line` is 64 plain bytes with no padding.
        unsafe { std::slice::from_raw_parts(self.as_ptr().cast(), self.len() * 64) }
    }

    fn as_flattened_bytes(&mut self) -> &mut [u8] {
        // SAFETY: a `Line` is 64 plain bytes with no padding.
        unsafe { std::slice::from_raw_parts_mut(self.as_mut_ptr().cast(), self.len() * 64) }
    }
}

/// One row's 32 weights of a block, as the format has them.
#[derive(Clone, Copy)]
pub(super) struct Block {
    pub q: [u8; BLOCK],
    /// Of columns 0-15 and of 16-31; equal where the format has no halves.
    pub scales: [f32; 2],
    /// 0 where the format has none.
    pub offset: f32,
}

impl Block {
    const EMPTY: Self = Self { q: [0; BLOCK], scales: [0.0; 2], offset: 0.0 };
}

/// Fills a tile with some rows of a GGML type's blocks.
fn pack_blocks(
    format: Format,
    tile: &mut [u8],
    dtype: GgmlDType,
    (bytes, rows, columns): (&[u8], usize, usize),
) {
    let row_bytes = columns / dtype.block_size() * dtype.type_size();
    for b in 0..columns / BLOCK {
        let mut part = [Block::EMPTY; TILE];
        for (part, row) in part.iter_mut().zip(bytes.chunks_exact(row_bytes)).take(rows) {
            *part = decode::block(dtype, row, b);
        }
        put(format, tile, b, &part);
    }
}

/// Writes block `b` of all sixteen rows.
fn put(format: Format, tile: &mut [u8], b: usize, rows: &[Block; TILE]) {
    let (weights_at, scales_at) = format.block_at(b);
    let weights = &mut tile[weights_at..][..format.weight_bytes()];
    let mut group = [0u8; 64];
    for g in 0..8 {
        for (four, row) in group.chunks_exact_mut(4).zip(rows) {
            four.copy_from_slice(&row.q[g * 4..g * 4 + 4]);
        }
        if format == Format::Eight {
            weights[g * 64..(g + 1) * 64].copy_from_slice(&group);
            continue;
        }
        let shift = 4 * (g / 4);
        for (to, &q) in weights[g % 4 * 64..][..64].iter_mut().zip(&group) {
            *to |= (q & 15) << shift;
        }
        match format {
            Format::Five | Format::FiveZero => {
                let fifth = group.iter().rev().fold(0u64, |m, &q| (m << 1) | u64::from(q >> 4));
                weights[256 + g * 8..][..8].copy_from_slice(&fifth.to_le_bytes());
            }
            Format::Six => {
                for (to, &q) in weights[256 + g / 4 * 64..][..64].iter_mut().zip(&group) {
                    *to |= (q >> 4) << (2 * (g % 4));
                }
            }
            _ => {}
        }
    }
    for (r, row) in rows.iter().enumerate() {
        let mut half = |slot: usize, value: f32| {
            let at = scales_at + slot * 32 + r * 2;
            tile[at..at + 2].copy_from_slice(&f16::from_f32(value).to_le_bytes());
        };
        half(0, row.scales[0]);
        if format.has_halves() {
            half(1, row.scales[1]);
        } else if format.zero_shift().is_none() {
            half(1, row.offset);
        }
    }
}

#[cfg(test)]
mod tests;
