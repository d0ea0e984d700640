//! A feed-forward layer.

use candle_core::{DType, Result, Tensor, bail};

use super::LinearView;
use super::workspace::{Slot, Workspace};
use crate::backend::kernels::cuda::{Gated, Matrix, View, gated};
use crate::backend::ops::Activation;
use crate::backend::{MlpBlock, Norm};

/// `down(act(gate(x)) * up(x))`, or `down(act(up(x)))`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Feed {
    pub gate: Option<LinearView>,
    pub up: LinearView,
    pub down: LinearView,
    pub activation: Activation,
}

impl MlpBlock {
    /// Whether it is computed by kernels on a CUDA device.
    pub(in crate::backend) fn is_on_cuda(&self) -> Result<bool> {
        let all = [self.gate.as_ref().unwrap_or(&self.up), &self.up, &self.down];
        Ok(LinearView::all(all)?.is_some())
    }
}

impl Workspace {
    /// As [`MlpBlock::forward`]. `beside` says that the rows which the layer
    /// before normed go into this one as well.
    ///
    /// # Errors
    /// The device fails.
    pub fn mlp(&mut self, block: &MlpBlock, x: &Tensor, beside: bool) -> Result<()> {
        let (rows, hidden) = x.dims2()?;
        let (Some(up), Some(down)) = (block.up.on_cuda()?, block.down.on_cuda()?) else {
            bail!("the layer is not on the device");
        };
        let gate = match &block.gate {
            Some(gate) => match gate.on_cuda()? {
                Some(gate) => Some(gate),
                None => bail!("the layer is not on the device"),
            },
            None => None,
        };
        let input = match beside {
            true => {
                let Some(normed) = self.normed else { bail!("nothing was normed before") };
                self.settle(x)?;
                normed
            }
            false => {
                let before = block.norms.before.as_ref().map(Norm::on_cuda).transpose()?;
                self.normed(x, before, up.matrix.activations())?
            }
        };
        // In f32, since sums of f16 can be beyond it.
        let y = self.room(Slot::Output, DType::F32, rows * hidden)?;
        self.feed(&Feed { gate, up, down, activation: block.activation }, input, rows, y)?;
        self.leave(y, down.bias, &block.norms)
    }

    /// `y` (rows, outputs) of f32 becomes what the products make of the normed
    /// rows, without the last bias.
    pub(super) fn feed(&mut self, how: &Feed, input: View, rows: usize, y: View) -> Result<()> {
        let Feed { gate, up, down, activation } = *how;
        let width = up.matrix.rows;
        let matrices: Vec<_> = gate.iter().chain([&up]).map(|linear| linear.matrix).collect();
        let dtype = Matrix::common(&matrices);
        let projected = self.room(Slot::Projected, dtype, rows * width * matrices.len())?;
        let placed = self.side_by_side(&matrices, input, rows, projected)?;
        let Some(&(up_rows, stride)) = placed.last() else { bail!("a layer without products") };
        let hidden_rows = self.room(Slot::Hidden, dtype, rows * width)?;
        let how = Gated {
            gate: gate.and(placed.first()).map(|placed| placed.0),
            up: up_rows,
            gate_bias: gate.and_then(|gate| gate.bias),
            up_bias: up.bias,
            out: hidden_rows,
            rows,
            width,
            stride,
            activation,
        };
        gated(&self.gpu, &how)?;
        self.multiply(down.matrix, hidden_rows, rows, (y, down.matrix.rows))
    }
}
