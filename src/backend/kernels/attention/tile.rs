//! One task: some query rows of one key head over some splits of the keys.

use std::ops::Range;

use super::multiply::multiply_add;
use super::{Segment, Shape};
use crate::backend::kernels::math::{LANES, exp, reduce, tanh};
use crate::backend::kernels::multiversion;
use crate::backend::kernels::simd::Simd;

/// Where a task's rows and keys are.
#[derive(Debug)]
pub struct Task {
    /// Number of its segment.
    pub segment: usize,
    /// Rows of the query array.
    pub rows: Range<usize>,
    pub kv_head: usize,
    /// Position of the first row when causal.
    pub first: Option<usize>,
    /// Keys that any of the rows sees.
    pub keys: Range<usize>,
    pub splits: Range<usize>,
    /// Whether these are all splits of the rows.
    pub is_whole: bool,
}

/// What some keys contribute: a softmax that is not yet divided by its sum.
/// Rows are r = row * group + head.
#[repr(align(128))]
#[derive(Debug, Clone, Default)]
pub struct Partial {
    /// Highest score of each row.
    pub max: Vec<f32>,
    /// Sum of each row's weights exp(score - max).
    pub sum: Vec<f32>,
    /// Weighted sum of the values, (rows, head_dim).
    pub out: Vec<f32>,
}

impl Partial {
    fn clear(&mut self, rows: usize, d: usize) {
        self.max.clear();
        self.max.resize(rows, f32::NEG_INFINITY);
        self.sum.clear();
        self.sum.resize(rows, 0.0);
        self.out.clear();
        self.out.resize(rows * d, 0.0);
    }

    /// Adds what later keys contribute.
    pub fn merge(&mut self, later: &Self, d: usize) {
        for r in 0..self.max.len() {
            if later.max[r] == f32::NEG_INFINITY {
                continue;
            }
            let max = self.max[r].max(later.max[r]);
            let old = if self.max[r] == f32::NEG_INFINITY { 0.0 } else { exp(self.max[r] - max) };
            let new = exp(later.max[r] - max);
            self.max[r] = max;
            self.sum[r] = self.sum[r] * old + later.sum[r] * new;
            let later = &later.out[r * d..(r + 1) * d];
            for (o, l) in self.out[r * d..(r + 1) * d].iter_mut().zip(later) {
                *o = *o * old + l * new;
            }
        }
    }
}

// Apart from each other's: different threads write them.
#[repr(align(128))]
#[derive(Default)]
pub struct Scratch {
    /// The query rows times the scale, (rows of the group, head_dim).
    q: Vec<f32>,
    /// Scores, then weights: (rows of the group, tile).
    scores: Vec<f32>,
    keys: Vec<f32>,
    values: Vec<f32>,
    part: Partial,
    total: Partial,
}

impl Task {
    /// Whether this task has the splits that follow those of `other`.
    pub fn continues(&self, other: &Self) -> bool {
        let same = self.rows == other.rows && self.kv_head == other.kv_head;
        same && self.splits.start == other.splits.end
    }

    /// `q` is (rows, heads, head_dim).
    pub fn run<'a>(
        &self,
        shape: &Shape,
        q: &[f32],
        segment: &Segment<'_>,
        scratch: &'a mut Scratch,
    ) -> &'a mut Partial {
        let d = shape.head_dim;
        let group = shape.heads / shape.kv_heads;
        let rows = self.rows.len() * group;
        scratch.q.clear();
        for r in 0..rows {
            let row = self.rows.start + r / group;
            let at = (row * shape.heads + self.kv_head * group + r % group) * d;
            scratch.q.extend(q[at..at + d].iter().map(|q| q * shape.scale));
        }
        scratch.total.clear(rows, d);
        let work = Work { task: self, shape, segment };
        for split in self.splits.clone() {
            scratch.part.clear(rows, d);
            over_split(work, split, scratch);
            scratch.total.merge(&scratch.part, d);
        }
        &mut scratch.total
    }
}

#[derive(Clone, Copy)]
struct Work<'a> {
    task: &'a Task,
    shape: &'a Shape,
    segment: &'a Segment<'a>,
}

