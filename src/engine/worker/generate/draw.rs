//! Drawing tokens where the logits are, for texts that do not need them at hand.

use std::collections::HashMap;
use std::ops::Range;

use super::super::guarded;
use super::sample::Advanced;
use crate::backend::{Draw, DrawnTokens, Logits, for_each};
use crate::engine::sampler::SampleError;
use crate::engine::scheduler::{Scheduler, Step};
use crate::engine::sequence::Sequence;
use crate::text::Tokenizer;

/// Tokens that are being drawn on the device.
pub(super) struct Drawing {
    texts: Vec<Text>,
    draws: Vec<Draw>,
    tokens: Result<Option<DrawnTokens>, String>,
}

/// A text whose tokens are drawn there.
struct Text {
    id: u64,
    guess: Vec<u32>,
    /// Its own among all draws, or why it has none.
    own: Result<Range<usize>, String>,
}

/// A text whose tokens may be drawn there.
struct Wanted<'a> {
    sequence: &'a mut Sequence,
    rows: Range<usize>,
    guess: &'a [u32],
    /// `None` where its logits are needed.
    draws: Result<Option<Vec<Draw>>, String>,
}

/// Draws tokens of a step's texts, where the device can; `None` where the logits
/// are on the host.
pub(super) fn draw_on_device(
    scheduler: &mut Scheduler,
    step: &Step,
    logits: &Logits,
) -> Option<Drawing> {
    if !logits.can_draw() {
        return None;
    }
    let (mut rows_of, mut row) = (HashMap::new(), 0);
    for part in &step.parts {
        row += part.scores;
        if part.samples {
            let rows = row..row + part.lines + part.guess.len();
            row = rows.end;
            if part.scores == 0 && !part.stale {
                rows_of.insert(part.id, (rows, part.guess.as_slice()));
            }
        }
    }
    let mut wanted: Vec<_> = (scheduler.running_mut().iter_mut())
        .filter_map(|sequence| {
            let (rows, guess) = rows_of.remove(&sequence.id)?;
            Some(Wanted { sequence, rows, guess, draws: Ok(None) })
        })
        .collect();
    for_each(&mut wanted, |w| w.draws = guarded(|| Ok(w.sequence.draws(w.rows.clone()))));
    let (mut texts, mut draws) = (Vec::with_capacity(wanted.len()), Vec::new());
    for Wanted { sequence, guess, draws: own, .. } in wanted {
        let own = match own {
            Ok(None) => continue,
            Ok(Some(mut own)) => {
                let first = draws.len();
                draws.append(&mut own);
                Ok(first..draws.len())
            }
            Err(message) => Err(message),
        };
        texts.push(Text { id: sequence.id, guess: guess.to_vec(), own });
    }
    let tokens = match draws.is_empty() {
        true => Ok(None),
        false => logits.draw(&draws).map(Some).map_err(|e| e.to_string()),
    };
    Some(Drawing { texts, draws, tokens })
}

impl Drawing {
    /// Those that tokens are drawn for.
    pub fn texts(&self) -> impl Iterator<Item = u64> {
        self.texts.iter().map(|text| text.id)
    }

    /// The texts that get one token each, in the order of the tokens; `None` if
    /// anything else is drawn.
    pub fn one_each(&self) -> Option<(Vec<u64>, &DrawnTokens)> {
        let Ok(Some(tokens)) = &self.tokens else { return None };
        let one = |text: &Text| match &text.own {
            Ok(own) if own.len() == 1 => Some(text.id),
            _ => None,
        };
        Some((self.texts.iter().map(one).collect::<Option<_>>()?, tokens))
    }

    /// Waits for the tokens and gives them to their texts.
    pub fn finish(self, scheduler: &mut Scheduler, tokenizer: &Tokenizer) -> Vec<Advanced> {
        let tokens = match &self.tokens {
            Ok(Some(tokens)) => tokens.wait().map_err(|e| e.to_string()),
            Ok(None) => Ok(Vec::new()),
            Err(message) => Err(message.clone()),
        };
        let (draws, tokens) = (&self.draws, tokens.as_deref());
        let mut texts: HashMap<u64, &Text> =
            self.texts.iter().map(|text| (text.id, text)).collect();
        let mut drawn: Vec<_> = (scheduler.running_mut().iter_mut())
            .filter_map(|sequence| Some((texts.remove(&sequence.id)?, sequence, None)))
            .collect();
        for_each(&mut drawn, |(text, sequence, advanced)| {
            *advanced = Some(text.advance(sequence, draws, tokens, tokenizer));
        });
        drawn.into_iter().filter_map(|(_, _, advanced)| advanced).collect()
    }
}

impl Text {
    fn advance(
        &self,
        sequence: &mut Sequence,
        draws: &[Draw],
        tokens: Result<&[Option<u32>], &String>,
        tokenizer: &Tokenizer,
    ) -> Advanced {
        let before = sequence.tokens.len();
        let ended = match (&self.own, tokens) {
            (Err(message), _) => Err(message.clone()),
            (_, Err(message)) => Err(message.clone()),
            (Ok(own), Ok(tokens)) => {
                let own = own.clone().map(|i| tokens[i].ok_or_else(|| lacks(&draws[i])));
                let own: Vec<_> = own.collect();
                guarded(|| {
                    let ended = sequence.advance_drawn(&own, &self.guess, tokenizer);
                    ended.map_err(|e| candle_core::Error::msg(e.to_string()))
                })
            }
        };
        let (new, guessed) = (sequence.tokens.len() - before, self.guess.len());
        Advanced { id: self.id, new, guessed, ended }
    }
}

/// Why a draw gave no token.
fn lacks(draw: &Draw) -> SampleError {
    match draw.edits.is_empty() && draw.mask.is_none() {
        true => SampleError::NotFinite,
        false => SampleError::NothingLeft,
    }
}
