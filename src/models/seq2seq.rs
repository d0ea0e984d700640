//! One encoder-decoder for every family: [`Seq2SeqConfig`] says what it is
//! made of. A source is encoded once; its keys and values for the decoder's
//! layers lie in the cache beside those of the texts written from it.

mod load;
mod positions;

use std::sync::{Mutex, PoisonError};

use candle_core::{Device, Result, Tensor};

use self::positions::Positions;
use super::config::Seq2SeqConfig;
use crate::backend::{
    AttentionBlock, Batch, CrossBlock, DistanceBias, Embedding, Head, KvCache, Logits, MlpBlock,
    Norm, RopeRows, Sequences, Workspace,
};

/// An encoder and a decoder that attends to what it encoded.
pub struct Seq2Seq {
    pub config: Seq2SeqConfig,
    device: Device,
    encoder: Side<EncoderLayer>,
    /// Of what the encoder gives; the decoder's is part of the head.
    encoder_norm: Option<Norm>,
    decoder: Side<DecoderLayer>,
    head: Head,
    lookup_bytes: u64,
    /// One step runs at a time.
    workspace: Mutex<Workspace>,
}

/// What encoder and decoder have in common.
struct Side<L> {
    words: Embedding,
    /// Multiplies the embeddings of words.
    scale: Option<f32>,
    positions: Positions,
    /// Of the embeddings.
    norm: Option<Norm>,
    layers: Vec<L>,
}

struct EncoderLayer {
    attention: AttentionBlock,
    mlp: MlpBlock,
}

struct DecoderLayer {
    attention: AttentionBlock,
    cross: CrossBlock,
    mlp: MlpBlock,
}

impl<L> Side<L> {
    /// What goes into the first layer.
    fn embed(&self, ids: &[u32], places: &[u32], device: &Device) -> Result<Tensor> {
        let mut x = self.words.forward(&Tensor::new(ids, device)?)?;
        if let Some(scale) = self.scale {
            x = (x * f64::from(scale))?;
        }
        if let Some(rows) = self.positions.rows(places, device)? {
            x = (x + rows)?;
        }
        match &self.norm {
            Some(norm) => norm.forward(&x),
            None => Ok(x),
        }
    }

    fn bias(&self) -> Option<&DistanceBias> {
        match &self.positions {
            Positions::Bias(bias) => Some(bias),
            Positions::Rows(_) => None,
        }
    }
}

impl Seq2Seq {
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Bytes of weights of which a step reads only the rows of its tokens.
    pub fn lookup_bytes(&self) -> u64 {
        self.lookup_bytes
    }

    /// Vectors of all tokens of sources, (tokens, hidden), packed end to end:
    /// source `s` owns `ids[cu_seqlens[s]..cu_seqlens[s + 1]]`.
    pub fn encode(&self, ids: &[u32], cu_seqlens: &[u32]) -> Result<Tensor> {
        let places: Vec<u32> = cu_seqlens.windows(2).flat_map(|w| 0..w[1] - w[0]).collect();
        let mut x = self.encoder.embed(ids, &places, &self.device)?;
        let sequences = Sequences { bias: self.encoder.bias(), ..Sequences::whole(cu_seqlens) };
        // What a step that panicked left there is written over.
        let mut workspace = self.workspace.lock().unwrap_or_else(PoisonError::into_inner);
        for layer in &self.encoder.layers {
            x = layer.attention.packed(x, &sequences, &mut workspace)?;
            x = layer.mlp.forward(x, &mut workspace)?;
        }
        match &self.encoder_norm {
            Some(norm) => norm.forward(&x),
            None => Ok(x),
        }
    }

    /// Encodes the sources of `batch`, then runs its rows; `logits` gets those
    /// of its `logit_rows`.
    pub fn forward(&self, batch: &Batch, cache: &mut KvCache, logits: &mut Logits) -> Result<()> {
        self.remember(batch, cache)?;
        logits.clear();
        if batch.is_empty() {
            return Ok(());
        }
        let mut x = self.decoder.embed(&batch.ids, &batch.positions, &self.device)?;
        let still = RopeRows::none(batch.tokens(), &self.device)?;
        let mut workspace = self.workspace.lock().unwrap_or_else(PoisonError::into_inner);
        for layer in &self.decoder.layers {
            x = match self.decoder.bias() {
                Some(bias) => layer.attention.causal_biased(&x, bias, batch, cache)?,
                None => layer.attention.causal(x, &still, batch, cache, &mut workspace)?,
            };
            x = layer.cross.forward(&x, batch, cache)?;
            x = layer.mlp.forward(x, &mut workspace)?;
        }
        self.head.forward(&x, &batch.logit_rows, logits, &mut workspace)
    }

    /// Encodes the sources of `batch` and writes the keys and values that the
    /// decoder's layers make of them.
    fn remember(&self, batch: &Batch, cache: &mut KvCache) -> Result<()> {
        if batch.encode.is_empty() {
            return Ok(());
        }
        let (mut ids, mut slots, mut cu_seqlens) = (Vec::new(), Vec::new(), vec![0u32]);
        for source in &batch.encode {
            ids.extend_from_slice(&source.ids);
            slots.extend_from_slice(&source.slots);
            cu_seqlens.push(ids.len() as u32);
        }
        let states = self.encode(&ids, &cu_seqlens)?;
        self.decoder.layers.iter().try_for_each(|l| l.cross.remember(&states, &slots, cache))
    }
}
