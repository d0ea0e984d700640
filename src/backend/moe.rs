//! Mixtures of experts: a router chooses a few feed-forward layers of many for
//! each row.

use candle_core::{DType, Device, Result, Tensor, bail};

use super::block::{BlockNorms, MlpBlock, with_rows};
pub use super::kernels::layer::Routing;
use super::kernels::layer::{Choice, ExpertView, MoeView, moe};
use super::kernels::packed::Wants;
use super::linear::Linear;
use super::ops::Activation;
use super::{Workspace, cuda};

/// The feed-forward layer of a decoder.
#[derive(Debug, Clone)]
pub enum FeedForward {
    Mlp(Box<MlpBlock>),
    Experts(Box<MoeBlock>),
}

impl FeedForward {
    /// `x` is (tokens, hidden).
    pub fn forward(&self, x: Tensor, workspace: &mut Workspace) -> Result<Tensor> {
        match self {
            Self::Mlp(block) => block.forward(x, workspace),
            Self::Experts(block) => block.forward(x, workspace),
        }
    }

    /// Whether it is computed as a whole, without tensors between.
    pub fn has_kernel(&self) -> bool {
        match self {
            Self::Mlp(block) => block.has_kernel(),
            Self::Experts(block) => block.kernels.is_some() || block.cuda.is_some(),
        }
    }

    /// [`Self::forward`] of `input`, added to `x`.
    ///
    /// # Errors
    /// These are experts, which no model has beside attention.
    pub fn beside(&self, x: Tensor, input: &Tensor, workspace: &mut Workspace) -> Result<Tensor> {
        match self {
            Self::Mlp(block) => block.beside(x, input, workspace),
            Self::Experts(_) => bail!("experts beside attention are not supported"),
        }
    }
}

/// `down(act(gate(x)) * up(x))`
#[derive(Debug, Clone)]
pub struct Expert {
    pub gate: Linear,
    pub up: Linear,
    pub down: Linear,
}

impl Expert {
    fn forward(&self, x: &Tensor, activation: Activation) -> Result<Tensor> {
        let hidden = activation.gated(&self.gate.forward(x)?, &self.up.forward(x)?)?;
        self.down.forward(&hidden)
    }

    fn view(&self) -> Option<ExpertView<'_>> {
        Some(ExpertView { gate: self.gate.view()?, up: self.up.view()?, down: self.down.view()? })
    }
}

/// What a layer of experts is made of.
#[derive(Debug, Clone)]
pub struct MoeParts {
    pub norms: BlockNorms,
    /// One logit for each expert.
    pub router: Linear,
    pub routing: Routing,
    pub experts: Vec<Expert>,
    /// An expert that all rows take, and the logit that, through a sigmoid,
    /// says how much it counts.
    pub shared: Option<(Expert, Linear)>,
    pub activation: Activation,
}

/// A layer of experts, of which each row takes a few.
#[derive(Debug, Clone)]
pub struct MoeBlock {
    parts: MoeParts,
    /// Where the CPU's kernels have all experts: the forms of rows they take,
    /// and the width inside of one.
    kernels: Option<([Wants; 2], usize)>,
    /// Where the kernels of a CUDA device have all of it.
    cuda: Option<cuda::Experts>,
}

impl MoeBlock {
    /// # Errors
    /// There are fewer experts than a row takes, or the device has no room.
    pub fn new(mut parts: MoeParts) -> Result<Self> {
        let (chosen, count) = (parts.routing.chosen, parts.experts.len());
        if chosen == 0 || chosen > count {
            bail!("a layer of {count} experts cannot give {chosen} to each token");
        }
        let mut kernels: Option<([Wants; 2], usize)> = None;
        for (i, expert) in parts.experts.iter().enumerate() {
            let inner = expert.view().map(|v| (v.wants(), v.up.weight.rows()));
            kernels = match (inner, kernels) {
                (Some(first), None) if i == 0 => Some(first),
                (Some((wants, inner)), Some((all, width))) if inner == width => {
                    Some(([all[0].with(wants[0]), all[1].with(wants[1])], width))
                }
                _ => None,
            };
        }
        let cuda = Self::on_cuda(&mut parts)?;
        Ok(Self { parts, kernels, cuda })
    }

