//! The matrices of experts and their routers in safetensors files, by whatever
//! name and in whatever form.

use candle_core::Device;

use super::{Entry, Rows, Safetensors, malformed};
use crate::backend::linear::Weight;
use crate::models::error::LoadError;
use crate::models::experts::{ExpertName, slice};
use crate::models::weights::Purpose;

/// Before the number of a layer.
const PREFIXES: [&str; 4] =
    ["model.layers.", "language_model.model.layers.", "model.language_model.layers.", "layers."];

/// What the file may call a tensor, from the layer's number on, and whether
/// it holds more than the one matrix: all experts, or half of each.
fn names(name: &str) -> Vec<(String, Option<Stack>)> {
    if let Some(wanted) = ExpertName::parse(name) {
        return of_expert(wanted);
    }
    let Some((layer, part)) = name.strip_prefix("blk.").and_then(|n| n.split_once('.')) else {
        return Vec::new();
    };
    let own: &[&str] = match part.strip_suffix(".weight") {
        Some("ffn_gate_inp") => &[
            "mlp.gate.weight",
            "block_sparse_moe.gate.weight",
            "block_sparse_moe.router.layer.weight",
            "block_sparse_moe.router.weight",
        ],
        Some("ffn_gate_inp_shexp") => &["mlp.shared_expert_gate.weight"],
        Some("ffn_gate_shexp") => &["mlp.shared_expert.gate_proj.weight"],
        Some("ffn_up_shexp") => &["mlp.shared_expert.up_proj.weight"],
        Some("ffn_down_shexp") => &["mlp.shared_expert.down_proj.weight"],
        _ => &[],
    };
    own.iter().map(|own| (format!("{layer}.{own}"), None)).collect()
}

/// Where a matrix is in a tensor of all experts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stack {
    expert: usize,
    /// Of its rows.
    half: Option<usize>,
}

fn of_expert(wanted: ExpertName<'_>) -> Vec<(String, Option<Stack>)> {
    let ExpertName { layer, part, expert } = wanted;
    let (own, mixtral, all, granite) = match part {
        "ffn_gate" => ("gate_proj", "w1", "gate_up_proj", "input_linear"),
        "ffn_up" => ("up_proj", "w3", "gate_up_proj", "input_linear"),
        _ => ("down_proj", "w2", "down_proj", "output_linear"),
    };
    let stack = Some(Stack { expert, half: wanted.half() });
    vec![
        (format!("{layer}.mlp.experts.{expert}.{own}.weight"), None),
        (format!("{layer}.block_sparse_moe.experts.{expert}.{mixtral}.weight"), None),
        (format!("{layer}.mlp.experts.{all}"), stack),
        (format!("{layer}.block_sparse_moe.{granite}.weight"), stack),
        (format!("{layer}.block_sparse_moe.experts.{all}"), stack),
    ]
}

impl Safetensors {
    fn find_expert(&self, name: &str) -> Option<(&str, &Entry, Option<Stack>)> {
        let mut names = names(name).into_iter();
        names.find_map(|(own, stack)| {
            let names = PREFIXES.iter().map(|prefix| format!("{prefix}{own}"));
            let (name, entry) = names.filter_map(|n| self.entries.get_key_value(&n)).next()?;
            Some((name.as_str(), entry, stack))
        })
    }

    /// A matrix of an expert, or a router; `None` for other tensors and for
    /// those that are not there.
    pub(super) fn read_expert(
        &self,
        name: &str,
        device: &Device,
        purpose: Purpose,
    ) -> Option<Result<Weight, LoadError>> {
        let (own, entry, stack) = self.find_expert(name)?;
        let (path, map) = &self.shards[entry.shard];
        let bytes = &map[entry.range.clone()];
        let rows = Rows { name: own, entry, bytes, shape: Vec::new(), first: 0, expert: None };
        let Some(Stack { expert, half }) = stack else {
            // A gate of one row is a vector elsewhere.
            let shape = match entry.shape[..] {
                [1, columns] if name.ends_with("ffn_gate_inp_shexp.weight") => vec![columns],
                _ => entry.shape.clone(),
            };
            return Some(self.place(name, &Rows { shape, ..rows }, (device, purpose)));
        };
        let Some((range, shape)) = slice(&entry.shape, bytes.len(), expert, half) else {
            let shape = &entry.shape;
            let reason = format!("experts of shape {shape:?} have no {name:?}");
            return Some(Err(malformed(path, reason)));
        };
        let first = half.unwrap_or(0) * shape[0];
        let (bytes, shape, expert) = (&bytes[range], shape.to_vec(), Some(expert));
        Some(self.place(name, &Rows { bytes, shape, first, expert, ..rows }, (device, purpose)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_hugging_face() {
        let stack = |half| Some(Stack { expert: 5, half });
        for (ours, theirs, wanted) in [
            ("blk.2.ffn_gate_inp.weight", "2.mlp.gate.weight", None),
            ("blk.2.ffn_gate_inp.weight", "2.block_sparse_moe.router.layer.weight", None),
            ("blk.2.ffn_up_shexp.weight", "2.mlp.shared_expert.up_proj.weight", None),
            ("blk.2.ffn_gate.5.weight", "2.mlp.experts.5.gate_proj.weight", None),
            ("blk.2.ffn_up.5.weight", "2.block_sparse_moe.experts.5.w3.weight", None),
            ("blk.2.ffn_up.5.weight", "2.mlp.experts.gate_up_proj", stack(Some(1))),
            ("blk.2.ffn_gate.5.weight", "2.block_sparse_moe.input_linear.weight", stack(Some(0))),
            ("blk.2.ffn_down.5.weight", "2.block_sparse_moe.output_linear.weight", stack(None)),
        ] {
            let found = names(ours);
            assert!(found.contains(&(theirs.to_owned(), wanted)), "{ours}: {found:?}");
        }
        assert!(names("blk.2.ffn_gate.weight").is_empty() && names("output.weight").is_empty());
    }
}
