//! The end of a causal model: the last norm and the matrix of the vocabulary.

use candle_core::{Result, Tensor};

use super::kernels::layer::{HeadView, head};
use super::lend::with_f32;
use super::{Linear, Logits, Norm, Workspace};

/// `linear(norm(x))` of the rows whose logits are wanted; not all models have
/// the norm.
#[derive(Debug, Clone)]
pub struct Head {
    pub norm: Option<Norm>,
    /// (vocabulary, hidden)
    pub linear: Linear,
    /// Logits are `cap * tanh(logits / cap)` (arXiv:2408.00118).
    pub softcap: Option<f32>,
}

impl Head {
    /// `x` is (tokens, hidden), `rows` are some of its rows, the batch's. On a
    /// CUDA device the logits stay there until [`Workspace::deliver`].
    pub fn forward(
        &self,
        x: &Tensor,
        rows: &[u32],
        logits: &mut Logits,
        workspace: &mut Workspace,
    ) -> Result<()> {
        logits.clear();
        if rows.is_empty() {
            return Ok(());
        }
        match self.view() {
            Some(view) => with_f32(x, |x| {
                let out = logits.room(rows.len(), view.linear.weight.rows());
                head(&view, x, rows, out, &mut workspace.host);
                Ok(())
            }),
            None => match &mut workspace.cuda {
                Some(cuda) => cuda.head(self, x),
                None => logits.fill(&self.plain(x, rows)?),
            },
        }
    }

    /// [`Self::forward`] in tensor operations: (rows, vocabulary).
    pub fn plain(&self, x: &Tensor, rows: &[u32]) -> Result<Tensor> {
        let x = x.index_select(&Tensor::new(rows, x.device())?, 0)?;
        let x = match &self.norm {
            Some(norm) => norm.forward(&x)?,
            None => x,
        };
        let logits = self.linear.forward(&x)?;
        match self.softcap {
            Some(cap) => (logits / f64::from(cap))?.tanh()? * f64::from(cap),
            None => Ok(logits),
        }
    }

    fn view(&self) -> Option<HeadView<'_>> {
        let norm = match &self.norm {
            Some(norm) => Some(norm.view()?),
            None => None,
        };
        Some(HeadView { norm, linear: self.linear.view()?, softcap: self.softcap })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use candle_core::Device;
    use candle_core::quantized::GgmlDType;

    use super::*;
    use crate::backend::kernels::packed::Packed;
    use crate::backend::kernels::team::test_team;
    use crate::backend::linear::Weight;

    #[test]
    fn kernels_agree_with_the_plain_operations() -> Result<()> {
        let (hidden, vocabulary) = (64, 83);
        let random = |shape: &[usize]| Tensor::randn(0f32, 1f32, shape, &Device::Cpu);
        let weight = random(&[vocabulary, hidden])?;
        let values: Vec<f32> = weight.flatten_all()?.to_vec1()?;
        let bytes: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
        let packed = Packed::new(&bytes, GgmlDType::F32, vocabulary, hidden).unwrap();
        let x = random(&[40, hidden])?;
        for (softcap, bias) in [(None, true), (Some(3.0), false)] {
            let bias = bias.then(|| random(&[vocabulary])).transpose()?;
            let head = Head {
                norm: bias.is_none().then(|| Norm::rms(random(&[hidden])?, 1e-5)).transpose()?,
                linear: Linear::new(Weight::Packed(Arc::new(packed.clone())), bias)?,
                softcap,
            };
            for rows in [&[][..], &[39], &[0, 7], &[5, 1, 1, 20, 39, 0, 2, 3]] {
                for threads in [1, 2, 3] {
                    let mut logits = Logits::default();
                    let mut workspace = Workspace::default();
                    test_team::with(threads, || {
                        head.forward(&x, rows, &mut logits, &mut workspace)
                    })?;
                    assert_eq!(logits.len(), rows.len());
                    if rows.is_empty() {
                        continue;
                    }
                    let plain = head.plain(&x, rows)?.to_vec2::<f32>()?;
                    for (found, expected) in logits.rows().zip(plain) {
                        for (a, b) in found.iter().zip(expected) {
                            assert!((a - b).abs() < 1e-4, "{softcap:?} {rows:?}: {a} {b}");
                        }
                    }
                }
            }
        }
        Ok(())
    }
}
