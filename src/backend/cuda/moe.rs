//! A layer of experts, of which each row takes a few. Nothing of it waits for the
//! host, so that it can be recorded: kernels find an expert's rows in lists.

use candle_core::{DType, Result, Tensor, bail};

use super::LinearView;
use super::mlp::Feed;
use super::workspace::{Slot, Workspace};
use crate::backend::kernels::cuda::{
    Gated, Lists, Matrix, Mixture, Shared, Taken, View, combine_experts, convert, finish_logits,
    gated, multiplies_experts, multiply_experts, route,
};
use crate::backend::moe::{Expert, MoeParts};
use crate::backend::{Linear, Norm};

/// The experts of a layer as matrices over all of them. Who has it keeps the
/// experts, whose memory it is.
#[derive(Debug, Clone)]
pub struct Experts {
    /// The rows of gate and up, expert by expert; or all gates, and all ups,
    /// where the two are of different types.
    first: Vec<Matrix>,
    down: Matrix,
    count: usize,
    /// Width inside of one.
    inner: usize,
}

impl Experts {
    /// Lays experts out behind each other; `None` for those that are not on a CUDA
    /// device, or cannot lie so.
    ///
    /// # Errors
    /// The device has no room.
    pub fn new(experts: &mut [Expert]) -> Result<Option<Self>> {
        let (count, Some(one)) = (experts.len(), experts.first()) else { return Ok(None) };
        let Some([gate, up, down]) = LinearView::all([&one.gate, &one.up, &one.down])? else {
            return Ok(None);
        };
        let inner = up.matrix.rows;
        let fits = gate.matrix.rows == inner
            && down.matrix.columns == inner
            && gate.matrix.columns == up.matrix.columns
            && down.matrix.rows == up.matrix.columns;
        if !fits {
            return Ok(None);
        }
        let shape = |linear: &Linear| -> Result<Option<[usize; 2]>> {
            let view = linear.on_cuda()?.filter(|view| view.bias.is_none());
            Ok(view.map(|view| [view.matrix.rows, view.matrix.columns]))
        };
        for expert in experts.iter() {
            let (up, down) = ([inner, up.matrix.columns], [down.matrix.rows, inner]);
            let expected = [(&expert.gate, up), (&expert.up, up), (&expert.down, down)];
            for (linear, expected) in expected {
                if shape(linear)? != Some(expected) {
                    return Ok(None);
                }
            }
        }
        let pairs = experts.iter_mut().flat_map(|e| [&mut e.gate, &mut e.up]).collect();
        let first = match stack(pairs)? {
            Some(both) => vec![both],
            None => {
                let gates = stack(experts.iter_mut().map(|e| &mut e.gate).collect())?;
                let ups = stack(experts.iter_mut().map(|e| &mut e.up).collect())?;
                let (Some(gates), Some(ups)) = (gates, ups) else { return Ok(None) };
                vec![gates, ups]
            }
        };
        let down = stack(experts.iter_mut().map(|e| &mut e.down).collect())?;
        Ok(down.map(|down| Self { first, down, count, inner }))
    }
}

/// Lays layers out behind each other, and gives the matrix of all; `None` where
/// they are of different types.
fn stack(mut layers: Vec<&mut Linear>) -> Result<Option<Matrix>> {
    let laid = Linear::behind_each_other(layers.iter().map(|layer| (**layer).clone()).collect())?;
    let views: Result<Option<Vec<_>>> =
        laid.iter().map(|l| Ok(l.on_cuda()?.map(|view| view.matrix))).collect();
    let Some(views) = views? else { return Ok(None) };
    let joined = Matrix::joined(&views)?.filter(multiplies_experts);
    if joined.is_some() {
        layers.iter_mut().zip(laid).for_each(|(layer, laid)| **layer = laid);
    }
    Ok(joined)
}

impl MoeParts {
    /// Whether what is beside the experts is computed by kernels on a CUDA device.
    pub(in crate::backend) fn is_on_cuda(&self) -> Result<bool> {
        let mut all = vec![&self.router];
        if let Some((expert, gate)) = &self.shared {
            all.extend([&expert.gate, &expert.up, &expert.down, gate]);
        }
        all.into_iter().try_fold(true, |so_far, linear| Ok(so_far && linear.on_cuda()?.is_some()))
    }
}

