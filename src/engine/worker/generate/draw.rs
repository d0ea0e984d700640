//! Drawing tokens where the logits are, for texts that do not need them at hand.

use std::collections::HashMap;
use std::ops::Range;

use super::super::guarded;
use super::Advanced;
use crate::backend::{Draw, Logits, for_each};
use crate::engine::sampler::SampleError;
use crate::engine::scheduler::{Scheduler, Step};
use crate::engine::sequence::Sequence;
use crate::text::Tokenizer;

/// A text whose tokens may be drawn there.
struct Drawing<'a> {
    sequence: &'a mut Sequence,
    rows: Range<usize>,
    guess: &'a [u32],
    /// `None` where its logits are needed.
    draws: Result<Option<Vec<Draw>>, String>,
    /// Those of `draws` among all.
    own: Range<usize>,
}

/// What texts got whose tokens were drawn on the device; nothing where the
/// logits are on the host.
pub(super) fn draw_on_device(
    scheduler: &mut Scheduler,
    step: &Step,
    logits: &Logits,
    tokenizer: &Tokenizer,
) -> Vec<Advanced> {
    if !logits.can_draw() {
        return Vec::new();
    }
    let (mut rows_of, mut row) = (HashMap::new(), 0);
    for part in &step.parts {
        row += part.scores;
        if part.samples {
            let rows = row..row + part.lines + part.guess.len();
            row = rows.end;
            if part.scores == 0 {
                rows_of.insert(part.id, (rows, part.guess.as_slice()));
            }
        }
    }
    let mut drawing: Vec<_> = (scheduler.running_mut().iter_mut())
        .filter_map(|sequence| {
            let (rows, guess) = rows_of.remove(&sequence.id)?;
            Some(Drawing { sequence, rows, guess, draws: Ok(None), own: 0..0 })
        })
        .collect();
    for_each(&mut drawing, |d| d.draws = guarded(|| Ok(d.sequence.draws(d.rows.clone()))));
    drawing.retain(|d| !matches!(d.draws, Ok(None)));
    let mut all = Vec::new();
    for d in &mut drawing {
        let first = all.len();
        if let Ok(Some(draws)) = &mut d.draws {
            all.append(draws);
        }
        d.own = first..all.len();
    }
    if drawing.is_empty() {
        return Vec::new();
    }
    let tokens = match all.is_empty() {
        true => Ok(Vec::new()),
        false => logits.draw(&all).map_err(|e| e.to_string()),
    };
    let mut drawn: Vec<_> = drawing.into_iter().map(|d| (d, None)).collect();
    for_each(&mut drawn, |(d, advanced)| {
        *advanced = Some(advance(d, &all, tokens.as_deref(), tokenizer));
    });
    drawn.into_iter().filter_map(|(_, advanced)| advanced).collect()
}

fn advance(
    d: &mut Drawing<'_>,
    all: &[Draw],
    tokens: Result<&[Option<u32>], &String>,
    tokenizer: &Tokenizer,
) -> Advanced {
    let (id, before) = (d.sequence.id, d.sequence.tokens.len());
    let ended = match (&d.draws, tokens) {
        (Err(message), _) => Err(message.clone()),
        (_, Err(message)) => Err(message.clone()),
        (Ok(_), Ok(tokens)) => {
            let own = d.own.clone().map(|i| tokens[i].ok_or_else(|| lacks(&all[i])));
            let own: Vec<_> = own.collect();
            guarded(|| {
                let ended = d.sequence.advance_drawn(&own, d.guess, tokenizer);
                ended.map_err(|e| candle_core::Error::msg(e.to_string()))
            })
        }
    };
    Advanced { id, new: d.sequence.tokens.len() - before, guessed: d.guess.len(), ended }
}

/// Why a draw gave no token.
fn lacks(draw: &Draw) -> SampleError {
    match draw.edits.is_empty() && draw.mask.is_none() {
        true => SampleError::NotFinite,
        false => SampleError::NothingLeft,
    }
}
