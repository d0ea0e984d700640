//! The layers of experts of a decoder.

use crate::backend::{BlockNorms, Expert, MoeBlock, MoeParts, Routing};
use crate::models::config::{DecoderConfig, Experts};
use crate::models::error::LoadError;
use crate::models::weights::Weights;

/// Loads the experts of a layer, from weights named as in GGUF; each expert's
/// matrices as `blk.N.ffn_gate.E`. Also says how many bytes those take that
/// not every token reads.
pub(super) fn load(
    c: &DecoderConfig,
    experts: &Experts,
    weights: &Weights<'_>,
    layer: usize,
    norms: BlockNorms,
) -> Result<(MoeBlock, u64), LoadError> {
    let name = |part: &str| format!("blk.{layer}.{part}");
    let h = c.hidden_size;
    let expert = |of: &str, inner: usize| -> Result<Expert, LoadError> {
        let linear =
            |part: &str, shape| weights.linear(&name(&format!("{part}{of}")), shape, false);
        Ok(Expert {
            gate: linear("ffn_gate", (inner, h))?,
            up: linear("ffn_up", (inner, h))?,
            down: linear("ffn_down", (h, inner))?,
        })
    };
    let before = weights.bytes();
    let all = (0..experts.count).map(|e| expert(&format!(".{e}"), experts.intermediate_size));
    let all = all.collect::<Result<_, _>>()?;
    let bytes = weights.bytes() - before;
    let shared = match experts.shared {
        Some(inner) => {
            let gate = weights.row(&name("ffn_gate_inp_shexp"), h)?;
            Some((expert("_shexp", inner)?, gate))
        }
        None => None,
    };
    let block = MoeBlock::new(MoeParts {
        norms,
        router: weights.exact(&name("ffn_gate_inp"), (experts.count, h))?,
        routing: Routing { chosen: experts.chosen, normalised: experts.normalised },
        experts: all,
        shared,
        activation: c.activation,
    })?;
    Ok((block, bytes))
}
