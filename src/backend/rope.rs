//! Cosines and sines of a batch's rows, and rotating by them.

use candle_core::{Result, Tensor};

/// Cosines and sines of the rows of one batch, shared by all its layers:
/// (tokens, head_dim / 2) each.
#[derive(Debug, Clone)]
pub struct RopeRows {
    pub cos: Tensor,
    pub sin: Tensor,
}

impl RopeRows {
    /// Rotates `x`, (tokens, heads, head_dim), halves against each other as in
    /// GPT-NeoX.
    pub fn apply(&self, x: &Tensor) -> Result<Tensor> {
        let x = x.contiguous()?.unsqueeze(0)?;
        candle_nn::rotary_emb::rope_thd(&x, &self.cos, &self.sin)?.squeeze(0)
    }
}
