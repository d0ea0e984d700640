//! One encoder for every family, over packed sequences: [`EncoderConfig`] says
//! what it is made of.

mod bias;
mod decoder;
mod dense;
mod head;
mod load;
mod sparse;

use std::sync::{Mutex, PoisonError};

use candle_core::{DType, Device, Result, Tensor};

pub use self::dense::Dense;
pub use self::head::Head;
pub use self::sparse::{SparseHead, SparsePooling};
use super::config::EncoderConfig;
use super::rope::Rope;
use crate::backend::attention::within::PIECE;
use crate::backend::ops::mean_rows;
use crate::backend::{
    AttentionBlock, DistanceBias, Embedding, Linear, MlpBlock, Norm, Sequences, Workspace, encode,
};

/// An encoder that gives one vector a token, with the classifier of its file.
pub struct Encoder {
    pub config: EncoderConfig,
    device: Device,
    words: Embedding,
    /// Multiplies the embeddings of words.
    scale: Option<f32>,
    /// (positions, width), where they are a table.
    positions: Option<Tensor>,
    /// (types, width)
    token_types: Option<Tensor>,
    /// The row of token type 0, or zeros: (width).
    first_type: Tensor,
    /// Of the embeddings.
    norm: Option<Norm>,
    /// From the embeddings' width to the layers'.
    projection: Option<Linear>,
    layers: Vec<Layer>,
    ropes: Vec<Rope>,
    bias: Option<DistanceBias>,
    final_norm: Option<Norm>,
    head: Option<Head>,
    sparse: Option<SparseHead>,
    /// One step runs at a time.
    workspace: Mutex<Workspace>,
}

struct Layer {
    attention: AttentionBlock,
    mlp: MlpBlock,
    rope: usize,
    /// How far a row sees before it and after it; `None` sees all.
    before: Option<usize>,
    after: Option<usize>,
}

/// How token vectors become one vector for a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pooling {
    /// The first token's vector.
    Cls,
    /// The mean over all tokens.
    Mean,
    /// The last token's vector.
    Last,
}

/// Texts packed end to end.
#[derive(Debug, Clone, Default)]
pub struct PackedTexts {
    pub ids: Vec<u32>,
    /// Which of a pair's texts each token is of. Empty where all are of the
    /// first, and not looked at by models without token types.
    pub types: Vec<u32>,
    /// Text `s` owns `ids[cu_seqlens[s]..cu_seqlens[s + 1]]`; begins with 0.
    pub cu_seqlens: Vec<u32>,
}

impl Encoder {
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The classifier, where the file has one.
    pub fn head(&self) -> Option<&Head> {
        self.head.as_ref()
    }

    /// The head that makes sparse vectors, where the model was loaded for it.
    pub fn sparse_head(&self) -> Option<&SparseHead> {
        self.sparse.as_ref()
    }

    /// Bytes of weights of which a step reads only some rows: the tables of
    /// words, positions and token types.
    pub fn lookup_bytes(&self) -> u64 {
        let dense = |t: &Tensor| (t.elem_count() * t.dtype().size_in_bytes()) as u64;
        let tables = [&self.positions, &self.token_types];
        self.words.bytes() as u64 + tables.into_iter().flatten().map(dense).sum::<u64>()
    }

    /// Upper bound on the memory one step takes besides weights, in bytes.
    pub fn activation_bytes(&self, tokens: usize) -> u64 {
        let c = &self.config;
        let (mut rows, mut scores) = (8 * c.hidden_size + 2 * c.intermediate_size, 0);
        let kernels = self.layers.iter().all(|layer| layer.attention.has_kernel());
        if !kernels && (!self.ropes.is_empty() || self.bias.is_some()) {
            // Tensor operations: an operation's input lives until its output does.
            rows = 12 * c.hidden_size.max(c.heads * c.head_dim) + 4 * c.intermediate_size;
            scores = 4 * PIECE.max(c.heads * c.context_length);
        }
        let words = if c.sparse { 4 * sparse::ROWS.min(tokens) * c.vocab_size } else { 0 };
        4 * (tokens * rows + scores + words) as u64
    }

    /// Vectors of all tokens, (tokens, hidden), of sequences packed end to
    /// end: sequence `s` owns `ids[cu_seqlens[s]..cu_seqlens[s + 1]]`.
    pub fn forward(&self, ids: &[u32], cu_seqlens: &[u32]) -> Result<Tensor> {
        self.layers(self.embeddings(ids, &[], cu_seqlens)?, cu_seqlens)
    }

