//! Which tokens of which sequences the next step computes.
//!
//! There are no phases. A step has a budget of tokens; it raises each
//! sequence's `computed` toward its known tokens, running sequences first,
//! then those waiting, by their turn. Where blocks run out, the one whose turn
//! is last gives its own back and is computed again later.

mod admit;
mod ahead;

use std::collections::VecDeque;
use std::time::Instant;

use super::blocks::{BlockCopy, BlockPool};
use super::sequence::Sequence;
use crate::backend::{Batch, SourceBlocks};

/// Bounds of one step.
#[derive(Debug, Clone, Copy)]
pub struct SchedulerConfig {
    /// Tokens computed in one step.
    pub max_batch_tokens: usize,
    /// Sequences running at once; a search counts for as many as its beams.
    pub max_sequences: usize,
    /// Rows of a step up to which tokens are guessed ahead: with more, a row
    /// costs what it saves.
    pub max_guess_rows: usize,
}

/// Rows of a step whose logits say how likely tokens of prompts were: each takes
/// the memory of a vocabulary.
const MAX_SCORED: usize = 64;

/// A sequence with so few tokens to go counts as writing, not as reading a
/// prompt: forced tokens of a grammar come a few at a time.
const WRITES: usize = 8;

fn writes(sequence: &Sequence) -> bool {
    sequence.pending() <= WRITES
}

/// All sequences of one model, and the step they make.
#[derive(Debug)]
pub struct Scheduler {
    config: SchedulerConfig,
    pub blocks: BlockPool,
    /// By turn.
    waiting: VecDeque<Sequence>,
    /// By turn.
    running: Vec<Sequence>,
    preempted: u64,
}

/// What one step computes.
#[derive(Debug, Default)]
pub struct Step {
    pub batch: Batch,
    /// In the batch's order.
    pub parts: Vec<Part>,
    /// To be made before the batch is computed, in this order.
    pub copies: Vec<BlockCopy>,
}

/// One sequence's share of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    pub id: u64,
    /// Known tokens that are computed, of each line.
    pub tokens: usize,
    /// Lines of a search; 1 where a text is drawn.
    pub lines: usize,
    /// Tokens of its source that are encoded.
    pub source: usize,
    /// Tokens of its prompt of which the logits say how likely they were. Their
    /// rows come before those that are drawn from.
    pub scores: usize,
    /// The last of its known tokens is computed, so a new one is drawn.
    pub samples: bool,
    /// Tokens guessed to follow, computed too.
    pub guess: Vec<u32>,
    /// They are part of a prompt, or of a text that was preempted.
    pub reads: bool,
    /// More became known of it while this was computed, so its logits are of no
    /// use.
    pub stale: bool,
}

/// Rows given to the running sequences so far, in their order.
struct Plan {
    rows: Vec<usize>,
    budget: usize,
    /// Rows left whose logits may be kept to score prompts.
    scores: usize,
    /// Something of a prompt is computed.
    reads: bool,
    copies: Vec<BlockCopy>,
}

impl Step {
    /// Tokens of prompts in it, and texts being written, a search's lines each.
    pub fn load(&self) -> (usize, usize) {
        self.parts.iter().fold((0, 0), |(reads, writers), part| match part.reads {
            true => (reads + part.tokens * part.lines + part.source, writers),
            false => (reads, writers + part.lines),
        })
    }
}

impl Scheduler {
    pub fn new(config: SchedulerConfig, blocks: BlockPool) -> Self {
        Self { config, blocks, waiting: VecDeque::new(), running: Vec::new(), preempted: 0 }
    }

    /// Adds a sequence to the queue. Its longest length must fit the pool.
    pub fn add(&mut self, sequence: Sequence) {
        let at = self.waiting.partition_point(|w| w.order() < sequence.order());
        self.waiting.insert(at, sequence);
    }

