//! The matrices of experts in GGUF files: `blk.N.ffn_gate_exps` of all experts
//! of a layer, or in the first files of Mixtral `blk.N.ffn_gate.E` of each.

use candle_core::Device;

use super::GgufSource;
use crate::backend::linear::Weight;
use crate::models::error::LoadError;
use crate::models::experts::{ExpertName, slice};
use crate::models::weights::{Purpose, from_bytes};

impl GgufSource {
    /// A matrix out of those of all experts; `None` for tensors of another name
    /// and for matrices that have a tensor of their own.
    pub(super) fn read_expert(
        &self,
        name: &str,
        device: &Device,
        purpose: Purpose,
    ) -> Option<Result<Weight, LoadError>> {
        let wanted = ExpertName::parse(name)?;
        if self.file.tensors.contains_key(name) {
            return None;
        }
        let ExpertName { layer, part, expert } = wanted;
        let both = format!("blk.{layer}.ffn_gate_up_exps.weight");
        let (stack, half) = match wanted.half().filter(|_| self.file.tensors.contains_key(&both)) {
            Some(half) => (both, Some(half)),
            None => (format!("blk.{layer}.{part}_exps.weight"), None),
        };
        Some(self.file.tensor(&stack).and_then(|(info, dtype, bytes)| {
            let part = slice(&info.shape, bytes.len(), expert, half);
            let (range, shape) = part.ok_or_else(|| LoadError::Malformed {
                path: self.file.path().to_owned(),
                reason: format!("tensor {stack:?} of shape {:?} has no {name:?}", info.shape),
            })?;
            let bytes = &bytes[range];
            let weight = from_bytes(bytes, dtype, &shape, (device, purpose));
            self.file.forget(bytes);
            weight
        }))
    }
}
