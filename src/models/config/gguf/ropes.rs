//! Rotary embeddings in GGUF.

use super::keys::Keys;
use crate::models::config::{RopeConfig, RopeScaling};
use crate::models::error::LoadError;

/// Gemma 3's rope base in windowed layers, where the file does not say it.
const GEMMA3_LOCAL_THETA: f64 = 10_000.0;

/// Of layers that see everything.
pub fn full(keys: &Keys<'_>, rotary_dim: usize) -> Result<RopeConfig, LoadError> {
    // What switches it off altogether in Granite's hybrids.
    if keys.arch.starts_with("granite") && keys.bool("rope.scaling.finetuned") == Some(false) {
        return Err(keys.fault("rope.scaling.finetuned", "false is not supported"));
    }
    let theta = keys.float("rope.freq_base").unwrap_or(10_000.0);
    Ok(RopeConfig { theta, scaling: scaling(keys, rotary_dim)? })
}

/// Of windowed layers where those have their own.
pub fn local(keys: &Keys<'_>, theta: f64) -> RopeConfig {
    let default = if keys.arch == "gemma3" { GEMMA3_LOCAL_THETA } else { theta };
    let theta = keys.float("rope.freq_base_swa").unwrap_or(default);
    RopeConfig { theta, scaling: RopeScaling::None }
}

fn scaling(keys: &Keys<'_>, rotary_dim: usize) -> Result<RopeScaling, LoadError> {
    if let Some(divisors) = keys.numbers("rope_freqs.weight")? {
        return Ok(RopeScaling::Divisors(divisors));
    }
    const ORIGINAL: &str = "rope.scaling.original_context_length";
    let tensors = ["rope_factors_short.weight", "rope_factors_long.weight"];
    if let (Some(short), Some(long)) = (keys.numbers(tensors[0])?, keys.numbers(tensors[1])?) {
        if [&short, &long].iter().any(|f| 2 * f.len() != rotary_dim || f.contains(&0.0)) {
            let reason = format!("has to hold {} numbers other than 0", rotary_dim / 2);
            return Err(LoadError::config(tensors[0], reason));
        }
        return Ok(RopeScaling::Long {
            short,
            long,
            original_context: keys.need(ORIGINAL)? as f64,
            attention_factor: keys.float("rope.scaling.attn_factor").unwrap_or(1.0),
        });
    }
    let factor = keys.float("rope.scaling.factor").filter(|f| *f != 0.0).unwrap_or(1.0);
    match keys.string("rope.scaling.type").unwrap_or("none") {
        "none" => Ok(RopeScaling::None),
        "linear" => Ok(RopeScaling::Linear { factor }),
        "yarn" => {
            // What amplifies both, less what `yarn_log_multiplier` takes back.
            let amplitude = |m: f64| if factor > 1.0 { 0.1 * m * factor.ln() + 1.0 } else { 1.0 };
            let log = keys.float("rope.scaling.yarn_log_multiplier").unwrap_or(0.0);
            let given = keys.float("rope.scaling.yarn_attn_factor");
            Ok(RopeScaling::Yarn {
                factor,
                original_context: keys.need(ORIGINAL)? as f64,
                beta_fast: keys.float("rope.scaling.yarn_beta_fast").unwrap_or(32.0),
                beta_slow: keys.float("rope.scaling.yarn_beta_slow").unwrap_or(1.0),
                attention_factor: given.unwrap_or(amplitude(1.0) / amplitude(log)),
            })
        }
        other => Err(keys.fault(
            "rope.scaling.type",
            format!("{other:?} is not supported without tensors; none, linear and yarn are"),
        )),
    }
}