    pub fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.running.is_empty()
    }

    /// Texts that are being written, a search's lines each.
    pub fn writers(&self) -> usize {
        self.running.iter().filter(|s| writes(s)).map(Sequence::width).sum()
    }

    /// How many prompts are to be computed for each text that is being written,
    /// and would have a place: what a step is longer by, the writers wait for,
    /// and the others are served by. Those that are less urgent than a writer
    /// do not count, and it is at least 1.
    pub fn crowd(&self) -> f64 {
        let writing = || self.running.iter().filter(|s| writes(s));
        let Some(urgent) = writing().map(|s| s.priority).min() else {
            return 1.0;
        };
        let reads = self.running.iter().filter(|s| !writes(s) && s.priority <= urgent).count();
        let free = self.places().saturating_sub(self.taken());
        let waiting = self.waiting.iter().take(free).filter(|s| s.priority <= urgent).count();
        ((reads + waiting) as f64 / writing().count() as f64).max(1.0)
    }

    pub fn running(&self) -> &[Sequence] {
        &self.running
    }

    pub fn running_mut(&mut self) -> &mut [Sequence] {
        &mut self.running
    }

    /// Sequences that gave their blocks back since the last call.
    pub fn take_preempted(&mut self) -> u64 {
        std::mem::take(&mut self.preempted)
    }

    pub fn get_mut(&mut self, id: u64) -> Option<&mut Sequence> {
        self.running.iter_mut().find(|s| s.id == id)
    }

    /// Takes a running sequence out and frees its blocks.
    pub fn remove(&mut self, id: u64) -> Option<Sequence> {
        let at = self.running.iter().position(|s| s.id == id)?;
        let mut sequence = self.running.remove(at);
        sequence.release(&mut self.blocks);
        Some(sequence)
    }

    /// Takes out every sequence nobody listens to.
    pub fn remove_abandoned(&mut self) -> Vec<Sequence> {
        let mut gone = self.remove_siblings(Sequence::abandoned);
        for sequence in self.running.iter_mut().chain(&mut self.waiting) {
            if sequence.abandoned() {
                // Its place and what it computed go to the next answer.
                gone.extend(sequence.hand_over());
            }
        }
        gone.extend(self.remove_where(Sequence::abandoned));
        gone
    }

    /// Takes out every sequence whose deadline has passed.
    pub fn remove_expired(&mut self, now: Instant) -> Vec<Sequence> {
        let mut gone = self.remove_siblings(|s| s.expired(now));
        // Siblings have their leader's deadline, so none is left behind.
        gone.extend(self.remove_where(|s| s.expired(now)));
        gone
    }

    fn remove_siblings(&mut self, wanted: impl Fn(&Sequence) -> bool) -> Vec<Sequence> {
        self.running
            .iter_mut()
            .chain(&mut self.waiting)
            .flat_map(|leader| leader.siblings.extract_if(.., |s| wanted(s)))
            .collect()
    }

    fn remove_where(&mut self, wanted: impl Fn(&Sequence) -> bool) -> Vec<Sequence> {
        let mut gone: Vec<_> = self.running.extract_if(.., |s| wanted(s)).collect();
        gone.iter_mut().for_each(|sequence| sequence.release(&mut self.blocks));
        let (left, stay): (Vec<_>, Vec<_>) = self.waiting.drain(..).partition(|s| wanted(s));
        self.waiting = stay.into();
        gone.extend(left);
        gone
    }

    /// Takes every sequence out.
    pub fn remove_all(&mut self) -> Vec<Sequence> {
        self.remove_where(|_| true)
    }

    /// Sends every running sequence back to be computed again, and forgets
    /// what the cache holds: its contents are lost.
    pub fn restart(&mut self) {
        while !self.running.is_empty() {
            self.preempt_last();
        }
        self.blocks.forget();
    }

    /// Plans the next step and reserves its blocks. `prompt_tokens` bounds what
    /// is computed of prompts while texts are being written.
    pub fn schedule(&mut self, prompt_tokens: usize) -> Step {
        let mut plan = Plan {
            rows: vec![0; self.running.len()],
            budget: self.config.max_batch_tokens,
            scores: self.score_rows(),
            reads: false,
            copies: Vec::new(),
        };
        // Texts being written go first: a prompt beside them gets what is left
        // and never stalls them.
        self.give(&mut plan, writes);
        if plan.rows.iter().any(|&n| n > 0) {
            plan.budget = plan.budget.min(prompt_tokens);
        }
        let left = plan.budget;
        self.give(&mut plan, |s| !writes(s));
        plan.reads = plan.budget < left;
        self.admit(&mut plan);
        self.step(plan)
    }

    /// Rows that may be scored beside those that are drawn from, at most one for
    /// each sequence that has a place or waits for one, within the logits that
    /// there is memory for.
    fn score_rows(&self) -> usize {
        let most = self.config.max_sequences;
        let drawn = (self.taken() + self.waiting.len()).min(most);
        (most + self.config.max_guess_rows - drawn).clamp(1, MAX_SCORED)
    }

    /// Gives rows to the running sequences that `wanted` names.
    fn give(&mut self, plan: &mut Plan, wanted: impl Fn(&Sequence) -> bool) {
        let mut i = 0;
        while i < self.running.len() && plan.budget > 0 {
            if plan.rows[i] == 0 && wanted(&self.running[i]) {
                let width = self.running[i].width();
                // The lines of a search go on together.
                let rows = self.running[i].pending().min((plan.budget / width).max(1));
                let rows = self.running[i].scorable(rows, plan.scores);
                if rows > 0 && self.reserve(i, rows, plan) {
                    plan.rows[i] = rows;
                    plan.budget = plan.budget.saturating_sub(rows * width);
                    plan.scores -= self.running[i].unscored(rows).len();
                }
            }
            i += 1;
        }
    }

    /// Gets blocks for sequence `i`, taking them from the last if need be.
    /// False when `i` itself was the last and gave up its own.
    fn reserve(&mut self, i: usize, rows: usize, plan: &mut Plan) -> bool {
        loop {
            let sequence = &mut self.running[i];
            let (blocks, copies, from) = (&mut self.blocks, &mut plan.copies, sequence.computed);
            if sequence.lines_mut().all(|table| blocks.reserve(table, from, from + rows, copies)) {
                return true;
            }
            let last = self.running.len() - 1;
            plan.budget += plan.rows.pop().unwrap_or(0) * self.running[last].width();
            self.preempt_last();
            if last == i {
                return false;
            }
        }
    }

    fn preempt_last(&mut self) {
        if let Some(mut sequence) = self.running.pop() {
            sequence.release(&mut self.blocks);
            self.preempted += 1;
            self.add(sequence);
        }
    }

    fn step(&mut self, plan: Plan) -> Step {
        let mut step = Step { batch: Batch::new(), parts: Vec::new(), copies: plan.copies };
        let total: usize =
            self.running.iter().zip(&plan.rows).map(|(s, &rows)| s.width() * rows).sum();
        let most = self.config.max_guess_rows.min(self.config.max_batch_tokens);
        let mut guesses = most.saturating_sub(total);
        for (sequence, &rows) in self.running.iter_mut().zip(&plan.rows) {
            if rows == 0 {
                continue;
            }
            let from = sequence.computed;
            let scored = sequence.unscored(rows);
            let samples = rows == sequence.pending();
            let source = sequence.unread();
            let reads = rows > WRITES || sequence.pending() > WRITES || source > 0;
            let mut guess = Vec::new();
            if samples && !reads && guesses > 0 && sequence.has_output() {
                guess = sequence.guess(guesses);
                let to = from + rows + guess.len();
                // Nobody gives way for a guess.
                if !self.blocks.reserve(&mut sequence.table, from, to, &mut step.copies) {
                    guess.clear();
                }
                guesses -= guess.len();
            }
            let (batch, block_size) = (&mut step.batch, self.blocks.block_size());
            if let Some(held) = sequence.source.as_ref().filter(|_| source > 0) {
                batch.push_source(&held.ids, &held.table.blocks, block_size);
            }
            let lines = sequence.width();
            let first = batch.tokens();
            batch.logit_rows.extend(scored.clone().map(|at| (first + at - from) as u32));
            for (tokens, table) in (0..lines).map(|i| sequence.line(i)) {
                let mut ids = tokens[from..from + rows].to_vec();
                ids.extend(&guess);
                batch.push(&ids, from, &table.blocks, block_size, false);
                if let Some(held) = &sequence.source {
                    let (blocks, len) = (held.table.blocks.clone(), held.ids.len() as u32);
                    batch.sources.push(SourceBlocks { blocks, len });
                }
                if samples {
                    let end = batch.tokens() as u32;
                    batch.logit_rows.extend(end - guess.len() as u32 - 1..end);
                }
            }
            let id = sequence.id;
            let scores = scored.len();
            let tokens = rows;
            let part =
                Part { id, tokens, lines, source, scores, samples, guess, reads, stale: false };
            step.parts.push(part);
        }
        step
    }

    /// Records that a step was computed.
    pub fn computed(&mut self, step: &Step) {
        for part in &step.parts {
            let Some(sequence) = self.running.iter_mut().find(|s| s.id == part.id) else {
                continue;
            };
            sequence.computed += part.tokens;
            match &mut sequence.source {
                Some(source) => source.encoded = true,
                // What is known of a text holds for its source alone.
                None => {
                    self.blocks.index(&mut sequence.table, &sequence.tokens, sequence.computed);
                }
            }
        }
    }

    /// Lets the further answers of a prompt that is computed run: they share
    /// its blocks. Returns those that go on from here; the others found no
    /// place and wait.
    pub fn fork(&mut self, id: u64) -> Vec<u64> {
        let places = self.places();
        let Some(leader) = self.get_mut(id) else { return Vec::new() };
        let siblings = std::mem::take(&mut leader.siblings);
        let computed = leader.computed;
        let mut forked = Vec::with_capacity(siblings.len());
        for mut sibling in siblings {
            let leader = self.running.iter().find(|s| s.id == id);
            match leader.filter(|_| self.taken() < places) {
                Some(leader) => {
                    sibling.table = self.blocks.share(&leader.table);
                    if let (Some(own), Some(source)) = (&mut sibling.source, &leader.source) {
                        own.table = self.blocks.share(&source.table);
                        own.encoded = true;
                    }
                    leader.share_scores(&mut sibling);
                    sibling.computed = computed;
                    sibling.cached = computed;
                    forked.push(sibling.id);
                    let at = self.running.partition_point(|r| r.order() < sibling.order());
                    self.running.insert(at, sibling);
                }
                None => {
                    if let Some(leader) = leader {
                        leader.share_scores(&mut sibling);
                    }
                    self.add(sibling);
                }
            }
        }
        forked
    }

    /// Gives the lines of a search the blocks of those that they go on from.
    pub fn rearrange(&mut self, id: u64) {
        if let Some(sequence) = self.running.iter_mut().find(|s| s.id == id) {
            sequence.rearrange(&mut self.blocks);
        }
    }

    /// Checks the block books.
    ///
    /// # Errors
    /// Says what does not add up.
    pub fn check(&self) -> Result<(), String> {
        let all = self.running.iter().chain(&self.waiting);
        self.blocks.check(all.flat_map(Sequence::tables))
    }
}

#[cfg(test)]
mod tests;
