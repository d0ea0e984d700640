//! Layers over packed sequences, without a cache.

use candle_core::{DType, Result, Tensor, bail};

use super::attention::{Projected, table};
use super::inputs::TILE;
use super::workspace::{Slot, Workspace};
use crate::backend::attention::AttentionSpec;
use crate::backend::kernels::cuda::{Packed, Rotate, Table, View, attend_packed, rotate_rows};
use crate::backend::{AttentionBlock, Sequences};

impl Workspace {
    /// As [`AttentionBlock::packed`], but for a bias by distance.
    ///
    /// # Errors
    /// The device fails.
    pub fn packed(
        &mut self,
        block: &AttentionBlock,
        x: &Tensor,
        sequences: &Sequences<'_>,
    ) -> Result<()> {
        let AttentionSpec { heads, kv_heads, head_dim, .. } = block.spec;
        let (starts, tiles, count) = self.place(sequences.cu_seqlens)?;
        let Projected { parts, rows } = self.project(block, x)?;
        let changes = parts.iter().any(|part| part.bias.is_some() || part.norm.is_some());
        if changes || sequences.rope.is_some() {
            let nothing =
                Table { cos: starts.cast(DType::F32), sin: starts.cast(DType::F32), half: 0 };
            let table = sequences.rope.map_or(Ok(nothing), table)?;
            let how = Rotate { parts, table, rows, heads, kv_heads, head_dim };
            rotate_rows(&self.gpu, &how, None)?;
        }
        let Some(output) = block.output.on_cuda()? else { bail!("the layer is not on the device") };
        let out = self.room(Slot::Attended, parts[0].rows.dtype, rows * heads * head_dim)?;
        let how = Packed {
            spec: block.spec,
            parts: parts.map(|part| (part.rows, part.stride)),
            starts,
            tiles,
            count,
            before: sequences.before,
            after: sequences.after,
            rows,
        };
        attend_packed(&self.gpu, &how, out)?;
        self.finish_attention(block, output, out, rows)
    }

    /// Where sequences begin and the tiles of their rows, put onto the device
    /// once for all layers of a step.
    fn place(&mut self, cu_seqlens: &[u32]) -> Result<(View, View, usize)> {
        let mut values = cu_seqlens.to_vec();
        for (s, w) in cu_seqlens.windows(2).enumerate() {
            (0..w[1] - w[0]).step_by(TILE as usize).for_each(|row| values.extend([s as u32, row]));
        }
        // What was there before counts only if its memory stays.
        let before = std::mem::take(&mut self.packed);
        let place = self.slot_address(Slot::Starts);
        let room = self.room(Slot::Starts, DType::U32, values.len())?;
        if before != values || place != self.slot_address(Slot::Starts) {
            self.gpu.upload(&values, room)?;
        }
        self.packed = values;
        let len = self.packed.len() - cu_seqlens.len();
        Ok((room.part(0, cu_seqlens.len())?, room.part(cu_seqlens.len(), len)?, len / 2))
    }
}
