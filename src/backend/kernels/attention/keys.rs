//! Where keys and values lie, and how they get to f32.

use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};

/// Keys of a packed batch that are handled together.
const PACKED_TILE: usize = 64;
/// Keys of a tile of the cache, about: whole blocks.
const TILE: usize = 64;
/// Tiles of a split.
const SPLIT_TILES: usize = 8;

/// A cache's elements.
#[derive(Debug, Clone, Copy)]
pub enum KvSlice<'a> {
    F32(&'a [f32]),
    F16(&'a [f16]),
    BF16(&'a [bf16]),
}

impl<'a> KvSlice<'a> {
    /// Elements from `start` on as f32, in `scratch` if they have to be widened.
    fn widen<'b>(self, start: usize, len: usize, scratch: &'b mut Vec<f32>) -> &'b [f32]
    where
        'a: 'b,
    {
        if let Self::F32(data) = self {
            return &data[start..start + len];
        }
        if scratch.len() < len {
            scratch.resize(len, 0.0);
        }
        let scratch = &mut scratch[..len];
        match self {
            Self::F32(_) => {}
            Self::F16(data) => data[start..start + len].convert_to_f32_slice(scratch),
            Self::BF16(data) => {
                for (to, from) in scratch.iter_mut().zip(&data[start..start + len]) {
                    *to = f32::from_bits(u32::from(from.to_bits()) << 16);
                }
            }
        }
        scratch
    }
}

/// Where the keys and values of one sequence lie.
pub enum Keys<'a> {
    /// Blocks of a cache: keys of shape (blocks, kv_heads, head_dim,
    /// block_size), values of shape (blocks, kv_heads, block_size, head_dim).
    Paged { k: KvSlice<'a>, v: KvSlice<'a>, blocks: &'a [u32], block_size: usize },
    /// Rows of arrays of shape (tokens, kv_heads, head_dim), from `first` on.
    Packed { k: &'a [f32], v: &'a [f32], first: usize },
}

/// A matrix in rows that may lie apart.
#[derive(Clone, Copy)]
pub struct Matrix<'a> {
    pub data: &'a [f32],
    /// Elements from one row to the next.
    pub stride: usize,
}

impl Keys<'_> {
    /// Keys loaded at once.
    pub fn piece(&self) -> usize {
        match self {
            Self::Paged { block_size, .. } => *block_size,
            Self::Packed { .. } => PACKED_TILE,
        }
    }

    /// Keys of a tile, whole pieces.
    pub fn tile(&self) -> usize {
        self.piece() * (TILE / self.piece()).max(1)
    }

    /// Keys of a split, whole tiles.
    pub fn split(&self) -> usize {
        self.tile() * SPLIT_TILES
    }

    /// Keys from `start`, the beginning of a piece, as a matrix of shape
    /// (head_dim, piece). Only the first `len` columns count.
    pub fn keys<'b>(
        &'b self,
        heads: (usize, usize),
        d: usize,
        (start, len): (usize, usize),
        scratch: &'b mut Vec<f32>,
    ) -> Matrix<'b> {
        let (kv_head, kv_heads) = heads;
        match self {
            Self::Paged { k, blocks, block_size, .. } => {
                let n = d * block_size;
                let at = (blocks[start / block_size] as usize * kv_heads + kv_head) * n;
                Matrix { data: k.widen(at, n, scratch), stride: *block_size }
            }
            Self::Packed { k, first, .. } => {
                scratch.clear();
                scratch.resize(d * PACKED_TILE, 0.0);
                for j in 0..len {
                    let at = ((first + start + j) * kv_heads + kv_head) * d;
                    for (i, x) in k[at..at + d].iter().enumerate() {
                        scratch[i * PACKED_TILE + j] = *x;
                    }
                }
                Matrix { data: scratch, stride: PACKED_TILE }
            }
        }
    }

    /// Values from `start`, the beginning of a piece, as a matrix of shape
    /// (len, head_dim).
    pub fn values<'b>(
        &'b self,
        heads: (usize, usize),
        d: usize,
        (start, len): (usize, usize),
        scratch: &'b mut Vec<f32>,
    ) -> Matrix<'b> {
        let (kv_head, kv_heads) = heads;
        match self {
            Self::Paged { v, blocks, block_size, .. } => {
                let n = d * block_size;
                let at = (blocks[start / block_size] as usize * kv_heads + kv_head) * n;
                Matrix { data: v.widen(at, len * d, scratch), stride: d }
            }
            Self::Packed { v, first, .. } => {
                let stride = kv_heads * d;
                let at = (first + start) * stride + kv_head * d;
                Matrix { data: &v[at..at + (len - 1) * stride + d], stride }
            }
        }
    }
}