multiversion!(simd fn over_split(work: Work<'_>, split: usize, scratch: &mut Scratch) = over_split_body);

#[inline(always)]
fn over_split_body<S: Simd>(work: Work<'_>, split: usize, scratch: &mut Scratch) {
    let keys = &work.segment.keys;
    let (tile, split_keys) = (keys.tile(), keys.split());
    let end = ((split + 1) * split_keys).min(work.task.keys.end);
    let mut start = (split * split_keys).max(work.task.keys.start / tile * tile);
    while start < end {
        over_tile::<S>(work, start, (start + tile).min(end), scratch);
        start += tile;
    }
}

#[inline(always)]
fn over_tile<S: Simd>(work: Work<'_>, start: usize, end: usize, scratch: &mut Scratch) {
    let Work { task: Task { kv_head, first, .. }, shape, segment } = work;
    let Scratch { q, scores, keys, values, part, .. } = scratch;
    let (d, tile, len) = (shape.head_dim, segment.keys.tile(), end - start);
    let group = shape.heads / shape.kv_heads;
    let rows = part.max.len();
    let heads = (*kv_head, shape.kv_heads);
    scores.clear();
    scores.resize(rows * tile, 0.0);
    segment.keys.prefetch_values(heads, d, (start, len));
    let k = segment.keys.keys::<S>(heads, d, (start, len), keys);
    multiply_add::<S>((q, d), &k, (&mut scores[..], tile), (rows, d, tile));
    for r in 0..rows {
        let scores = &mut scores[r * tile..(r + 1) * tile];
        if let Some(cap) = shape.softcap {
            scores.iter_mut().for_each(|s| *s = cap * tanh(*s / cap));
        }
        // Keys this row sees: low..high, counted from the tile's first.
        let (low, high) = match first {
            None => (0, end - start),
            Some(first) => {
                let position = first + r / group;
                let low = shape.window.map_or(0, |w| (position + 1).saturating_sub(w));
                let high = (position + 1).min(end);
                (low.saturating_sub(start).min(tile), high.saturating_sub(start))
            }
        };
        if high <= low {
            scores.fill(0.0);
            continue;
        }
        scores[..low].fill(f32::NEG_INFINITY);
        scores[high..].fill(f32::NEG_INFINITY);
        // NaN is passed over here and comes back below: it must stay visible.
        let highest = highest(scores);
        let max = part.max[r].max(highest);
        let shrink = if part.max[r] == f32::NEG_INFINITY { 0.0 } else { exp(part.max[r] - max) };
        for s in scores.iter_mut() {
            // exp() clamps, so a masked key needs its zero by hand.
            *s = if *s == f32::NEG_INFINITY { 0.0 } else { exp(*s - max) };
        }
        part.max[r] = max;
        part.sum[r] = part.sum[r] * shrink + total(scores);
        if shrink != 1.0 {
            part.out[r * d..(r + 1) * d].iter_mut().for_each(|o| *o *= shrink);
        }
    }
    let next = (end, tile.min(work.task.keys.end.saturating_sub(end)));
    segment.keys.prefetch_keys(heads, d, next);
    // No further than `len`: what lies behind the context may be anything.
    let v = segment.keys.values::<S>(heads, d, (start, len), values);
    multiply_add::<S>((&scores[..], tile), &v, (&mut part.out, d), (rows, len, d));
}

#[inline(always)]
fn highest(scores: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let whole = scores.chunks_exact(LANES);
    for (lane, s) in lanes.iter_mut().zip(whole.remainder()) {
        *lane = *s;
    }
    for chunk in whole {
        for l in 0..LANES {
            lanes[l] = if chunk[l] > lanes[l] { chunk[l] } else { lanes[l] };
        }
    }
    reduce(lanes, |a, b| if b > a { b } else { a })
}

#[inline(always)]
fn total(scores: &[f32]) -> f32 {
    let mut lanes = [0f32; LANES];
    let whole = scores.chunks_exact(LANES);
    for (lane, s) in lanes.iter_mut().zip(whole.remainder()) {
        *lane = *s;
    }
    for chunk in whole {
        for l in 0..LANES {
            lanes[l] += chunk[l];
        }
    }
    reduce(lanes, |a, b| a + b)
}
