//! Guessing ahead from the text itself (prompt lookup): where the last tokens
//! have occurred before, what followed them then is likely to follow again.
//! Translations and summaries repeat names and phrases of their sources.
//!
//! A guess is computed as further rows of the same step and checked against
//! what is drawn from the model anyway, so it changes the speed and nothing else.

use std::collections::{HashMap, HashSet};

/// Tokens that must agree for a guess.
const GRAM: usize = 3;
/// Most tokens guessed at once.
const MOST: usize = 8;
/// Tokens without a guess after guesses that did not pay.
const PAUSE: u32 = 24;
/// A guess pays when at least this share of it is right: a row costs less than
/// a step, but not nothing.
const PAYS: f32 = 0.35;

/// Guesses for one sequence.
#[derive(Debug)]
pub struct Speculator {
    /// Where each gram was last followed by something: the position after it.
    seen: HashMap<[u32; GRAM], u32>,
    /// What they begin with.
    begun: HashSet<[u32; GRAM - 1]>,
    /// Positions whose grams are in `seen`.
    indexed: usize,
    /// Share of guessed tokens that were right, a moving average.
    accepted: f32,
    /// Tokens to go before the next guess.
    pause: u32,
}

impl Default for Speculator {
    fn default() -> Self {
        // Hopeful at first: a few guesses tell.
        Self { seen: HashMap::new(), begun: HashSet::new(), indexed: GRAM, accepted: 0.6, pause: 0 }
    }
}

impl Speculator {
    /// What may follow `tokens`: at most `most` tokens, often none.
    pub fn guess(&mut self, tokens: &[u32], most: usize) -> Vec<u32> {
        self.index(tokens);
        if self.pause > 0 {
            self.pause -= 1;
            return Vec::new();
        }
        // The better earlier guesses were, the further the next one goes.
        let most = most.min(1 + (self.accepted * (MOST - 1) as f32).round() as usize);
        let Some(last) = tokens.last_chunk::<GRAM>() else { return Vec::new() };
        let Some(&at) = self.seen.get(last) else { return Vec::new() };
        let at = at as usize;
        tokens[at..(at + most).min(tokens.len())].to_vec()
    }

    /// Whether there may be a guess when one more token is known. False says
    /// that there is none.
    pub fn may_guess(&mut self, tokens: &[u32]) -> bool {
        self.index(tokens);
        self.pause == 0 && tokens.last_chunk().is_some_and(|last| self.begun.contains(last))
    }

    /// Counts a token before which no guess was asked for.
    pub fn pass(&mut self) {
        self.pause = self.pause.saturating_sub(1);
    }

    /// Adds the grams that have a follower by now.
    fn index(&mut self, tokens: &[u32]) {
        for end in self.indexed..tokens.len() {
            if let Some(gram) = tokens[..end].last_chunk::<GRAM>() {
                self.seen.insert(*gram, end as u32);
                self.begun.insert([gram[0], gram[1]]);
            }
        }
        self.indexed = self.indexed.max(tokens.len());
    }

    /// Learns how good a guess was.
    pub fn learn(&mut self, guessed: usize, right: usize) {
        if guessed == 0 {
            return;
        }
        let share = right as f32 / guessed as f32;
        self.accepted += 0.3 * (share - self.accepted);
        if self.accepted < PAYS {
            self.pause = PAUSE;
            // One good guess after the pause switches it on again.
            self.accepted = PAYS;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_occurrence_is_continued() {
        let mut s = Speculator::default();
        let tokens = [1, 2, 3, 4, 5, 1, 2, 3, 7, 8, 9, 1, 2, 3];
        assert_eq!(s.guess(&tokens, 2), [7, 8]);
        assert_eq!(Speculator::default().guess(&[1, 2, 3, 4], 8), [0u32; 0]);
        assert_eq!(Speculator::default().guess(&[1], 8), [0u32; 0]);
        // A gram never continues into itself before anything followed it.
        assert_eq!(Speculator::default().guess(&[1, 2, 3], 8), [0u32; 0]);
        // It is known before whether there may be one.
        assert!(s.may_guess(&tokens[..13]) && !s.may_guess(&[1, 2, 3, 4, 9, 8]));
        assert!(!Speculator::default().may_guess(&[1]));
        // A row of equal tokens goes on.
        assert_eq!(Speculator::default().guess(&[6, 6, 6, 6, 6], 8), [6]);
    }

    #[test]
    fn bad_guesses_pause_and_good_ones_reach_further() {
        let tokens: Vec<u32> = (0..20).chain(0..5).collect();
        let mut s = Speculator::default();
        for _ in 0..10 {
            let n = s.guess(&tokens, 8).len();
            s.learn(n, n);
        }
        assert_eq!(s.guess(&tokens, 8).len(), 8);
        while !s.guess(&tokens, 8).is_empty() {
            s.learn(4, 0);
        }
        let mut paused = 1;
        while s.guess(&tokens, 8).is_empty() {
            paused += 1;
        }
        assert_eq!(paused, PAUSE);
    }
}
