//! Where keys and values lie, and how they get ready for products.

use std::ops::Range;

use half::slice::HalfFloatSliceExt as _;
use half::{bf16, f16};

use super::lines::Lines;
use super::multiply::PIECES;
use crate::backend::kernels::simd::{Simd, has_bf16_products, prefetch};

/// Keys that are handled together.
pub const TILE: usize = 16 * PIECES;
/// Keys of a split, whole tiles.
pub const SPLIT: usize = 4 * TILE;

/// A cache's elements.
#[derive(Debug, Clone, Copy)]
pub enum KvSlice<'a> {
    F32(&'a [f32]),
    F16(&'a [f16]),
    BF16(&'a [bf16]),
}

/// Where the keys and values of one sequence lie.
#[derive(Clone, Copy)]
pub enum Keys<'a> {
    /// Blocks of a cache: keys of shape (blocks, kv_heads, head_dim,
    /// block_size), values of shape (blocks, kv_heads, block_size, head_dim).
    Paged { k: KvSlice<'a>, v: KvSlice<'a>, blocks: &'a [u32], block_size: usize },
    /// Rows of arrays of shape (tokens, kv_heads, head_dim), from `first` on;
    /// with `brain` they may be rounded to bf16.
    Packed { k: &'a [f32], v: &'a [f32], first: usize, brain: bool },
}

/// Some keys of a tile, of one key head.
#[derive(Debug, Clone, Copy)]
pub struct Span {
    pub kv_head: usize,
    pub kv_heads: usize,
    pub head_dim: usize,
    /// The first, which begins a tile.
    pub start: usize,
    /// At most a tile.
    pub len: usize,
}

/// How elements of a [`Side`] are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Wide,
    Half,
    Brain,
    /// Pairs of bf16.
    Pairs,
}

/// The right side of a product: for keys, sixteen columns from each piece on;
/// for values, sixteen rows.
#[derive(Debug, Clone, Copy)]
pub struct Side {
    pub form: Form,
    pub pieces: [*const u8; PIECES],
    /// Elements from row to row.
    pub stride: usize,
    /// Where the next tile's pieces begin, if it is as this one.
    pub next: [*const u8; PIECES],
}

impl Side {
    /// Of elements of four bytes, `piece` from piece to piece.
    fn new(form: Form, room: *const f32, piece: usize, stride: usize) -> Self {
        let at = |n: usize| room.wrapping_add(n * piece).cast();
        let pieces = std::array::from_fn(at);
        Self { form, pieces, stride, next: pieces }
    }
}

impl<'a> KvSlice<'a> {
    /// Asks for some elements, which are wanted soon.
    fn prefetch(self, range: Range<usize>) {
        match self {
            Self::F32(data) => prefetch(&data[range]),
            Self::F16(data) => prefetch(&data[range]),
            Self::BF16(data) => prefetch(&data[range]),
        }
    }

    fn side(self, ranges: [Range<usize>; PIECES], stride: usize) -> Side {
        let (form, pieces) = match self {
            Self::F32(data) => (Form::Wide, ranges.map(|r| data[r].as_ptr().cast())),
            Self::F16(data) => (Form::Half, ranges.map(|r| data[r].as_ptr().cast())),
            Self::BF16(data) => (Form::Brain, ranges.map(|r| data[r].as_ptr().cast())),
        };
        Side { form, pieces, stride, next: pieces }
    }

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

    /// Bits of a cache of bf16.
    fn bits(self) -> &'a [u16] {
        match self {
            Self::BF16(data) => data.reinterpret_cast(),
            _ => &[],
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

/// Puts two rows together, element by element.
#[inline(always)]
fn pair(first: &[u16], second: &[u16], to: &mut [u32]) {
    for ((to, a), b) in to.iter_mut().zip(first).zip(second) {
        *to = u32::from(*a) | u32::from(*b) << 16;
    }
}

/// What a key head has of key or value `j` of a span, in rows of a step.
#[inline(always)]
fn packed_row<'a>(data: &'a [f32], first: usize, span: &Span, j: usize) -> &'a [f32] {
    let at = ((first + span.start + j) * span.kv_heads + span.kv_head) * span.head_dim;
    &data[at..at + span.head_dim]
}

/// Rounded to bf16.
#[inline(always)]
fn round<S: Simd>(from: &[f32; 16]) -> [u16; 16] {
    let mut narrow = [0; 16];
    S::load(from).store_factors(&mut narrow);
    narrow
}

/// Keys of a block that are handled together: a power of two.
#[inline(always)]
fn run(block_size: usize) -> usize {
    if block_size.is_multiple_of(16) { 16 } else { 1 }
}

impl Keys<'_> {
    /// Whether products are those of pairs of bf16. They are where keys and
    /// values are bf16, or may be: queries and weights are rounded to it too.
    pub fn in_pairs(&self, head_dim: usize) -> bool {
        let brain = match self {
            Self::Paged { k, v, .. } => matches!((k, v), (KvSlice::BF16(_), KvSlice::BF16(_))),
            Self::Packed { brain, .. } => *brain,
        };
        brain && head_dim.is_multiple_of(16) && has_bf16_products()
    }

    /// Whether whole tiles can be multiplied with as they are stored.
    pub fn is_ready(&self, head_dim: usize) -> bool {
        match self {
            Self::Paged { block_size, .. } => {
                block_size.is_multiple_of(16) && head_dim.is_multiple_of(16)
            }
            Self::Packed { .. } => false,
        }
    }

    /// Where the block of key `start + i` has the head's elements, and the
    /// key's place in the block.
    #[inline(always)]
    fn place(&self, span: &Span, i: usize) -> (usize, usize) {
        let Self::Paged { blocks, block_size, .. } = self else { return (0, 0) };
        let block = blocks[(span.start + i) / block_size] as usize;
        let at = (block * span.kv_heads + span.kv_head) * span.head_dim * block_size;
        (at, (span.start + i) % block_size)
    }

    /// Asks for a tile's keys. Blocks lie anywhere, so the processor cannot
    /// know which is next.
    pub fn prefetch_keys(&self, span: &Span) {
        if let Self::Paged { k, .. } = self {
            self.each_block(span, |range| k.prefetch(range));
        }
    }

    /// Asks for a tile's values.
    pub fn prefetch_values(&self, span: &Span) {
        if let Self::Paged { v, .. } = self {
            self.each_block(span, |range| v.prefetch(range));
        }
    }

    /// Where a head has its part of the blocks of a tile.
    fn each_block(&self, span: &Span, see: impl Fn(Range<usize>)) {
        let Self::Paged { block_size, .. } = self else { return };
        for i in (0..span.len).step_by((*block_size).min(TILE)) {
            let (at, _) = self.place(span, i);
            see(at..at + span.head_dim * block_size.min(&TILE));
        }
    }

    /// A whole tile of keys and values as they are stored, if both are alike.
    #[inline(always)]
    pub fn stored(&self, span: &Span) -> Option<(Side, Side)> {
        let Self::Paged { k, v, block_size, .. } = self else { return None };
        let d = span.head_dim;
        let places: [_; PIECES] = std::array::from_fn(|n| self.place(span, 16 * n));
        let keys = places.map(|(at, offset)| at + offset..at + offset + (d - 1) * block_size + 16);
        let values = places.map(|(at, offset)| at + offset * d..at + (offset + 16) * d);
        let (keys, values) = (k.side(keys, *block_size), v.side(values, d));
        (keys.form == values.form).then_some((keys, values))
    }

    /// Keys as f32, (head_dim, tile). Only the first `len` columns count.
    #[inline(always)]
    pub fn wide_keys<S: Simd>(&self, span: &Span, lines: &mut Lines) -> Side {
        let d = span.head_dim;
        let room = lines.f32s(d * TILE);
        match self {
            Self::Paged { k, block_size, .. } => {
                let step = run(*block_size);
                for j in (0..span.len).step_by(step) {
                    let (at, offset) = self.place(span, j);
                    for i in 0..d {
                        let to = &mut room[i * TILE + j..][..step];
                        k.widen::<S>(at + i * block_size + offset, to);
                    }
                }
            }
            Self::Packed { k, first, .. } => {
                for j in 0..span.len {
                    for (i, x) in packed_row(k, *first, span, j).iter().enumerate() {
                        room[i * TILE + j] = *x;
                    }
                }
            }
        }
        Side::new(Form::Wide, room.as_ptr(), 16, TILE)
    }

    /// Values as f32, (len, head_dim rounded up to whole vectors).
    #[inline(always)]
    pub fn wide_values<S: Simd>(&self, span: &Span, lines: &mut Lines) -> Side {
        let d = span.head_dim;
        let width = d.next_multiple_of(16);
        // Rows of packed values are copied too: where they stand, one has the
        // same place in the cache as every few others, which push it out.
        let room = lines.f32s(TILE * width);
        let mut place = (0, 0);
        for (j, to) in room.chunks_exact_mut(width).take(span.len).enumerate() {
            let (to, rest) = to.split_at_mut(d);
            rest.fill(0.0);
            match self {
                Self::Paged { v, block_size, .. } => {
                    let within = j & (run(*block_size) - 1);
                    if within == 0 {
                        place = self.place(span, j);
                    }
                    v.widen::<S>(place.0 + (place.1 + within) * d, to);
                }
                Self::Packed { v, first, .. } => {
                    to.copy_from_slice(packed_row(v, *first, span, j));
                }
            }
        }
        Side::new(Form::Wide, room.as_ptr(), 16 * width, width)
    }

    /// Keys as pairs of bf16, (head_dim / 2, tile).
    #[inline(always)]
    pub fn paired_keys<S: Simd>(&self, span: &Span, lines: &mut Lines) -> Side {
        let room = lines.u32s(span.head_dim / 2 * TILE);
        match self {
            Self::Paged { k, block_size, .. } => {
                let bits = k.bits();
                let step = run(*block_size);
                for j in (0..span.len).step_by(step) {
                    let (at, offset) = self.place(span, j);
                    for i in 0..span.head_dim / 2 {
                        let at = at + 2 * i * block_size + offset;
                        let to = &mut room[i * TILE + j..][..step];
                        pair(&bits[at..at + step], &bits[at + block_size..][..step], to);
                    }
                }
            }
            Self::Packed { k, first, .. } => {
                for j in 0..span.len {
                    let row = packed_row(k, *first, span, j).as_chunks::<16>().0;
                    for (n, from) in row.iter().enumerate() {
                        for (i, pair) in S::load(from).factor_pairs().into_iter().enumerate() {
                            room[(n * 8 + i) * TILE + j] = pair;
                        }
                    }
                }
            }
        }
        Side::new(Form::Pairs, room.as_ptr().cast(), 16, TILE)
    }

    /// Values as pairs of bf16, (half of len, head_dim).
    #[inline(always)]
    pub fn paired_values<S: Simd>(&self, span: &Span, lines: &mut Lines) -> Side {
        let d = span.head_dim;
        let room = lines.u32s(TILE / 2 * d);
        // What lies behind the context may be anything.
        let both = |j: usize| 2 * j + 1 < span.len;
        let rows = room.chunks_exact_mut(d).take(span.len.div_ceil(2)).enumerate();
        match self {
            Self::Paged { v, block_size, .. } => {
                let (bits, step) = (v.bits(), run(*block_size));
                let mut place = (0, 0);
                for (j, to) in rows {
                    let mut row = |j: usize| {
                        let within = j & (step - 1);
                        if within == 0 {
                            place = self.place(span, j);
                        }
                        &bits[place.0 + (place.1 + within) * d..][..d]
                    };
                    let first = row(2 * j);
                    match both(j) {
                        true => pair(first, row(2 * j + 1), to),
                        false => to.iter_mut().zip(first).for_each(|(to, x)| *to = (*x).into()),
                    }
                }
            }
            Self::Packed { v, first, .. } => {
                for (j, to) in rows {
                    let row = |j: usize| packed_row(v, *first, span, j).as_chunks::<16>().0;
                    let second = row(if both(j) { 2 * j + 1 } else { 2 * j });
                    let sources = row(2 * j).iter().zip(second);
                    for (to, (a, b)) in to.as_chunks_mut::<16>().0.iter_mut().zip(sources) {
                        let b = if both(j) { round::<S>(b) } else { [0; 16] };
                        pair(&round::<S>(a), &b, to);
                    }
                }
            }
        }
        Side::new(Form::Pairs, room.as_ptr().cast(), 8 * d, d)
    }
}
