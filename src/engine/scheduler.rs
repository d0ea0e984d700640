//! Which tokens of which sequences the next step computes.
//!
//! There are no phases. A step has a budget of tokens; it raises each
//! sequence's `computed` toward its known tokens, running sequences first,
//! then those waiting, by arrival. Where blocks run out, the youngest gives
//! its own back and is computed again later.

use std::collections::VecDeque;

use super::blocks::BlockPool;
use super::sequence::Sequence;
use crate::backend::Batch;

/// Bounds of one step.
#[derive(Debug, Clone, Copy)]
pub struct SchedulerConfig {
    /// Tokens computed in one step.
    pub max_batch_tokens: usize,
    /// Sequences running at once.
    pub max_sequences: usize,
}

/// All sequences of one model, and the step they make.
#[derive(Debug)]
pub struct Scheduler {
    config: SchedulerConfig,
    pub blocks: BlockPool,
    /// By arrival.
    waiting: VecDeque<Sequence>,
    /// By arrival.
    running: Vec<Sequence>,
    preempted: u64,
}

/// What one step computes.
#[derive(Debug, Default)]
pub struct Step {
    pub batch: Batch,
    /// Ids and token counts, in the batch's order.
    pub parts: Vec<Part>,
}

/// One sequence's share of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    pub id: u64,
    pub tokens: usize,
    /// The last of its known tokens is computed, so a new one is drawn.
    pub samples: bool,
}

impl Scheduler {
    pub fn new(config: SchedulerConfig, blocks: BlockPool) -> Self {
        Self { config, blocks, waiting: VecDeque::new(), running: Vec::new(), preempted: 0 }
    }

    /// Adds a sequence to the queue. Its longest length must fit the pool.
    pub fn add(&mut self, sequence: Sequence) {
        self.waiting.push_back(sequence);
    }

    pub fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.running.is_empty()
    }

    pub fn waiting(&self) -> &VecDeque<Sequence> {
        &self.waiting
    }

    pub fn running(&self) -> &[Sequence] {
        &self.running
    }

    pub fn running_mut(&mut self) -> impl Iterator<Item = &mut Sequence> {
        self.running.iter_mut()
    }

    /// Sequences that gave their blocks back so far.
    pub fn preempted(&self) -> u64 {
        self.preempted
    }

    pub fn get_mut(&mut self, id: u64) -> Option<&mut Sequence> {
        let at = self.running.binary_search_by_key(&id, |s| s.id).ok()?;
        self.running.get_mut(at)
    }

    /// Takes a running sequence out and frees its blocks.
    pub fn remove(&mut self, id: u64) -> Option<Sequence> {
        let at = self.running.binary_search_by_key(&id, |s| s.id).ok()?;
        let mut sequence = self.running.remove(at);
        self.blocks.release(&mut sequence.blocks);
        Some(sequence)
    }

    /// Takes out every sequence nobody listens to.
    pub fn remove_abandoned(&mut self) -> Vec<Sequence> {
        let gone: Vec<u64> = self.running.iter().filter(|s| s.abandoned()).map(|s| s.id).collect();
        let mut out: Vec<_> = gone.into_iter().filter_map(|id| self.remove(id)).collect();
        let (gone, stay): (Vec<_>, Vec<_>) = self.waiting.drain(..).partition(Sequence::abandoned);
        self.waiting = stay.into();
        out.extend(gone);
        out
    }

    /// Takes every sequence out.
    pub fn remove_all(&mut self) -> Vec<Sequence> {
        for sequence in &mut self.running {
            self.blocks.release(&mut sequence.blocks);
        }
        self.running.drain(..).chain(self.waiting.drain(..)).collect()
    }

    /// Plans the next step and reserves its blocks.
    pub fn schedule(&mut self) -> Step {
        let mut budget = self.config.max_batch_tokens;
        // Tokens given to each running sequence, in its order.
        let mut given = vec![0usize; self.running.len()];

        // Sequences that only decode go first: a long prompt beside them gets
        // what is left and never stalls them.
        for decode in [true, false] {
            let mut i = 0;
            while i < self.running.len() {
                let pending = self.running[i].pending();
                if (pending == 1) == decode && given[i] == 0 && budget > 0 {
                    let tokens = pending.min(budget);
                    if self.reserve(i, tokens, &mut given, &mut budget) {
                        given[i] = tokens;
                        budget -= tokens;
                    }
                }
                i += 1;
            }
        }
        self.admit(&mut given, &mut budget);
        self.step(&given)
    }

    /// Gets blocks for sequence `i`, taking them from the youngest if need be.
    /// False when `i` itself was the youngest and gave up its own.
    fn reserve(
        &mut self,
        i: usize,
        tokens: usize,
        given: &mut Vec<usize>,
        budget: &mut usize,
    ) -> bool {
        loop {
            let sequence = &mut self.running[i];
            let positions = sequence.computed + tokens;
            if self.blocks.grow(&mut sequence.blocks, positions) {
                return true;
            }
            let youngest = self.running.len() - 1;
            *budget += given.pop().unwrap_or(0);
            self.preempt_youngest();
            if youngest == i {
                return false;
            }
        }
    }

    fn preempt_youngest(&mut self) {
        if let Some(mut sequence) = self.running.pop() {
            self.blocks.release(&mut sequence.blocks);
            sequence.computed = 0;
            self.preempted += 1;
            let at = self.waiting.partition_point(|w| w.id < sequence.id);
            self.waiting.insert(at, sequence);
        }
    }

    /// Starts waiting sequences while budget, places and blocks last.
    fn admit(&mut self, given: &mut Vec<usize>, budget: &mut usize) {
        while *budget > 0 && self.running.len() < self.config.max_sequences {
            let Some(next) = self.waiting.front() else { break };
            // Everything it knows and one more token, so that it is not
            // preempted as soon as it runs.
            let wanted = self.blocks.blocks_for(next.tokens.len() + 1);
            if wanted > self.blocks.available() && !self.running.is_empty() {
                break;
            }
            let tokens = next.pending().min(*budget);
            let Some(mut sequence) = self.waiting.pop_front() else { break };
            if !self.blocks.grow(&mut sequence.blocks, tokens) {
                self.waiting.push_front(sequence);
                break;
            }
            *budget -= tokens;
            let at = self.running.partition_point(|r| r.id < sequence.id);
            self.running.insert(at, sequence);
            given.insert(at, tokens);
        }
    }

    fn step(&self, given: &[usize]) -> Step {
        let mut step = Step { batch: Batch::new(), parts: Vec::new() };
        for (sequence, &tokens) in self.running.iter().zip(given) {
            if tokens == 0 {
                continue;
            }
            let samples = tokens == sequence.pending();
            step.batch.push(
                &sequence.tokens[sequence.computed..sequence.computed + tokens],
                sequence.computed,
                &sequence.blocks,
                self.blocks.block_size(),
                samples,
            );
            step.parts.push(Part { id: sequence.id, tokens, samples });
        }
        step
    }

    /// Records that a step was computed.
    pub fn computed(&mut self, step: &Step) {
        for part in &step.parts {
            if let Some(sequence) = self.get_mut(part.id) {
                sequence.computed += part.tokens;
            }
        }
    }

    /// Checks the block books.
    ///
    /// # Errors
    /// Says what does not add up.
    pub fn check(&self) -> Result<(), String> {
        let all = self.running.iter().chain(&self.waiting);
        self.blocks.check(all.map(|s| s.blocks.as_slice()))
    }
}

#[cfg(test)]
mod tests;
