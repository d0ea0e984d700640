//! Mixtures of experts, from `config.json` or from GGUF metadata.

use serde_json::{Value, json};

use super::hf::Fields;
use crate::models::error::LoadError;
use crate::models::gguf::GgufFile;

/// Experts a layer may have at most; more would be a damaged file.
const MOST: usize = 4096;

/// What the layers of a mixture of experts are made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Experts {
    pub count: usize,
    /// Experts of each token.
    pub chosen: usize,
    /// Width inside of one.
    pub intermediate_size: usize,
    /// The weights of a token's experts add up to 1.
    pub normalised: bool,
    /// Width inside of an expert that all tokens take, where there is one.
    pub shared: Option<usize>,
    /// By layer: whether it has experts in place of a feed-forward layer.
    pub layers: Vec<bool>,
}

impl Experts {
    /// Values of each token that lie in memory at once in such a layer, for a
    /// model of this width.
    pub fn values(&self, hidden_size: usize) -> usize {
        let shared = self.shared.map_or(0, |inner| 2 * (inner + hidden_size));
        self.count + 2 * self.chosen * (self.intermediate_size + hidden_size) + shared
    }

    fn check(self, field: &str) -> Result<Self, LoadError> {
        let Self { count, chosen, .. } = self;
        if count > MOST {
            return Err(LoadError::config(field, format!("{count} experts are more than {MOST}")));
        }
        if chosen > count {
            let reason = format!("{count} experts cannot give {chosen} to each token");
            return Err(LoadError::config(field, reason));
        }
        Ok(self)
    }
}

/// Model types of `config.json` that are mixtures of experts.
pub const MIXTURES: [&str; 5] = ["mixtral", "qwen2_moe", "qwen3_moe", "granitemoe", "olmoe"];

