//! Normalisation over the last dimension.

use candle_core::{Result, Tensor};

#[cfg(feature = "cuda")]
use super::kernels::cuda::{NormView as DeviceNorm, View};
use super::kernels::norm::{NormView, normalize_rows, normalize_sums};
use super::lend::with_f32;

/// Root-mean-square or layer normalisation.
#[derive(Debug, Clone)]
pub struct Norm {
    weight: Tensor,
    /// Layer normalisation has one.
    bias: Option<Tensor>,
    eps: f32,
    /// The same on the host, for the CPU's layers.
    values: Option<(Vec<f32>, Vec<f32>)>,
}

impl Norm {
    /// `x / rms(x) * weight` (arXiv:1910.07467).
    ///
    /// # Errors
    /// The weight cannot be read.
    pub fn rms(weight: Tensor, eps: f32) -> Result<Self> {
        Self::new(weight, None, eps)
    }

    /// `(x - mean) / std * weight + bias` (arXiv:1607.06450).
    ///
    /// # Errors
    /// The weights cannot be read.
    pub fn layer(weight: Tensor, bias: Tensor, eps: f32) -> Result<Self> {
        Self::new(weight, Some(bias), eps)
    }

    fn new(weight: Tensor, bias: Option<Tensor>, eps: f32) -> Result<Self> {
        let values = match weight.device().is_cpu() {
            true => {
                let bias = bias.as_ref().map(Tensor::to_vec1).transpose()?.unwrap_or_default();
                Some((weight.to_vec1()?, bias))
            }
            false => None,
        };
        Ok(Self { weight, bias, eps, values })
    }

    /// Normalises the last dimension of `x`.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let Some(view) = self.view() else { return self.plain(x) };
        let mut out = vec![0f32; x.elem_count()];
        with_f32(&x.contiguous()?, |x| {
            normalize_rows(view, x, &mut out);
            Ok(())
        })?;
        Tensor::from_vec(out, x.shape(), x.device())
    }

    /// Normalises each head of `x`, (tokens, heads, head_dim); there are weights
    /// for one head or for each.
    pub fn forward_heads(&self, x: &Tensor) -> Result<Tensor> {
        let (_, heads, d) = x.dims3()?;
        if self.weight.dim(0)? == d {
            return self.forward(x);
        }
        let one = |t: &Tensor, value: f64| Tensor::full(value as f32, d, t.device());
        let bias = self.bias.as_ref().map(|bias| one(bias, 0.0)).transpose()?;
        let y = Self::new(one(&self.weight, 1.0)?, bias, self.eps)?.forward(x)?;
        let y = y.broadcast_mul(&self.weight.reshape((heads, d))?)?;
        match &self.bias {
            Some(bias) => y.broadcast_add(&bias.reshape((heads, d))?),
            None => Ok(y),
        }
    }

    /// Normalises `a + b + row`, where `row` is added to every row.
    pub fn forward_sum(&self, a: &Tensor, b: &Tensor, row: &Tensor) -> Result<Tensor> {
        let Some(view) = self.view() else { return self.plain(&(a + b)?.broadcast_add(row)?) };
        let mut out = vec![0f32; a.elem_count()];
        with_f32(a, |a| {
            with_f32(b, |b| {
                with_f32(row, |row| {
                    normalize_sums(view, (a, b), row, &mut out);
                    Ok(())
                })
            })
        })?;
        Tensor::from_vec(out, a.shape(), a.device())
    }

    /// [`Self::forward`] by Candle's operations.
    fn plain(&self, x: &Tensor) -> Result<Tensor> {
        let x = x.contiguous()?;
        match &self.bias {
            None => candle_nn::ops::rms_norm(&x, &self.weight, self.eps),
            Some(bias) => candle_nn::ops::layer_norm(&x, &self.weight, bias, self.eps),
        }
    }

    /// As the kernels of CUDA devices take it.
    #[cfg(feature = "cuda")]
    pub(super) fn on_cuda(&self) -> Result<DeviceNorm> {
        let bias = self.bias.as_ref().map(View::of).transpose()?;
        let layer = bias.is_some();
        Ok(DeviceNorm { weight: View::of(&self.weight)?, bias, eps: self.eps, layer })
    }

    /// As the CPU's kernels take it; `None` on other devices.
    pub(super) fn view(&self) -> Option<NormView<'_>> {
        let (weight, bias) = self.values.as_ref()?;
        Some(match self.bias {
            None => NormView::Rms { weight, eps: self.eps },
            Some(_) => NormView::Layer { weight, bias, eps: self.eps },
        })
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn kernels_agree_with_candle() -> Result<()> {
        let worst = |a: Tensor, b: Tensor| -> Result<f32> {
            (a - b)?.abs()?.flatten_all()?.max(0)?.to_scalar()
        };
        for width in [1, 7, 64, 577] {
            let x = (Tensor::randn(0f32, 3f32, (5, width), &Device::Cpu)? + 1.5)?;
            let y = Tensor::randn(0f32, 1f32, (5, width), &Device::Cpu)?;
            let weight = Tensor::randn(1f32, 0.5f32, width, &Device::Cpu)?;
            let bias = Tensor::randn(0f32, 1f32, width, &Device::Cpu)?;
            for norm in [Norm::rms(weight.clone(), 1e-5)?, Norm::layer(weight, bias.clone(), 1e-5)?]
            {
                let off = worst(norm.forward(&x)?, norm.plain(&x)?)?;
                assert!(off < 3e-5, "{width}: off by {off}");
                let sum = (&x + &y)?.broadcast_add(&bias)?;
                let off = worst(norm.forward_sum(&x, &y, &bias)?, norm.plain(&sum)?)?;
                assert!(off < 3e-5, "{width}: off by {off}");
            }
        }
        Ok(())
    }
}
