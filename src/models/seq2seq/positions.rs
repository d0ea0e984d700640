//! How the place of a token counts, on one side.

use candle_core::{Device, Result, Tensor};

use crate::backend::DistanceBias;
use crate::models::config::Seq2SeqConfig;
use crate::models::config::seq2seq::{Sines, StackConfig, TokenPositions};
use crate::models::error::LoadError;
use crate::models::relative;
use crate::models::weights::Weights;

/// What makes the places of tokens known.
pub enum Positions {
    /// Added to the embeddings, (places, hidden).
    Rows(Tensor),
    /// Added to the scores of a side's attention to itself.
    Bias(DistanceBias),
}

/// A side of the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    Encoder,
    Decoder,
}

impl Which {
    /// What the names of its tensors begin with.
    pub fn name(self) -> &'static str {
        match self {
            Self::Encoder => "encoder",
            Self::Decoder => "decoder",
        }
    }
}

impl Positions {
    /// For `places` places.
    pub fn load(
        c: &Seq2SeqConfig,
        weights: &Weights<'_>,
        (which, stack): (Which, StackConfig),
        places: usize,
    ) -> std::result::Result<Self, LoadError> {
        let (side, width) = (which.name(), c.hidden_size);
        Ok(match c.positions {
            TokenPositions::Sines { offset, kind } => {
                let rows: Vec<f32> =
                    (offset..offset + places).flat_map(|p| sines(p, width, kind)).collect();
                Self::Rows(Tensor::from_vec(rows, (places, width), weights.device())?)
            }
            TokenPositions::Learned { offset } => {
                let name = format!("{side}.embed_positions.weight");
                let table = weights.dense(&name, &[c.context_length + offset, width])?;
                Self::Rows(table.narrow(0, offset, places)?)
            }
            TokenPositions::Buckets { buckets, far } => {
                let name = format!("{side}.relative_bias.weight");
                let table = weights.dense(&name, &[buckets, stack.heads])?.to_vec2::<f32>()?;
                let range = |distance: i64| match which {
                    Which::Encoder => relative::range(distance, buckets, far),
                    // Keys after the row are not seen.
                    Which::Decoder => {
                        relative::range_before((-distance).max(0) as usize, buckets, far)
                    }
                };
                let value = |head: usize, distance| table[range(distance)][head];
                Self::Bias(DistanceBias::new(stack.heads, places - 1, value))
            }
        })
    }

    /// What is added to the embeddings of tokens at `places`, if anything is.
    pub fn rows(&self, places: &[u32], device: &Device) -> Result<Option<Tensor>> {
        match self {
            Self::Rows(table) => Ok(Some(table.index_select(&Tensor::new(places, device)?, 0)?)),
            Self::Bias(_) => Ok(None),
        }
    }
}

/// The row of one place: sines, then cosines.
fn sines(place: usize, width: usize, kind: Sines) -> Vec<f32> {
    let half = width / 2;
    let angle = |i: usize| {
        let exponent = match kind {
            Sines::Marian => (2 * i) as f64 / width as f64,
            Sines::Fairseq => i as f64 / (half - 1) as f64,
        };
        place as f64 * 10_000f64.powf(-exponent)
    };
    let sines = (0..half).map(|i| angle(i).sin() as f32);
    sines.chain((0..half).map(|i| angle(i).cos() as f32)).collect()
}