    /// Lays the layer out for the kernels of a CUDA device, if it is on one.
    fn on_cuda(parts: &mut MoeParts) -> Result<Option<cuda::Experts>> {
        if !parts.is_on_cuda()? {
            return Ok(None);
        }
        if let Some((expert, _)) = &mut parts.shared {
            let both = Linear::side_by_side([expert.gate.clone(), expert.up.clone()])?;
            [expert.gate, expert.up] = both;
        }
        let experts = cuda::Experts::new(&mut parts.experts)?;
        if experts.is_none() {
            tracing::warn!(
                "the experts of a layer are of types or shapes for which there are no kernels on \
                 a CUDA device: it is computed slowly"
            );
        }
        Ok(experts)
    }

    /// `x` is (tokens, hidden).
    pub fn forward(&self, x: Tensor, workspace: &mut Workspace) -> Result<Tensor> {
        let expert = |i: usize| {
            let view = self.parts.experts[i].view();
            view.expect("a block with kernels has them for all experts")
        };
        match self.view(&expert) {
            Some(view) => {
                with_rows(&x, |x| moe(&view, x, &mut workspace.host))?;
                Ok(x)
            }
            None => match (&mut workspace.cuda, &self.cuda) {
                (Some(cuda), Some(experts)) => cuda.moe(&self.parts, experts, &x).map(|()| x),
                _ => {
                    workspace.settle(&x)?;
                    self.forward_plain(&x)
                }
            },
        }
    }

    fn view<'a>(
        &'a self,
        experts: &'a (dyn Fn(usize) -> ExpertView<'a> + Sync),
    ) -> Option<MoeView<'a>> {
        let (wants, inner) = self.kernels?;
        let p = &self.parts;
        Some(MoeView {
            norms: p.norms.view()?,
            router: p.router.view()?,
            routing: p.routing,
            experts,
            wants,
            inner,
            shared: match &p.shared {
                Some((expert, gate)) => Some((expert.view()?, gate.view()?)),
                None => None,
            },
            activation: p.activation,
        })
    }

    /// [`Self::forward`] in tensor operations.
    pub fn forward_plain(&self, x: &Tensor) -> Result<Tensor> {
        let p = &self.parts;
        p.norms.plain(x, x, |x| {
            let logits = p.router.forward(x)?.to_dtype(DType::F32)?.to_vec2::<f32>()?;
            // Of each expert: its rows and their weights.
            let mut taken = vec![(Vec::new(), Vec::new()); p.experts.len()];
            let mut choices = vec![Choice::default(); p.routing.chosen];
            for (row, logits) in logits.iter().enumerate() {
                p.routing.choose(logits, &mut choices);
                for choice in &choices {
                    let (rows, weights) = &mut taken[choice.expert as usize];
                    rows.push(row as u32);
                    weights.push(choice.weight);
                }
            }
            let mut sum = match &p.shared {
                Some((expert, gate)) => {
                    let share = candle_nn::ops::sigmoid(&gate.forward(x)?)?;
                    expert.forward(x, p.activation)?.broadcast_mul(&share)?
                }
                None => x.zeros_like()?,
            };
            for (expert, (rows, weights)) in p.experts.iter().zip(taken) {
                if rows.is_empty() {
                    continue;
                }
                let weights = column(weights, x.device())?;
                let rows = Tensor::new(rows, x.device())?;
                let y = expert.forward(&x.index_select(&rows, 0)?, p.activation)?;
                sum = sum.index_add(&rows, &y.broadcast_mul(&weights)?, 0)?;
            }
            Ok(sum)
        })
    }
}

fn column(values: Vec<f32>, device: &Device) -> Result<Tensor> {
    let len = values.len();
    Tensor::from_vec(values, (len, 1), device)
}

#[cfg(test)]
mod tests;
