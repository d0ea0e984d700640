//! How likely the tokens of prompts were, from the logits of a step.

use crate::backend::for_each;
use crate::engine::sampler::SampleError;
use crate::engine::scheduler::{Scheduler, Step};
use crate::engine::sequence::Scored;

/// Scores the tokens of prompts whose rows are in a step. Gives the sequences
/// whose logits say nothing.
pub fn score(scheduler: &mut Scheduler, step: &Step, all: &[&[f32]]) -> Vec<(u64, SampleError)> {
    if step.parts.iter().all(|part| part.scores == 0) {
        return Vec::new();
    }
    let mut scored = Vec::new();
    let mut counts = Vec::new();
    let mut next = 0;
    for part in &step.parts {
        let rows = &all[next..next + part.scores];
        next += part.scores + if part.samples { part.lines + part.guess.len() } else { 0 };
        if let Some(sequence) = scheduler.get_mut(part.id).filter(|_| part.scores > 0) {
            scored.extend(sequence.to_score(rows));
            counts.push((part.id, part.scores));
        }
    }
    for_each(&mut scored, Scored::compute);
    let mut scored = scored.into_iter();
    let mut failed = Vec::new();
    for (id, count) in counts {
        let found = scored.by_ref().take(count).collect();
        let Some(sequence) = scheduler.get_mut(id) else { continue };
        if let Err(error) = sequence.keep_scores(found) {
            failed.push((id, error));
        }
    }
    failed
}
