//! How well a model foretells a text: perplexity, as llama.cpp's
//! `llama-perplexity` defines it, so that the two can be compared on a file.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use rayon::prelude::*;
use serde::Serialize;

use super::engine::target::Loaded;
use super::engine::{BenchError, Target, Watch};
use crate::backend::{Batch, KvCache, Logits};
use crate::engine::EngineOptions;
use crate::models::{Decoder, LoadError, Network};

/// What the figure means.
pub const DEFINITION: &str = "\
perplexity: e to the mean surprise (minus the natural logarithm of the probability) of the \
scored tokens. The text is cut into chunks of `context` tokens that know nothing of each other; \
what is left at the end is not read. In each chunk the tokens after position context / 2 are \
scored, each given all those before it in the chunk. Where the model begins texts with a token of \
its own, that token takes the place of each chunk's first. The error is the standard error of the \
mean, times the perplexity. So does llama-perplexity.";

/// Rows whose logits are held at once.
const SCORED_AT_ONCE: usize = 128;

/// What to measure.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Tokens of a chunk.
    pub context: usize,
    /// At most so many chunks.
    pub chunks: Option<usize>,
    pub options: EngineOptions,
}

/// What was measured.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// "dragoman bench perplexity"
    pub tool: &'static str,
    pub version: &'static str,
    pub model: String,
    pub quantization: String,
    /// Of the whole text, the token that begins it included.
    pub tokens: usize,
    pub context: usize,
    pub chunks: usize,
    /// Tokens that count.
    pub scored: usize,
    pub perplexity: f64,
    pub error: f64,
    /// The perplexity after each chunk.
    pub after: Vec<f64>,
    /// Reading all chunks, without loading.
    pub seconds: f64,
    pub definition: &'static str,
}

/// Reads `text` with a model.
///
/// # Errors
/// The model is no decoder or cannot be loaded, the text is too short, or a
/// step fails.
pub fn run(
    target: &Target,
    text: &str,
    plan: &Plan,
    watch: Watch<'_>,
) -> Result<Report, BenchError> {
    let other = |message: String| BenchError::Other(message);
    if plan.context < 4 {
        return Err(other(format!("a context of {} is too short; give at least 4", plan.context)));
    }
    let (tokenizer, _) = target.source()?.text()?;
    let Loaded { network, facts, .. } = target.load(&plan.options)?;
    let Network::Decoder(model) = network else {
        return Err(other(format!("{} embeds texts; only a generator foretells them", target.id)));
    };
    if plan.context > facts.context_length {
        return Err(other(format!(
            "a context of {} is beyond the {} of {}",
            plan.context, facts.context_length, target.id
        )));
    }
    let encode = |text| tokenizer.encode(text, true).map_err(|e| other(e.to_string()));
    // What stands before an empty text stands before every text.
    let begin = encode("")?.first().copied();
    let ids = encode(text)?;
    let chunks = (ids.len() / plan.context).min(plan.chunks.unwrap_or(usize::MAX));
    if chunks == 0 {
        return Err(other(format!(
            "the text has {} tokens, fewer than one context of {}; give a longer text or a \
             shorter --context",
            ids.len(),
            plan.context
        )));
    }
    let begun = Instant::now();
    let mut reader = Reader::new(&model, plan, &facts.id)?;
    let (mut sums, mut after) = (Sums::default(), Vec::new());
    for chunk in ids.chunks_exact(plan.context).take(chunks) {
        if watch.stop.load(Relaxed) {
            return Err(other("stopped before the end; nothing is reported".into()));
        }
        (watch.on_progress)(after.len(), chunks, "reading");
        let mut chunk = chunk.to_vec();
        if let Some(begin) = begin {
            chunk[0] = begin;
        }
        reader.score(&chunk)?.into_iter().for_each(|s| sums.add(s));
        after.push(sums.perplexity());
    }
    Ok(Report {
        tool: "dragoman bench perplexity",
        version: env!("CARGO_PKG_VERSION"),
        model: facts.id,
        quantization: facts.quantization,
        tokens: ids.len(),
        context: plan.context,
        chunks,
        scored: sums.count,
        perplexity: sums.perplexity(),
        error: sums.error(),
        after,
        seconds: begun.elapsed().as_secs_f64(),
        definition: DEFINITION,
    })
}

/// A model with a cache for one chunk.
struct Reader<'a> {
    model: &'a Decoder,
    cache: KvCache,
    logits: Logits,
    table: Vec<u32>,
    block_size: usize,
    step_tokens: usize,
    name: &'a str,
}

