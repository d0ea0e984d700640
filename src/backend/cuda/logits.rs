//! Logits that stay on the device, and tokens drawn from them there.

use std::sync::Arc;

use candle_core::{DType, Result, Tensor, bail};

use super::workspace::Workspace;
use crate::backend::kernels::cuda::{Gpu, PARAMETERS, View, sample};
use crate::backend::logits::{Draw, Logits};

/// The logits of the last step, (rows, vocabulary) in f32, until the next step.
#[derive(Debug, Clone)]
pub struct DeviceLogits {
    gpu: Arc<Gpu>,
    view: View,
    rows: usize,
    vocabulary: usize,
}

impl DeviceLogits {
    /// Rows and vocabulary.
    pub fn size(&self) -> (usize, usize) {
        (self.rows, self.vocabulary)
    }

    /// Copies them to `to`.
    ///
    /// # Errors
    /// The device fails.
    pub fn download(&self, to: &mut [f32]) -> Result<()> {
        self.gpu.download(self.view, to)
    }

    /// Draws a token for each of `draws`; `None` where no logit is finite.
    ///
    /// # Errors
    /// A row is beyond those there are, or the device fails.
    pub fn draw(&self, draws: &[Draw]) -> Result<Vec<Option<u32>>> {
        let n = draws.len();
        let mut values = Vec::with_capacity(n * (PARAMETERS + 1));
        for draw in draws {
            let uniform = draw.uniform.to_bits();
            let words = [
                draw.temperature.to_bits(),
                u32::try_from(draw.top_k).unwrap_or(0),
                draw.top_p.to_bits(),
                draw.min_p.to_bits(),
                uniform as u32,
                (uniform >> 32) as u32,
                0,
                0,
            ];
            values.extend(words);
        }
        for draw in draws {
            if draw.row >= self.rows {
                bail!("row {} of {} rows of logits", draw.row, self.rows);
            }
            values.push(draw.row as u32);
        }
        let device = self.gpu.device();
        let given = Tensor::from_vec(values, n * (PARAMETERS + 1), &device)?;
        let tokens = Tensor::zeros(n, DType::U32, &device)?;
        let unused = Tensor::zeros(n, DType::F32, &device)?;
        let given_view = View::of(&given)?;
        let rows = given_view.part(n * PARAMETERS, n)?;
        let to = (View::of(&tokens)?, View::of(&unused)?);
        sample(&self.gpu, (self.view, self.vocabulary), (rows, given_view, n), to)?;
        let mut drawn = vec![0u32; n];
        self.gpu.download(to.0, &mut drawn)?;
        Ok(drawn.into_iter().map(|token| (token != u32::MAX).then_some(token)).collect())
    }
}

impl Workspace {
    /// Hands over the logits of the step's `rows` rows.
    ///
    /// # Errors
    /// The device fails.
    pub fn deliver(&mut self, rows: usize, logits: &mut Logits) -> Result<()> {
        let Some((view, vocabulary)) = self.logits.take() else { return Ok(()) };
        let view = view.part(0, rows * vocabulary)?;
        logits.put(DeviceLogits { gpu: self.gpu.clone(), view, rows, vocabulary })
    }
}