impl Workspace {
    /// As [`MoeBlock::forward`](crate::backend::MoeBlock::forward).
    ///
    /// # Errors
    /// The device fails.
    pub fn moe(&mut self, parts: &MoeParts, experts: &Experts, x: &Tensor) -> Result<()> {
        let (rows, hidden) = x.dims2()?;
        let Some(router) = parts.router.on_cuda()? else { bail!("the router is not there") };
        let before = parts.norms.before.as_ref().map(Norm::on_cuda).transpose()?;
        // The choice is made by small differences, so rows are rounded behind it
        // where the router is exact.
        let dtype = match router.matrix.activations() {
            DType::F32 => DType::F32,
            _ => experts.first.first().map_or(DType::F32, Matrix::activations),
        };
        let input = self.normed(x, before, dtype)?;
        let logits = self.room(Slot::RouterLogits, DType::F32, rows * experts.count)?;
        self.multiply(router.matrix, input, rows, (logits, experts.count))?;
        finish_logits(&self.gpu, logits, router.bias, None, (rows, experts.count))?;
        let mixture = Mixture { rows, experts: experts.count, chosen: parts.routing.chosen };
        let room = self.room(Slot::Lists, DType::U32, mixture.words())?;
        // Rows that fill a recorded step up have no experts read.
        let inputs = self.inputs.as_ref().filter(|inputs| inputs.rows == rows);
        let slots = inputs.map(|inputs| inputs.slots);
        let normalised = parts.routing.normalised;
        let lists = route(&self.gpu, mixture, room, logits, slots, normalised)?;
        let shared = match &parts.shared {
            Some((expert, gate)) => Some(self.shared(parts, (expert, gate), input, rows)?),
            None => None,
        };
        let y = self.chosen(parts, experts, &lists, input)?;
        let out = self.room(Slot::Output, DType::F32, rows * hidden)?;
        combine_experts(&self.gpu, &lists, y, shared, out, hidden)?;
        self.leave(out, None, &parts.norms)
    }

    /// The expert of all rows.
    fn shared(
        &mut self,
        parts: &MoeParts,
        (expert, gate): (&Expert, &Linear),
        input: View,
        rows: usize,
    ) -> Result<Shared> {
        let Some([gate, e_gate, up, down]) =
            LinearView::all([gate, &expert.gate, &expert.up, &expert.down])?
        else {
            bail!("the shared expert is not on the device")
        };
        let logits = self.room(Slot::SharedLogits, DType::F32, rows)?;
        self.multiply(gate.matrix, input, rows, (logits, 1))?;
        finish_logits(&self.gpu, logits, gate.bias, None, (rows, 1))?;
        let width = down.matrix.rows;
        let y = self.room(Slot::Shared, DType::F32, rows * width)?;
        let feed = Feed { gate: Some(e_gate), up, down, activation: parts.activation };
        self.feed(&feed, input, rows, y)?;
        if let Some(bias) = down.bias {
            finish_logits(&self.gpu, y, Some(bias), None, (rows, width))?;
        }
        Ok(Shared { y, logits })
    }

    /// What the experts give for their rows, by slot.
    fn chosen(
        &mut self,
        parts: &MoeParts,
        experts: &Experts,
        lists: &Lists,
        input: View,
    ) -> Result<View> {
        let Experts { first, down, inner, .. } = experts;
        let slots = lists.rows(Taken::Slots(input));
        let dtype = Matrix::common(first);
        let y = self.room(Slot::Projected, dtype, 2 * slots * inner)?;
        let (up, stride) = match first.as_slice() {
            [both] => {
                self.multiply_chosen(lists, *both, Taken::Rows(input), y)?;
                (y.part(*inner, y.len - inner)?, 2 * inner)
            }
            [gates, ups] => {
                let up = y.part(slots * inner, slots * inner)?;
                self.multiply_chosen(lists, *gates, Taken::Rows(input), y)?;
                self.multiply_chosen(lists, *ups, Taken::Rows(input), up)?;
                (up, *inner)
            }
            _ => bail!("experts are of gate and up"),
        };
        let hidden = self.room(Slot::Hidden, dtype, slots * inner)?;
        let how = Gated {
            gate: Some(y),
            up,
            gate_bias: None,
            up_bias: None,
            out: hidden,
            rows: slots,
            width: *inner,
            stride,
            activation: parts.activation,
        };
        gated(&self.gpu, &how)?;
        // In f32, since sums of f16 can be beyond it.
        let y = self.room(Slot::Experts, DType::F32, slots * (down.rows / experts.count))?;
        self.multiply_chosen(lists, *down, Taken::Slots(hidden), y)?;
        Ok(y)
    }

    /// Products of experts, of rows of any type.
    fn multiply_chosen(
        &mut self,
        lists: &Lists,
        matrix: Matrix,
        mut taken: Taken,
        y: View,
    ) -> Result<()> {
        let (Taken::Rows(x) | Taken::Slots(x)) = taken;
        let to = lists.activations(&matrix);
        if x.dtype != to {
            let len = lists.rows(taken) * matrix.columns;
            let converted = self.room(Slot::Converted, to, len)?;
            convert(&self.gpu, x, converted, len)?;
            taken = taken.at(converted);
        }
        let bytes = lists.scratch(&matrix, taken);
        let scratch = match bytes {
            0 => None,
            len => Some(self.room(Slot::Bytes, DType::U8, len)?),
        };
        multiply_experts(&self.gpu, lists, matrix, taken, y, scratch)
    }
}
