//! The layers that models are lists of, each with its norms and its residual.
//!
//! On the CPU a layer is one call of [`super::kernels::layer`], on a CUDA
//! device the launches of [`super::cuda`]; elsewhere, and with weights that
//! have no kernel there, it is the plain operations here, which are also the
//! oracle of both.

use candle_core::{CpuStorage, Result, Tensor, bail};

use super::attention::within::{DistanceBias, Sequences, within};
use super::attention::{AttentionSpec, packed, paged, paged_biased};
use super::kernels::attention::Near;
use super::kernels::layer::{
    AttentionView, CacheContext, Context, KvMut, MlpView, Norms, PackedContext, QkNormView,
    Rotation, attention, encoder_layer, mlp, mlp_beside,
};
use super::kernels::norm::NormView;
pub use super::kernels::norm::Over;
use super::kernels::team::Parts;
use super::lend::{with_f32, with_mut};
use super::norm::Norm;
use super::ops::Activation;
use super::rope::RopeRows;
use super::{Batch, KvCache, Linear, Workspace};

/// Norms around a layer; a model has some of them.
#[derive(Debug, Clone, Default)]
pub struct BlockNorms {
    /// Of what goes into the layer.
    pub before: Option<Norm>,
    /// Of what comes out, before it is added to the residual.
    pub after: Option<Norm>,
    /// Of the sum.
    pub last: Option<Norm>,
}

impl BlockNorms {
    /// `None` where one of them is not on the CPU.
    pub(super) fn view(&self) -> Option<Norms<'_>> {
        fn view(norm: &Option<Norm>) -> Option<Option<NormView<'_>>> {
            norm.as_ref().map_or(Some(None), |n| n.view().map(Some))
        }
        Some(Norms {
            before: view(&self.before)?,
            after: view(&self.after)?,
            last: view(&self.last)?,
        })
    }

    /// `x + f(input)` with the norms, in tensor operations.
    pub(super) fn plain(
        &self,
        x: &Tensor,
        input: &Tensor,
        f: impl FnOnce(&Tensor) -> Result<Tensor>,
    ) -> Result<Tensor> {
        let norm = |norm: &Option<Norm>, x: Tensor| match norm {
            Some(norm) => norm.forward(&x),
            None => Ok(x),
        };
        let y = norm(&self.after, f(&norm(&self.before, input.clone())?)?)?;
        norm(&self.last, (x + y)?)
    }
}

/// Norms of queries and keys before they are turned.
#[derive(Debug, Clone)]
pub struct QkNorm {
    pub q: Norm,
    pub k: Norm,
    pub over: Over,
}

impl QkNorm {
    fn view(&self) -> Option<QkNormView<'_>> {
        Some(QkNormView { q: self.q.view()?, k: self.k.view()?, over: self.over })
    }

    /// `x` is (tokens, heads, head_dim), `norm` that of q or of k.
    fn plain(&self, norm: &Norm, x: &Tensor) -> Result<Tensor> {
        match self.over {
            Over::Heads => norm.forward_heads(x),
            Over::Row => norm.forward(&x.flatten_from(1)?)?.reshape(x.dims()),
        }
    }
}

/// Self-attention, over the paged cache or over packed sequences.
#[derive(Debug, Clone)]
pub struct AttentionBlock {
    pub norms: BlockNorms,
    pub q: Linear,
    pub k: Linear,
    pub v: Linear,
    pub output: Linear,
    pub qk_norm: Option<QkNorm>,
    pub spec: AttentionSpec,
    /// Layer of the cache.
    pub layer: usize,
}

impl AttentionBlock {
    /// Causal attention. `x` is (tokens, hidden); this layer's keys and values
    /// are written to the cache.
    pub fn causal(
        &self,
        x: Tensor,
        rope: &RopeRows,
        batch: &Batch,
        cache: &mut KvCache,
        workspace: &mut Workspace,
    ) -> Result<Tensor> {
        match self.view() {
            Some(view) => {
                let shape = cache.shape;
                let (k, v) = cache.layer(self.layer);
                with_f32(&rope.cos, |cos| {
                    with_f32(&rope.sin, |sin| {
                        let rotation = Rotation { cos, sin };
                        with_mut(k, |k| {
                            with_mut(v, |v| {
                                let (k, v) = (kv_mut(k)?, kv_mut(v)?);
                                let cached = CacheContext { batch, rotation, shape, k, v };
                                let context = Context::Cache(cached);
                                let workspace = &mut workspace.host;
                                with_rows(&x, |x| attention(&view, &context, x, workspace))
                            })
                        })
                    })
                })?;
                Ok(x)
            }
            None => match &mut workspace.cuda {
                Some(cuda) => cuda.causal(self, &x, rope, cache).map(|()| x),
                None => self.causal_plain(&x, rope, batch, cache),
            },
        }
    }

