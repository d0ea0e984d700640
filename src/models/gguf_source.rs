//! GGUF as a source of tensors.

use candle_core::Device;

use super::config::DecoderConfig;
use super::error::LoadError;
use super::gguf::{GgufFile, type_name};
use super::weights::{Purpose, TensorSource, from_bytes};
use crate::backend::linear::Weight;

/// A GGUF file whose q and k rows are brought into the order our rotary
/// embedding expects.
pub struct GgufSource {
    file: GgufFile,
    /// Rotated heads of q and k, when the file interleaves their halves.
    interleaved: Option<(usize, usize)>,
}

impl GgufSource {
    pub fn new(file: GgufFile, config: &DecoderConfig) -> Self {
        // Converters of the llama architecture interleave the two halves of
        // each head of q and k; all others keep Hugging Face's order.
        let interleaved = (file.string("general.architecture") == Some("llama"))
            .then_some((config.heads, config.kv_heads));
        Self { file, interleaved }
    }
}

impl TensorSource for GgufSource {
    fn has(&self, name: &str) -> bool {
        self.file.tensors.contains_key(name)
    }

    fn read(&self, name: &str, device: &Device, purpose: Purpose) -> Result<Weight, LoadError> {
        let (info, dtype, bytes) = self.file.tensor(name)?;
        let heads = self.interleaved.and_then(|(heads, kv_heads)| {
            let part = name.split('.').nth(2)?;
            match part {
                "attn_q" => Some(heads),
                "attn_k" => Some(kv_heads),
                _ => None,
            }
        });
        let weight = match heads {
            Some(heads) if info.shape[0] % (2 * heads) == 0 => {
                let ordered = deinterleave(bytes, info.shape[0], heads);
                from_bytes(&ordered, dtype, &info.shape, (device, purpose))
            }
            _ => from_bytes(bytes, dtype, &info.shape, (device, purpose)),
        };
        // Packed weights are a copy, so a model is not in memory twice.
        self.file.forget(bytes);
        weight
    }

    fn len(&self) -> usize {
        self.file.tensors.len()
    }

    fn parameters(&self) -> u64 {
        let count = |shape: &[usize]| shape.iter().fold(1u64, |n, &d| n.saturating_mul(d as u64));
        self.file.tensors.values().fold(0u64, |n, t| n.saturating_add(count(&t.shape)))
    }

    fn storage(&self) -> String {
        let mut counts = std::collections::BTreeMap::new();
        for t in self.file.tensors.values().filter(|t| t.shape.len() == 2) {
            *counts.entry(t.type_id).or_insert(0) += 1;
        }
        let most = counts.into_iter().max_by_key(|(_, n)| *n);
        most.map_or_else(String::new, |(id, _)| type_name(id))
    }
}

/// Reorders whole rows, so it works on blocks as on plain numbers: row
/// `2j + s` of a head becomes row `s · d/2 + j`.
fn deinterleave(bytes: &[u8], rows: usize, heads: usize) -> Vec<u8> {
    let row = bytes.len() / rows;
    let (d, half) = (rows / heads, rows / heads / 2);
    let mut out = Vec::with_capacity(bytes.len());
    for head in 0..heads {
        for s in 0..2 {
            for j in 0..half {
                let from = (head * d + 2 * j + s) * row;
                out.extend_from_slice(&bytes[from..from + row]);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_put_back_in_order() {
        // Two heads of six rows of two bytes; the byte tells the row.
        let bytes: Vec<u8> = (0..12).flat_map(|r| [r, r]).collect();
        let rows: Vec<u8> = deinterleave(&bytes, 12, 2).chunks(2).map(|c| c[0]).collect();
        assert_eq!(rows, [0, 2, 4, 1, 3, 5, 6, 8, 10, 7, 9, 11]);
    }
}
