//! Softmax attention with an online maximum, over keys that come in chunks:
//! blocks of the paged cache, or pieces of a packed batch.
//!
//! One task takes a few query rows of all heads that share a key head, so each
//! key and value is loaded once for the group.

use rayon::prelude::*;

use super::math::{dot, exp, tanh};
use super::multiversion;

/// Query rows one task takes.
const ROWS: usize = 8;

/// Where the keys and values of one sequence and key head lie.
pub enum Keys<'a> {
    /// Blocks of a cache of shape (blocks, kv_heads, block_size, head_dim).
    Paged { k: &'a [f32], v: &'a [f32], blocks: &'a [u32], block_size: usize },
    /// Rows of arrays of shape (tokens, kv_heads, head_dim), from `first` on.
    Packed { k: &'a [f32], v: &'a [f32], first: usize },
}

/// One sequence's part of an attention call.
pub struct Segment<'a> {
    pub keys: Keys<'a>,
    /// Keys the sequence has.
    pub context: usize,
    /// Position of its first query row; `None` lets every row see every key.
    pub causal_from: Option<usize>,
    /// Rows of the query array.
    pub rows: std::ops::Range<usize>,
}

/// Sizes and constants of one attention call.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    pub heads: usize,
    pub kv_heads: usize,
    pub head_dim: usize,
    /// Multiplies the scores.
    pub scale: f32,
    /// `cap * tanh(score / cap)` when set.
    pub softcap: Option<f32>,
    /// A row sees only this many positions back, itself included.
    pub window: Option<usize>,
}

/// `q` and `out` are (rows, heads, head_dim).
pub fn attend(shape: &Shape, q: &[f32], segments: &[Segment<'_>], out: &mut [f32]) {
    let width = shape.heads * shape.head_dim;
    let mut tasks = Vec::new();
    let mut rest = out;
    for segment in segments {
        let (own, after) = rest.split_at_mut(segment.rows.len() * width);
        rest = after;
        let mut own = own;
        for first in segment.rows.clone().step_by(ROWS) {
            let rows = first..(first + ROWS).min(segment.rows.end);
            let (piece, later) = own.split_at_mut(rows.len() * width);
            own = later;
            tasks.push((segment, rows, piece));
        }
    }
    tasks.into_par_iter().for_each_init(Scratch::default, |scratch, (segment, rows, out)| {
        let q = &q[rows.start * width..rows.end * width];
        let first = segment.causal_from.map(|p| p + rows.start - segment.rows.start);
        for kv_head in 0..shape.kv_heads {
            task(Task { shape, q, out, segment, first, kv_head, scratch });
        }
    });
}

#[derive(Default)]
struct Scratch {
    /// Scores, then weights: (rows of the group, chunk).
    scores: Vec<f32>,
    /// Running maximum and sum of each row of the group.
    max: Vec<f32>,
    sum: Vec<f32>,
}

struct Task<'a, 'b> {
    shape: &'a Shape,
    /// (rows, heads, head_dim)
    q: &'a [f32],
    out: &'a mut [f32],
    segment: &'a Segment<'b>,
    /// Position of the first row when causal.
    first: Option<usize>,
    kv_head: usize,
    scratch: &'a mut Scratch,
}

multiversion!(fn task(t: Task<'_, '_>) = task_body);

/// Longest chunk of keys handled at once when they are not in blocks.
const PACKED_CHUNK: usize = 32;

#[inline(always)]
fn task_body(t: Task<'_, '_>) {
    let Task { shape, q, out, segment, first, kv_head, scratch } = t;
    let (d, heads) = (shape.head_dim, shape.heads);
    let group = heads / shape.kv_heads;
    let rows = q.len() / (heads * d);
    let n = rows * group;
    // Query and output of the group's row r = row * group + head.
    let at = |r: usize| ((r / group) * heads + kv_head * group + r % group) * d;

    scratch.max.clear();
    scratch.max.resize(n, f32::NEG_INFINITY);
    scratch.sum.clear();
    scratch.sum.resize(n, 0.0);
    for r in 0..n {
        out[at(r)..at(r) + d].fill(0.0);
    }

    let end = first.map_or(segment.context, |f| (f + rows).min(segment.context));
    let begin = match (first, shape.window) {
        (Some(f), Some(w)) => (f + 1).saturating_sub(w),
        _ => 0,
    };
    let step = match &segment.keys {
        Keys::Paged { block_size, .. } => *block_size,
        Keys::Packed { .. } => PACKED_CHUNK,
    };
    let mut start = begin / step * step;
    while start < end {
        let len = step.min(end - start);
        let (k, v, stride) = match &segment.keys {
            Keys::Paged { k, v, blocks, block_size } => {
                let block = blocks[start / block_size] as usize;
                let from = (block * shape.kv_heads + kv_head) * block_size * d;
                (&k[from..from + len * d], &v[from..from + len * d], d)
            }
            Keys::Packed { k, v, first } => {
                let stride = shape.kv_heads * d;
                let from = (first + start) * stride + kv_head * d;
                let to = from + (len - 1) * stride + d;
                (&k[from..to], &v[from..to], stride)
            }
        };
        scratch.scores.clear();
        scratch.scores.resize(n * len, 0.0);
        for j in 0..len {
            let key = &k[j * stride..j * stride + d];
            for r in 0..n {
                scratch.scores[r * len + j] = dot(&q[at(r)..at(r) + d], key) * shape.scale;
            }
        }
        for r in 0..n {
            let scores = &mut scratch.scores[r * len..(r + 1) * len];
            if let Some(cap) = shape.softcap {
                scores.iter_mut().for_each(|s| *s = cap * tanh(*s / cap));
            }
            if let Some(first) = first {
                let position = first + r / group;
                let low = shape.window.map_or(0, |w| (position + 1).saturating_sub(w));
                for (j, s) in scores.iter_mut().enumerate() {
                    let key = start + j;
                    if key > position || key < low {
                        *s = f32::NEG_INFINITY;
                    }
                }
            }
            let highest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            if highest == f32::NEG_INFINITY {
                continue;
            }
            let max = scratch.max[r].max(highest);
            let shrink =
                if scratch.max[r] == f32::NEG_INFINITY { 0.0 } else { exp(scratch.max[r] - max) };
            scratch.max[r] = max;
            let mut sum = 0.0;
            for s in scores.iter_mut() {
                // exp() clamps, so a masked key needs its zero by hand.
                *s = if *s == f32::NEG_INFINITY { 0.0 } else { exp(*s - max) };
                sum += *s;
            }
            scratch.sum[r] = scratch.sum[r] * shrink + sum;
            let o = &mut out[at(r)..at(r) + d];
            o.iter_mut().for_each(|o| *o *= shrink);
            for (j, &weight) in scores.iter().enumerate() {
                let value = &v[j * stride..j * stride + d];
                for (o, v) in o.iter_mut().zip(value) {
                    *o = weight.mul_add(*v, *o);
                }
            }
        }
        start += step;
    }
    for r in 0..n {
        let inverse = if scratch.sum[r] > 0.0 { 1.0 / scratch.sum[r] } else { 0.0 };
        out[at(r)..at(r) + d].iter_mut().for_each(|o| *o *= inverse);
    }
}
