//! The end of a causal model.

use candle_core::{DType, Result, Tensor, bail};

use super::workspace::{Slot, Workspace};
use crate::backend::Norm;
use crate::backend::head::Head;
use crate::backend::kernels::cuda::{AddNorm, View, add_norm, finish_logits};

impl Workspace {
    /// Logits of the batch's rows, which stay on the device until they are
    /// [delivered](Self::deliver).
    ///
    /// # Errors
    /// The device fails.
    pub fn head(&mut self, head: &Head, x: &Tensor) -> Result<()> {
        let (x_rows, width) = x.dims2()?;
        let (chosen, rows) = (self.inputs()?.logit_rows, self.inputs()?.logits);
        if rows == 0 {
            return Ok(());
        }
        let Some(linear) = head.linear.on_cuda()? else { bail!("the head is not on the device") };
        let matrix = linear.matrix;
        let out = self.room(Slot::Normed, matrix.activations(), rows * width)?;
        let how = AddNorm {
            before: head.norm.as_ref().map(Norm::on_cuda).transpose()?,
            out: Some(out),
            chosen: Some(chosen),
            rows,
            ..self.add_pending(View::of(x)?, x_rows, width)
        };
        add_norm(&self.gpu, &how)?;
        let logits = self.room(Slot::Logits, DType::F32, rows * matrix.rows)?;
        self.multiply(matrix, out, rows, (logits, matrix.rows))?;
        finish_logits(&self.gpu, logits, linear.bias, head.softcap, (rows, matrix.rows))?;
        self.logits = Some((logits, matrix.rows));
        Ok(())
    }
}
