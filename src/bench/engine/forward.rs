//! The forward pass alone: batches made by hand, the most likely token fed
//! back. No queue, no scheduler, no text.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Instant;

use crate::backend::{Batch, Draw, DrawnTokens, Follows, KvCache, Logits};
use crate::engine::EngineOptions;
use crate::engine::sampler::greedy;
use crate::models::{Decoder, LoadError};

/// Prompt tokens up to which all sequences of a batch read their own prompt;
/// with more, the first one's cache is copied for the others.
const READ_ALL: usize = 4096;

/// A decoder with a cache for some sequences of some positions.
pub struct Forward<'a> {
    model: &'a Decoder,
    cache: KvCache,
    block_size: usize,
    /// Blocks of one sequence.
    blocks: usize,
    step_tokens: usize,
    /// Sequences whose prompt is in the cache.
    filled: usize,
    /// The tokens that come next.
    next: Vec<u32>,
    logits: Logits,
    stop: &'a AtomicBool,
}

/// How a cache was filled.
pub struct Filled {
    /// How long reading all prompts took; `None` where the first one's cache
    /// was copied, or there was nothing to read.
    pub seconds: Option<f64>,
}

impl<'a> Forward<'a> {
    /// A cache for `sequences` of `positions` each.
    pub fn new(
        model: &'a Decoder,
        options: &EngineOptions,
        (sequences, positions): (usize, usize),
        stop: &'a AtomicBool,
    ) -> Result<Self, LoadError> {
        let block_size = options.block_size;
        let blocks = positions.div_ceil(block_size);
        let shape = model.kv_shape(block_size, options.kv_dtype);
        Ok(Self {
            model,
            cache: KvCache::new(shape, sequences * blocks, model.device())?,
            block_size,
            blocks,
            step_tokens: options.max_batch_tokens.max(1),
            filled: 0,
            next: Vec::new(),
            logits: Logits::staying(),
            stop,
        })
    }

    /// Reads the prompts of the first `sequences`, `len` tokens each, in steps
    /// as the engine makes them. Seconds; `None` if it was stopped.
    pub fn prefill(&mut self, sequences: usize, len: usize) -> Result<Option<f64>, LoadError> {
        let begun = Instant::now();
        self.next.clear();
        let (mut s, mut at) = (0, 0);
        while s < sequences && len > 0 {
            let (mut batch, mut room) = (Batch::new(), self.step_tokens);
            while room > 0 && s < sequences {
                let rows = room.min(len - at);
                let ids: Vec<u32> = (at..at + rows).map(|i| self.token(s, i)).collect();
                let last = at + rows == len;
                batch.push(&ids, at, &self.table(s), self.block_size, last);
                room -= rows;
                (s, at) = if last { (s + 1, 0) } else { (s, at + rows) };
            }
            if self.stop.load(Relaxed) {
                return Ok(None);
            }
            self.model.forward(&batch, &mut self.cache, &mut self.logits)?;
            self.next.extend(greedy(&self.logits)?);
        }
        Ok(Some(begun.elapsed().as_secs_f64()))
    }

    /// Gives the first `sequences` a text of `depth` tokens. `None` if it was
    /// stopped.
    pub fn fill(&mut self, sequences: usize, depth: usize) -> Result<Option<Filled>, LoadError> {
        if depth == 0 {
            return Ok(Some(Filled { seconds: None }));
        }
        if sequences * depth <= READ_ALL || self.filled == 0 {
            let read = if sequences * depth <= READ_ALL { sequences } else { 1 };
            let Some(seconds) = self.prefill(read, depth)? else { return Ok(None) };
            self.filled = self.filled.max(read);
            if read == sequences {
                return Ok(Some(Filled { seconds: Some(seconds) }));
            }
        }
        let used = depth.div_ceil(self.block_size);
        for s in self.filled..sequences {
            let copies: Vec<(u32, u32)> =
                (0..used).map(|b| (b as u32, (s * self.blocks + b) as u32)).collect();
            self.cache.copy_blocks(&copies)?;
            if self.stop.load(Relaxed) {
                return Ok(None);
            }
        }
        self.filled = self.filled.max(sequences);
        Ok(Some(Filled { seconds: None }))
    }

    /// Generates `tokens` for each of the first `sequences`, from position
    /// `from` on. Seconds; `None` if it was stopped.
    pub fn decode(
        &mut self,
        sequences: usize,
        from: usize,
        tokens: usize,
    ) -> Result<Option<f64>, LoadError> {
        self.next = (0..sequences).map(|s| self.token(s, from)).collect();
        let tables: Vec<Vec<u32>> = (0..sequences).map(|s| self.table(s)).collect();
        let begun = Instant::now();
        // As the engine does: where a device draws the tokens, a step takes them
        // from there, and those of the one before come meanwhile.
        let mut drawn: Option<DrawnTokens> = None;
        for position in from..from + tokens {
            let mut batch = Batch::new();
            for (id, table) in self.next.iter().zip(&tables) {
                batch.push(&[*id], position, table, self.block_size, true);
            }
            let draws = (0..sequences as u32).collect();
            batch.follows = drawn.clone().map(|tokens| Follows { tokens, draws });
            if self.stop.load(Relaxed) {
                return Ok(None);
            }
            self.model.forward(&batch, &mut self.cache, &mut self.logits)?;
            if self.logits.can_draw() {
                let draws: Vec<Draw> = (0..sequences).map(Draw::greedy).collect();
                if let Some(before) = drawn.replace(self.logits.draw(&draws)?) {
                    before.wait()?;
                }
            } else {
                self.next = greedy(&self.logits)?;
            }
        }
        if let Some(last) = drawn {
            last.wait()?;
        }
        Ok(Some(begun.elapsed().as_secs_f64()))
    }

    fn table(&self, sequence: usize) -> Vec<u32> {
        let first = sequence * self.blocks;
        (first..first + self.blocks).map(|b| b as u32).collect()
    }

    /// Some token; speed does not depend on which.
    fn token(&self, sequence: usize, position: usize) -> u32 {
        let mixed = (sequence * 7919 + position * 31 + 17) % self.model.config.vocab_size;
        mixed as u32
    }
}
