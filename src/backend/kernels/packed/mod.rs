//! Quantized weight matrices, packed once for the CPU.
//!
//! Sixteen output rows make a tile. In a tile, each block of 32 input columns
//! stands as groups of 64 bytes: byte `4r + j` of group `g` is the weight of
//! row `r` and column `4g + j`, so one load feeds one 4-way dot product of all
//! sixteen rows. Weights are unsigned; activations are signed bytes with one
//! scale a block. The scales of a tile follow its weights:
//!
//! | format | a block's weights | a block's scales |
//! |---|---|---|
//! | `Four` | 4 groups; group `g + 4` in the high nibbles | 16 scales, 16 offsets (f16) |
//! | `Five` | the same, then 8 masks of 64 bits: the fifth bits | 16 scales, 16 offsets |
//! | `Eight` | 8 groups, stored plus 128 | 16 scales |
//! | `EightHalves` | 8 groups, stored plus 128 | 16 scales for columns 0-15, 16 for 16-31 |

mod activations;
#[cfg(target_arch = "x86_64")]
mod avx2;
mod decode;
mod matmul;
mod portable;
#[cfg(target_arch = "x86_64")]
mod vnni;

use candle_core::quantized::GgmlDType;
use half::f16;
use rayon::prelude::*;

pub use matmul::{Level, best_level, matmul};

/// Output rows of a tile.
pub(super) const TILE: usize = 16;
/// Input columns of a block.
pub(super) const BLOCK: usize = 32;

/// How weights are stored; see the module's table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Four,
    Five,
    Eight,
    EightHalves,
}

impl Format {
    /// Bytes of one block's weights in a tile.
    const fn weight_bytes(self) -> usize {
        match self {
            Self::Four => 256,
            Self::Five => 320,
            Self::Eight | Self::EightHalves => 512,
        }
    }

    /// Bytes of one block's scales in a tile.
    const fn scale_bytes(self) -> usize {
        match self {
            Self::Eight => 32,
            _ => 64,
        }
    }

    /// The format that holds a GGML type without changing its weights; `None`
    /// for types this module does not pack.
    pub fn of(dtype: GgmlDType) -> Option<Self> {
        use GgmlDType::*;
        match dtype {
            Q4_0 | Q4_1 | Q4K => Some(Self::Four),
            Q5_0 | Q5_1 | Q5K => Some(Self::Five),
            Q8_0 => Some(Self::Eight),
            Q3K | Q6K => Some(Self::EightHalves),
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
pub struct Packed {
    format: Format,
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
    /// Packs rows of GGML blocks, on all threads. `None` if the type is not
    /// packed here or the bytes do not fit the shape.
    pub fn new(bytes: &[u8], dtype: GgmlDType, rows: usize, columns: usize) -> Option<Self> {
        let format = Format::of(dtype)?;
        if rows == 0 || columns == 0 || !columns.is_multiple_of(dtype.block_size()) {
            return None;
        }
        let row_bytes = columns / dtype.block_size() * dtype.type_size();
        if bytes.len() != rows * row_bytes {
            return None;
        }
        let blocks = columns / BLOCK;
        let tile_bytes =
            (blocks * (format.weight_bytes() + format.scale_bytes())).next_multiple_of(64);
        let tile_lines = tile_bytes / 64;
        let mut data = vec![Line([0; 64]); rows.div_ceil(TILE) * tile_lines];
        data.par_chunks_mut(tile_lines).enumerate().for_each(|(t, tile)| {
            let first = t * TILE;
            let lanes = TILE.min(rows - first);
            for b in 0..blocks {
                let mut part = [Block::EMPTY; TILE];
                for (r, part) in part.iter_mut().enumerate().take(lanes) {
                    let row = (first + r) * row_bytes;
                    *part = decode::block(dtype, &bytes[row..row + row_bytes], b);
                }
                put(format, tile.as_flattened_bytes(), blocks, b, &part);
            }
        });
        Some(Self { format, rows, columns, tile_bytes, data })
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

    fn blocks(&self) -> usize {
        self.columns / BLOCK
    }

    fn tiles(&self) -> usize {
        self.rows.div_ceil(TILE)
    }

    fn tile(&self, t: usize) -> &[u8] {
        let lines = self.tile_bytes / 64;
        self.data[t * lines..(t + 1) * lines].as_flat()
    }

    /// One row in f32.
    pub fn row(&self, row: usize, out: &mut [f32]) {
        let tile = self.tile(row / TILE);
        for b in 0..self.blocks() {
            let out = &mut out[b * BLOCK..(b + 1) * BLOCK];
            portable::dequantize(self.format, tile, self.blocks(), b, row % TILE, out);
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

/// One row's 32 weights of a block: `(q + bias) * scale + offset`, where the
/// bias of the eight-bit formats is -128 and of the others 0.
#[derive(Clone, Copy)]
pub(super) struct Block {
    pub q: [u8; BLOCK],
    /// Of columns 0-15 and of 16-31; equal unless the format is `EightHalves`.
    pub scales: [f32; 2],
    pub offset: f32,
}

impl Block {
    const EMPTY: Self = Self { q: [0; BLOCK], scales: [0.0; 2], offset: 0.0 };
}

/// Writes block `b` of all sixteen rows.
fn put(format: Format, tile: &mut [u8], blocks: usize, b: usize, rows: &[Block; TILE]) {
    let weights = &mut tile[b * format.weight_bytes()..][..format.weight_bytes()];
    let mut group = [0u8; 64];
    for g in 0..8 {
        for (four, row) in group.chunks_exact_mut(4).zip(rows) {
            four.copy_from_slice(&row.q[g * 4..g * 4 + 4]);
        }
        match format {
            Format::Eight | Format::EightHalves => {
                weights[g * 64..(g + 1) * 64].copy_from_slice(&group);
            }
            Format::Four | Format::Five => {
                let shift = 4 * (g / 4);
                for (to, &q) in weights[g % 4 * 64..][..64].iter_mut().zip(&group) {
                    *to |= (q & 15) << shift;
                }
                if format == Format::Five {
                    let fifth = group.iter().rev().fold(0u64, |m, &q| (m << 1) | u64::from(q >> 4));
                    weights[256 + g * 8..][..8].copy_from_slice(&fifth.to_le_bytes());
                }
            }
        }
    }
    let base = blocks * format.weight_bytes() + b * format.scale_bytes();
    for (r, row) in rows.iter().enumerate() {
        let mut half = |slot: usize, value: f32| {
            let at = base + slot * 32 + r * 2;
            tile[at..at + 2].copy_from_slice(&f16::from_f32(value).to_le_bytes());
        };
        half(0, row.scales[0]);
        match format {
            Format::Eight => {}
            Format::EightHalves => half(1, row.scales[1]),
            Format::Four | Format::Five => half(1, row.offset),
        }
    }
}

#[cfg(test)]
mod tests;
