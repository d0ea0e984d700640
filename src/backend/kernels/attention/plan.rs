//! How an attention call is cut into tasks for a team.

use std::ops::Range;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use super::keys::SPLIT;
use super::partial::Partial;
use super::tile::{Scratch, Task};
use super::{Segment, Shape, write};
use crate::backend::kernels::multiversion;
use crate::backend::kernels::team::{Member, Parts};

/// Query rows times heads of a group that one task takes, about: as many as
/// possible, because keys and values are made ready once a task, but few
/// enough to have tasks for all threads.
pub(super) const GROUP_ROWS: [usize; 3] = [128, 64, 32];

/// Tasks for each thread that are enough to keep all of them busy.
const TASKS_A_THREAD: usize = 6;

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
pub(super) struct Sequence {
    context: usize,
    /// Position of the first row.
    first: usize,
    /// How far a row sees before it and after it.
    before: Option<usize>,
    after: Option<usize>,
    rows: Range<usize>,
}

impl Sequence {
    pub fn of(shape: &Shape, segment: &Segment<'_>) -> Self {
        let Segment { context, causal_from, ref near, ref rows, .. } = *segment;
        let (first, before, after) = match causal_from {
            Some(first) => (first, shape.window.map(|w| w.saturating_sub(1)), Some(0)),
            None => (0, near.before, near.after),
        };
        Self { context, first, before, after, rows: rows.clone() }
    }

    /// Sequence `number` cut by `step` rows.
    pub fn pieces(&self, number: usize, step: usize) -> impl Iterator<Item = Task> {
        self.rows.clone().step_by(step).map(move |start| {
            let rows = start..(start + step).min(self.rows.end);
            let first = self.first + start - self.rows.start;
            let end = self.after.map_or(self.context, |a| first + rows.len() + a);
            let begin = self.before.map_or(0, |b| first.saturating_sub(b));
            let end = end.min(self.context);
            Task {
                segment: number,
                rows,
                kv_head: 0,
                first,
                before: self.before,
                after: self.after,
                keys: begin..end,
                splits: begin / SPLIT..end.div_ceil(SPLIT).max(begin / SPLIT + 1),
                slot: None,
            }
        })
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
        let seen = |s: usize| Sequence::of(shape, &segment(s));
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
        for piece in segment.pieces(number, step) {
            let splits = piece.splits.clone();
            let threads = cut.filter(|_| segment.rows.len() <= step && splits.len() > 1);
            for kv_head in 0..shape.kv_heads {
                let task = |splits, slot| Task { kv_head, splits, slot, ..piece.clone() };
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
