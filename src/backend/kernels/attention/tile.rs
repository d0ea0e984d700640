//! One task: some query rows of one key head over some splits of the keys.

use std::ops::Range;

use super::keys::{Form, SPLIT, Side, Span, TILE};
use super::lines::Lines;
use super::multiply::{Brain, Factors, Half, PairedRows, Pairs, Wide, add_values, scores};
use super::partial::Partial;
use super::weights::{Line, weigh};
use super::{Segment, Shape};
use crate::backend::kernels::multiversion;
use crate::backend::kernels::simd::Simd;

/// Rows that are at most multiplied at once.
const AT_ONCE: usize = 8;

/// Where a task's rows and keys are.
#[derive(Debug, Clone)]
pub struct Task {
    /// Number of its segment.
    pub segment: usize,
    /// Rows of the query array.
    pub rows: Range<usize>,
    pub kv_head: usize,
    /// Position of the first row.
    pub first: usize,
    /// How far a row sees before it and after it; `None` sees all.
    pub before: Option<usize>,
    pub after: Option<usize>,
    /// Keys that any of the rows sees.
    pub keys: Range<usize>,
    pub splits: Range<usize>,
    /// Where the result of its first split goes, if these are not all splits
    /// of the rows.
    pub slot: Option<usize>,
}

/// What a thread needs for a task; kept from task to task.
// Apart from each other's: different threads write them.
#[repr(align(128))]
#[derive(Default)]
pub struct Scratch {
    /// The query rows times the scale, (rows of the group, head_dim); of bf16
    /// where products are of pairs.
    q: Lines,
    keys: Lines,
    values: Lines,
    part: Partial,
    total: Partial,
}

impl Task {
    /// `q` is (rows, heads, head_dim). Where `parts` are given, each takes the
    /// result of a split; otherwise the result of all is returned.
    pub fn run<'a>(
        &self,
        shape: &Shape,
        q: &[f32],
        segment: &Segment<'_>,
        parts: &mut [Partial],
        scratch: &'a mut Scratch,
    ) -> &'a mut Partial {
        let group = shape.heads / shape.kv_heads;
        let work = Work { task: self, shape, segment, q, group };
        match segment.keys.in_pairs(shape.head_dim) {
            true => in_pairs(work, parts, scratch),
            false => in_f32(work, parts, scratch),
        }
        &mut scratch.total
    }
}

#[derive(Clone, Copy)]
struct Work<'a> {
    task: &'a Task,
    shape: &'a Shape,
    segment: &'a Segment<'a>,
    q: &'a [f32],
    /// Heads that share a key head.
    group: usize,
}

