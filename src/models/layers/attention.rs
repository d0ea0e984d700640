//! Self-attention: projections, rotary embedding, cache, output.

use candle_core::{Result, Tensor};

use super::norm::RmsNorm;
use super::rope::RopeRows;
use crate::backend::attention::{AttentionSpec, packed, paged};
use crate::backend::{Batch, KvCache, Linear};

/// Causal attention over the paged cache.
#[derive(Debug, Clone)]
pub struct CausalAttention {
    pub q: Linear,
    pub k: Linear,
    pub v: Linear,
    pub output: Linear,
    /// Norms over each head of q and of k.
    pub qk_norm: Option<(RmsNorm, RmsNorm)>,
    pub spec: AttentionSpec,
    /// Layer of the cache.
    pub layer: usize,
}

impl CausalAttention {
    /// `x` is (tokens, hidden); writes this layer's keys and values to the cache.
    pub fn forward(
        &self,
        x: &Tensor,
        rope: &RopeRows,
        batch: &Batch,
        cache: &mut KvCache,
    ) -> Result<Tensor> {
        let tokens = x.dim(0)?;
        let AttentionSpec { heads, kv_heads, head_dim, .. } = self.spec;
        let mut q = self.q.forward(x)?.reshape((tokens, heads, head_dim))?;
        let mut k = self.k.forward(x)?.reshape((tokens, kv_heads, head_dim))?;
        let v = self.v.forward(x)?.reshape((tokens, kv_heads, head_dim))?;
        if let Some((q_norm, k_norm)) = &self.qk_norm {
            q = q_norm.forward(&q)?;
            k = k_norm.forward(&k)?;
        }
        let (q, k) = (rope.apply(&q)?, rope.apply(&k)?);
        cache.write(self.layer, &k, &v, &batch.slot_mapping)?;
        let (keys, values) = cache.layer(self.layer);
        self.output.forward(&paged(&self.spec, &q, keys, values, batch)?)
    }
}

/// Attention of packed sequences over themselves, in both directions.
#[derive(Debug, Clone)]
pub struct BidirectionalAttention {
    pub q: Linear,
    pub k: Linear,
    pub v: Linear,
    pub output: Linear,
    pub spec: AttentionSpec,
}

impl BidirectionalAttention {
    /// `x` is (tokens, hidden); sequence `s` owns rows `cu_seqlens[s]..cu_seqlens[s + 1]`.
    pub fn forward(&self, x: &Tensor, cu_seqlens: &[u32]) -> Result<Tensor> {
        let tokens = x.dim(0)?;
        let AttentionSpec { heads, head_dim, .. } = self.spec;
        let project = |l: &Linear| l.forward(x)?.reshape((tokens, heads, head_dim));
        let (q, k, v) = (project(&self.q)?, project(&self.k)?, project(&self.v)?);
        self.output.forward(&packed(&self.spec, &q, &k, &v, cu_seqlens)?)
    }
}