impl<'a> Reader<'a> {
    fn new(model: &'a Decoder, plan: &Plan, name: &'a str) -> Result<Self, BenchError> {
        let block_size = plan.options.block_size;
        let blocks = plan.context.div_ceil(block_size);
        let shape = model.kv_shape(block_size, plan.options.kv_dtype);
        Ok(Self {
            model,
            cache: KvCache::new(shape, blocks, model.device()).map_err(LoadError::from)?,
            logits: Logits::default(),
            table: (0..blocks as u32).collect(),
            block_size,
            step_tokens: plan.options.max_batch_tokens.max(1),
            name,
        })
    }

    /// The surprise of each token after the middle of a chunk.
    fn score(&mut self, chunk: &[u32]) -> Result<Vec<f64>, BenchError> {
        let (middle, end) = (chunk.len() / 2, chunk.len() - 1);
        let mut at = 0;
        while at < middle {
            let next = middle.min(at + self.step_tokens);
            self.step(&chunk[at..next], at, false)?;
            at = next;
        }
        let mut surprises = Vec::with_capacity(end - middle);
        while at < end {
            let next = end.min(at + SCORED_AT_ONCE);
            self.step(&chunk[at..next], at, true)?;
            let rows: Vec<&[f32]> = self.logits.rows().collect();
            let expected = &chunk[at + 1..=next];
            surprises.par_extend(rows.par_iter().zip(expected).map(|(r, &id)| surprise(r, id)));
            at = next;
        }
        if surprises.iter().any(|s| !s.is_finite()) {
            let name = self.name;
            return Err(BenchError::Other(format!(
                "{name} gave probabilities that are no numbers"
            )));
        }
        Ok(surprises)
    }

    fn step(&mut self, ids: &[u32], at: usize, scored: bool) -> Result<(), BenchError> {
        let mut batch = Batch::new();
        batch.push(ids, at, &self.table, self.block_size, false);
        if scored {
            batch.logit_rows = (0..ids.len() as u32).collect();
        }
        let (cache, logits) = (&mut self.cache, &mut self.logits);
        self.model.forward(&batch, cache, logits).map_err(LoadError::from)?;
        Ok(())
    }
}

/// Minus the logarithm of a token's probability; not a number for a token that
/// has no logit.
fn surprise(logits: &[f32], token: u32) -> f64 {
    let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = logits.iter().map(|&x| f64::from(x - highest).exp()).sum();
    let own = logits.get(token as usize).copied().unwrap_or(f32::NAN);
    sum.ln() - f64::from(own - highest)
}

/// Of the surprises so far.
#[derive(Debug, Default)]
struct Sums {
    count: usize,
    sum: f64,
    squares: f64,
}

impl Sums {
    fn add(&mut self, surprise: f64) {
        self.count += 1;
        self.sum += surprise;
        self.squares += surprise * surprise;
    }

    fn mean(&self) -> f64 {
        self.sum / self.count as f64
    }

    fn perplexity(&self) -> f64 {
        self.mean().exp()
    }

    /// The perplexity's standard error.
    fn error(&self) -> f64 {
        let n = self.count as f64;
        let variance = (self.squares / n - self.mean() * self.mean()).max(0.0);
        self.perplexity() * (variance / (n - 1.0).max(1.0)).sqrt()
    }
}

/// The report for people.
pub fn text(report: &Report) -> String {
    let Report { model, quantization, perplexity, error, .. } = report;
    let Report { scored, chunks, context, tokens, seconds, .. } = report;
    format!(
        "{model} {quantization}: perplexity {perplexity:.4} ± {error:.4}\n\
         {scored} tokens scored, in {chunks} chunks of {context}, of a text of {tokens}; {seconds:.1} s\n\n\
         {DEFINITION}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn surprises_are_those_of_a_softmax() {
        let logits = [1000.0, 1000.0, 1000.0 + 2f32.ln(), f32::NEG_INFINITY];
        for (token, expected) in [(0, 4f64.ln()), (2, 2f64.ln())] {
            assert!((surprise(&logits, token) - expected).abs() < 1e-4, "{token}");
        }
        assert_eq!(surprise(&logits, 3), f64::INFINITY);
        assert!(surprise(&logits, 4).is_nan() && surprise(&[f32::NAN; 3], 1).is_nan());
    }

    #[test]
    fn a_choice_of_four_has_a_perplexity_of_four() {
        let mut sums = Sums::default();
        (0..10).for_each(|_| sums.add(4f64.ln()));
        assert!((sums.perplexity() - 4.0).abs() < 1e-9 && sums.error() < 1e-6);
        sums.add(0.0);
        assert!(sums.error() > 0.1);
    }
}