    /// [`Self::causal`] in tensor operations.
    pub fn causal_plain(
        &self,
        x: &Tensor,
        rope: &RopeRows,
        batch: &Batch,
        cache: &mut KvCache,
    ) -> Result<Tensor> {
        self.norms.plain(x, x, |x| {
            let (q, k, v) = self.project(x)?;
            let (q, k) = (rope.apply(&q)?, rope.apply(&k)?);
            cache.write(self.layer, &k, &v, &batch.slot_mapping)?;
            let (keys, values) = cache.layer(self.layer);
            self.output.forward(&paged(&self.spec, &q, keys, values, batch)?)
        })
    }

    /// Whether it is computed as a whole, without tensors between.
    pub fn has_kernel(&self) -> bool {
        self.view().is_some() || self.is_on_cuda().unwrap_or(false)
    }

    /// [`Self::causal`] where the distance of row and key counts and nothing
    /// is rotated, in tensor operations.
    pub fn causal_biased(
        &self,
        x: &Tensor,
        bias: &DistanceBias,
        batch: &Batch,
        cache: &mut KvCache,
    ) -> Result<Tensor> {
        self.norms.plain(x, x, |x| {
            let (q, k, v) = self.project(x)?;
            cache.write(self.layer, &k, &v, &batch.slot_mapping)?;
            let (keys, values) = cache.layer(self.layer);
            self.output.forward(&paged_biased(&self.spec, &q, keys, values, batch, bias)?)
        })
    }

    /// Attention of packed sequences over themselves. `x` is (tokens, hidden).
    pub fn packed(
        &self,
        x: Tensor,
        sequences: &Sequences<'_>,
        workspace: &mut Workspace,
    ) -> Result<Tensor> {
        match self.view() {
            Some(view) => {
                with_context(sequences, |context| {
                    let context = Context::Packed(context);
                    with_rows(&x, |x| attention(&view, &context, x, &mut workspace.host))
                })?;
                Ok(x)
            }
            None => match &mut workspace.cuda {
                Some(cuda) if sequences.bias.is_none() => {
                    cuda.packed(self, &x, sequences).map(|()| x)
                }
                cuda => {
                    cuda.as_mut().map_or(Ok(()), |cuda| cuda.settle(&x))?;
                    self.packed_plain(&x, sequences)
                }
            },
        }
    }

    /// [`Self::packed`] in tensor operations.
    pub fn packed_plain(&self, x: &Tensor, sequences: &Sequences<'_>) -> Result<Tensor> {
        self.norms.plain(x, x, |x| {
            let (mut q, mut k, v) = self.project(x)?;
            if let Some(rope) = sequences.rope {
                (q, k) = (rope.apply(&q)?, rope.apply(&k)?);
            }
            let attended = match sequences.sees_all() {
                true => packed(&self.spec, &q, &k, &v, sequences.cu_seqlens)?,
                false => within(&self.spec, &q, &k, &v, sequences)?,
            };
            self.output.forward(&attended)
        })
    }

    /// Queries, keys and values, (tokens, heads, head_dim), with their norms.
    fn project(&self, x: &Tensor) -> Result<(Tensor, Tensor, Tensor)> {
        let AttentionSpec { heads, kv_heads, head_dim, .. } = self.spec;
        let tokens = x.dim(0)?;
        let project = |l: &Linear, heads| l.forward(x)?.reshape((tokens, heads, head_dim));
        let (mut q, mut k) = (project(&self.q, heads)?, project(&self.k, kv_heads)?);
        if let Some(norm) = &self.qk_norm {
            (q, k) = (norm.plain(&norm.q, &q)?, norm.plain(&norm.k, &k)?);
        }
        Ok((q, k, project(&self.v, kv_heads)?))
    }

    fn view(&self) -> Option<AttentionView<'_>> {
        let qk_norm = match &self.qk_norm {
            Some(norm) => Some(norm.view()?),
            None => None,
        };
        Some(AttentionView {
            norms: self.norms.view()?,
            qkv: [self.q.view()?, self.k.view()?, self.v.view()?],
            qk_norm,
            output: self.output.view()?,
            shape: self.spec.shape(),
        })
    }
}

/// A feed-forward layer.
#[derive(Debug, Clone)]
pub struct MlpBlock {
    pub norms: BlockNorms,
    /// With it `down(act(gate(x)) * up(x))`, without `down(act(up(x)))`.
    pub gate: Option<Linear>,
    pub up: Linear,
    pub down: Linear,
    pub activation: Activation,
}

