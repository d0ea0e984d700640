//! From the logits of a step to tokens of its texts.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::time::{Duration, Instant};

use super::super::guarded;
use super::Loop;
use super::draw::{Drawing, draw_on_device};
use super::score::score;
use crate::backend::for_each;
use crate::engine::request::FinishReason;
use crate::engine::scheduler::{Part, Step};
use crate::engine::sequence::Sequence;
use crate::telemetry::metrics::Finished;
use crate::text::Tokenizer;

impl Loop {
    pub(super) fn sample_and_deliver(&mut self, step: &Step) {
        if self.logits.is_empty() {
            return;
        }
        let drawing = draw_on_device(&mut self.scheduler, step, &self.logits);
        let drawn: HashSet<u64> = drawing.iter().flat_map(Drawing::texts).collect();
        let wants_rows =
            |p: &&Part| p.scores > 0 || p.samples && !p.stale && !drawn.contains(&p.id);
        let waiting: Vec<u64> = step.parts.iter().filter(wants_rows).map(|p| p.id).collect();
        if let Some(drawing) = drawing {
            if waiting.is_empty() {
                self.go_ahead(step, &drawing);
            }
            let advanced = drawing.finish(&mut self.scheduler, &self.tokenizer);
            if let Some(ahead) = &mut self.ahead {
                ahead.since = Instant::now();
            }
            advanced.into_iter().for_each(|advanced| self.settle(advanced));
        }
        if waiting.is_empty() {
            return;
        }
        if let Err(e) = self.logits.fetch() {
            return waiting.into_iter().for_each(|id| self.fail(id, &e.to_string()));
        }
        let all: Vec<&[f32]> = self.logits.rows().collect();
        let failed = score(&mut self.scheduler, step, &all);
        let mut rows_of = HashMap::new();
        let mut next = 0;
        for part in &step.parts {
            next += part.scores;
            if !part.samples {
                continue;
            }
            let rows = next..next + part.lines + part.guess.len();
            next = rows.end;
            if part.stale || drawn.contains(&part.id) || failed.iter().any(|(id, _)| *id == part.id)
            {
                continue;
            }
            // Further answers begin with a draw from the same row.
            for id in self.scheduler.fork(part.id) {
                rows_of.insert(id, (rows.clone(), &[][..]));
            }
            rows_of.insert(part.id, (rows, part.guess.as_slice()));
        }
        let mut drawing: Vec<_> = self
            .scheduler
            .running_mut()
            .iter_mut()
            .filter_map(|sequence| {
                let (rows, guess) = rows_of.remove(&sequence.id)?;
                Some(OnHost { sequence, rows, guess, advanced: None })
            })
            .collect();
        let tokenizer = &self.tokenizer;
        for_each(&mut drawing, |drawing| drawing.advance(&all, tokenizer));
        let advanced: Vec<_> = drawing.into_iter().filter_map(|d| d.advanced).collect();
        advanced.into_iter().for_each(|a| self.settle(a));
        failed.into_iter().for_each(|(id, error)| self.fail(id, &error.to_string()));
    }

    /// Counts what a sequence got, and takes it out when it has ended.
    fn settle(&mut self, advanced: Advanced) {
        let Advanced { id, new, guessed, ended } = advanced;
        let metrics = self.shared.metrics.clone();
        let Some(sequence) = self.scheduler.get_mut(id) else { return };
        let now = Instant::now();
        for i in 0..new {
            match sequence.times.last_token.replace(now) {
                None => metrics.first_token(sequence.age(now)),
                // Tokens of one step come together.
                Some(last) if i == 0 => metrics.next_token(now - last),
                Some(_) => metrics.next_token(Duration::ZERO),
            }
        }
        metrics.add_generation_tokens(new);
        metrics.speculated(guessed, new.saturating_sub(1).min(guessed));
        let how = match ended {
            Ok(None) => return self.scheduler.rearrange(id),
            Ok(Some(FinishReason::Stop)) => Finished::Stop,
            Ok(Some(FinishReason::Length)) => Finished::Length,
            Ok(Some(FinishReason::Timeout)) => Finished::Timeout,
            Ok(Some(FinishReason::Repetition)) => Finished::Repetition,
            Err(message) => return self.fail(id, &message),
        };
        metrics.finished(how, sequence.age(now));
        self.shared.queue.served();
        self.scheduler.remove(id);
    }
}

/// A sequence that draws from its rows of the logits.
struct OnHost<'a> {
    sequence: &'a mut Sequence,
    rows: Range<usize>,
    guess: &'a [u32],
    advanced: Option<Advanced>,
}

impl OnHost<'_> {
    fn advance(&mut self, all: &[&[f32]], tokenizer: &Tokenizer) {
        let Self { sequence, rows, guess, .. } = self;
        let before = sequence.tokens.len();
        let ended = guarded(|| {
            let ended = sequence.advance(&all[rows.clone()], guess, tokenizer);
            ended.map_err(|e| candle_core::Error::msg(e.to_string()))
        });
        let new = match (sequence.searches(), &ended) {
            (false, _) => sequence.tokens.len() - before,
            // Its tokens are known when it is over.
            (true, Ok(Some(_))) => sequence.usage().completion_tokens,
            (true, _) => 0,
        };
        self.advanced = Some(Advanced { id: sequence.id, new, guessed: guess.len(), ended });
    }
}

/// What a step gave one sequence.
pub(super) struct Advanced {
    pub id: u64,
    /// Tokens it got.
    pub new: usize,
    pub guessed: usize,
    pub ended: Result<Option<FinishReason>, String>,
}
