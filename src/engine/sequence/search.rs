//! What a sequence has of an encoder-decoder: the source it is written from,
//! and the lines of a search, each with its blocks.

use std::sync::Arc;

use super::{AdvanceError, Sequence};
use crate::engine::blocks::{BlockPool, BlockTable};
use crate::engine::request::{Event, FinishReason};
use crate::engine::sampler::SampleError;
use crate::engine::sampler::beams::{BeamSearch, Next};
use crate::text::Tokenizer;

/// The text that another is written from.
#[derive(Debug)]
pub struct Source {
    pub ids: Arc<[u32]>,
    /// Blocks of the keys and values that the decoder makes of it.
    pub table: BlockTable,
    /// They are in the cache.
    pub encoded: bool,
}

impl Source {
    pub fn new(ids: Arc<[u32]>) -> Self {
        Self { ids, table: BlockTable::default(), encoded: false }
    }
}

/// A search, whose first line has the sequence's own tokens and blocks.
#[derive(Debug)]
pub(super) struct Beams {
    pub search: BeamSearch,
    /// Of the further lines.
    tables: Vec<BlockTable>,
    /// For each line the one it goes on from, after a step.
    parents: Option<Vec<usize>>,
}

impl Beams {
    pub fn new(search: BeamSearch) -> Self {
        Self { search, tables: Vec::new(), parents: None }
    }
}

impl Sequence {
    /// Whether it is searched for, not drawn.
    pub fn searches(&self) -> bool {
        self.beams.is_some()
    }

    /// Lines that are computed side by side.
    pub fn width(&self) -> usize {
        1 + self.beams.as_ref().map_or(0, |beams| beams.tables.len())
    }

    /// Lines that there may come to be.
    pub fn most_width(&self) -> usize {
        self.beams.as_ref().map_or(1, |beams| beams.search.most_lines())
    }

    /// Tokens and blocks of a line.
    pub fn line(&self, index: usize) -> (&[u32], &BlockTable) {
        match &self.beams {
            Some(beams) if index > 0 => {
                (&beams.search.lines()[index].tokens, &beams.tables[index - 1])
            }
            _ => (&self.tokens, &self.table),
        }
    }

    /// Tokens of its source that are to be encoded.
    pub fn unread(&self) -> usize {
        self.source.as_ref().filter(|s| !s.encoded).map_or(0, |s| s.ids.len())
    }

    /// The blocks of its lines.
    pub fn lines_mut(&mut self) -> impl Iterator<Item = &mut BlockTable> {
        std::iter::once(&mut self.table)
            .chain(self.beams.iter_mut().flat_map(|beams| &mut beams.tables))
    }

    /// All blocks it has.
    pub fn tables(&self) -> impl Iterator<Item = &BlockTable> {
        std::iter::once(&self.table)
            .chain(self.beams.iter().flat_map(|beams| &beams.tables))
            .chain(self.source.iter().map(|source| &source.table))
    }

    /// Gives all its blocks back; it is to be computed again.
    pub fn release(&mut self, blocks: &mut BlockPool) {
        self.lines_mut().for_each(|table| blocks.release(table));
        if let Some(source) = &mut self.source {
            blocks.release(&mut source.table);
            source.encoded = false;
        }
        self.computed = 0;
    }

    /// Gives each line the blocks of the line that it goes on from.
    pub fn rearrange(&mut self, blocks: &mut BlockPool) {
        let Some(parents) = self.beams.as_mut().and_then(|beams| beams.parents.take()) else {
            return;
        };
        let new: Vec<BlockTable> =
            parents.into_iter().map(|parent| blocks.share(self.line_table(parent))).collect();
        self.lines_mut().for_each(|table| blocks.release(table));
        let mut new = new.into_iter();
        self.table = new.next().unwrap_or_default();
        if let Some(beams) = &mut self.beams {
            beams.tables = new.collect();
        }
    }

    fn line_table(&self, index: usize) -> &BlockTable {
        match &self.beams {
            Some(beams) if index > 0 => &beams.tables[index - 1],
            _ => &self.table,
        }
    }

    /// Goes a step of its search, by the logits that follow each line.
    pub(super) fn search(
        &mut self,
        rows: &[&[f32]],
        tokenizer: &Tokenizer,
    ) -> Result<Option<FinishReason>, AdvanceError> {
        let Some(beams) = &mut self.beams else { return Ok(None) };
        match beams.search.advance(rows, &self.rules) {
            Next::Stuck => Err(AdvanceError::Sample(SampleError::NothingAllowed)),
            Next::Done => Ok(Some(self.deliver_best(tokenizer))),
            Next::Lines(parents) => {
                beams.parents = Some(parents);
                self.tokens.clone_from(&beams.search.lines()[0].tokens);
                Ok(None)
            }
        }
    }

    /// The texts that are wanted besides the best, each once.
    fn alternatives(&self, beams: &Beams, tokenizer: &Tokenizer) -> Vec<String> {
        let text = |tokens: &[u32]| {
            let text = tokens[self.prompt_len..].iter();
            let text = text.take_while(|token| !self.stop_ids.contains(token));
            self.delivery.apart(text.map(|&token| tokenizer.token_bytes(token)))
        };
        let best = text(beams.search.best());
        let mut found: Vec<String> = Vec::new();
        for other in beams.search.others().map(text) {
            if other != best && !found.contains(&other) {
                found.push(other);
            }
        }
        found
    }

    /// Delivers the best text there is, and says why it ended.
    pub(super) fn deliver_best(&mut self, tokenizer: &Tokenizer) -> FinishReason {
        let Some(beams) = &self.beams else { return FinishReason::Length };
        let others = self.alternatives(beams, tokenizer);
        if !others.is_empty() {
            self.delivery.send(Event::Alternatives(others));
        }
        let best = beams.search.best()[self.prompt_len..].to_vec();
        self.tokens.truncate(self.prompt_len);
        for token in best {
            self.tokens.push(token);
            if self.stop_ids.contains(&token) {
                // At its limit the model's rules may have set it there.
                let cut = self.tokens.len() >= self.max_len && self.rules.forced_end.is_some();
                return self.end(if cut { FinishReason::Length } else { FinishReason::Stop });
            }
            if self.delivery.push(token, tokenizer.token_bytes(token), None) {
                return FinishReason::Stop;
            }
        }
        self.end(FinishReason::Length)
    }
}
