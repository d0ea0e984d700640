//! GGUF as a source of tensors.

mod experts;
pub mod t5;

use candle_core::Device;

use super::config::DecoderConfig;
use super::error::LoadError;
use super::gguf::{GgufFile, TensorInfo, type_name};
use super::rows::{Pieces, in_halves, is_turned};
use super::weights::{Purpose, TensorSource, from_bytes};
use crate::backend::linear::Weight;

/// A GGUF file whose q and k rows are brought into the order our rotary
/// embedding expects, and whose fused matrices are taken apart.
pub struct GgufSource {
    file: GgufFile,
    heads: usize,
    kv_heads: usize,
    /// Columns of a head of q and k, when the file turns neighbours.
    pairs: Option<usize>,
}

impl GgufSource {
    pub fn new(file: GgufFile, config: &DecoderConfig) -> Self {
        Self {
            file,
            heads: config.heads,
            kv_heads: config.kv_heads,
            pairs: config.turns_neighbours.then_some(config.head_dim),
        }
    }

    /// What the file calls a tensor, or the larger one that it is part of (Phi-3).
    fn find(&self, name: &str) -> (String, Pieces) {
        let qkv = |which| Pieces::of_qkv(which, self.heads, self.kv_heads);
        let mut parts = name.splitn(4, '.');
        let parts = (parts.next(), parts.next(), parts.next(), parts.next());
        if let (Some(blk), Some(layer), Some(part), Some(kind)) = parts {
            let of = |part: &str| format!("{blk}.{layer}.{part}.{kind}");
            let (fused, pieces) = match part {
                "attn_q" => (of("attn_qkv"), qkv(0)),
                "attn_k" => (of("attn_qkv"), qkv(1)),
                "attn_v" => (of("attn_qkv"), qkv(2)),
                // Without a tensor of its own the gate comes first in that of up.
                "ffn_gate" => (of("ffn_up"), (0, 2).into()),
                "ffn_up" if !self.has(&of("ffn_gate")) => return (name.to_owned(), (1, 2).into()),
                _ => return (name.to_owned(), Pieces::ALL),
            };
            if !self.has(name) && self.has(&fused) {
                return (fused, pieces);
            }
        }
        (name.to_owned(), Pieces::ALL)
    }
}

impl TensorSource for GgufSource {
    fn has(&self, name: &str) -> bool {
        self.file.tensors.contains_key(name)
    }

    fn read(&self, name: &str, device: &Device, purpose: Purpose) -> Result<Weight, LoadError> {
        if let Some(matrix) = self.read_expert(name, device, purpose) {
            return matrix;
        }
        let (found, pieces) = self.find(name);
        let (info, dtype, bytes) = self.file.tensor(&found)?;
        let (part, shape) = pieces.cut(bytes, &info.shape).ok_or_else(|| {
            let reason =
                format!("tensor {found:?} of shape {:?} is not that of {name:?}", info.shape);
            LoadError::Malformed { path: self.file.path().to_owned(), reason }
        })?;
        let pairs = self.pairs.filter(|_| is_turned(name));
        let ordered = pairs.and_then(|head_dim| in_halves(name, part, &shape, head_dim));
        // Rows in another number than the model's are refused for their shape.
        let part = ordered.as_deref().unwrap_or(part);
        let weight = from_bytes(part, dtype, &shape, (device, purpose));
        // Packed weights are a copy, so a model is not in memory twice.
        self.file.forget(bytes);
        weight
    }

    fn len(&self) -> usize {
        // Experts are read one by one.
        let experts = |t: &TensorInfo| if let [n, _, _] = t.shape[..] { n } else { 1 };
        self.file.tensors.values().fold(0, |n, t| experts(t).saturating_add(n))
    }

    fn parameters(&self) -> u64 {
        let count = |shape: &[usize]| shape.iter().fold(1u64, |n, &d| n.saturating_mul(d as u64));
        self.file.tensors.values().fold(0u64, |n, t| n.saturating_add(count(&t.shape)))
    }

    fn storage(&self) -> String {
        let mut counts = std::collections::BTreeMap::new();
        for t in self.file.tensors.values().filter(|t| t.shape.len() >= 2) {
            *counts.entry(t.type_id).or_insert(0) += 1;
        }
        let most = counts.into_iter().max_by_key(|(_, n)| *n);
        most.map_or_else(String::new, |(id, _)| type_name(id))
    }
}
