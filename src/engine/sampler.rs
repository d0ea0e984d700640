//! From logits to a token, with a random stream of the request's own.

use std::borrow::Cow;
use std::collections::HashMap;

use rand_pcg::Pcg64Mcg;
use rand_pcg::rand_core::{Rng, SeedableRng};

use super::request::SamplingParams;

/// Draws one request's tokens.
///
/// The stream depends on the seed and on nothing else, so a text does not
/// change with the company it is computed in.
#[derive(Debug)]
pub struct Sampler {
    params: SamplingParams,
    random: Pcg64Mcg,
    /// How often each token was generated; `prompt` marks those of the prompt.
    seen: HashMap<u32, Seen>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Seen {
    generated: u32,
}

/// The logits hold no number to choose by.
#[derive(Debug, thiserror::Error)]
#[error("the model's logits are not finite")]
pub struct NotFinite;

impl Sampler {
    pub fn new(params: SamplingParams, seed: u64, prompt: &[u32]) -> Self {
        let mut seen = HashMap::new();
        if params.repetition_penalty != 1.0 {
            seen.extend(prompt.iter().map(|&id| (id, Seen::default())));
        }
        Self { params, random: Pcg64Mcg::seed_from_u64(seed), seen }
    }

    /// Chooses the next token and remembers it.
    ///
    /// # Errors
    /// No logit is finite.
    pub fn sample(&mut self, logits: &[f32]) -> Result<u32, NotFinite> {
        let logits = self.penalised(logits);
        let id = match self.params.temperature {
            0.0 => argmax(&logits).ok_or(NotFinite)?,
            temperature => {
                let uniform = (self.random.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
                draw(&self.params, &logits, temperature, uniform).ok_or(NotFinite)?
            }
        };
        if self.penalises() {
            self.seen.entry(id).or_default().generated += 1;
        }
        Ok(id)
    }

    fn penalises(&self) -> bool {
        let p = &self.params;
        p.repetition_penalty != 1.0 || p.presence_penalty != 0.0 || p.frequency_penalty != 0.0
    }

    fn penalised<'a>(&self, logits: &'a [f32]) -> Cow<'a, [f32]> {
        if self.seen.is_empty() {
            return logits.into();
        }
        let mut logits = logits.to_vec();
        let p = &self.params;
        for (&id, seen) in &self.seen {
            let Some(logit) = logits.get_mut(id as usize) else { continue };
            *logit = match *logit > 0.0 {
                true => *logit / p.repetition_penalty,
                false => *logit * p.repetition_penalty,
            };
            if seen.generated > 0 {
                *logit -= p.presence_penalty + p.frequency_penalty * seen.generated as f32;
            }
        }
        logits.into()
    }
}

/// The index of the highest logit; the lowest index among equals.
fn argmax(logits: &[f32]) -> Option<u32> {
    let highest = highest(logits)?;
    logits.iter().position(|&l| l == highest).map(|i| i as u32)
}

fn highest(logits: &[f32]) -> Option<f32> {
    // `max` of lanes ignores NaN and leaves the loop free to vectorise.
    let mut lanes = [f32::NEG_INFINITY; 16];
    let chunks = logits.chunks_exact(16);
    let tail = chunks.remainder().iter().copied().fold(f32::NEG_INFINITY, f32::max);
    for chunk in chunks {
        for (lane, &x) in lanes.iter_mut().zip(chunk) {
            *lane = if x > *lane { x } else { *lane };
        }
    }
    Some(lanes.into_iter().fold(tail, f32::max)).filter(|x| x.is_finite())
}

/// A token from the distribution that temperature, top-k, top-p and min-p
/// leave, in that order, at `uniform` in [0, 1) of its cumulative sum.
fn draw(p: &SamplingParams, logits: &[f32], temperature: f32, uniform: f64) -> Option<u32> {
    let max = highest(logits)?;
    let weight = |logit: f32| match logit.is_nan() {
        true => 0.0,
        false => f64::from((logit - max) / temperature).exp(),
    };
    let cut = p.top_p < 1.0 || p.min_p > 0.0 || (p.top_k > 0 && p.top_k < logits.len());
    if !cut {
        let sum: f64 = logits.iter().map(|&l| weight(l)).sum();
        let mut left = uniform * sum;
        let mut last = None;
        for (id, &logit) in logits.iter().enumerate() {
            let w = weight(logit);
            if w > 0.0 {
                last = Some(id as u32);
                left -= w;
                if left < 0.0 {
                    break;
                }
            }
        }
        return last;
    }
    let mut kept: Vec<(f64, u32)> =
        logits.iter().enumerate().map(|(id, &l)| (weight(l), id as u32)).collect();
    // The most likely first, the lower id among equals, so that no tie
    // depends on the order of a sort.
    let order = |a: &(f64, u32), b: &(f64, u32)| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1));
    if p.top_k > 0 && p.top_k < kept.len() {
        kept.select_nth_unstable_by(p.top_k - 1, order);
        kept.truncate(p.top_k);
    }
    let sum: f64 = kept.iter().map(|k| k.0).sum();
    // Tokens below this bound weigh less than 1 - top_p together, so the
    // smallest set that reaches top_p has none of them: they need no sorting.
    let bound = sum * f64::from(1.0 - p.top_p) / kept.len() as f64;
    kept.retain(|k| k.0 >= bound && k.0 > 0.0);
    kept.sort_unstable_by(order);
    if p.top_p < 1.0 {
        let enough = sum * f64::from(p.top_p);
        let mut reached = 0.0;
        let mut len = 0;
        while reached < enough && len < kept.len() {
            reached += kept[len].0;
            len += 1;
        }
        kept.truncate(len.max(1));
    }
    let least = kept.first()?.0 * f64::from(p.min_p);
    kept.retain(|k| k.0 >= least);
    let mut left = uniform * kept.iter().map(|k| k.0).sum::<f64>();
    for &(w, id) in &kept {
        left -= w;
        if left < 0.0 {
            return Some(id);
        }
    }
    kept.last().map(|k| k.1)
}

#[cfg(test)]
mod tests;
