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
mod lines;
mod multiply;
mod near;
mod partial;
mod plan;
mod tile;
mod weights;

use std::ops::Range;

pub use keys::{Keys, KvSlice};
pub use near::{BiasView, Near};
use partial::Partial;
use plan::{GROUP_ROWS, Sequence};
pub use plan::{Plan, PlanParts};
pub use tile::Scratch;
use tile::Task;

use super::team::{Parts, team};

/// One sequence's part of an attention call.
#[derive(Clone)]
pub struct Segment<'a> {
    pub keys: Keys<'a>,
    /// Keys the sequence has.
    pub context: usize,
    /// Position of its first query row; `None` lets every row see what `near`
    /// says, the first of them being at position 0.
    pub causal_from: Option<usize>,
    pub near: Near<'a>,
    /// Rows of the query array.
    pub rows: Range<usize>,
}

/// Sizes and constants of one attention call.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shape {
    pub heads: usize,
    pub kv_heads: usize,
    pub head_dim: usize,
    /// Multiplies the scores.
    pub scale: f32,
    /// `cap * tanh(score / cap)` when set.
    pub softcap: Option<f32>,
    /// A causal row sees only this many positions back, itself included.
    pub window: Option<usize>,
}

/// `q` and `out` are (rows, heads, head_dim); the rows of `segments` are
/// distinct.
pub fn attend(shape: &Shape, q: &[f32], segments: &[Segment<'_>], out: &mut [f32]) {
    let mut plan = Plan::default();
    let team = team();
    plan.make(shape, segments.len(), |s| segments[s].clone(), team.threads());
    let plan = plan.parts();
    let out = Parts::new(out);
    // SAFETY: nobody else has the output.
    team.run(|member| unsafe { plan.run(member, shape, q, |s| segments[s].clone(), out) });
}

/// Attends to whole segments, whose results are written when it returns, by the
/// calling thread alone.
///
/// # Safety
/// Until then nobody else writes `q` or the segments' keys and values, or
/// touches their rows of `out`.
pub unsafe fn attend_alone<'s>(
    shape: &Shape,
    q: &[f32],
    segments: impl Iterator<Item = Segment<'s>>,
    out: Parts<'_, f32>,
    scratch: &mut Scratch,
) {
    let step = GROUP_ROWS[0].div_ceil(shape.heads / shape.kv_heads);
    for segment in segments {
        for mut task in Sequence::of(shape, &segment).pieces(0, step) {
            for kv_head in 0..shape.kv_heads {
                task.kv_head = kv_head;
                let result = task.run(shape, q, &segment, &mut [], scratch);
                // SAFETY: by the caller's promise.
                unsafe { write(shape, &task, result, out) };
            }
        }
    }
}

/// Writes a task's result, divided by the sums of its weights.
///
/// # Safety
/// No other thread reads or writes these rows of these heads.
unsafe fn write(shape: &Shape, task: &Task, result: &mut Partial, out: Parts<'_, f32>) {
    let (d, heads) = (shape.head_dim, shape.heads);
    let group = heads / shape.kv_heads;
    for r in 0..result.sum.len() {
        let sum = result.sum[r];
        let row = task.rows.start + r / group;
        let at = (row * heads + task.kv_head * group + r % group) * d;
        // SAFETY: by the caller's promise.
        let to = unsafe { out.write(at..at + d) };
        let inverse = if sum == 0.0 { 0.0 } else { 1.0 / sum };
        for (to, from) in to.iter_mut().zip(result.out(r, 1)) {
            *to = *from * inverse;
        }
    }
}
