//! The step after one whose tokens are still being drawn, on a device that can
//! take them from where they are: it need not wait until they have come to the
//! host, been delivered, and a step made of them.

use std::collections::HashMap;

use super::{Part, Scheduler, Step};
use crate::backend::{Batch, DrawnTokens, Follows};
use crate::engine::sequence::Sequence;

/// Of so many texts one may have a guess to make, which it does not when a step
/// goes ahead.
const TEXTS_TO_A_GUESS: usize = 4;

impl Scheduler {
    /// The step that goes on with all texts by one token each, the one of
    /// `tokens` that stands where `draws` has the text's id. It is to follow
    /// `step`, which is [computed](Self::computed), and of which nothing but
    /// those tokens was drawn.
    ///
    /// `None` where something else is to be done next: prompts wait that there
    /// is a place for, a text needs what the host makes of its token, or there
    /// is no block left.
    pub fn ahead(&mut self, step: &Step, draws: &[u64], tokens: &DrawnTokens) -> Option<Step> {
        let plain = |part: &Part| part.guess.is_empty() && part.scores == 0 && part.lines == 1;
        if !step.parts.iter().all(plain) || !self.waiting.is_empty() && self.taken() < self.places()
        {
            return None;
        }
        let numbers: HashMap<u64, u32> = draws.iter().copied().zip(0..).collect();
        let (mut guesses, mut blocks) = (0, 0);
        for sequence in &mut self.running {
            let drawn = sequence.pending() == 0 && numbers.contains_key(&sequence.id);
            if !drawn || !sequence.can_go_ahead() {
                return None;
            }
            guesses += usize::from(sequence.may_guess());
            // Copies of blocks that are shared are left to the scheduler.
            blocks += self.blocks.missing(&sequence.table, sequence.computed)?;
        }
        if guesses * TEXTS_TO_A_GUESS > self.running.len() || blocks > self.blocks.available() {
            return None;
        }
        let mut next = Step { batch: Batch::new(), parts: Vec::new(), copies: Vec::new() };
        let mut follows = Vec::new();
        for sequence in self.running.iter_mut().filter(|s| !s.ends_next()) {
            sequence.pass_guess();
            let from = sequence.computed;
            let (table, copies) = (&mut sequence.table, &mut next.copies);
            if !self.blocks.reserve(table, from, from + 1, copies) {
                return None;
            }
            let block_size = self.blocks.block_size();
            next.batch.push(&[0], from, &sequence.table.blocks, block_size, true);
            follows.push(*numbers.get(&sequence.id)?);
            next.parts.push(Part::of_one_token(sequence));
        }
        if next.parts.is_empty() {
            return None;
        }
        next.batch.follows = Some(Follows { tokens: tokens.clone(), draws: follows });
        Some(next)
    }

    /// Marks the texts of a step that went ahead which ended since, or of which
    /// more is known than the token that it went on from. False if these are
    /// all.
    pub fn catch_up(&self, step: &mut Step) -> bool {
        for part in &mut step.parts {
            let sequence = self.running.iter().find(|s| s.id == part.id);
            part.stale = sequence.is_none_or(|s| s.pending() != part.tokens);
        }
        step.parts.iter().any(|part| !part.stale)
    }
}

impl Part {
    fn of_one_token(sequence: &Sequence) -> Self {
        Self {
            id: sequence.id,
            tokens: 1,
            lines: 1,
            source: 0,
            scores: 0,
            samples: true,
            guess: Vec::new(),
            reads: false,
            stale: false,
        }
    }
}
