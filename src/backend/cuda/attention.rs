//! A causal attention layer.

use candle_core::{DType, Result, Tensor, bail};

use super::workspace::{Slot, Workspace};
use super::{LinearView, view};
use crate::backend::attention::AttentionSpec;
use crate::backend::kernels::cuda::{
    Cached, Matrix, Paged, Part, Prefill, Rotate, Table, View, attend_rows, attend_split,
    norm_rows, rotate_cache,
};
use crate::backend::{AttentionBlock, KvCache, Norm, Over, RopeRows};

/// Queries, keys and values of all rows, and the rows' number.
pub(super) struct Projected {
    pub parts: [Part; 3],
    pub rows: usize,
}

impl AttentionBlock {
    /// Whether it is computed by kernels on a CUDA device.
    pub(in crate::backend) fn is_on_cuda(&self) -> Result<bool> {
        Ok(LinearView::all([&self.q, &self.k, &self.v, &self.output])?.is_some())
    }
}

impl Workspace {
    /// Causal attention over the cache, as [`AttentionBlock::causal`].
    ///
    /// # Errors
    /// The device fails.
    pub fn causal(
        &mut self,
        block: &AttentionBlock,
        x: &Tensor,
        rope: &RopeRows,
        cache: &KvCache,
    ) -> Result<()> {
        let AttentionSpec { heads, kv_heads, head_dim, .. } = block.spec;
        let Projected { parts, rows } = self.project(block, x)?;
        let (keys, values) = cache.layer(block.layer);
        let scales = match cache.scales(block.layer) {
            Some([k, v]) => Some([View::of(k)?, View::of(v)?]),
            None => None,
        };
        let cached = Cached { keys: View::of(keys)?, values: View::of(values)?, scales };
        let queries = self.room(Slot::Queries, cached.queries(), rows * heads * head_dim)?;
        let table = table(rope)?;
        let how = Rotate { parts, table, rows, heads, kv_heads, head_dim };
        let inputs = self.inputs()?.clone();
        let block_size = cache.shape.block_size;
        let places = (inputs.positions, inputs.slots);
        rotate_cache(&self.gpu, &how, places, queries, cached, block_size)?;
        let Some(output) = block.output.on_cuda()? else { bail!("the layer is not on the device") };
        let out =
            self.room(Slot::Attended, output.matrix.activations(), rows * heads * head_dim)?;
        let paged = Paged {
            spec: block.spec,
            cache: cached,
            block_size,
            tables: inputs.tables,
            table_stride: inputs.table_stride,
        };
        if let Some(decode) = &inputs.decode {
            let len = decode.rows * heads * decode.splits * (head_dim + 2);
            let partials = match decode.splits {
                1 => None,
                _ => Some(self.room(Slot::Partials, DType::F32, len)?),
            };
            attend_split(&self.gpu, &paged, (decode, partials), queries, out)?;
        }
        if let Some((tiles, count)) = inputs.tiles {
            let how = Prefill { tiles, count, starts: inputs.starts, contexts: inputs.contexts };
            attend_rows(&self.gpu, &paged, &how, queries, out)?;
        }
        self.finish_attention(block, output, out, rows)
    }

    /// Norm and products of queries, keys and values, and norms of whole rows.
    pub(super) fn project(&mut self, block: &AttentionBlock, x: &Tensor) -> Result<Projected> {
        let AttentionSpec { heads, kv_heads, head_dim, .. } = block.spec;
        let rows = x.dim(0)?;
        let Some(qkv) = LinearView::all([&block.q, &block.k, &block.v])? else {
            bail!("the layer is not on the device");
        };
        let before = block.norms.before.as_ref().map(Norm::on_cuda).transpose()?;
        let matrices = qkv.map(|linear| linear.matrix);
        let input = self.normed(x, before, matrices[0].activations())?;
        let dtype = Matrix::common(&matrices);
        let widths = [heads * head_dim, kv_heads * head_dim, kv_heads * head_dim];
        let total: usize = widths.iter().sum();
        let y = self.room(Slot::Projected, dtype, rows * total)?;
        let placed = self.side_by_side(&matrices, input, rows, y)?;
        let mut parts = [0, 1, 2].map(|i| Part {
            rows: placed[i].0,
            stride: placed[i].1,
            bias: qkv[i].bias,
            norm: None,
        });
        if let Some(qk) = &block.qk_norm {
            for (part, (norm, width)) in
                parts.iter_mut().zip([(&qk.q, widths[0]), (&qk.k, widths[1])])
            {
                let norm = norm.on_cuda()?;
                match qk.over {
                    Over::Heads => part.norm = Some(norm),
                    Over::Row => {
                        let sizes = (rows, width, part.stride);
                        norm_rows(&self.gpu, part.rows, part.bias.take(), norm, sizes)?;
                    }
                }
            }
        }
        Ok(Projected { parts, rows })
    }

    /// Products of the same input: one where the matrices lie side by side.
    /// Gives where each begins, and how far its rows are apart.
    pub(super) fn side_by_side(
        &mut self,
        matrices: &[Matrix],
        input: View,
        rows: usize,
        y: View,
    ) -> Result<Vec<(View, usize)>> {
        let mut placed = Vec::with_capacity(matrices.len());
        let mut first = 0;
        if let Some(joined) = Matrix::joined(matrices)? {
            self.multiply(joined, input, rows, (y, joined.rows))?;
            for matrix in matrices {
                placed.push((y.part(first, y.len - first)?, joined.rows));
                first += matrix.rows;
            }
        } else {
            for matrix in matrices {
                let part = y.part(first, rows * matrix.rows)?;
                self.multiply(*matrix, input, rows, (part, matrix.rows))?;
                placed.push((part, matrix.rows));
                first += rows * matrix.rows;
            }
        }
        Ok(placed)
    }

    pub(super) fn finish_attention(
        &mut self,
        block: &AttentionBlock,
        output: LinearView,
        attended: View,
        rows: usize,
    ) -> Result<()> {
        let matrix = output.matrix;
        // In f32, since sums of f16 can be beyond it.
        let y = self.room(Slot::Output, DType::F32, rows * matrix.rows)?;
        self.multiply(matrix, attended, rows, (y, matrix.rows))?;
        self.leave(y, output.bias, &block.norms)
    }
}

/// The table that rows are rotated by.
pub(super) fn table(rope: &RopeRows) -> Result<Table> {
    let (cos, sin) = (view(Some(&rope.cos))?, view(Some(&rope.sin))?);
    match (cos, sin) {
        (Some(cos), Some(sin)) => Ok(Table { cos, sin, half: rope.cos.dim(1)? }),
        _ => bail!("rotations are not on the device"),
    }
}
