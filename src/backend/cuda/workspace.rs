//! What the steps of one model share: memory between layers, what is still to
//! be added to the residual, and recorded steps.

use std::collections::HashMap;
use std::sync::Arc;

use candle_core::{DType, Device, Result, Tensor, bail};

use super::inputs::Inputs;
use super::replay::{Key, Recorded};
use crate::backend::kernels::cuda::{
    AddNorm, Gpu, Matrix, NormView, Scratch, View, add_norm, convert, gather, multiply, take_drawn,
};
use crate::backend::linear::Embedding;
use crate::backend::{Batch, BlockNorms, KvCache};

/// What a piece of memory between layers is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Slot {
    Inputs,
    Residual,
    /// Normed rows that go into a product.
    Normed,
    /// Queries, keys and values; gate and up.
    Projected,
    Queries,
    Partials,
    Attended,
    Hidden,
    /// What a layer gives.
    Output,
    /// Of mixtures: a router's logits, which rows go to which experts, what
    /// experts give, and the expert of all rows with what it counts.
    RouterLogits,
    Lists,
    Experts,
    Shared,
    SharedLogits,
    /// Rows that go into a product, in another type than they were made in.
    Converted,
    Logits,
    /// Activations as bytes, rounded to 16 bits, and weights expanded: for
    /// products with blocks.
    Bytes,
    Rounded,
    Expanded,
    /// Of packed sequences: where they begin, and the tiles of attention.
    Starts,
}

/// A layer's result that is still to be added to the residual, with the norms
/// of it and of the sum.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pending {
    pub y: View,
    pub bias: Option<View>,
    pub after: Option<NormView>,
    pub last: Option<NormView>,
}

/// Memory and state of a model's steps on a CUDA device.
pub struct Workspace {
    pub(super) gpu: Arc<Gpu>,
    slots: HashMap<Slot, (Tensor, View)>,
    pub(super) pending: Option<Pending>,
    /// The rows that the last norm gave.
    pub(super) normed: Option<View>,
    /// Of the last step.
    cache: Option<u64>,
    pub(super) inputs: Option<Inputs>,
    /// The sequences that `Starts` holds, and its views.
    pub(super) packed: Vec<u32>,
    pub(super) logits: Option<(View, usize)>,
    pub(super) recorded: HashMap<Key, Recorded>,
    /// Whether all that a step does can be recorded.
    pub(super) replays: bool,
    pub(super) recording: bool,
}

impl Workspace {
    /// For models on this device; `None` where it is of another kind.
    /// `replays` says that all layers of the model are computed here.
    ///
    /// # Errors
    /// The kernels cannot be loaded.
    pub fn new(device: &Device, replays: bool) -> Result<Option<Self>> {
        let Some(gpu) = Gpu::of(device)? else { return Ok(None) };
        Ok(Some(Self {
            gpu,
            slots: HashMap::new(),
            pending: None,
            normed: None,
            cache: None,
            inputs: None,
            packed: Vec::new(),
            logits: None,
            recorded: HashMap::new(),
            replays,
            recording: false,
        }))
    }

    /// Puts the batch onto the device. Steps that were recorded with another
    /// cache are forgotten.
    ///
    /// # Errors
    /// The device fails.
    pub fn begin(&mut self, batch: &Batch, cache: &KvCache) -> Result<()> {
        self.reset();
        if self.cache.replace(cache.id) != Some(cache.id) {
            self.forget()?;
        }
        let (packed, values) = Inputs::pack(batch, self.replays);
        let room = self.room(Slot::Inputs, DType::U32, values.len())?;
        self.gpu.upload(&values, room)?;
        let inputs = packed.at(room)?;
        if let Some(follows) = &batch.follows {
            let Some(drawn) = follows.tokens.device() else { bail!("the tokens are elsewhere") };
            let (tokens, rows) = (View::of(&drawn.tokens)?, batch.tokens());
            if follows.draws.len() != rows
                || follows.draws.iter().any(|&draw| draw as usize >= tokens.len)
            {
                bail!("{rows} rows cannot follow {} tokens", tokens.len);
            }
            take_drawn(&self.gpu, tokens, inputs.draws, inputs.ids, rows)?;
        }
        self.inputs = Some(inputs);
        Ok(())
    }

    /// Drops what was recorded; none of it may be under way then.
    pub(super) fn forget(&mut self) -> Result<()> {
        if !self.recorded.is_empty() {
            self.gpu.finish()?;
            self.recorded.clear();
        }
        Ok(())
    }

    /// Forgets what a step that failed left.
    pub fn reset(&mut self) {
        (self.pending, self.logits, self.normed, self.recording) = (None, None, None, false);
    }

    #[cfg(test)]
    pub fn recordings(&self) -> usize {
        self.recorded.values().filter(|step| matches!(step, Recorded::Graph { .. })).count()
    }

    pub(super) fn inputs(&self) -> Result<&Inputs> {
        match &self.inputs {
            Some(inputs) => Ok(inputs),
            None => bail!("no batch was begun"),
        }
    }

    /// Room for `len` numbers, which stay until it is asked for again.
    pub(super) fn room(&mut self, slot: Slot, dtype: DType, len: usize) -> Result<View> {
        if let Some((_, view)) = self.slots.get(&slot)
            && view.cast(dtype).len >= len
        {
            return view.cast(dtype).part(0, len);
        }
        if self.recording {
            bail!("a step that is recorded needs more memory than the one before it");
        }
        // What was recorded used the memory that goes now.
        self.forget()?;
        self.slots.remove(&slot);
        // Some more, so that a step that is a little larger finds room.
        let step = (len.next_power_of_two() / 8).max(256);
        let tensor = Tensor::zeros(len.next_multiple_of(step), dtype, &self.gpu.device())?;
        let view = View::of(&tensor)?;
        self.slots.insert(slot, (tensor, view));
        view.part(0, len)
    }

