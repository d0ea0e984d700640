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
//! | `Two` | 2 groups; group `g` in bits `2 (g % 4)` of group `g / 4` | see `two` | `q s - o` for each half |
//! | `Four` | 4 groups; group `g + 4` in the high nibbles | 16 scales, 16 offsets | `q s + o` |
//! | `FourZero` | the same | 16 scales | `(q - 8) s` |
//! | `FourTable` | the same; a nibble chooses from `TABLE` | 16 scales | `(TABLE[q] - 128) s` |
//! | `FourHalves` | the same | 16 scales of columns 0-15, 16 of 16-31 | `(q - 4) s` |
//! | `Five` | the same, then 8 masks of 64 bits: the fifth bits | 16 scales, 16 offsets | `q s + o` |
//! | `FiveZero` | the same | 16 scales | `(q - 16) s` |
//! | `Six` | 4 groups, then 2 of upper bits: those of group `g` in bits `2 (g % 4)` of group `4 + g / 4` | as `FourHalves` | `(q - 32) s` |
//! | `Eight` | 8 groups | 16 scales | `(q - 128) s` |
//!
//! **Plain** (`F32`, `F16`, `BF16`): for each column the sixteen rows' numbers.
//!
//! **`Sixteen`**: what is plain in the file as 16-bit integers; see [`sixteen`].
//!
//! **`Brain`** and **`Brains`**: the same as one bf16 or two; see [`brain`].

/// Calls `$dispatch!(Name)` with the name of a quantized format.
macro_rules! for_format {
    ($format:expr, $dispatch:ident) => {
        match $format {
            Format::Four => $dispatch!(Four),
            Format::FourZero => $dispatch!(FourZero),
            Format::FourTable => $dispatch!(FourTable),
            Format::FourHalves => $dispatch!(FourHalves),
            Format::Five => $dispatch!(Five),
            Format::FiveZero => $dispatch!(FiveZero),
            Format::Six => $dispatch!(Six),
            Format::Eight => $dispatch!(Eight),
            Format::Two
            | Format::Sixteen
            | Format::Brain
            | Format::Brains
            | Format::F32
            | Format::F16
            | Format::BF16 => {
                unreachable!("{:?} has a kernel of its own", $format)
            }
        }
    };
}

mod activations;
#[cfg(target_arch = "x86_64")]
mod amx;
#[cfg(target_arch = "x86_64")]
mod avx2;
mod brain;
pub(super) mod decode;
mod dense;
mod fill;
mod lines;
mod matmul;
#[cfg(target_arch = "aarch64")]
mod neon;
mod piece;
mod portable;
mod quantize;
mod sixteen;
mod spread;
mod stored;
mod two;
#[cfg(target_arch = "x86_64")]
mod vnni;
pub(super) mod words;

use candle_core::quantized::GgmlDType;
use rayon::prelude::*;

use super::team::{Parts, team};
use lines::Lines;

pub use activations::{Activations, Inputs, Wants};
pub use matmul::{
    Level, best_level, matmul, multiplies_bf16, product, product_of_pair, products,
    products_of_pairs,
};
pub use piece::Piece;
pub use quantize::is_plain;
pub use stored::Stored;

/// Output rows of a tile.
pub(in crate::backend::kernels) const TILE: usize = 16;
/// Input columns of a block.
pub(super) const BLOCK: usize = 32;
/// Below it the inverse of a highest number would overflow; such values count as 0.
const TINY: f32 = 1e-30;

/// The values that nibbles of `FourTable` choose from, plus 128.
pub(super) const TABLE: [u8; 16] =
    [1, 24, 45, 63, 79, 93, 106, 118, 129, 141, 153, 166, 181, 197, 217, 241];

/// How weights are stored; see the module's table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Two,
    Four,
    FourZero,
    FourTable,
    FourHalves,
    Five,
    FiveZero,
    Six,
    Eight,
    F32,
    F16,
    BF16,
    Sixteen,
    Brain,
    Brains,
}

/// What products are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Arithmetic {
    Int8,
    Int16,
    Bf16,
    /// Three products of bf16 for one of numbers.
    Bf16x2,
    F32,
}

impl Format {
    /// How it is multiplied.
    pub const fn arithmetic(self) -> Arithmetic {
        match self {
            Self::Sixteen => Arithmetic::Int16,
            Self::Brain => Arithmetic::Bf16,
            Self::Brains => Arithmetic::Bf16x2,
            Self::F32 | Self::F16 | Self::BF16 => Arithmetic::F32,
            _ => Arithmetic::Int8,
        }
    }

    /// Whether it is multiplied with quantized activations.
    pub const fn is_quantized(self) -> bool {
        !self.is_plain()
    }

    /// Whether numbers of a file that are not quantized are packed so.
    const fn is_plain(self) -> bool {
        use Format::*;
        matches!(self, F32 | F16 | BF16 | Sixteen | Brain | Brains)
    }

    /// Bytes of one block's weights in a tile.
    const fn weight_bytes(self) -> usize {
        match self {
            Self::Two => 128,
            Self::Four | Self::FourZero | Self::FourTable | Self::FourHalves => 256,
            Self::Five | Self::FiveZero => 320,
            Self::Six => 384,
            Self::Eight => 512,
            Self::F32 => 32 * 64,
            Self::F16 | Self::BF16 | Self::Sixteen | Self::Brain => 32 * 32,
            Self::Brains => 2 * 32 * 32,
        }
    }

