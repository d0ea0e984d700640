//! Small fused operations that Candle lacks or runs on one thread. Each has
//! its plain Candle version, which is also the path of other devices.

use candle_core::{CpuStorage, CustomOp1, CustomOp2, DType, Layout, Result, Shape, Tensor, bail};

use super::kernels::{activation, mean};
use super::lend::with_f32;

/// The activation of a feed-forward layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    Silu,
    /// GELU by its tanh approximation.
    GeluTanh,
    /// GELU by the error function.
    GeluErf,
    Relu,
}

impl Activation {
    /// `act(x)`, element by element.
    pub fn forward(self, x: &Tensor) -> Result<Tensor> {
        if x.device().is_cpu() {
            return x.contiguous()?.apply_op1_no_bwd(&Unary(self));
        }
        self.plain(x)
    }

    /// `act(gate) * up`, the gated unit of most decoders.
    pub fn gated(self, gate: &Tensor, up: &Tensor) -> Result<Tensor> {
        if gate.device().is_cpu() {
            return gate.contiguous()?.apply_op2_no_bwd(&up.contiguous()?, &Gated(self));
        }
        self.plain(gate)? * up
    }

    fn plain(self, x: &Tensor) -> Result<Tensor> {
        match self {
            Self::Silu => x.silu(),
            Self::GeluTanh => x.gelu(),
            Self::GeluErf => x.gelu_erf(),
            Self::Relu => x.relu(),
        }
    }
}

/// The mean of each sequence's rows of `x`, (tokens, width), as (sequences, width):
/// sequence `s` has rows `cu_seqlens[s]..cu_seqlens[s + 1]`, at least one.
///
/// # Errors
/// `x` has other dimensions, or fewer rows.
pub fn mean_rows(x: &Tensor, cu_seqlens: &[u32]) -> Result<Tensor> {
    let (rows, width) = x.dims2()?;
    if cu_seqlens.last().is_some_and(|&end| end as usize > rows) {
        bail!("there are {rows} rows, fewer than the sequences have");
    }
    let sequences = cu_seqlens.len().saturating_sub(1);
    if x.device().is_cpu() && x.dtype() == DType::F32 {
        let mut out = vec![0f32; sequences * width];
        with_f32(&x.contiguous()?, |x| {
            mean::mean_rows(x, width, cu_seqlens, &mut out);
            Ok(())
        })?;
        return Tensor::from_vec(out, (sequences, width), x.device());
    }
    let mean = |w: &[u32]| x.narrow(0, w[0] as usize, (w[1] - w[0]) as usize)?.mean(0);
    Tensor::stack(&cu_seqlens.windows(2).map(mean).collect::<Result<Vec<_>>>()?, 0)
}

/// The values of a contiguous f32 tensor, as kernels take them.
pub(super) fn contiguous_f32<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    match (storage, layout.contiguous_offsets()) {
        (CpuStorage::F32(data), Some((start, end))) => Ok(&data[start..end]),
        _ => bail!("the operation needs contiguous f32"),
    }
}

struct Unary(Activation);

impl CustomOp1 for Unary {
    fn name(&self) -> &'static str {
        "activation"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let mut out = contiguous_f32(x, layout)?.to_vec();
        activation::apply(self.0, &mut out);
        Ok((CpuStorage::F32(out), layout.shape().clone()))
    }
}

struct Gated(Activation);

impl CustomOp2 for Gated {
    fn name(&self) -> &'static str {
        "gated-activation"
    }

    fn cpu_fwd(
        &self,
        gate: &CpuStorage,
        gate_layout: &Layout,
        up: &CpuStorage,
        up_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let mut out = contiguous_f32(gate, gate_layout)?.to_vec();
        activation::apply_gated(self.0, &mut out, contiguous_f32(up, up_layout)?);
        Ok((CpuStorage::F32(out), gate_layout.shape().clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn kernels_agree_with_the_plain_versions() -> Result<()> {
        let x = Tensor::randn(0f32, 4f32, (7, 4099), &Device::Cpu)?;
        let up = Tensor::randn(0f32, 1f32, (7, 4099), &Device::Cpu)?;
        for act in [Activation::Silu, Activation::GeluTanh, Activation::GeluErf, Activation::Relu] {
            for (fast, plain) in
                [(act.forward(&x)?, act.plain(&x)?), (act.gated(&x, &up)?, (act.plain(&x)? * &up)?)]
            {
                let worst = (fast - plain)?.abs()?.flatten_all()?.max(0)?.to_scalar::<f32>()?;
                assert!(worst < 1e-5, "{act:?} is off by {worst}");
            }
        }
        Ok(())
    }
}
