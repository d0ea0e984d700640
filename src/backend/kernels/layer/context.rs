//! What rows attend to: a cache, or the rows of their own sequence.

use std::ops::Range;

use half::{bf16, f16};

use crate::backend::batch::Batch;
use crate::backend::cache::KvShape;
use crate::backend::kernels::attention::{Keys, KvSlice, Near, Segment};
use crate::backend::kernels::narrow::Element;
use crate::backend::kernels::team::Parts;

/// What rows attend to.
pub enum Context<'a> {
    Cache(CacheContext<'a>),
    Packed(PackedContext<'a>),
}

/// A ragged batch over a paged cache, rotated; its keys and values are written
/// there first.
pub struct CacheContext<'a> {
    pub batch: &'a Batch,
    pub rotation: Rotation<'a>,
    pub shape: KvShape,
    pub k: KvMut<'a>,
    pub v: KvMut<'a>,
}

/// Sequences that attend to themselves: `s` owns rows
/// `cu_seqlens[s]..cu_seqlens[s + 1]`.
#[derive(Clone, Copy)]
pub struct PackedContext<'a> {
    pub cu_seqlens: &'a [u32],
    pub rotation: Option<Rotation<'a>>,
    pub near: Near<'a>,
}

/// Cosines and sines of each row, (rows, half of what is turned of a head).
#[derive(Clone, Copy)]
pub struct Rotation<'a> {
    pub cos: &'a [f32],
    pub sin: &'a [f32],
}

/// A layer of the cache, to be written by a team.
#[derive(Clone, Copy)]
pub enum KvMut<'a> {
    F32(Parts<'a, f32>),
    F16(Parts<'a, f16>),
    BF16(Parts<'a, bf16>),
}

impl<'a> KvMut<'a> {
    /// Writes a head's elements, `step` apart.
    ///
    /// # Safety
    /// Until the next meeting nobody else reads or writes these elements.
    pub(super) unsafe fn write(&self, (first, step): (usize, usize), from: &[f32]) {
        // SAFETY: by the caller's promise.
        unsafe {
            match self {
                Self::F32(to) => put(to, first, step, from),
                Self::F16(to) => put(to, first, step, from),
                Self::BF16(to) => put(to, first, step, from),
            }
        }
    }

    /// # Safety
    /// Until the next meeting nobody writes.
    unsafe fn read(&self) -> KvSlice<'a> {
        // SAFETY: by the caller's promise.
        unsafe {
            match self {
                Self::F32(data) => KvSlice::F32(data.read(0..data.len())),
                Self::F16(data) => KvSlice::F16(data.read(0..data.len())),
                Self::BF16(data) => KvSlice::BF16(data.read(0..data.len())),
            }
        }
    }
}

/// # Safety
/// As for [`KvMut::write`].
unsafe fn put<T: Element>(to: &Parts<'_, T>, first: usize, step: usize, from: &[f32]) {
    const SOME: usize = 64;
    let mut narrow = [T::default(); SOME];
    for (n, from) in from.chunks(SOME).enumerate() {
        let narrow = &mut narrow[..from.len()];
        T::narrow(from, narrow);
        for (i, x) in narrow.iter().enumerate() {
            // SAFETY: by the caller's promise.
            unsafe { to.put(first + (n * SOME + i) * step, *x) };
        }
    }
}

/// Where keys and values are: a layer of the cache, or the rows' own.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    pub cache: [KvSlice<'a>; 2],
    pub rows: RowsOwn<'a>,
}

/// Keys and values of the rows of a step.
#[derive(Clone, Copy)]
pub(super) struct RowsOwn<'a> {
    pub k: &'a [f32],
    pub v: &'a [f32],
    /// They may be rounded to bf16, see `AttentionView::is_coarse`.
    pub brain: bool,
}

impl RowsOwn<'_> {
    pub const NONE: Self = Self { k: &[], v: &[], brain: false };
}

impl Context<'_> {
    /// Its sequences.
    pub(super) fn segments(&self) -> usize {
        match self {
            Self::Cache(CacheContext { batch, .. }) => batch.sequences(),
            Self::Packed(packed) => packed.sequences(),
        }
    }

    /// Keys and values of the cache, if there is one.
    ///
    /// # Safety
    /// Until the next meeting nobody writes them.
    pub(super) unsafe fn cache(&self) -> [KvSlice<'_>; 2] {
        match self {
            // SAFETY: by the caller's promise.
            Self::Cache(CacheContext { k, v, .. }) => unsafe { [k.read(), v.read()] },
            Self::Packed(_) => [KvSlice::F32(&[]); 2],
        }
    }

    /// Sequence `s`.
    pub(super) fn segment<'a>(&'a self, s: usize, source: Source<'a>) -> Segment<'a> {
        match self {
            Self::Cache(CacheContext { batch, shape, .. }) => {
                let rows = batch.rows(s);
                let context = batch.context_lens[s] as usize;
                let [k, v] = source.cache;
                let blocks = &batch.block_tables[s];
                Segment {
                    keys: Keys::Paged { k, v, blocks, block_size: shape.block_size },
                    context,
                    causal_from: Some(context - rows.len()),
                    near: Near::default(),
                    rows,
                }
            }
            Self::Packed(packed) => packed.segment(s, 0, source.rows),
        }
    }
}

impl<'a> PackedContext<'a> {
    pub(super) fn sequences(&self) -> usize {
        self.cu_seqlens.len().saturating_sub(1)
    }

    /// Rows of sequence `s`.
    pub(super) fn rows(&self, s: usize) -> Range<usize> {
        self.cu_seqlens[s] as usize..self.cu_seqlens[s + 1] as usize
    }

    /// Sequence `s`, in arrays that begin with row `first` of the step.
    pub(super) fn segment(&self, s: usize, first: usize, own: RowsOwn<'a>) -> Segment<'a> {
        let Range { start, end } = self.rows(s);
        let rows = start - first..end - first;
        Segment {
            keys: Keys::Packed { k: own.k, v: own.v, first: rows.start, brain: own.brain },
            context: rows.len(),
            causal_from: None,
            near: self.near,
            rows,
        }
    }
}