multiversion!(simd fn in_f32(work: Work<'_>, parts: &mut [Partial], scratch: &mut Scratch) = in_f32_body);

#[inline(always)]
fn in_f32_body<S: Simd>(work: Work<'_>, parts: &mut [Partial], scratch: &mut Scratch) {
    over_splits::<S, false>(work, parts, scratch);
}

/// Only to be called where the machine has products of bf16.
fn in_pairs(work: Work<'_>, parts: &mut [Partial], scratch: &mut Scratch) {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512bf16,avx2,fma,f16c")]
        fn here(work: Work<'_>, parts: &mut [Partial], scratch: &mut Scratch) {
            over_splits::<crate::backend::kernels::simd::Avx512, true>(work, parts, scratch);
        }
        // SAFETY: by `Keys::in_pairs`, the machine has these.
        unsafe { here(work, parts, scratch) }
    }
    #[cfg(not(target_arch = "x86_64"))]
    in_f32(work, parts, scratch);
}

#[inline(always)]
fn over_splits<S: Simd, const PAIRS: bool>(
    work: Work<'_>,
    parts: &mut [Partial],
    scratch: &mut Scratch,
) {
    let Work { task, shape, q, group, .. } = work;
    let d = shape.head_dim;
    let rows = task.rows.len() * group;
    for r in 0..rows {
        let row = task.rows.start + r / group;
        let at = (row * shape.heads + task.kv_head * group + r % group) * d;
        let from = &q[at..at + d];
        match PAIRS {
            true => {
                let (to, from) = (scratch.q.u32s((r + 1) * d / 2), from.as_chunks::<16>().0);
                let (to, _) = to[r * d / 2..].as_chunks_mut::<8>();
                for (to, from) in to.iter_mut().zip(from) {
                    *to = S::load(from).multiply(S::splat(shape.scale)).factor_pairs();
                }
            }
            false => {
                let to = &mut scratch.q.f32s((r + 1) * d)[r * d..];
                to.iter_mut().zip(from).for_each(|(to, x)| *to = x * shape.scale);
            }
        }
    }
    scratch.total.clear(rows, d);
    for (n, split) in task.splits.clone().enumerate() {
        scratch.part.clear(rows, d);
        let end = ((split + 1) * SPLIT).min(task.keys.end);
        let mut start = (split * SPLIT).max(task.keys.start / TILE * TILE);
        while start < end {
            let next = (start + TILE).min(end);
            over_tile::<S, PAIRS>(work, start, next, scratch);
            start = next;
        }
        match parts.get_mut(n) {
            Some(part) => std::mem::swap(part, &mut scratch.part),
            None => scratch.total.merge(&mut scratch.part),
        }
    }
}

#[inline(always)]
fn over_tile<S: Simd, const PAIRS: bool>(
    work: Work<'_>,
    start: usize,
    end: usize,
    scratch: &mut Scratch,
) {
    let Work { task, shape, segment, .. } = work;
    let Scratch { q, keys, values, part, .. } = scratch;
    let (d, rows) = (shape.head_dim, part.max.len());
    let at = |start: usize, end: usize| Span {
        kv_head: task.kv_head,
        kv_heads: shape.kv_heads,
        head_dim: d,
        start,
        len: end - start,
    };
    let (span, source) = (at(start, end), &segment.keys);
    // As far as this task goes.
    let last = (task.splits.end * SPLIT).min(task.keys.end);
    let next = at(end, (end + TILE).min(last).max(end));
    // For few rows to get keys and values ready would take longer than to
    // do it as they are read.
    let few = rows <= AT_ONCE && source.is_ready(d);
    let stored = |span: &Span| match few && span.len == TILE {
        true => source.stored(span),
        false => None,
    };
    let (keys, values) = match (stored(&span), PAIRS) {
        (Some((mut keys, mut values)), _) => {
            if let Some((next_keys, next_values)) = stored(&next) {
                (keys.next, values.next) = (next_keys.pieces, next_values.pieces);
            }
            (keys, values)
        }
        (None, true) => {
            source.prefetch_values(&span);
            let keys = source.paired_keys::<S>(&span, keys);
            source.prefetch_keys(&next);
            (keys, source.paired_values::<S>(&span, values))
        }
        (None, false) => {
            source.prefetch_values(&span);
            let keys = source.wide_keys::<S>(&span, keys);
            source.prefetch_keys(&next);
            (keys, source.wide_values::<S>(&span, values))
        }
    };
    let tile = Tile { work, q, keys, values, start, end };
    let mut row = 0;
    while row < rows {
        row += match (S::MANY, rows - row) {
            (_, 1) => tile.rows::<S, PAIRS, 1, 4>(row, part),
            (true, 2) => tile.rows::<S, PAIRS, 2, 4>(row, part),
            (false, 2) => tile.rows::<S, PAIRS, 2, 2>(row, part),
            (true, 3) => tile.rows::<S, PAIRS, 3, 4>(row, part),
            (true, 4) => tile.rows::<S, PAIRS, 4, 4>(row, part),
            (true, 5) => tile.rows::<S, PAIRS, 5, 4>(row, part),
            (true, 7) => tile.rows::<S, PAIRS, 7, 2>(row, part),
            (true, 8) => tile.rows::<S, PAIRS, 8, 2>(row, part),
            (true, _) => tile.rows::<S, PAIRS, 6, 4>(row, part),
            (false, 3) => tile.rows::<S, PAIRS, 3, 1>(row, part),
            (false, _) => tile.rows::<S, PAIRS, 4, 1>(row, part),
        };
    }
}

/// A tile of keys and values that is ready for products.
#[derive(Clone, Copy)]
struct Tile<'a> {
    work: Work<'a>,
    q: &'a Lines,
    keys: Side,
    values: Side,
    start: usize,
    end: usize,
}

