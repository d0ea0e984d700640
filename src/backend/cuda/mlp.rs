//! A feed-forward layer.

use candle_core::{DType, Result, Tensor, bail};

use super::LinearView;
use super::workspace::{Slot, Workspace};
use crate::backend::kernels::cuda::{Gated, Matrix, gated};
use crate::backend::{MlpBlock, Norm};

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
        let width = up.matrix.rows;
        let matrices: Vec<_> = gate.iter().chain([&up]).map(|linear| linear.matrix).collect();
        let dtype = Matrix::common(&matrices);
        let y = self.room(Slot::Projected, dtype, rows * width * matrices.len())?;
        let placed = self.side_by_side(&matrices, input, rows, y)?;
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
            activation: block.activation,
        };
        gated(&self.gpu, &how)?;
        // In f32, since sums of f16 can be beyond it.
        let y = self.room(Slot::Output, DType::F32, rows * hidden)?;
        self.multiply(down.matrix, hidden_rows, rows, (y, hidden))?;
        self.leave(y, down.bias, &block.norms)
    }
}
