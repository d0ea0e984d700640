//! One text on its way: its tokens, its blocks, and how far it is.

mod scores;
mod search;

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::UnboundedSender;

pub use self::scores::Scored;
use self::search::Beams;
pub use self::search::Source;
use super::blocks::BlockTable;
use super::cycle::CycleDetector;
use super::delivery::Delivery;
use super::grammar::{GrammarState, TokenMask};
use super::request::{Event, FinishReason, GenerationRequest, TokenLogprob, Usage};
use super::rules::Rules;
use super::sampler::beams::{BeamSearch, Lengths};
use super::sampler::{Allowed, Drawn, SampleError, Sampler};
use super::speculate::Speculator;
use crate::backend::Draw;
use crate::text::Tokenizer;

/// One step of priority is worth as much waiting, in milliseconds.
const PRIORITY_MS: i64 = 10_000;

/// A request that was admitted.
#[derive(Debug)]
pub struct Sequence {
    /// Grows with arrival.
    pub id: u64,
    /// When its turn is: the time it came, shifted by its priority. Waiting
    /// moves everybody forward alike, so this never changes.
    pub turn: i64,
    /// As it was asked for; lower is more urgent.
    pub priority: i32,
    /// Prompt and output: everything that is known.
    pub tokens: Vec<u32>,
    /// How many of `tokens` have their keys and values in the cache.
    pub computed: usize,
    pub table: BlockTable,
    pub times: Times,
    /// Further answers to the same prompt, which wait for it to be computed.
    pub siblings: Vec<Sequence>,
    /// Prompt tokens that did not have to be computed.
    pub cached: usize,
    /// What it is written from, by an encoder-decoder.
    pub source: Option<Source>,
    beams: Option<Beams>,
    rules: Arc<Rules>,
    sampler: Sampler,
    grammar: Option<GrammarState>,
    /// Computed ahead, for the next token.
    mask: Option<TokenMask>,
    speculator: Option<Speculator>,
    cycle: Option<CycleDetector>,
    prompt_len: usize,
    queued_tokens: usize,
    /// Length of `tokens` before which no end-of-text token is drawn.
    min_len: usize,
    /// Length of `tokens` at which the text ends.
    max_len: usize,
    stop_ids: Vec<u32>,
    delivery: Delivery,
    /// Of the prompt's tokens after the first, as far as they are computed;
    /// `None` where they are delivered or nobody wants them.
    scores: Option<Vec<TokenLogprob>>,
}

/// When a request reached its stages.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    pub submitted: Instant,
    /// It ends then, whatever it has.
    pub deadline: Option<Instant>,
    /// The last token's time; `None` before the first.
    pub last_token: Option<Instant>,
    /// It has been part of a step.
    pub started: bool,
}

/// What all sequences of one model share.
#[derive(Debug, Clone, Copy)]
pub struct ModelLimits<'a> {
    /// Bounds prompt and output together.
    pub context_length: usize,
    /// The model's own end-of-text tokens.
    pub eos_ids: &'a [u32],
    /// The tokenizer puts a space before a text that is not part of it.
    pub strips_leading_space: bool,
    /// When the model's thread started: turns are counted from it.
    pub epoch: Instant,
}

/// Why a sequence cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum AdvanceError {
    #[error(transparent)]
    Sample(#[from] SampleError),
    #[error("the grammar failed: {0}")]
    Grammar(String),
}

