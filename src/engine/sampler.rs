//! From logits to a token, with a random stream of the request's own.
//!
//! The steps, in order: bias, mask, penalties, DRY, temperature, top-k,
//! typical-p, top-p, min-p, draw. Temperature comes before the cuts, as in
//! OpenAI's and vLLM's servers, so that top-p means the share of the
//! distribution that is drawn from.

pub mod beams;
mod cuts;
mod dry;
mod greedy;
mod logprobs;
mod top;

use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::Range;

use rand_pcg::Pcg64Mcg;
use rand_pcg::rand_core::{Rng, SeedableRng};

pub use self::greedy::greedy;

use self::dry::DryState;
use super::request::{SamplingParams, TokenLogprob};
use crate::backend::{Draw, Edit};

/// Draws one request's tokens.
///
/// The stream depends on the seed and on nothing else, and gives one number a
/// drawn token, so a text does not change with the company it is computed in.
#[derive(Debug)]
pub struct Sampler {
    params: SamplingParams,
    random: Pcg64Mcg,
    /// How often each token was generated; 0 for those only in the prompt.
    seen: HashMap<u32, u32>,
    dry: Option<DryState>,
}

/// What may be drawn.
#[derive(Debug, Default, Clone, Copy)]
pub struct Allowed<'a> {
    /// Bit `t % 32` of word `t / 32` is set for each token `t` that may be
    /// drawn; none beyond its end may. `None`: all may.
    pub mask: Option<&'a [u32]>,
    /// Tokens that may not be drawn in any case.
    pub banned: &'a [u32],
}

/// A token that was drawn.
#[derive(Debug, Clone, PartialEq)]
pub struct Drawn {
    pub token: u32,
    /// When the request asked for it.
    pub logprob: Option<TokenLogprob>,
}

/// Why no token can be drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SampleError {
    #[error("the model's logits are not finite")]
    NotFinite,
    #[error("no token may follow: the grammar, logit_bias or min_tokens leave none")]
    NothingAllowed,
    /// Of a device, which does not tell the two apart.
    #[error(
        "no token may follow: the grammar, logit_bias or min_tokens leave none, or the model's \
         logits are not finite"
    )]
    NothingLeft,
}

/// A bias of so much or less is a ban, as at OpenAI: penalties and a
/// temperature could make up for a mere subtraction.
const BAN: f32 = -100.0;

/// Space of the size of a vocabulary, kept by each thread that samples.
#[derive(Default)]
struct Scratch {
    logits: Vec<f32>,
    weights: Vec<f32>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// How likely a token was that is known, and the `n` most likely ones.
///
/// # Errors
/// No logit is finite.
pub fn score(logits: &[f32], token: u32, n: usize) -> Result<TokenLogprob, SampleError> {
    match top::highest(logits) {
        Some(_) => Ok(scored(logits, token, n)),
        None => Err(SampleError::NotFinite),
    }
}

fn scored(logits: &[f32], token: u32, n: usize) -> TokenLogprob {
    SCRATCH.with_borrow_mut(|scratch| logprobs::of(logits, token, n, &mut scratch.weights))
}

impl Sampler {
    /// `token_bytes` gives the bytes of a token, which DRY looks at.
    pub fn new<'a>(
        params: SamplingParams,
        seed: u64,
        prompt: &[u32],
        token_bytes: &dyn Fn(u32) -> &'a [u8],
    ) -> Self {
        let mut seen = HashMap::new();
        if params.repetition_penalty != 1.0 {
            seen.extend(prompt.iter().map(|&id| (id, 0)));
        }
        let dry = params.dry.as_ref().filter(|d| d.multiplier > 0.0).map(|dry| {
            let mut state = DryState::new(dry.clone());
            prompt.iter().for_each(|&id| state.observe(id, token_bytes(id)));
            state
        });
        Self { params, random: Pcg64Mcg::seed_from_u64(seed), seen, dry }
    }

    /// How many tokens are to be reported beside each, if [`Drawn::logprob`] is
    /// wanted.
    pub fn logprobs(&self) -> Option<usize> {
        self.params.logprobs
    }

    /// Draws from the logits of one row. `history` is prompt and output so
    /// far. The token counts for later draws when it is [observed](Self::observe).
    ///
    /// # Errors
    /// No logit is finite, or no token with a finite one may be drawn.
    pub fn sample(
        &mut self,
        history: &[u32],
        logits: &[f32],
        allowed: Allowed<'_>,
    ) -> Result<Drawn, SampleError> {
        let token = SCRATCH.with_borrow_mut(|scratch| {
            if !self.changes_logits(allowed) {
                return self.choose(logits, &mut scratch.weights).ok_or(SampleError::NotFinite);
            }
            let Scratch { logits: changed, weights } = scratch;
            changed.clear();
            changed.extend(logits.iter().map(|&l| if l.is_nan() { f32::NEG_INFINITY } else { l }));
            self.change(history, changed, allowed);
            self.choose(changed, weights).ok_or_else(|| match top::highest(logits) {
                Some(_) => SampleError::NothingAllowed,
                None => SampleError::NotFinite,
            })
        })?;
        let logprob = self.params.logprobs.map(|n| scored(logits, token, n));
        Ok(Drawn { token, logprob })
    }

