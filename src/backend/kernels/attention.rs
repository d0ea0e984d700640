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
mod partial;
mod tile;
mod weights;

use std::ops::Range;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use keys::SPLIT;
pub use keys::{Keys, KvSlice};
use partial::Partial;
use tile::{Scratch, Task};

use super::multiversion;
use super::team::{Member, Parts, team};

/// Query rows times heads of a group that one task takes, about: as many as
/// possible, because keys and values are made ready once a task, but few
/// enough to have tasks for all threads.
const GROUP_ROWS: [usize; 3] = [128, 64, 32];

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
#[derive(Debug, Clone, Copy, PartialEq)]
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
    made_for: Option<(Shape, usize)>,
    sequences: Vec<Sequence>,
    tasks: Vec<Task>,
    /// Of splits of tasks that have a part of their rows' keys.
    partials: Vec<Partial>,
    merges: Vec<Merge>,
    scratches: Vec<Scratch>,
    next: AtomicUsize,
}

/// Results of splits that make a whole.
#[derive(Debug)]
struct Merge {
    /// A task of these rows.
    task: usize,
    slots: Range<usize>,
}

/// What of a segment a plan depends on.
#[derive(Debug, Clone, PartialEq)]
struct Sequence {
    context: usize,
    causal_from: Option<usize>,
    rows: Range<usize>,
}

impl Sequence {
    fn of(segment: &Segment<'_>) -> Self {
        let Segment { context, causal_from, ref rows, .. } = *segment;
        Self { context, causal_from, rows: rows.clone() }
    }
}

/// A [`Plan`] in use by a team.
pub struct PlanParts<'a> {
    tasks: &'a [Task],
    partials: Parts<'a, Partial>,
    merges: &'a [Merge],
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
        self.next.store(0, Relaxed);
        let made_for = Some((*shape, threads));
        let seen = |s: usize| Sequence::of(&segment(s));
        // Layers of a step are mostly alike.
        if self.made_for == made_for
            && self.sequences.len() == segments
            && (0..segments).all(|s| self.sequences[s] == seen(s))
        {
            return;
        }
        self.made_for = made_for;
        self.sequences.clear();
        self.sequences.extend((0..segments).map(seen));
        self.tasks.clear();
        self.merges.clear();
        let group = shape.heads / shape.kv_heads;
        let whole = |step: usize| -> usize {
            self.sequences.iter().map(|s| s.rows.len().div_ceil(step) * shape.kv_heads).sum()
        };
        let enough = TASKS_A_THREAD * threads;
        let steps @ [.., least] = GROUP_ROWS.map(|rows| rows.div_ceil(group));
        let step = steps.into_iter().find(|&step| whole(step) >= enough).unwrap_or(least);
        // Contexts are only cut where whole ones would leave threads idle: the
        // parts are merged in the same order, so it makes no difference.
        let cut = whole(step) < enough;
        for number in 0..segments {
            self.add_tasks(shape, number, (step, cut.then_some(threads)));
        }
        let partials = self.merges.last().map_or(0, |merge| merge.slots.end);
        if self.partials.len() < partials {
            self.partials.resize_with(partials, Partial::default);
        }
        if self.scratches.len() < threads {
            self.scratches.resize_with(threads, Scratch::default);
        }
    }

    /// Cuts a segment: by `step` rows and key heads and, with `cut` for so many
    /// threads, a short one with a long context by splits of its keys too.
    fn add_tasks(&mut self, shape: &Shape, number: usize, (step, cut): (usize, Option<usize>)) {
        let segment = self.sequences[number].clone();
        for start in segment.rows.clone().step_by(step) {
            let rows = start..(start + step).min(segment.rows.end);
            let first = segment.causal_from.map(|p| p + start - segment.rows.start);
            let end = first.map_or(segment.context, |f| (f + rows.len()).min(segment.context));
            let begin = match (first, shape.window) {
                (Some(f), Some(w)) => (f + 1).saturating_sub(w),
                _ => 0,
            };
            let splits = begin / SPLIT..end.div_ceil(SPLIT).max(begin / SPLIT + 1);
            let threads = cut.filter(|_| segment.rows.len() <= step && splits.len() > 1);
            for kv_head in 0..shape.kv_heads {
                let task = |splits, slot| Task {
                    segment: number,
                    rows: rows.clone(),
                    kv_head,
                    first,
                    keys: begin..end,
                    splits,
                    slot,
                };
                let Some(threads) = threads else {
                    self.tasks.push(task(splits.clone(), None));
                    continue;
                };
                // Few splits together, so that all threads have enough tasks,
                // but no fewer: what follows in a task is asked for early.
                let together = splits.len() * shape.kv_heads / (TASKS_A_THREAD * threads);
                let slot = self.merges.last().map_or(0, |merge| merge.slots.end);
                let merge = Merge { task: self.tasks.len(), slots: slot..slot + splits.len() };
                for some in splits.clone().step_by(together.max(1)) {
                    let slot = slot + some - splits.start;
                    let some = some..(some + together.max(1)).min(splits.end);
                    self.tasks.push(task(some, Some(slot)));
                }
                self.merges.push(merge);
            }
        }
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
            let segment = segment(task.segment);
            // SAFETY: a task is claimed once, and only it has these rows of
            // these heads, or these splits of them.
            unsafe {
                let parts = match task.slot {
                    Some(slot) => self.partials.write(slot..slot + task.splits.len()),
                    None => &mut [],
                };
                let result = task.run(shape, q, &segment, parts, scratch);
                if task.slot.is_none() {
                    write(shape, task, result, out);
                }
            }
        }
        if self.merges.is_empty() {
            return;
        }
        member.meet();
        for merge in &self.merges[member.share(self.merges.len())] {
            // SAFETY: all parts are there, and shares are distinct.
            unsafe {
                if let [merged, rest @ ..] = self.partials.write(merge.slots.clone()) {
                    merge_all(merged, rest);
                    write(shape, &self.tasks[merge.task], merged, out);
                }
            }
        }
    }
}

multiversion!(fn merge_all(merged: &mut Partial, rest: &mut [Partial]) = merge_all_body);

#[inline(always)]
fn merge_all_body(merged: &mut Partial, rest: &mut [Partial]) {
    rest.iter_mut().for_each(|part| merged.merge(part));
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
