//! A cold start: a fresh process loads a model and computes its first token.
//!
//! The process that measures starts another one of the same program, which
//! calls [`in_this_process`] and prints what it got.

use std::sync::atomic::AtomicBool;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::BenchError;
use super::forward::Forward;
use super::target::{Loaded, Target};
use crate::bench::roofline::machine;
use crate::engine::EngineOptions;
use crate::models::{LoadError, Network};

/// Tokens of the prompt whose answer is waited for.
pub const PROMPT: usize = 16;

/// What a fresh process found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ColdStart {
    /// Seconds to load the weights.
    pub load_s: f64,
    /// Seconds from there to the first token after a prompt of 16.
    pub first_token_s: f64,
    /// Seconds from the start of the process to its first token.
    pub start_to_first_token_s: f64,
    /// The most memory the process had resident (VmHWM), with its files mapped;
    /// `None` where the system does not tell.
    pub peak_memory_bytes: Option<u64>,
    /// What was cached of the files is not ours to choose.
    pub page_cache: String,
}

/// Loads a model and computes its first token, or one embedding.
///
/// # Errors
/// The model cannot be loaded, or the step fails.
pub fn in_this_process(target: &Target, options: &EngineOptions) -> Result<ColdStart, BenchError> {
    let begun = Instant::now();
    let Loaded { network, facts, .. } = target.load(options)?;
    let load_s = begun.elapsed().as_secs_f64();
    let prompt = PROMPT.min(facts.context_length);
    match network {
        Network::Decoder(model) => {
            let stop = AtomicBool::new(false);
            Forward::new(&model, options, (1, prompt), &stop)?.prefill(1, prompt)?;
        }
        Network::Encoder(model) => {
            let ids: Vec<u32> = (0..prompt as u32).collect();
            let ends = [0, prompt as u32];
            model.embed(&ids, &ends, target.pooling()?).map_err(LoadError::from)?;
        }
        Network::Seq2Seq(_) => return Err(target.not_measured()),
    }
    let all = begun.elapsed().as_secs_f64();
    Ok(ColdStart {
        load_s,
        first_token_s: all - load_s,
        // Whoever started the process knows more.
        start_to_first_token_s: all,
        peak_memory_bytes: machine::peak_memory(),
        page_cache: "as found".to_owned(),
    })
}