    /// Whether tokens can be drawn without their logits at hand.
    pub fn can_draw(&self) -> bool {
        self.params.logprobs.is_none() && self.params.typical_p >= 1.0
    }

    /// Whether nothing but temperature and the cuts ever decides.
    pub fn is_plain(&self) -> bool {
        self.can_draw()
            && self.params.logit_bias.is_empty()
            && !self.penalises()
            && self.dry.is_none()
    }

    /// How the next tokens are to be drawn from `rows`, one from each as long
    /// as it [can](Self::can_draw); more than one if it [is
    /// plain](Self::is_plain). The numbers that decide are not used up until
    /// [`Self::drew`].
    pub fn draws(&self, rows: Range<usize>, history: &[u32], allowed: Allowed<'_>) -> Vec<Draw> {
        let p = &self.params;
        let mut random = self.random.clone();
        let edits =
            if self.changes_logits(allowed) { self.edits(history, allowed) } else { vec![] };
        let draw = |row| Draw {
            row,
            temperature: p.temperature,
            top_k: p.top_k,
            top_p: p.top_p,
            min_p: p.min_p,
            uniform: if p.temperature == 0.0 { 0.0 } else { uniform(&mut random) },
            edits: edits.clone(),
            mask: allowed.mask.map(<[u32]>::to_vec),
        };
        rows.map(draw).collect()
    }

    /// Says that one of [`Self::draws`] gave a token.
    pub fn drew(&mut self) {
        if self.params.temperature != 0.0 {
            uniform(&mut self.random);
        }
    }

    /// What [`Self::change`] does beside the mask, token by token.
    fn edits(&self, history: &[u32], allowed: Allowed<'_>) -> Vec<(u32, Edit)> {
        let p = &self.params;
        let biased = p.logit_bias.iter().map(|&(id, bias)| match bias <= BAN {
            true => (id, Edit::Ban),
            false => (id, Edit::Add(bias)),
        });
        let banned = allowed.banned.iter().map(|&id| (id, Edit::Ban));
        let seen = self.seen.iter().flat_map(|(&id, &generated)| {
            let less = p.presence_penalty + p.frequency_penalty * generated as f32;
            let less = (generated > 0).then_some((id, Edit::Subtract(less)));
            std::iter::once((id, Edit::Penalty(p.repetition_penalty))).chain(less)
        });
        let repeated = self.dry.iter().flat_map(|dry| dry.penalties(history));
        let repeated = repeated.map(|(id, less)| (id, Edit::Subtract(less)));
        biased.chain(banned).chain(seen).chain(repeated).collect()
    }

    /// Remembers a token of the output, drawn or forced; `bytes` are its own.
    pub fn observe(&mut self, token: u32, bytes: &[u8]) {
        if self.penalises() {
            *self.seen.entry(token).or_default() += 1;
        }
        if let Some(dry) = &mut self.dry {
            dry.observe(token, bytes);
        }
    }

    fn penalises(&self) -> bool {
        let p = &self.params;
        p.repetition_penalty != 1.0 || p.presence_penalty != 0.0 || p.frequency_penalty != 0.0
    }

    fn changes_logits(&self, allowed: Allowed<'_>) -> bool {
        allowed.mask.is_some()
            || !allowed.banned.is_empty()
            || !self.params.logit_bias.is_empty()
            || !self.seen.is_empty()
            || self.dry.is_some()
    }

    fn change(&self, history: &[u32], logits: &mut [f32], allowed: Allowed<'_>) {
        let p = &self.params;
        for &(id, bias) in &p.logit_bias {
            if let Some(logit) = logits.get_mut(id as usize) {
                *logit = if bias <= BAN { f32::NEG_INFINITY } else { *logit + bias };
            }
        }
        if let Some(mask) = allowed.mask {
            for (i, chunk) in logits.chunks_mut(32).enumerate() {
                match mask.get(i).copied().unwrap_or(0) {
                    0 => chunk.fill(f32::NEG_INFINITY),
                    u32::MAX => {}
                    word => chunk.iter_mut().enumerate().for_each(|(bit, logit)| {
                        if word >> bit & 1 == 0 {
                            *logit = f32::NEG_INFINITY;
                        }
                    }),
                }
            }
        }
        for &id in allowed.banned {
            if let Some(logit) = logits.get_mut(id as usize) {
                *logit = f32::NEG_INFINITY;
            }
        }
        for (&id, &generated) in &self.seen {
            let Some(logit) = logits.get_mut(id as usize) else { continue };
            *logit = match *logit > 0.0 {
                true => *logit / p.repetition_penalty,
                false => *logit * p.repetition_penalty,
            };
            if generated > 0 {
                *logit -= p.presence_penalty + p.frequency_penalty * generated as f32;
            }
        }
        if let Some(dry) = &self.dry {
            dry.apply(history, logits);
        }
    }

    fn choose(&mut self, logits: &[f32], weights: &mut Vec<f32>) -> Option<u32> {
        if self.params.temperature == 0.0 {
            return top::argmax(logits);
        }
        let uniform = uniform(&mut self.random);
        cuts::draw(&self.params, logits, uniform, weights)
    }
}

/// The next number of a request's stream, in [0, 1).
fn uniform(random: &mut Pcg64Mcg) -> f64 {
    (random.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests;
