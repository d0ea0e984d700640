//! How likely the tokens of a prompt were, for requests that ask for it.

use std::ops::Range;

use super::Sequence;
use crate::engine::request::{Event, TokenLogprob};
use crate::engine::sampler::{SampleError, score};

/// Logits after a token of a prompt, and what they say of the token that follows it.
#[derive(Debug)]
pub struct Scored<'a> {
    logits: &'a [f32],
    token: u32,
    /// Most likely tokens to be reported beside it.
    top: usize,
    found: Result<TokenLogprob, SampleError>,
}

impl Scored<'_> {
    /// Takes the time that a vocabulary takes.
    pub fn compute(&mut self) {
        self.found = score(self.logits, self.token, self.top);
    }
}

impl Sequence {
    /// Whether positions of its prompt are still to be scored.
    pub fn wants_scores(&self) -> bool {
        self.scores.as_ref().is_some_and(|scores| scores.len() + 1 < self.prompt_len)
    }

    /// How many of its tokens need not be computed where the cache has them: the
    /// logits after those that are not scored yet are wanted.
    pub fn scored(&self) -> usize {
        self.scores.as_ref().map_or(usize::MAX, Vec::len)
    }

    /// Which of the next `rows` positions are to be scored, besides the last of
    /// the prompt, which is drawn from.
    pub fn unscored(&self, rows: usize) -> Range<usize> {
        let Some(scores) = &self.scores else { return 0..0 };
        let from = self.computed.max(scores.len());
        from..(self.computed + rows).min(self.prompt_len - 1).max(from)
    }

    /// How many of the next `rows` positions can be computed where at most so many
    /// can be scored.
    pub fn scorable(&self, rows: usize, most: usize) -> usize {
        let scored = self.unscored(rows);
        match scored.len() > most {
            true => scored.start + most - self.computed,
            false => rows,
        }
    }

    /// What `rows`, the next wanted ones, are of.
    pub fn to_score<'a>(&self, rows: &[&'a [f32]]) -> Vec<Scored<'a>> {
        let top = self.sampler.logprobs().unwrap_or(0);
        let next = 1 + self.scores.as_ref().map_or(0, Vec::len);
        let tokens = self.tokens[next..].iter();
        let scored = rows.iter().zip(tokens).map(|(logits, &token)| Scored {
            logits,
            token,
            top,
            found: Err(SampleError::NotFinite),
        });
        scored.collect()
    }

    /// Keeps what was computed.
    ///
    /// # Errors
    /// The logits are not finite.
    pub fn keep_scores(&mut self, scored: Vec<Scored<'_>>) -> Result<(), SampleError> {
        let found: Result<Vec<_>, _> = scored.into_iter().map(|one| one.found).collect();
        self.scores.get_or_insert_default().extend(found?);
        Ok(())
    }

    /// A further answer to its prompt has the same.
    pub fn share_scores(&self, sibling: &mut Sequence) {
        sibling.scores.clone_from(&self.scores);
    }

    pub(super) fn deliver_scores(&mut self) {
        if let Some(rest) = self.scores.take() {
            self.delivery.send(Event::Prompt { first: self.tokens[0], rest });
        }
    }
}