impl MlpBlock {
    /// `x` is (tokens, hidden).
    pub fn forward(&self, x: Tensor, workspace: &mut Workspace) -> Result<Tensor> {
        match self.view() {
            Some(view) => {
                with_rows(&x, |x| mlp(&view, x, &mut workspace.host))?;
                Ok(x)
            }
            None => match &mut workspace.cuda {
                Some(cuda) => cuda.mlp(self, &x, false).map(|()| x),
                None => self.forward_plain(&x),
            },
        }
    }

    /// Whether it is computed as a whole, without tensors between.
    pub fn has_kernel(&self) -> bool {
        self.view().is_some() || self.is_on_cuda().unwrap_or(false)
    }

    /// Adds to `x` what the layer makes of `input`: for a layer beside another,
    /// which has the same input and was added to `x` before.
    pub fn beside(&self, x: Tensor, input: &Tensor, workspace: &mut Workspace) -> Result<Tensor> {
        match self.view() {
            Some(view) => {
                let workspace = &mut workspace.host;
                with_f32(input, |input| with_rows(&x, |x| mlp_beside(&view, input, x, workspace)))?;
                Ok(x)
            }
            None => match &mut workspace.cuda {
                Some(cuda) => cuda.mlp(self, &x, true).map(|()| x),
                None => self.beside_plain(&x, input),
            },
        }
    }

    /// [`Self::forward`] in tensor operations.
    pub fn forward_plain(&self, x: &Tensor) -> Result<Tensor> {
        self.beside_plain(x, x)
    }

    /// [`Self::beside`] in tensor operations.
    pub fn beside_plain(&self, x: &Tensor, input: &Tensor) -> Result<Tensor> {
        self.norms.plain(x, input, |x| {
            let up = self.up.forward(x)?;
            let hidden = match &self.gate {
                Some(gate) => self.activation.gated(&gate.forward(x)?, &up)?,
                None => self.activation.forward(&up)?,
            };
            self.down.forward(&hidden)
        })
    }

    fn view(&self) -> Option<MlpView<'_>> {
        Some(MlpView {
            norms: self.norms.view()?,
            gate: match &self.gate {
                Some(gate) => Some(gate.view()?),
                None => None,
            },
            up: self.up.view()?,
            down: self.down.view()?,
            activation: self.activation,
        })
    }
}

/// A layer of an encoder: attention of packed sequences over themselves, then
/// the feed-forward layer. `x` is (tokens, hidden).
pub fn encode(
    attention: &AttentionBlock,
    mlp: &MlpBlock,
    x: Tensor,
    sequences: &Sequences<'_>,
    workspace: &mut Workspace,
) -> Result<Tensor> {
    match (attention.view(), mlp.view()) {
        (Some(attention), Some(mlp)) => {
            with_context(sequences, |context| {
                let workspace = &mut workspace.host;
                with_rows(&x, |x| encoder_layer(&attention, &mlp, &context, x, workspace))
            })?;
            Ok(x)
        }
        _ => mlp.forward(attention.packed(x, sequences, workspace)?, workspace),
    }
}

/// Lends what packed rows attend to.
fn with_context<R>(
    sequences: &Sequences<'_>,
    f: impl FnOnce(PackedContext<'_>) -> Result<R>,
) -> Result<R> {
    let Sequences { cu_seqlens, rope, bias, before, after } = *sequences;
    let near = Near { before, after, bias: bias.map(|bias| bias.view()) };
    let Some(rope) = rope else { return f(PackedContext { cu_seqlens, rotation: None, near }) };
    with_f32(&rope.cos, |cos| {
        with_f32(&rope.sin, |sin| {
            f(PackedContext { cu_seqlens, rotation: Some(Rotation { cos, sin }), near })
        })
    })
}

/// Lends the rows of `x`, which nobody else holds.
pub(super) fn with_rows(x: &Tensor, f: impl FnOnce(&mut [f32])) -> Result<()> {
    let Some((start, end)) = x.layout().contiguous_offsets() else {
        bail!("a layer needs the rows in order");
    };
    with_mut(x, |storage| match storage {
        CpuStorage::F32(rows) => {
            f(&mut rows[start..end]);
            Ok(())
        }
        _ => bail!("a layer needs rows of f32"),
    })
}

fn kv_mut(storage: &mut CpuStorage) -> Result<KvMut<'_>> {
    Ok(match storage {
        CpuStorage::F32(data) => KvMut::F32(Parts::new(data)),
        CpuStorage::F16(data) => KvMut::F16(Parts::new(data)),
        CpuStorage::BF16(data) => KvMut::BF16(Parts::new(data)),
        _ => bail!("the cache holds f32, f16 or bf16"),
    })
}

#[cfg(test)]
pub(super) mod tests;
