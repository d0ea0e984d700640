//! Sparse vectors over the vocabulary, from the head that a masked language
//! model guesses words with (SPLADE, arXiv:2109.10086).

use candle_core::{Result, Tensor};

use crate::backend::ops::Activation;
use crate::backend::{Linear, Norm};
use crate::models::config::EncoderConfig;
use crate::models::error::LoadError;
use crate::models::weights::Weights;

/// Rows that the head computes at a time: each takes the whole vocabulary.
pub const ROWS: usize = 64;

/// How the words' weights of all tokens become those of a text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SparsePooling {
    /// Their sum, not the largest.
    pub sum: bool,
    /// ln(1 + x) is taken twice.
    pub twice: bool,
}

/// From vectors of tokens to weights of words.
pub struct SparseHead {
    dense: Linear,
    activation: Activation,
    norm: Norm,
    out: Linear,
}

impl SparseHead {
    pub(super) fn load(
        c: &EncoderConfig,
        weights: &Weights<'_>,
        norm: impl Fn(&str, usize) -> std::result::Result<Norm, LoadError>,
    ) -> std::result::Result<Option<Self>, LoadError> {
        if !c.sparse {
            return Ok(None);
        }
        let (h, width) = (c.hidden_size, c.embedding_size);
        Ok(Some(Self {
            dense: weights.linear("mlm.dense", (width, h), true)?,
            activation: c.activation,
            norm: norm("mlm.norm", width)?,
            out: weights.linear("mlm.out", (c.vocab_size, width), true)?,
        }))
    }

    /// One weight for each word of the vocabulary, most of them 0, for each
    /// sequence of `tokens`, (tokens, hidden).
    pub fn forward(
        &self,
        tokens: &Tensor,
        cu_seqlens: &[u32],
        how: SparsePooling,
    ) -> Result<Vec<Vec<f32>>> {
        let ends = cu_seqlens.windows(2);
        ends.map(|w| self.text(tokens, w[0] as usize, w[1] as usize, how)).collect()
    }

    fn text(
        &self,
        tokens: &Tensor,
        start: usize,
        end: usize,
        how: SparsePooling,
    ) -> Result<Vec<f32>> {
        let mut all: Option<Tensor> = None;
        for first in (start..end).step_by(ROWS) {
            let x = tokens.narrow(0, first, ROWS.min(end - first))?;
            let x = self.norm.forward(&self.activation.forward(&self.dense.forward(&x)?)?)?;
            let mut words = (self.out.forward(&x)?.relu()? + 1.0)?.log()?;
            if how.twice {
                words = (words + 1.0)?.log()?;
            }
            let words = if how.sum { words.sum(0)? } else { words.max(0)? };
            all = Some(match all {
                None => words,
                Some(all) if how.sum => (all + words)?,
                Some(all) => all.maximum(&words)?,
            });
        }
        match all {
            Some(all) => all.to_vec1(),
            None => Ok(Vec::new()),
        }
    }
}
