//! Normalisation over the last dimension.

use candle_core::{Result, Tensor};

use super::kernels::norm::NormView;

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
        let x = x.contiguous()?;
        match &self.bias {
            None => candle_nn::ops::rms_norm(&x, &self.weight, self.eps),
            Some(bias) => candle_nn::ops::layer_norm(&x, &self.weight, bias, self.eps),
        }
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
    use crate::backend::kernels::norm::normalize;

    #[test]
    fn kernels_agree_with_candle() -> Result<()> {
        for width in [1, 7, 64, 577] {
            let x = (Tensor::randn(0f32, 3f32, (5, width), &Device::Cpu)? + 1.5)?;
            let weight = Tensor::randn(1f32, 0.5f32, width, &Device::Cpu)?;
            let bias = Tensor::randn(0f32, 1f32, width, &Device::Cpu)?;
            for norm in [Norm::rms(weight.clone(), 1e-5)?, Norm::layer(weight, bias, 1e-5)?] {
                let expected = norm.forward(&x)?.to_vec2::<f32>()?;
                let view = norm.view().expect("on the CPU");
                for (x, expected) in x.to_vec2::<f32>()?.iter().zip(&expected) {
                    let mut out = vec![0f32; width];
                    normalize(view, x, &mut out);
                    for (a, b) in out.iter().zip(expected) {
                        assert!((a - b).abs() < 2e-5, "{width}: {a} instead of {b}");
                    }
                }
            }
        }
        Ok(())
    }
}
