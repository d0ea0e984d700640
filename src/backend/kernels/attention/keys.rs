//! Where keys and values lie, and how they get to f32.

use std::ops::Range;

use half::slice::HalfFloatSliceExt as _;
use half::{bf16, f16};

use crate::backend::kernels::simd::{Simd, prefetch};

/// Keys of a packed batch that are handled together.
const PACKED_TILE: usize = 64;
/// Keys of a tile of the cache, about: whole blocks.
const TILE: usize = 64;
/// Tiles of a split.
const SPLIT_TILES: usize = 4;

/// A cache's elements.
#[derive(Debug, Clone, Copy)]
pub enum KvSlice<'a> {
    F32(&'a [f32]),
    F16(&'a [f16]),
    BF16(&'a [bf16]),
}

impl KvSlice<'_> {
    /// Writes elements from `start` on to `to` as f32.
    #[inline(always)]
    fn widen<S: Simd>(self, start: usize, to: &mut [f32]) {
        let range = start..start + to.len();
        match self {
            Self::F32(data) => to.copy_from_slice(&data[range]),
            Self::F16(data) => widen(data[range].reinterpret_cast(), to, S::load_f16),
            Self::BF16(data) => widen(data[range].reinterpret_cast(), to, S::load_bf16),
        }
    }
}

impl KvSlice<'_> {
    /// Asks for some elements, which are wanted soon.
    fn prefetch(self, range: Range<usize>) {
        match self {
            Self::F32(data) => prefetch(&data[range]),
            Self::F16(data) => prefetch(&data[range]),
            Self::BF16(data) => prefetch(&data[range]),
        }
    }
}

#[inline(always)]
fn widen<S: Simd>(bits: &[u16], to: &mut [f32], load: impl Fn(&[u16; 16]) -> S) {
    let (whole, rest) = bits.as_chunks();
    let (to, to_rest) = to.as_chunks_mut();
    for (bits, to) in whole.iter().zip(to) {
        load(bits).store(to);
    }
    if !rest.is_empty() {
        let (mut last, mut wide) = ([0u16; 16], [0f32; 16]);
        last[..rest.len()].copy_from_slice(rest);
        load(&last).store(&mut wide);
        to_rest.copy_from_slice(&wide[..rest.len()]);
    }
}

/// Where the keys and values of one sequence lie.
#[derive(Clone, Copy)]
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
    /// Keys that lie together.
    fn piece(&self) -> usize {
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

    /// Asks for a tile's keys. Blocks lie anywhere, so the processor cannot
    /// know which is next.
    pub fn prefetch_keys(&self, heads: (usize, usize), d: usize, tile: (usize, usize)) {
        if let Self::Paged { k, .. } = self {
            self.each_piece(heads, d, tile, |range| k.prefetch(range));
        }
    }

    /// Asks for a tile's values.
    pub fn prefetch_values(&self, heads: (usize, usize), d: usize, tile: (usize, usize)) {
        if let Self::Paged { v, .. } = self {
            self.each_piece(heads, d, tile, |range| v.prefetch(range));
        }
    }

    /// Where a head has its part of the blocks of a tile.
    fn each_piece(
        &self,
        (kv_head, kv_heads): (usize, usize),
        d: usize,
        (start, len): (usize, usize),
        see: impl Fn(Range<usize>),
    ) {
        let Self::Paged { blocks, block_size, .. } = self else { return };
        for piece in (0..len).step_by(*block_size) {
            let block = blocks[(start + piece) / block_size] as usize;
            let at = (block * kv_heads + kv_head) * d * block_size;
            see(at..at + d * block_size);
        }
    }

    /// Keys from `start`, the beginning of a tile, as a matrix of shape
    /// (head_dim, tile). Only the first `len` columns count.
    #[inline(always)]
    pub fn keys<'b, S: Simd>(
        &'b self,
        heads: (usize, usize),
        d: usize,
        (start, len): (usize, usize),
        scratch: &'b mut Vec<f32>,
    ) -> Matrix<'b> {
        let (kv_head, kv_heads) = heads;
        let stride = self.tile();
        let room = room(scratch, d * stride);
        match self {
            Self::Paged { k, blocks, block_size, .. } => {
                for piece in (0..len).step_by(*block_size) {
                    let block = blocks[(start + piece) / block_size] as usize;
                    let at = (block * kv_heads + kv_head) * d * block_size;
                    for i in 0..d {
                        let to = &mut room[i * stride + piece..][..*block_size];
                        k.widen::<S>(at + i * block_size, to);
                    }
                }
            }
            Self::Packed { k, first, .. } => {
                for j in 0..len {
                    let at = ((first + start + j) * kv_heads + kv_head) * d;
                    for (i, x) in k[at..at + d].iter().enumerate() {
                        room[i * stride + j] = *x;
                    }
                }
            }
        }
        Matrix { data: room, stride }
    }

    /// Values from `start`, the beginning of a tile, as a matrix of shape
    /// (len, head_dim).
    #[inline(always)]
    pub fn values<'b, S: Simd>(
        &'b self,
        heads: (usize, usize),
        d: usize,
        (start, len): (usize, usize),
        scratch: &'b mut Vec<f32>,
    ) -> Matrix<'b> {
        let (kv_head, kv_heads) = heads;
        match self {
            Self::Paged { v, blocks, block_size, .. } => {
                let room = room(scratch, len * d);
                for piece in (0..len).step_by(*block_size) {
                    let block = blocks[(start + piece) / block_size] as usize;
                    let at = (block * kv_heads + kv_head) * d * block_size;
                    let keys = (*block_size).min(len - piece);
                    v.widen::<S>(at, &mut room[piece * d..(piece + keys) * d]);
                }
                Matrix { data: room, stride: d }
            }
            Self::Packed { v, first, .. } => {
                let stride = kv_heads * d;
                let at = (first + start) * stride + kv_head * d;
                Matrix { data: &v[at..at + (len - 1) * stride + d], stride }
            }
        }
    }
}

fn room(scratch: &mut Vec<f32>, len: usize) -> &mut [f32] {
    if scratch.len() < len {
        scratch.resize(len, 0.0);
    }
    &mut scratch[..len]
}
