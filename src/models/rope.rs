//! Rotary position embedding (arXiv:2104.09864), halves rotated against each
//! other as in GPT-NeoX.

use candle_core::{Device, Result, Tensor};
use rayon::prelude::*;

use crate::backend::{RopeRows, Workspace};
use crate::models::config::{RopeConfig, RopeScaling};

/// Most numbers of a table of cosines, which is kept with one of sines in f32:
/// 1 GiB together, of two million positions with heads of 128.
const MOST_NUMBERS: usize = 1 << 27;

/// Cosines and sines of every position.
#[derive(Debug, Clone)]
pub struct Rope {
    /// (positions, half of what is turned of a head)
    cos: Tensor,
    sin: Tensor,
}

impl Rope {
    /// `dim` columns of a head are turned, at `positions` places at most: that
    /// is the context by which LongRoPE takes its frequencies.
    pub fn new(config: &RopeConfig, dim: usize, positions: usize, device: &Device) -> Result<Self> {
        let half = dim / 2;
        if positions.saturating_mul(half) > MOST_NUMBERS {
            candle_core::bail!(
                "the context of {positions} tokens needs a table of positions beyond {} MiB; set \
                 engine.context_length to what you need",
                MOST_NUMBERS >> 17
            );
        }
        let frequencies = frequencies(config, dim, positions);
        if frequencies.iter().any(|f| !f.is_finite()) {
            candle_core::bail!(
                "rope_theta ({}) and the scaling of positions give what is no number",
                config.theta
            );
        }
        let amplitude = match config.scaling {
            RopeScaling::Yarn { attention_factor, .. }
            | RopeScaling::Long { attention_factor, .. } => attention_factor,
            _ => 1.0,
        };
        let (mut cos, mut sin) = (vec![0f32; positions * half], vec![0f32; positions * half]);
        let rows = cos.par_chunks_mut(half.max(1)).zip(sin.par_chunks_mut(half.max(1)));
        rows.enumerate().for_each(|(p, (cos, sin))| {
            for ((cos, sin), f) in cos.iter_mut().zip(sin).zip(&frequencies) {
                // f64, because p·f loses digits at long contexts in f32.
                let (s, c) = (p as f64 * f).sin_cos();
                (*cos, *sin) = ((c * amplitude) as f32, (s * amplitude) as f32);
            }
        });
        Ok(Self {
            cos: Tensor::from_vec(cos, (positions, half), device)?,
            sin: Tensor::from_vec(sin, (positions, half), device)?,
        })
    }

    /// What layers are given for a batch with these positions.
    pub fn of(&self, positions: &[u32], workspace: &Workspace) -> Result<RopeRows> {
        if workspace.has_positions() {
            return Ok(RopeRows { cos: self.cos.clone(), sin: self.sin.clone() });
        }
        self.rows(&Tensor::new(positions, self.cos.device())?)
    }

    /// The rows of a batch by their positions, a (tokens) tensor of u32.
    pub fn rows(&self, positions: &Tensor) -> Result<RopeRows> {
        Ok(RopeRows {
            cos: self.cos.index_select(positions, 0)?,
            sin: self.sin.index_select(positions, 0)?,
        })
    }
}

/// Radians a position, for each pair of the `dim` components that are turned.
fn frequencies(config: &RopeConfig, dim: usize, context: usize) -> Vec<f64> {
    let base = |i: usize| config.theta.powf(-((2 * i) as f64) / dim as f64);
    let half = dim / 2;
    let divided = |divisors: &[f32]| -> Vec<f64> {
        let divisor = |i: usize| f64::from(divisors.get(i).copied().unwrap_or(1.0));
        (0..half).map(|i| base(i) / divisor(i)).collect()
    };
    match &config.scaling {
        RopeScaling::None => (0..half).map(base).collect(),
        RopeScaling::Off => vec![0.0; half],
        RopeScaling::Linear { factor } => (0..half).map(|i| base(i) / factor).collect(),
        RopeScaling::Divisors(divisors) => divided(divisors),
        RopeScaling::Long { short, long, original_context, .. } => {
            divided(if context as f64 > *original_context { long } else { short })
        }
        // As in transformers' modeling_rope_utils, `_compute_yarn_parameters`.
        RopeScaling::Yarn { factor, original_context, beta_fast, beta_slow, .. } => {
            // The pair that turns so often within the original context.
            let pair = |turns: f64| {
                let ratio = original_context / (turns * std::f64::consts::TAU);
                dim as f64 * ratio.ln() / (2.0 * config.theta.ln())
            };
            let low = pair(*beta_fast).floor().max(0.0);
            let high = pair(*beta_slow).ceil().min(dim as f64 - 1.0);
            let width = if high > low { high - low } else { 0.001 };
            let keep = |i: usize| 1.0 - ((i as f64 - low) / width).clamp(0.0, 1.0);
            let mixed = |i| base(i) * keep(i) + base(i) / factor * (1.0 - keep(i));
            (0..half).map(mixed).collect()
        }
        // As in transformers' modeling_rope_utils, `_compute_llama3_parameters`.
        RopeScaling::Llama3 { factor, low, high, original_context } => (0..half)
            .map(|i| {
                let f = base(i);
                let turns = original_context * f / std::f64::consts::TAU;
                let keep = ((turns - low) / (high - low)).clamp(0.0, 1.0);
                f * keep + f / factor * (1.0 - keep)
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn llama3_scaling_keeps_high_and_divides_low_frequencies() {
        let plain = RopeConfig { theta: 5e5, scaling: RopeScaling::None };
        let scaling =
            RopeScaling::Llama3 { factor: 8.0, low: 1.0, high: 4.0, original_context: 8192.0 };
        let scaled = RopeConfig { theta: 5e5, scaling };
        let (a, b) = (frequencies(&plain, 128, 1), frequencies(&scaled, 128, 1));
        assert_eq!(a[0], b[0]);
        assert!((a[63] / b[63] - 8.0).abs() < 1e-9);
        assert!(a.iter().zip(&b).all(|(a, b)| b <= a && *b >= a / 8.0 - 1e-12));
    }

    #[test]
    fn longrope_goes_by_the_context() {
        let scaling = RopeScaling::Long {
            short: vec![1.0, 2.0],
            long: vec![1.0, 8.0],
            original_context: 64.0,
            attention_factor: 1.0,
        };
        let rope = RopeConfig { theta: 1e4, scaling };
        let (short, long) = (frequencies(&rope, 4, 64), frequencies(&rope, 4, 65));
        assert_eq!((short[0], short[1] / long[1]), (long[0], 4.0));
    }
}
