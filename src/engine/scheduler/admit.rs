//! Letting sequences that wait run.

use super::{Plan, Scheduler};
use crate::engine::blocks::BlockCopy;
use crate::engine::sequence::Sequence;

impl Scheduler {
    /// Starts waiting sequences while budget, places and blocks last.
    pub(super) fn admit(&mut self, plan: &mut Plan) {
        let places = self.places();
        let mut taken = self.taken();
        while plan.budget > 0 {
            let Some(next) = self.waiting.front() else { break };
            // A source is encoded as a whole, beside texts being written one at
            // a time, whatever the budget is.
            let source = next.unread();
            if taken + next.most_width() > places || (plan.reads && source > plan.budget) {
                break;
            }
            if plan.scores == 0 && next.wants_scores() {
                break;
            }
            // The last token is computed in any case: its logits are wanted.
            let found = (next.tokens.len() - 1).min(next.scored());
            let known = &next.tokens[..found];
            let (held, idle) = if source > 0 { (0, 0) } else { self.blocks.known(known) };
            // Everything it knows and one more token, so that it is not
            // preempted as soon as it runs.
            let wanted = next.width() * self.blocks.blocks_for(next.tokens.len() + 1) - held
                + self.blocks.blocks_for(source);
            if wanted + idle > self.blocks.available() && !self.running.is_empty() {
                break;
            }
            let Some(mut sequence) = self.waiting.pop_front() else { break };
            let budget = plan.budget.saturating_sub(source);
            if source == 0 {
                sequence.computed =
                    self.blocks.adopt(&mut sequence.table, &sequence.tokens[..found]);
            }
            let (found, width) = (sequence.computed, sequence.width());
            let rows = sequence.pending().min((budget / width).max(1));
            let rows = sequence.scorable(rows, plan.scores);
            if !self.reserve_all(&mut sequence, rows, &mut plan.copies) {
                sequence.release(&mut self.blocks);
                self.waiting.push_front(sequence);
                break;
            }
            if !sequence.times.started {
                sequence.cached = found;
            }
            plan.budget = budget.saturating_sub(rows * width);
            plan.scores -= sequence.unscored(rows).len();
            plan.reads = true;
            taken += sequence.most_width();
            let at = self.running.partition_point(|r| r.order() < sequence.order());
            self.running.insert(at, sequence);
            plan.rows.insert(at, rows);
        }
    }

    /// Gets blocks for the next rows of a sequence, and for its source.
    fn reserve_all(
        &mut self,
        sequence: &mut Sequence,
        rows: usize,
        copies: &mut Vec<BlockCopy>,
    ) -> bool {
        let (blocks, from) = (&mut self.blocks, sequence.computed);
        let source = sequence.unread();
        let lines =
            sequence.lines_mut().all(|table| blocks.reserve(table, from, from + rows, copies));
        let held = sequence.source.as_mut().filter(|_| source > 0);
        lines && held.is_none_or(|held| blocks.reserve(&mut held.table, 0, source, copies))
    }

    /// Lines that may run at once.
    pub(super) fn places(&self) -> usize {
        self.config.max_sequences.min(self.config.max_batch_tokens)
    }

    /// Places that are taken.
    pub(super) fn taken(&self) -> usize {
        self.running.iter().map(Sequence::most_width).sum()
    }
}
