//! Softmax attention over the paged cache, or over a packed batch.
//!
//! The keys of a sequence are cut at fixed positions into splits, splits into
//! tiles. Within a split the softmax runs online over its tiles; the results of
//! the splits are merged in order of position. So a row's result has the same
//! bits whatever shares the batch, however its prompt was cut into pieces, and
//! whether one thread or several computed it.
//!
//! One task takes some query rows of all heads that share a key head, so each
//! key and value is widened to f32 once for all of them.

mod keys;
mod multiply;
mod tile;

use std::ops::Range;

use rayon::prelude::*;

pub use keys::{Keys, KvSlice};
use tile::{Partial, Scratch, Task};

/// Query rows times heads of a group that one task takes, about.
const GROUP_ROWS: usize = 32;
/// Multiply-adds below which another thread costs more than it saves.
const SERIAL_WORK: usize = 100_000;

/// One sequence's part of an attention call.
pub struct Segment<'a> {
    pub keys: Keys<'a>,
    /// Keys the sequence has.
    pub context: usize,
    /// Position of its first query row; `None` lets every row see every key.
    pub causal_from: Option<usize>,
    /// Rows of the query array.
    pub rows: Range<usize>,
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

/// `q` and `out` are (rows, heads, head_dim); the rows of `segments` are
/// distinct.
pub fn attend(shape: &Shape, q: &[f32], segments: &[Segment<'_>], out: &mut [f32]) {
    let tasks: Vec<_> = segments.iter().flat_map(|segment| tasks(shape, q, segment)).collect();
    let rows = Rows { shape, data: out.as_mut_ptr(), len: out.len() };
    let work: usize = tasks.iter().map(Task::work).sum();
    let run = |scratch: &mut Scratch, task: &Task<'_, '_>| {
        let result = task.run(scratch);
        match task.is_whole {
            // A part of a context is merged when all parts are there.
            false => Some(result.clone()),
            true => {
                // SAFETY: only this task has these rows of these heads.
                unsafe { rows.write(task, result) };
                None
            }
        }
    };
    let parts: Vec<_> = if work < SERIAL_WORK || rayon::current_num_threads() == 1 {
        let mut scratch = Scratch::default();
        tasks.iter().map(|task| run(&mut scratch, task)).collect()
    } else {
        tasks.par_iter().with_max_len(1).map_init(Scratch::default, run).collect()
    };
    let mut merged: Option<Partial> = None;
    for (i, (task, part)) in tasks.iter().zip(parts).enumerate() {
        let Some(part) = part else { continue };
        match &mut merged {
            None => merged = Some(part),
            Some(merged) => merged.merge(&part, shape.head_dim),
        }
        let goes_on = tasks.get(i + 1).is_some_and(|next| next.continues(task));
        if !goes_on && let Some(merged) = merged.take() {
            // SAFETY: the tasks are over; nobody else writes.
            unsafe { rows.write(task, &merged) };
        }
    }
}

/// Cuts a segment: by rows and key heads, and a short one with a long context
/// by splits of its keys too.
fn tasks<'t, 's>(
    shape: &'t Shape,
    q: &'t [f32],
    segment: &'t Segment<'s>,
) -> impl Iterator<Item = Task<'t, 's>> {
    let group = shape.heads / shape.kv_heads;
    let step = GROUP_ROWS.div_ceil(group);
    let width = shape.heads * shape.head_dim;
    let starts = segment.rows.clone().step_by(step);
    starts.flat_map(move |start| {
        let rows = start..(start + step).min(segment.rows.end);
        let first = segment.causal_from.map(|p| p + start - segment.rows.start);
        let end = first.map_or(segment.context, |f| (f + rows.len()).min(segment.context));
        let begin = match (first, shape.window) {
            (Some(f), Some(w)) => (f + 1).saturating_sub(w),
            _ => 0,
        };
        let split = segment.keys.split();
        let splits = begin / split..end.div_ceil(split).max(begin / split + 1);
        let is_whole = segment.rows.len() > step || splits.len() == 1;
        let pieces = if is_whole { 1 } else { splits.len() };
        (0..shape.kv_heads).flat_map(move |kv_head| {
            let (rows, splits) = (rows.clone(), splits.clone());
            (0..pieces).map(move |piece| Task {
                shape,
                q: &q[rows.start * width..rows.end * width],
                segment,
                rows: rows.clone(),
                kv_head,
                first,
                keys: begin..end,
                splits: match is_whole {
                    true => splits.clone(),
                    false => splits.start + piece..splits.start + piece + 1,
                },
                is_whole,
            })
        })
    })
}

/// The output, written by several threads, each its own rows and heads.
struct Rows<'a> {
    shape: &'a Shape,
    data: *mut f32,
    len: usize,
}

// SAFETY: `write` is only called for distinct rows and heads at a time.
unsafe impl Sync for Rows<'_> {}

impl Rows<'_> {
    /// Writes the task's result, divided by the sums of its weights.
    ///
    /// # Safety
    /// No other thread reads or writes these rows of these heads.
    unsafe fn write(&self, task: &Task<'_, '_>, result: &Partial) {
        let (d, heads) = (self.shape.head_dim, self.shape.heads);
        let group = heads / self.shape.kv_heads;
        for (r, (from, &sum)) in result.out.chunks_exact(d).zip(&result.sum).enumerate() {
            let row = task.rows.start + r / group;
            let at = (row * heads + task.kv_head * group + r % group) * d;
            assert!(at + d <= self.len);
            // SAFETY: inside the output, as asserted; the caller vouches for the rest.
            let to = unsafe { std::slice::from_raw_parts_mut(self.data.add(at), d) };
            let inverse = if sum == 0.0 { 0.0 } else { 1.0 / sum };
            for (to, from) in to.iter_mut().zip(from) {
                *to = from * inverse;
            }
        }
    }
}