impl Sequence {
    pub fn new<'a>(
        id: u64,
        request: GenerationRequest,
        submitted: Instant,
        events: UnboundedSender<Event>,
        model: ModelLimits<'_>,
        token_bytes: &dyn Fn(u32) -> &'a [u8],
    ) -> Self {
        let queued_tokens = request.prompt_tokens();
        let GenerationRequest { prompt, source, beams, sampling, stop, grammar, .. } = request;
        let (priority, timeout) = (request.priority, request.timeout);
        let seed = sampling.seed.unwrap_or_else(random_seed);
        let mut stop_ids = stop.token_ids;
        // A grammar says by end-of-text that the text is complete.
        if !stop.ignore_eos || grammar.is_some() {
            stop_ids.extend_from_slice(model.eos_ids);
        }
        let max_len = match stop.max_tokens {
            Some(n) => (prompt.len() + n).min(model.context_length),
            None => model.context_length,
        };
        let min_len = prompt.len() + stop.min_tokens;
        let beams = beams.map(|params| {
            // The first token is no part of the text, those after it are.
            let lengths = Lengths { start: 1, least: min_len, most: max_len };
            Beams::new(BeamSearch::new(params, prompt.clone(), stop_ids.clone(), lengths))
        });
        // What a text repeats is not in its source's language.
        let guesses = !request.no_speculation && source.is_none();
        let came = submitted.saturating_duration_since(model.epoch).as_millis() as i64;
        Self {
            id,
            turn: came + i64::from(priority) * PRIORITY_MS,
            priority,
            grammar: grammar.map(|g| g.start()),
            mask: None,
            speculator: guesses.then(Speculator::default),
            cycle: stop.repetition.then(CycleDetector::default),
            prompt_len: prompt.len(),
            queued_tokens,
            min_len,
            max_len,
            source: source.map(|ids| Source::new(ids.into())),
            beams,
            rules: Arc::default(),
            scores: (request.echo && sampling.logprobs.is_some()).then(Vec::new),
            sampler: Sampler::new(sampling, seed, &prompt, token_bytes),
            tokens: prompt,
            computed: 0,
            table: BlockTable::default(),
            siblings: Vec::new(),
            cached: 0,
            times: Times {
                submitted,
                deadline: timeout.and_then(|t| submitted.checked_add(t)),
                last_token: None,
                started: false,
            },
            stop_ids,
            delivery: Delivery::new(
                model.strips_leading_space,
                stop.strings,
                request.shown,
                events,
            ),
        }
    }

    /// Makes it keep to the rules of its model.
    pub fn obey(&mut self, rules: &Arc<Rules>) {
        self.rules = rules.clone();
    }

    /// A further answer to this one's prompt.
    pub fn add_sibling(&mut self, mut sibling: Sequence) {
        sibling.queued_tokens = 0;
        self.siblings.push(sibling);
    }

    /// The order in which sequences get places, blocks and time.
    pub fn order(&self) -> (i64, u64) {
        (self.turn, self.id)
    }

    /// Tokens that are known and not yet computed; at least 1 while it runs.
    pub fn pending(&self) -> usize {
        self.tokens.len() - self.computed
    }

    /// What it counts for in the queue: answers to one prompt wait once.
    pub fn queued_tokens(&self) -> usize {
        self.queued_tokens
    }

    /// Has tokens of its own.
    pub fn has_output(&self) -> bool {
        self.tokens.len() > self.prompt_len
    }

    /// Nobody listens any more.
    pub fn abandoned(&self) -> bool {
        self.delivery.abandoned()
    }

    /// Gives its place, its blocks and its siblings to the first of them, and
    /// returns what is left of itself. `None` if it has no sibling.
    pub fn hand_over(&mut self) -> Option<Sequence> {
        if self.siblings.is_empty() {
            return None;
        }
        let mut heir = self.siblings.remove(0);
        heir.siblings = std::mem::take(&mut self.siblings);
        heir.table = std::mem::take(&mut self.table);
        heir.computed = std::mem::take(&mut self.computed);
        heir.scores = self.scores.take();
        std::mem::swap(&mut heir.source, &mut self.source);
        heir.cached = self.cached;
        heir.times.started = self.times.started;
        // It keeps the leader's place in line, which is before its own.
        (heir.turn, heir.id, self.id) = (self.turn, self.id, heir.id);
        Some(std::mem::replace(self, heir))
    }

    pub fn expired(&self, now: Instant) -> bool {
        self.times.deadline.is_some_and(|deadline| deadline <= now)
    }

    /// Tokens that may follow the known ones, to be computed beside them.
    pub fn guess(&mut self, most: usize) -> Vec<u32> {
        // The last token that fits is drawn from a row of its own.
        let most = most.min((self.max_len - self.tokens.len()).saturating_sub(1));
        let Some(speculator) = &mut self.speculator else { return Vec::new() };
        let mut guess = speculator.guess(&self.tokens, most);
        if let Some(grammar) = &mut self.grammar {
            guess.truncate(grammar.allows(&guess));
        }
        guess
    }

    /// Whether it can go on by a token that the host does not know yet.
    pub fn can_go_ahead(&self) -> bool {
        !self.searches() && self.source.is_none() && self.siblings.is_empty()
    }

    /// Whether the token that comes is its last, whatever it is.
    pub fn ends_next(&self) -> bool {
        self.tokens.len() + 1 >= self.max_len
    }

    /// Whether its next tokens [may be guessed](Self::guess) when one more is
    /// known.
    pub fn may_guess(&mut self) -> bool {
        self.speculator.as_mut().is_some_and(|s| s.may_guess(&self.tokens))
    }

    /// Counts a token before which it was not asked to [guess](Self::guess).
    pub fn pass_guess(&mut self) {
        if let Some(speculator) = &mut self.speculator {
            speculator.pass();
        }
    }

    /// Whether the next token needs a mask that takes time to compute.
    pub fn needs_mask(&self) -> bool {
        self.grammar.is_some() && self.mask.is_none()
    }

    /// Computes the mask of the next token, beside the forward pass.
    pub fn prepare_mask(&mut self) {
        if let Some(grammar) = &mut self.grammar {
            // An error comes again, and is reported, when the token is drawn.
            self.mask = grammar.mask().ok();
        }
    }

    /// Draws tokens from `rows`, the logits after its last known token and
    /// after each token of `guess` behind it, as far as they stay true.
    /// Returns why the text ended, if it did.
    ///
    /// # Errors
    /// The logits or the grammar allow no token.
    pub fn advance(
        &mut self,
        rows: &[&[f32]],
        guess: &[u32],
        tokenizer: &Tokenizer,
    ) -> Result<Option<FinishReason>, AdvanceError> {
        if self.searches() {
            self.deliver_scores();
            let ended = self.search(rows, tokenizer)?;
            return Ok(self.advanced(ended));
        }
        self.advance_by(guess, |sequence, new| sequence.draw(rows[new], tokenizer))
    }

    /// Takes tokens from `next`, which is given how many it gave before, as far
    /// as those of `guess` stay true.
    fn advance_by(
        &mut self,
        guess: &[u32],
        mut next: impl FnMut(&mut Self, usize) -> Result<Option<FinishReason>, AdvanceError>,
    ) -> Result<Option<FinishReason>, AdvanceError> {
        self.deliver_scores();
        let known = self.tokens.len();
        // Only its prompt was asked for.
        let mut ended = match known >= self.max_len {
            true => Some(self.end(FinishReason::Length)),
            false => None,
        };
        // Row i follows the known tokens and i more, and those must be the
        // guessed ones.
        while ended.is_none() {
            let new = self.tokens.len() - known;
            if new > guess.len() || self.tokens[known..] != guess[..new] {
                break;
            }
            ended = next(self, new)?;
        }
        let right = self.tokens.iter().skip(known).zip(guess).take_while(|(a, b)| a == b).count();
        self.computed += right;
        if let Some(speculator) = &mut self.speculator {
            speculator.learn(guess.len(), right);
        }
        Ok(self.advanced(ended))
    }

    /// Delivers what it got, and why it ended, if it did.
    fn advanced(&mut self, ended: Option<FinishReason>) -> Option<FinishReason> {
        self.delivery.flush();
        if let Some(reason) = ended {
            self.send_finished(reason);
        }
        ended
    }

    /// How its next tokens are to be drawn from `rows`, as [`Self::advance`]
    /// would from their logits; `None` where those are needed at hand.
    pub fn draws(&mut self, rows: Range<usize>) -> Option<Vec<Draw>> {
        let known = self.tokens.len();
        let guesses = rows.len() > 1;
        if self.searches()
            || !self.siblings.is_empty()
            || self.rules.forced_end.is_some()
            || known >= self.max_len
            // There the text may be over although it is shorter than asked for.
            || known < self.min_len && self.grammar.is_some()
            || !self.sampler.can_draw()
        {
            return None;
        }
        if let Some(grammar) = &mut self.grammar
            && self.mask.is_none()
        {
            // An error comes again where it is told.
            self.mask = Some(grammar.mask().ok()?);
        }
        let mut banned = self.rules.banned(&self.tokens);
        if known < self.min_len {
            banned.extend_from_slice(&self.stop_ids);
        }
        let plain = banned.is_empty() && self.mask.is_none() && self.rules.no_repeat == 0;
        if guesses && !(plain && self.sampler.is_plain()) {
            return None;
        }
        let allowed = Allowed { mask: self.mask.as_deref(), banned: &banned };
        Some(self.sampler.draws(rows, &self.tokens, allowed))
    }

    /// [`Self::advance`] by the tokens that [`Self::draws`] gave.
    ///
    /// # Errors
    /// There is no token where one is needed, or the grammar fails.
    pub fn advance_drawn(
        &mut self,
        drawn: &[Result<u32, SampleError>],
        guess: &[u32],
        tokenizer: &Tokenizer,
    ) -> Result<Option<FinishReason>, AdvanceError> {
        self.advance_by(guess, |sequence, new| {
            sequence.sampler.drew();
            sequence.follow(Drawn { token: drawn[new]?, logprob: None }, tokenizer)
        })
    }

    /// Draws one token, and takes those that must follow it.
    fn draw(
        &mut self,
        logits: &[f32],
        tokenizer: &Tokenizer,
    ) -> Result<Option<FinishReason>, AdvanceError> {
        if let Some(grammar) = &mut self.grammar
            && self.mask.is_none()
        {
            self.mask = Some(grammar.mask().map_err(grammar_failed)?);
        }
        let early = self.tokens.len() < self.min_len;
        if let Some(end) = self.rules.forced_end.filter(|_| self.tokens.len() + 1 >= self.max_len) {
            self.tokens.push(end);
            return Ok(Some(self.end(FinishReason::Length)));
        }
        let mut banned = self.rules.banned(&self.tokens);
        if early {
            banned.extend_from_slice(&self.stop_ids);
        }
        let allowed = Allowed { mask: self.mask.as_deref(), banned: &banned };
        let drawn = match self.sampler.sample(&self.tokens, logits, allowed) {
            // The text is complete, though shorter than asked for.
            Err(SampleError::NothingAllowed) if early && self.grammar.is_some() => {
                return Ok(Some(self.end(FinishReason::Stop)));
            }
            other => other?,
        };
        self.follow(drawn, tokenizer)
    }

    /// Takes a token that was drawn, and those that must follow it.
    fn follow(
        &mut self,
        drawn: Drawn,
        tokenizer: &Tokenizer,
    ) -> Result<Option<FinishReason>, AdvanceError> {
        self.mask = None;
        if self.stop_ids.contains(&drawn.token) {
            self.tokens.push(drawn.token);
            return Ok(Some(self.end(FinishReason::Stop)));
        }
        if let Some(grammar) = &mut self.grammar {
            grammar.accept(drawn.token).map_err(grammar_failed)?;
        }
        let bytes = tokenizer.token_bytes(drawn.token);
        if let Some(reason) = self.take(drawn.token, bytes, drawn.logprob) {
            return Ok(Some(reason));
        }
        let forced = self.grammar.as_mut().map(GrammarState::forced).unwrap_or_default();
        for token in forced {
            if let Some(grammar) = &mut self.grammar {
                grammar.accept(token).map_err(grammar_failed)?;
            }
            // Nothing else was possible.
            let certain = self.sampler.logprobs().map(|_| TokenLogprob {
                token,
                logprob: 0.0,
                top: vec![(token, 0.0)],
            });
            if let Some(reason) = self.take(token, tokenizer.token_bytes(token), certain) {
                return Ok(Some(reason));
            }
        }
        match self.grammar.as_ref().is_some_and(|g| g.is_complete()) {
            true => Ok(Some(self.end(FinishReason::Stop))),
            false => Ok(None),
        }
    }

    /// Adds a token of the text.
    fn take(
        &mut self,
        token: u32,
        bytes: &[u8],
        logprob: Option<TokenLogprob>,
    ) -> Option<FinishReason> {
        self.tokens.push(token);
        self.sampler.observe(token, bytes);
        if self.delivery.push(token, bytes, logprob) {
            return Some(FinishReason::Stop);
        }
        if self.tokens.len() >= self.max_len {
            return Some(self.end(FinishReason::Length));
        }
        let output = &self.tokens[self.prompt_len..];
        if self.cycle.as_mut().is_some_and(|cycle| cycle.push(output)) {
            return Some(self.end(FinishReason::Repetition));
        }
        None
    }

    /// Delivers what was held back. A stop string in it is the reason then.
    fn end(&mut self, reason: FinishReason) -> FinishReason {
        if self.delivery.end() { FinishReason::Stop } else { reason }
    }

    /// Ends it at its deadline: with what it has, or with an error if that is
    /// nothing.
    pub fn expire(&mut self, tokenizer: &Tokenizer) {
        if self.has_output() {
            let reason = match self.searches() {
                true => {
                    self.deliver_best(tokenizer);
                    FinishReason::Timeout
                }
                false => self.end(FinishReason::Timeout),
            };
            self.delivery.flush();
            self.send_finished(reason);
        } else {
            let waited = self.times.submitted.elapsed();
            self.delivery.send(Event::TimedOut { waited });
        }
    }

    fn send_finished(&self, reason: FinishReason) {
        let stop = self.delivery.stop().filter(|_| reason == FinishReason::Stop);
        self.delivery.send(Event::Finished { reason, stop, usage: self.usage() });
    }

    /// Ends it with an error.
    pub fn fail(&self, message: &str) {
        self.delivery.send(Event::Failed { message: message.to_owned() });
    }

    pub fn usage(&self) -> Usage {
        Usage {
            prompt_tokens: self.source.as_ref().map_or(self.prompt_len, |s| s.ids.len()),
            completion_tokens: self.tokens.len() - self.prompt_len,
            cached_tokens: self.cached,
        }
    }

    /// How long ago it was submitted.
    pub fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.times.submitted)
    }
}

fn grammar_failed(e: super::grammar::GrammarError) -> AdvanceError {
    AdvanceError::Grammar(e.to_string())
}

/// A seed nobody chose.
pub fn random_seed() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    // The standard library's hasher is keyed from the system's random source.
    std::collections::hash_map::RandomState::new().build_hasher().finish()
}