impl Tile<'_> {
    /// Keys of the tile that a row sees.
    #[inline(always)]
    fn seen(&self, r: usize) -> (usize, usize) {
        let Task { before, after, .. } = *self.work.task;
        if before.is_none() && after.is_none() {
            return (0, self.end - self.start);
        }
        let position = self.position(r);
        let low = before.map_or(0, |b| position.saturating_sub(b));
        let high = after.map_or(self.end, |a| (position + a + 1).min(self.end));
        (low.saturating_sub(self.start), high.saturating_sub(self.start))
    }

    /// Where in its sequence a row stands.
    #[inline(always)]
    fn position(&self, r: usize) -> usize {
        // In 32 bits, because division takes time.
        self.work.task.first + (r as u32 / self.work.group as u32) as usize
    }

    /// What the tile's scores of a row get.
    #[inline(always)]
    fn bias(&self, r: usize) -> &[f32] {
        let Work { task, segment, group, .. } = self.work;
        let Some(bias) = segment.near.bias else { return &[] };
        let head = task.kv_head * group + r % group;
        bias.row(head, self.position(r), self.start, self.end - self.start)
    }

    /// What the tile contributes to `M` rows from `row` on; returns `M`.
    #[inline(always)]
    fn rows<S: Simd, const PAIRS: bool, const M: usize, const N: usize>(
        &self,
        row: usize,
        part: &mut Partial,
    ) -> usize {
        let seen: [_; M] = std::array::from_fn(|m| self.seen(row + m));
        if seen.iter().all(|(low, high)| high <= low) {
            return M;
        }
        match (PAIRS, self.keys.form) {
            (true, Form::Pairs) => self.with::<S, PAIRS, Pairs, M, N>(row, &seen, part),
            (true, _) => self.with::<S, PAIRS, PairedRows, M, N>(row, &seen, part),
            (false, Form::Half) => self.with::<S, PAIRS, Half, M, N>(row, &seen, part),
            (false, Form::Brain) => self.with::<S, PAIRS, Brain, M, N>(row, &seen, part),
            (false, _) => self.with::<S, PAIRS, Wide, M, N>(row, &seen, part),
        }
        M
    }

    #[inline(always)]
    fn with<S: Simd, const PAIRS: bool, F: Factors<S>, const M: usize, const N: usize>(
        &self,
        row: usize,
        seen: &[(usize, usize); M],
        part: &mut Partial,
    ) {
        let Work { shape, .. } = self.work;
        let steps = shape.head_dim / F::PAIR;
        let mut lines = Aligned([[[0.0; 16]; 4]; M]);
        let lines = &mut lines.0;
        // SAFETY: there are so many rows of queries, and keys as wide.
        unsafe {
            let q = (self.q.at::<F::Left>(row * steps), steps);
            scores::<S, F, M, N>(q, &self.keys, lines, steps);
        }
        let mut shrink = [1.0; M];
        for m in 0..M {
            let r = row + m;
            let before = (part.max[r], part.sum[r]);
            let change = (shape.softcap, self.bias(r));
            let now = weigh::<S, PAIRS>(&mut lines[m], change, seen[m], before);
            (part.max[r], part.sum[r], shrink[m]) = (now.max, now.sum, now.shrink);
        }
        let weights = lines.as_ptr().cast::<F::Left>();
        // SAFETY: a line has weights for a whole tile, and there are so many
        // values; no further than `end`, where they may be anything.
        unsafe {
            let count = self.end - self.start;
            let stride = size_of::<Line>() / 4;
            let out = part.out(row, M);
            add_values::<S, F, M, N>((weights, stride), &self.values, shrink, out, count);
        }
    }
}

/// Begins at a cache line.
#[repr(align(64))]
struct Aligned<T>(T);