/// Fields of other mixtures, with the one value that asks for nothing.
fn unsupported() -> [(&'static str, Value); 10] {
    [
        ("scoring_func", json!("softmax")),
        ("score_function", json!("softmax")),
        ("topk_method", json!("greedy")),
        ("n_group", json!(1)),
        ("topk_group", json!(1)),
        ("num_expert_group", json!(1)),
        ("routed_scaling_factor", json!(1.0)),
        ("first_k_dense_replace", json!(0)),
        ("moe_layer_freq", json!(1)),
        ("n_shared_experts", json!(0)),
    ]
}

/// The experts of a `config.json`, where its model type has some.
pub(super) fn from_json(
    json: &Fields<'_>,
    model_type: &str,
    layers: usize,
) -> Result<Option<Experts>, LoadError> {
    if !MIXTURES.contains(&model_type) {
        return Ok(None);
    }
    for (field, nothing) in unsupported() {
        if let Some(value) = json.get(field)
            && *value != nothing
            && value.as_f64().zip(nothing.as_f64()).is_none_or(|(a, b)| a != b)
        {
            let reason = format!("{value} is not supported; experts are chosen by a softmax alone");
            return Err(LoadError::config(field, reason));
        }
    }
    let qwen = model_type.starts_with("qwen");
    let olmoe = model_type == "olmoe";
    let (ours, theirs) = match qwen || olmoe {
        true => ("num_experts", "num_local_experts"),
        false => ("num_local_experts", "num_experts"),
    };
    let count = match json.size(theirs)? {
        Some(count) if json.get(ours).is_none() => count,
        _ => json.need(ours)?,
    };
    let experts = Experts {
        count,
        chosen: json.need("num_experts_per_tok")?,
        intermediate_size: match qwen {
            true => json.need("moe_intermediate_size")?,
            false => json.need("intermediate_size")?,
        },
        normalised: !(qwen || olmoe) || json.flag("norm_topk_prob"),
        shared: match model_type {
            "qwen2_moe" => Some(json.need("shared_expert_intermediate_size")?),
            _ => None,
        },
        layers: match qwen {
            true => sparse_layers(json, layers)?,
            false => vec![true; layers],
        },
    };
    experts.check(ours).map(Some)
}

/// Which layers of a Qwen have experts.
fn sparse_layers(json: &Fields<'_>, layers: usize) -> Result<Vec<bool>, LoadError> {
    let step = json.size("decoder_sparse_step")?.unwrap_or(1);
    let mut sparse: Vec<bool> = (0..layers).map(|i| (i + 1) % step == 0).collect();
    let Some(dense) = json.get("mlp_only_layers") else { return Ok(sparse) };
    let fault = || LoadError::config("mlp_only_layers", format!("{dense} is no list of layers"));
    for layer in dense.as_array().ok_or_else(fault)? {
        let layer = layer.as_u64().and_then(|n| usize::try_from(n).ok()).ok_or_else(fault)?;
        if let Some(sparse) = sparse.get_mut(layer) {
            *sparse = false;
        }
    }
    Ok(sparse)
}

/// The experts of a GGUF file, where it has some.
pub(super) fn from_gguf(
    file: &GgufFile,
    arch: &str,
    layers: usize,
) -> Result<Option<Experts>, LoadError> {
    let key = |name: &str| format!("{arch}.{name}");
    let size = |name: &str| match file.unsigned(&key(name)) {
        Some(n) if n <= 1 << 30 => Ok(Some(n as usize).filter(|n| *n > 0)),
        Some(n) => Err(LoadError::config(key(name), format!("{n} is not a size"))),
        None => Ok(None),
    };
    let Some(count) = size("expert_count")? else { return Ok(None) };
    // 1 is llama.cpp's number of the softmax.
    for (name, nothing) in [("expert_gating_func", 1), ("expert_group_count", 1)] {
        if let Some(found) = size(name)?.filter(|n| *n != nothing) {
            let reason = format!("{found} is not supported; experts are chosen by a softmax alone");
            return Err(LoadError::config(key(name), reason));
        }
    }
    if file.float(&key("expert_weights_scale")).is_some_and(|x| x != 1.0 && x != 0.0) {
        return Err(LoadError::config(key("expert_weights_scale"), "is not supported"));
    }
    let tensor = |layer: usize, part: &str| {
        file.tensors.get(&format!("blk.{layer}.{part}.weight")).map(|info| info.shape.as_slice())
    };
    let sparse: Vec<bool> = (0..layers).map(|i| tensor(i, "ffn_gate_inp").is_some()).collect();
    let first = sparse.iter().position(|sparse| *sparse).unwrap_or(0);
    let bias = format!("blk.{first}.exp_probs_b.bias");
    if file.tensors.contains_key(&bias) {
        return Err(LoadError::config(bias, "is not supported: biases of the choice of experts"));
    }
    let missing = |name: &str| LoadError::config(key(name), "is missing from the metadata");
    let inner = match (size("expert_feed_forward_length")?, tensor(first, "ffn_down_exps")) {
        (Some(inner), _) => Some(inner),
        (None, Some(&[_, _, inner])) => Some(inner),
        _ => size("feed_forward_length")?,
    };
    let experts = Experts {
        count,
        chosen: size("expert_used_count")?.ok_or_else(|| missing("expert_used_count"))?,
        intermediate_size: inner.ok_or_else(|| missing("expert_feed_forward_length"))?,
        // What llama.cpp does, unless the file says it.
        normalised: file
            .bool(&key("expert_weights_norm"))
            .unwrap_or(!["qwen2moe", "olmoe"].contains(&arch)),
        shared: tensor(first, "ffn_down_shexp").and_then(|shape| shape.get(1).copied()),
        layers: sparse,
    };
    experts.check(&key("expert_count")).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::config::from_json;

    fn qwen3() -> Value {
        json!({"model_type": "qwen3_moe", "hidden_size": 64, "num_attention_heads": 4,
            "num_key_value_heads": 2, "num_hidden_layers": 6, "vocab_size": 96,
            "intermediate_size": 128, "max_position_embeddings": 128, "hidden_act": "silu",
            "num_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 24,
            "norm_topk_prob": true})
    }

    #[test]
    fn layers_with_experts_are_those_that_are_named() {
        for (step, dense, expected) in [
            (json!(null), json!(null), [true; 6]),
            (json!(2), json!([]), [false, true, false, true, false, true]),
            (json!(1), json!([0, 4, 77]), [false, true, true, true, false, true]),
            (json!(3), json!([5]), [false, false, true, false, false, false]),
        ] {
            let mut config = qwen3();
            config["decoder_sparse_step"] = step;
            config["mlp_only_layers"] = dense;
            assert_eq!(from_json(&config).unwrap().experts.unwrap().layers, expected);
        }
    }

    #[test]
    fn what_is_not_supported_is_named() {
        for (key, value, expected) in [
            ("scoring_func", json!("sigmoid"), "scoring_func: \"sigmoid\" is not supported"),
            ("n_group", json!(8), "n_group: 8"),
            ("routed_scaling_factor", json!(2.5), "routed_scaling_factor: 2.5"),
            ("num_experts", json!(null), "num_experts: is missing"),
            ("num_experts", json!(100_000), "100000 experts are more than 4096"),
            ("num_experts_per_tok", json!(9), "8 experts cannot give 9"),
            ("num_experts_per_tok", json!(0), "num_experts_per_tok: 0 is not a size"),
            ("mlp_only_layers", json!([-1]), "mlp_only_layers: [-1]"),
        ] {
            let mut config = qwen3();
            config[key] = value;
            let error = from_json(&config).unwrap_err().to_string();
            assert!(error.contains(expected), "{error:?} lacks {expected:?}");
        }
        let mut config = qwen3();
        config["scoring_func"] = json!("softmax");
        config["routed_scaling_factor"] = json!(1);
        assert!(from_json(&config).is_ok());
    }
}
