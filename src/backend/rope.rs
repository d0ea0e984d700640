//! Cosines and sines of a batch's rows, and rotating by them.

use candle_core::{DType, Device, Result, Tensor};

/// Cosines and sines of the rows of one batch, shared by all its layers:
/// (tokens, half of what is turned of a head) each. Where the layers [look
/// them up](super::Workspace::has_positions), they are of all positions.
#[derive(Debug, Clone)]
pub struct RopeRows {
    pub cos: Tensor,
    pub sin: Tensor,
}

impl RopeRows {
    /// Of a model that rotates nothing.
    pub fn none(tokens: usize, device: &Device) -> Result<Self> {
        let nothing = Tensor::zeros((tokens, 0), DType::F32, device)?;
        Ok(Self { cos: nothing.clone(), sin: nothing })
    }

    /// Rotates `x`, (tokens, heads, head_dim), halves against each other as in
    /// GPT-NeoX. With fewer cosines than half a head, its end stays as it is.
    pub fn apply(&self, x: &Tensor) -> Result<Tensor> {
        let (turned, d) = (2 * self.cos.dim(1)?, x.dim(2)?);
        if turned == 0 {
            return Ok(x.clone());
        }
        if turned < d {
            let rest = x.narrow(2, turned, d - turned)?;
            return Tensor::cat(&[self.apply(&x.narrow(2, 0, turned)?)?, rest], 2);
        }
        let x = x.contiguous()?.unsqueeze(0)?;
        candle_nn::rotary_emb::rope_thd(&x, &self.cos, &self.sin)?.squeeze(0)
    }
}