    /// Bytes of one block's scales in a tile.
    const fn scale_bytes(self) -> usize {
        match self {
            Self::FourZero | Self::FourTable | Self::FiveZero | Self::Eight => 32,
            _ if self.is_plain() => 0,
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
            Self::FourTable | Self::Eight => Some(7),
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
    pub fn of(stored: impl Into<Stored>) -> Option<Self> {
        use GgmlDType::*;
        let dtype = match stored.into() {
            Stored::Candle(dtype) => dtype,
            Stored::Iq4Nl | Stored::Iq4Xs => return Some(Self::FourTable),
        };
        match dtype {
            Q2K => Some(Self::Two),
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

    /// The format that a type is packed in on this machine. With eight numbers
    /// in a register it takes longer to put fifth bits where they belong than
    /// to read a byte for each weight.
    fn here(stored: Stored) -> Option<Self> {
        match Self::of(stored)? {
            Self::FiveZero if best_level() == Level::Portable => Some(Self::Eight),
            format => Some(format),
        }
    }
}

/// The format with this number, of those that are quantized.
const fn format<const F: u8>() -> Format {
    const FORMATS: [Format; 9] = [
        Format::Two,
        Format::Four,
        Format::FourZero,
        Format::FourTable,
        Format::FourHalves,
        Format::Five,
        Format::FiveZero,
        Format::Six,
        Format::Eight,
    ];
    FORMATS[F as usize]
}

/// A packed matrix of (rows, columns): it maps `columns` inputs to `rows` outputs.
#[derive(Clone)]
pub struct Packed {
    format: Format,
    /// The type of the numbers it was packed from.
    source: Stored,
    /// The type they were quantized to when they were packed.
    quantized_to: Option<GgmlDType>,
    rows: usize,
    columns: usize,
    tile_bytes: usize,
    data: Lines,
}

impl std::fmt::Debug for Packed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Packed({:?}, {} x {})", self.format, self.rows, self.columns)
    }
}

impl Packed {
    /// Packs rows of numbers or of GGML blocks, on all threads. `None` if the
    /// type is not packed here or the bytes do not fit the shape.
    pub fn new(
        bytes: &[u8],
        dtype: impl Into<Stored>,
        rows: usize,
        columns: usize,
    ) -> Option<Self> {
        let dtype = dtype.into();
        Self::stored_as(Format::here(dtype)?, bytes, dtype, (rows, columns))
    }

    /// The same in a certain format, which holds the type's numbers.
    fn stored_as(
        format: Format,
        bytes: &[u8],
        dtype: Stored,
        (rows, columns): (usize, usize),
    ) -> Option<Self> {
        if rows == 0 || columns == 0 || !columns.is_multiple_of(dtype.block_size()) {
            return None;
        }
        let row_bytes = columns / dtype.block_size() * dtype.type_size();
        if bytes.len() != rows * row_bytes {
            return None;
        }
        Some(Self::build(format, dtype, (rows, columns), |tile, first, lanes| {
            let bytes = &bytes[first * row_bytes..(first + lanes) * row_bytes];
            fill::tile(fill::From { stored: dtype, format, bytes, rows: lanes, columns }, tile);
        }))
    }

    /// Lets `pack` fill each tile, on all threads; it gets the first row and
    /// how many there are.
    fn build(
        format: Format,
        source: impl Into<Stored>,
        (rows, columns): (usize, usize),
        pack: impl Fn(&mut [u8], usize, usize) + Sync,
    ) -> Self {
        let tile_bytes = format.tile_bytes(columns);
        let mut data = Lines::new(rows.div_ceil(TILE) * tile_bytes);
        data.bytes_mut().par_chunks_mut(tile_bytes).enumerate().for_each(|(t, tile)| {
            let first = t * TILE;
            pack(tile, first, TILE.min(rows - first));
        });
        Self { format, source: source.into(), quantized_to: None, rows, columns, tile_bytes, data }
    }

    /// Bytes that a matrix takes when it is packed; `None` for types that are
    /// not packed here.
    pub fn bytes_of(dtype: impl Into<Stored>, rows: usize, columns: usize) -> Option<usize> {
        Some(rows.div_ceil(TILE) * Format::here(dtype.into())?.tile_bytes(columns))
    }

    pub fn format(&self) -> Format {
        self.format
    }

    /// The type of the numbers in the file.
    pub fn source(&self) -> Stored {
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
        self.data.bytes().len()
    }

    pub(super) fn tiles(&self) -> usize {
        self.rows.div_ceil(TILE)
    }

    fn tile(&self, t: usize) -> &[u8] {
        &self.data.bytes()[t * self.tile_bytes..(t + 1) * self.tile_bytes]
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
        if matches!(self.format, Format::Brain | Format::Brains) {
            return brain::row(self.format, tile, row % TILE, out);
        }
        if !self.format.is_quantized() {
            return dense::row(self.format, tile, row % TILE, out);
        }
        for (b, out) in out.chunks_exact_mut(BLOCK).enumerate() {
            match self.format {
                Format::Two => two::dequantize(tile, b, row % TILE, out),
                format => portable::dequantize(format, tile, b, row % TILE, out),
            }
        }
    }
}

/// One row's 32 weights of a block, as the format has them.
#[derive(Clone, Copy)]
pub(in crate::backend::kernels) struct Block {
    pub q: [u8; BLOCK],
    /// Of columns 0-15 and of 16-31; equal where the format has no halves.
    pub scales: [f32; 2],
    /// 0 where the format has none.
    pub offset: f32,
    /// What `Two` has of each half, a scale and above it an offset; they are
    /// multiplied with `scales`.
    pub nibbles: [u8; 2],
}

impl Block {
    const EMPTY: Self = Self { q: [0; BLOCK], scales: [0.0; 2], offset: 0.0, nibbles: [0; 2] };
}

#[cfg(test)]
mod tests;