    /// [`Self::forward`] with token types.
    pub fn forward_texts(&self, texts: &PackedTexts) -> Result<Tensor> {
        let PackedTexts { ids, types, cu_seqlens } = texts;
        self.layers(self.embeddings(ids, types, cu_seqlens)?, cu_seqlens)
    }

    /// What goes into the first layer.
    fn embeddings(&self, ids: &[u32], types: &[u32], cu_seqlens: &[u32]) -> Result<Tensor> {
        let rows =
            |table: &Tensor, rows: &[u32]| table.index_select(&Tensor::new(rows, &self.device)?, 0);
        let mut words = self.words.forward(&Tensor::new(ids, &self.device)?)?;
        if let Some(scale) = self.scale {
            words = (words * f64::from(scale))?;
        }
        let Some(norm) = &self.norm else { return Ok(words) };
        let placed = match &self.positions {
            Some(table) => Some(rows(table, &self.places(cu_seqlens))?),
            None => None,
        };
        let typed = match &self.token_types {
            Some(table) if types.iter().any(|&t| t != 0) => Some(rows(table, types)?),
            _ => None,
        };
        let x = match (placed, typed) {
            (Some(placed), None) => norm.forward_sum(&words, &placed, &self.first_type)?,
            (Some(placed), Some(typed)) => norm.forward(&((words + placed)? + typed)?)?,
            (None, Some(typed)) => norm.forward(&(words + typed)?)?,
            (None, None) => norm.forward(&words.broadcast_add(&self.first_type)?)?,
        };
        match &self.projection {
            Some(projection) => projection.forward(&x),
            None => Ok(x),
        }
    }

    /// Rows of the position table.
    fn places(&self, cu_seqlens: &[u32]) -> Vec<u32> {
        let offset = self.config.position_rows() - self.config.context_length;
        let offset = offset as u32;
        cu_seqlens.windows(2).flat_map(|w| offset..offset + (w[1] - w[0])).collect()
    }

    fn layers(&self, mut x: Tensor, cu_seqlens: &[u32]) -> Result<Tensor> {
        let ropes = match self.ropes.is_empty() {
            true => Vec::new(),
            false => {
                let places: Vec<u32> = cu_seqlens.windows(2).flat_map(|w| 0..w[1] - w[0]).collect();
                let places = Tensor::new(places, &self.device)?;
                self.ropes.iter().map(|r| r.rows(&places)).collect::<Result<_>>()?
            }
        };
        // What a step that panicked left there is written over.
        let mut workspace = self.workspace.lock().unwrap_or_else(PoisonError::into_inner);
        workspace.reset();
        for layer in &self.layers {
            let sequences = Sequences {
                cu_seqlens,
                rope: ropes.get(layer.rope),
                bias: self.bias.as_ref(),
                before: layer.before,
                after: layer.after,
            };
            x = encode(&layer.attention, &layer.mlp, x, &sequences, &mut workspace)?;
        }
        workspace.settle(&x)?;
        match &self.final_norm {
            Some(norm) => norm.forward(&x),
            None => Ok(x),
        }
    }

    /// One vector a sequence, as rows, not normalised.
    pub fn embed(
        &self,
        ids: &[u32],
        cu_seqlens: &[u32],
        pooling: Pooling,
    ) -> Result<Vec<Vec<f32>>> {
        pool(&self.forward(ids, cu_seqlens)?, cu_seqlens, pooling)?.to_vec2()
    }

    /// What the classifier says of each text, (texts, labels) before any
    /// softmax; `None` without a classifier.
    pub fn classify(&self, texts: &PackedTexts) -> Result<Option<Vec<Vec<f32>>>> {
        let Some(head) = &self.head else { return Ok(None) };
        let pooled = pool(&self.forward_texts(texts)?, &texts.cu_seqlens, head.pooling)?;
        Ok(Some(head.forward(&pooled)?.to_vec2()?))
    }
}

/// One vector a sequence from those of its tokens, (sequences, hidden).
pub fn pool(tokens: &Tensor, cu_seqlens: &[u32], pooling: Pooling) -> Result<Tensor> {
    let one = |of: fn(&[u32]) -> u32| {
        let rows: Vec<u32> = cu_seqlens.windows(2).map(of).collect();
        tokens.index_select(&Tensor::new(rows, tokens.device())?, 0)
    };
    let pooled = match pooling {
        Pooling::Mean => mean_rows(tokens, cu_seqlens)?,
        Pooling::Cls => one(|w| w[0])?,
        Pooling::Last => one(|w| w[1] - 1)?,
    };
    pooled.to_dtype(DType::F32)
}