    /// Where a slot's memory is, if it has any.
    pub(super) fn slot_address(&self, slot: Slot) -> Option<View> {
        self.slots.get(&slot).map(|(_, view)| *view)
    }

    /// The tensor of a slot that always holds the same type, as rows.
    pub(super) fn rows(&self, slot: Slot, rows: usize, width: usize) -> Result<Tensor> {
        match self.slots.get(&slot) {
            Some((tensor, _)) => tensor.narrow(0, 0, rows * width)?.reshape((rows, width)),
            None => bail!("{slot:?} has no memory"),
        }
    }

    /// Rows of an embedding for the batch's tokens, (tokens, hidden) in f32,
    /// times `scale`.
    ///
    /// # Errors
    /// The device fails.
    pub fn embed(&mut self, embedding: &Embedding, scale: Option<f32>) -> Result<Tensor> {
        let (ids, rows) = (self.inputs()?.ids, self.inputs()?.rows);
        let Some(table) = embedding.on_cuda()? else { bail!("the embedding is not on the device") };
        let width = table.columns;
        let x = self.room(Slot::Residual, DType::F32, rows * width)?;
        gather(&self.gpu, table, ids, rows, scale.unwrap_or(1.0), x)?;
        self.rows(Slot::Residual, rows, width)
    }

    /// Adds what is pending to `x`, and gives its rows normed and rounded to
    /// `dtype`.
    pub(super) fn normed(
        &mut self,
        x: &Tensor,
        before: Option<NormView>,
        dtype: DType,
    ) -> Result<View> {
        let (rows, width) = x.dims2()?;
        let out = self.room(Slot::Normed, dtype, rows * width)?;
        self.add(x, before, Some(out))?;
        self.normed = Some(out);
        Ok(out)
    }

    /// Adds what is pending to `x`.
    ///
    /// # Errors
    /// The device fails.
    pub fn settle(&mut self, x: &Tensor) -> Result<()> {
        match self.pending {
            Some(_) => self.add(x, None, None),
            None => Ok(()),
        }
    }

    fn add(&mut self, x: &Tensor, before: Option<NormView>, out: Option<View>) -> Result<()> {
        let (rows, width) = x.dims2()?;
        let how = AddNorm { before, out, ..self.add_pending(View::of(x)?, rows, width) };
        add_norm(&self.gpu, &how)
    }

    /// What adds that which is pending, and nothing more, to `x`.
    pub(super) fn add_pending(&mut self, x: View, rows: usize, width: usize) -> AddNorm {
        let pending = self.pending.take();
        AddNorm {
            x,
            y: pending.map(|p| p.y),
            bias: pending.and_then(|p| p.bias),
            after: pending.and_then(|p| p.after),
            last: pending.and_then(|p| p.last),
            before: None,
            out: None,
            chosen: None,
            rows,
            x_rows: rows,
            width,
        }
    }

    /// `x` times a matrix, into rows of `y` that are `stride` apart and of the
    /// matrix's [type](Matrix::activations) or f32. Rows of another type than
    /// the matrix takes are converted.
    pub(super) fn multiply(
        &mut self,
        matrix: Matrix,
        mut x: View,
        rows: usize,
        (y, stride): (View, usize),
    ) -> Result<()> {
        if x.dtype != matrix.activations() {
            let len = rows * matrix.columns;
            let to = self.room(Slot::Converted, matrix.activations(), len)?;
            convert(&self.gpu, x, to, len)?;
            x = to;
        }
        let needs = Scratch::needs(&matrix, rows);
        let scratch = Scratch {
            bytes: self.some(Slot::Bytes, DType::U8, needs.bytes)?,
            rounded: self.some(Slot::Rounded, DType::BF16, needs.rounded)?,
            expanded: self.some(Slot::Expanded, DType::BF16, needs.expanded)?,
        };
        multiply(&self.gpu, matrix, (x, rows), (y, stride), scratch)
    }

    fn some(&mut self, slot: Slot, dtype: DType, len: usize) -> Result<Option<View>> {
        (len > 0).then(|| self.room(slot, dtype, len)).transpose()
    }

    /// What [`Self::multiply`] gives as a tensor of f32, for layers that are
    /// computed by Candle's operations.
    ///
    /// # Errors
    /// The device fails.
    pub(super) fn product(&mut self, matrix: Matrix, x: &Tensor) -> Result<Tensor> {
        let x = x.contiguous()?;
        let y = Tensor::zeros((x.dim(0)?, matrix.rows), DType::F32, &self.gpu.device())?;
        self.multiply(matrix, View::of(&x)?, x.dim(0)?, (View::of(&y)?, matrix.rows))?;
        Ok(y)
    }

    /// Puts a layer's result aside, to be added by the next.
    pub(super) fn leave(&mut self, y: View, bias: Option<View>, norms: &BlockNorms) -> Result<()> {
        let norm = |norm: &Option<crate::backend::Norm>| {
            norm.as_ref().map(crate::backend::Norm::on_cuda).transpose()
        };
        let (after, last) = (norm(&norms.after)?, norm(&norms.last)?);
        self.pending = Some(Pending { y, bias, after, last });
        Ok(())
    }
}
