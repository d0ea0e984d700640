//! The classifier on top of an encoder.

use candle_core::{Result, Tensor};

use super::Pooling;
use crate::backend::{Linear, Norm};
use crate::models::config::{EncoderConfig, HeadActivation, HeadConfig};
use crate::models::error::LoadError;
use crate::models::weights::Weights;

/// Two linear layers over one vector of a text.
pub struct Head {
    pub config: HeadConfig,
    pub pooling: Pooling,
    dense: Linear,
    norm: Option<Norm>,
    out: Linear,
}

impl Head {
    /// The head of the configuration, if it has one.
    pub(super) fn load(
        c: &EncoderConfig,
        weights: &Weights<'_>,
        norm: impl Fn(&str, usize) -> std::result::Result<Norm, LoadError>,
    ) -> std::result::Result<Option<Self>, LoadError> {
        let Some(config) = c.head.clone() else { return Ok(None) };
        let h = c.hidden_size;
        Ok(Some(Self {
            pooling: if config.mean { Pooling::Mean } else { Pooling::Cls },
            dense: weights.linear("head.dense", (h, h), config.bias)?,
            norm: if config.norm { Some(norm("head.norm", h)?) } else { None },
            out: weights.linear("head.out", (config.labels.len(), h), true)?,
            config,
        }))
    }

    /// Scores of the labels, (texts, labels), from (texts, hidden).
    pub fn forward(&self, pooled: &Tensor) -> Result<Tensor> {
        let x = self.dense.forward(pooled)?;
        let x = match self.config.activation {
            HeadActivation::Tanh => x.tanh()?,
            HeadActivation::Other(activation) => activation.forward(&x)?,
        };
        match &self.norm {
            Some(norm) => self.out.forward(&norm.forward(&x)?),
            None => self.out.forward(&x),
        }
    }
}
