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
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

pub use keys::{Keys, KvSlice};
use tile::{Partial, Scratch, Task};

use super::team::{Member, Parts, team};

/// Query rows times heads of a group that one task takes, about.
const GROUP_ROWS: usize = 32;

/// Tasks for each thread that are enough to keep all of them busy.
const TASKS_A_THREAD: usize = 6;

/// One sequence's part of an attention call.
#[derive(Clone)]
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
    let mut plan = Plan::default();
    let team = team();
    plan.make(shape, segments.len(), |s| segments[s].clone(), team.threads());
    let plan = plan.parts();
    let out = Parts::new(out);
    // SAFETY: nobody else has the output.
    team.run(|member| unsafe { plan.run(member, shape, q, |s| segments[s].clone(), out) });
}

/// How an attention call is cut into tasks, and room for their results; kept
/// from call to call.
#[derive(Default)]
pub struct Plan {
    tasks: Vec<Task>,
    /// Of tasks that have a part of their rows' keys.
    partials: Vec<Partial>,
    /// Ranges of tasks whose results are merged.
    merges: Vec<Range<usize>>,
    scratches: Vec<Scratch>,
    next: AtomicUsize,
}

/// A [`Plan`] in use by a team.
pub struct PlanParts<'a> {
    tasks: &'a [Task],
    partials: Parts<'a, Partial>,
    merges: &'a [Range<usize>],
    scratches: Parts<'a, Scratch>,
    next: &'a AtomicUsize,
}

impl Plan {
    /// Cuts the work of so many segments for a team of so many threads.
    pub fn make<'s>(
        &mut self,
        shape: &Shape,
        segments: usize,
        segment: impl Fn(usize) -> Segment<'s>,
        threads: usize,
    ) {
        self.tasks.clear();
        self.merges.clear();
        let step = rows_of_a_task(shape);
        let whole: usize =
            (0..segments).map(|s| segment(s).rows.len().div_ceil(step) * shape.kv_heads).sum();
        // Contexts are only cut where whole ones would leave threads idle: the
        // parts are merged in the same order, so it makes no difference.
        let cut = whole < TASKS_A_THREAD * threads;
        for number in 0..segments {
            tasks(shape, (number, &segment(number)), cut, &mut self.tasks);
        }
        let mut i = 0;
        while i < self.tasks.len() {
            let mut end = i + 1;
            if !self.tasks[i].is_whole {
                while end < self.tasks.len() && self.tasks[end].continues(&self.tasks[end - 1]) {
                    end += 1;
                }
                self.merges.push(i..end);
            }
            i = end;
        }
        let partials = if self.merges.is_empty() { 0 } else { self.tasks.len() };
        if self.partials.len() < partials {
            self.partials.resize_with(partials, Partial::default);
        }
        if self.scratches.len() < threads {
            self.scratches.resize_with(threads, Scratch::default);
        }
        self.next.store(0, Relaxed);
    }

    pub fn parts(&mut self) -> PlanParts<'_> {
        PlanParts {
            tasks: &self.tasks,
            partials: Parts::new(&mut self.partials),
            merges: &self.merges,
            scratches: Parts::new(&mut self.scratches),
            next: &self.next,
        }
    }
}

impl PlanParts<'_> {
    /// This member's share of the work. Results are there after the next
    /// meeting.
    ///
    /// # Safety
    /// Until then nobody else writes `q` or the segments' keys and values, or
    /// touches `out`. The plan was made for these segments.
    pub unsafe fn run<'s>(
        &self,
        member: &Member<'_>,
        shape: &Shape,
        q: &[f32],
        segment: impl Fn(usize) -> Segment<'s>,
        out: Parts<'_, f32>,
    ) {
        let me = member.index();
        // SAFETY: each member has a scratch of its own.
        let scratch = unsafe { &mut self.scratches.write(me..me + 1)[0] };
        // The last rows of a prompt see most keys; they go first.
        while let Some(i) = self.tasks.len().checked_sub(self.next.fetch_add(1, Relaxed) + 1) {
            let task = &self.tasks[i];
            let result = task.run(shape, q, &segment(task.segment), scratch);
            // SAFETY: a task is claimed once, and only it has these rows of
            // these heads, or this part of them.
            unsafe {
                match task.is_whole {
                    true => write(shape, task, result, out),
                    false => std::mem::swap(&mut self.partials.write(i..i + 1)[0], result),
                }
            }
        }
        if self.merges.is_empty() {
            return;
        }
        member.meet();
        for range in &self.merges[member.share(self.merges.len())] {
            let (first, rest) = (range.start, range.start + 1..range.end);
            // SAFETY: all parts are there, and shares are distinct.
            unsafe {
                let merged = &mut self.partials.write(first..first + 1)[0];
                for part in self.partials.read(rest) {
                    merged.merge(part, shape.head_dim);
                }
                write(shape, &self.tasks[first], merged, out);
            }
        }
    }
}

/// Writes a task's result, divided by the sums of its weights.
///
/// # Safety
/// No other thread reads or writes these rows of these heads.
unsafe fn write(shape: &Shape, task: &Task, result: &Partial, out: Parts<'_, f32>) {
    let (d, heads) = (shape.head_dim, shape.heads);
    let group = heads / shape.kv_heads;
    for (r, (from, &sum)) in result.out.chunks_exact(d).zip(&result.sum).enumerate() {
        let row = task.rows.start + r / group;
        let at = (row * heads + task.kv_head * group + r % group) * d;
        // SAFETY: by the caller's promise.
        let to = unsafe { out.write(at..at + d) };
        let inverse = if sum == 0.0 { 0.0 } else { 1.0 / sum };
        for (to, from) in to.iter_mut().zip(from) {
            *to = from * inverse;
        }
    }
}

/// Query rows of a task.
fn rows_of_a_task(shape: &Shape) -> usize {
    GROUP_ROWS.div_ceil(shape.heads / shape.kv_heads)
}

/// Cuts a segment: by rows and key heads and, with `cut`, a short one with a
/// long context by splits of its keys too.
fn tasks(
    shape: &Shape,
    (number, segment): (usize, &Segment<'_>),
    cut: bool,
    tasks: &mut Vec<Task>,
) {
    let step = rows_of_a_task(shape);
    for start in segment.rows.clone().step_by(step) {
        let rows = start..(start + step).min(segment.rows.end);
        let first = segment.causal_from.map(|p| p + start - segment.rows.start);
        let end = first.map_or(segment.context, |f| (f + rows.len()).min(segment.context));
        let begin = match (first, shape.window) {
            (Some(f), Some(w)) => (f + 1).saturating_sub(w),
            _ => 0,
        };
        let split = segment.keys.split();
        let splits = begin / split..end.div_ceil(split).max(begin / split + 1);
        let is_whole = !cut || segment.rows.len() > step || splits.len() == 1;
        for kv_head in 0..shape.kv_heads {
            let mut add = |splits| {
                let rows = rows.clone();
                let keys = begin..end;
                tasks.push(Task { segment: number, rows, kv_head, first, keys, splits, is_whole });
            };
            match is_whole {
                true => add(splits.clone()),
                false => splits.clone().for_each(|s| add(s..s + 1)),
            }
        }
    }
}
