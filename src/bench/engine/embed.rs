//! Embeddings: batches of texts of one length, by the encoder alone and
//! through the engine's handle.

use std::time::Instant;

use super::served::{runtime, unless_stopped};
use super::target::{ModelFacts, Target};
use super::{BenchError, Level, Run, Sizes};
use crate::engine::{EmbeddingRequest, Engine, EngineOptions, MemoryBudget};
use crate::models::Encoder;

/// Measures the encoder and its pooling.
pub fn forward(run: &mut Run<'_>, target: &Target, model: &Encoder) -> Result<(), BenchError> {
    let (context, vocabulary) = (model.config.context_length, model.config.vocab_size);
    let pooling = target.pooling()?;
    for sizes in sizes(run, context) {
        let Sizes { pp, pl, .. } = sizes;
        let ids: Vec<u32> = inputs(pl, pp, vocabulary).concat();
        let ends: Vec<u32> = (0..=pl).map(|i| (i * pp) as u32).collect();
        run.measure("embed", Level::Forward, sizes, &mut |_, _| {
            let begun = Instant::now();
            model.embed(&ids, &ends, pooling).map_err(crate::models::LoadError::from)?;
            Ok(Some((begun.elapsed().as_secs_f64(), (pl * pp) as f64)))
        })?;
    }
    Ok(())
}

/// Measures the same through the engine.
pub fn served(run: &mut Run<'_>, target: &Target, facts: &ModelFacts) -> Result<(), BenchError> {
    let options = EngineOptions {
        memory: std::sync::Arc::new(MemoryBudget::default()),
        queue_tokens: usize::MAX,
        ..run.plan.options.clone()
    };
    let engine = Engine::start(target.source()?.clone(), options, |_, _| {})?;
    let (runtime, stop) = (runtime()?, run.watch.stop);
    for sizes in sizes(run, facts.context_length) {
        let Sizes { pp, pl, .. } = sizes;
        let inputs = inputs(pl, pp, engine.info().limits.vocab_size);
        run.measure("embed", Level::Engine, sizes, &mut |_, _| {
            let request = EmbeddingRequest::new(inputs.clone());
            let begun = Instant::now();
            let Some(answer) = runtime.block_on(unless_stopped(stop, engine.embed(request))) else {
                return Ok(None);
            };
            answer?;
            Ok(Some((begun.elapsed().as_secs_f64(), (pl * pp) as f64)))
        })?;
    }
    Ok(())
}

/// Every batch with every length that fits.
fn sizes(run: &mut Run<'_>, context: usize) -> Vec<Sizes> {
    let plan = run.plan;
    let all = plan.prompts.iter().flat_map(|&pp| plan.batches.iter().map(move |&pl| (pp, pl)));
    let all = all.map(|(pp, pl)| Sizes { pp, tg: 0, pl });
    all.filter(|&sizes| run.fits("embed", sizes, context, 0)).collect()
}

/// Texts of tokens that differ.
fn inputs(count: usize, len: usize, vocabulary: usize) -> Vec<Vec<u32>> {
    let token = |s: usize, i: usize| ((s * 7919 + i * 31 + 17) % vocabulary) as u32;
    (0..count).map(|s| (0..len).map(|i| token(s, i)).collect()).collect()
}
