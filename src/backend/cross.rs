//! The layer of a decoder that attends to an encoded source.

use candle_core::{Result, Tensor};

use super::attention::{AttentionSpec, cross};
use super::{Batch, BlockNorms, KvCache, Linear};

/// Attention over the source, whose keys and values are made once and lie in
/// blocks of the cache.
#[derive(Debug, Clone)]
pub struct CrossBlock {
    pub norms: BlockNorms,
    pub q: Linear,
    pub k: Linear,
    pub v: Linear,
    pub output: Linear,
    pub spec: AttentionSpec,
    /// Layer of the cache.
    pub layer: usize,
}

impl CrossBlock {
    /// Writes the keys and values of encoded tokens, (tokens, hidden), to
    /// `slots`, one a token.
    pub fn remember(&self, states: &Tensor, slots: &[u32], cache: &mut KvCache) -> Result<()> {
        let shape = (slots.len(), self.spec.kv_heads, self.spec.head_dim);
        let keys = self.k.forward(states)?.reshape(shape)?;
        let values = self.v.forward(states)?.reshape(shape)?;
        cache.write(self.layer, &keys, &values, slots)
    }

    /// Each row of `x`, (tokens, hidden), attends to its sequence's source.
    pub fn forward(&self, x: &Tensor, batch: &Batch, cache: &KvCache) -> Result<Tensor> {
        let AttentionSpec { heads, head_dim, .. } = self.spec;
        self.norms.plain(x, x, |x| {
            let q = self.q.forward(x)?.reshape((x.dim(0)?, heads, head_dim))?;
            let (keys, values) = cache.layer(self.layer);
            self.output.forward(&cross(&self.spec, &q, keys, values, batch)?)
        })
    }
}
