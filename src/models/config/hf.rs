//! `config.json` as Hugging Face transformers writes it, versions 4 and 5.

use serde_json::Value;

#[cfg(test)]
mod published;
mod ropes;

pub(super) use self::ropes::rope;
use self::ropes::ropes;
use super::{
    DecoderConfig, LayerConfig, Placement, QkNorms, RopeConfig, RopeScaling, experts, layer_count,
    quantization,
};
use crate::backend::ops::Activation;
use crate::models::error::LoadError;

/// Model types [`from_json`] reads.
pub const DECODERS: [&str; 19] = [
    "llama",
    "mistral",
    "mixtral",
    "qwen2",
    "qwen2_moe",
    "qwen3",
    "qwen3_moe",
    "gemma2",
    "gemma3",
    "gemma3_text",
    "granite",
    "granitemoe",
    "smollm3",
    "phi3",
    "olmo2",
    "olmo3",
    "olmoe",
    "cohere",
    "cohere2",
];

/// Fields of one object of the config, with errors that name the field.
pub(super) struct Fields<'a>(pub &'a Value);

impl<'a> Fields<'a> {
    /// `null` counts as absent, as in transformers.
    pub fn get(&self, key: &str) -> Option<&'a Value> {
        self.0.get(key).filter(|v| !v.is_null())
    }

    pub fn size(&self, key: &str) -> Result<Option<usize>, LoadError> {
        let Some(value) = self.get(key) else {
            return Ok(None);
        };
        match value.as_u64() {
            // No model has more of anything; larger would only overflow later.
            Some(n) if (1..=1 << 30).contains(&n) => Ok(Some(n as usize)),
            _ => Err(LoadError::config(key, format!("{value} is not a size"))),
        }
    }

    pub fn need(&self, key: &str) -> Result<usize, LoadError> {
        self.size(key)?.ok_or_else(|| LoadError::config(key, "is missing from config.json"))
    }

    /// A number of layers.
    pub fn layers(&self, key: &str) -> Result<usize, LoadError> {
        layer_count(key, self.need(key)?)
    }

    pub fn float(&self, key: &str) -> Result<Option<f64>, LoadError> {
        let Some(value) = self.get(key) else {
            return Ok(None);
        };
        match value.as_f64() {
            Some(x) if x.is_finite() => Ok(Some(x)),
            _ => Err(LoadError::config(key, format!("{value} is not a number"))),
        }
    }

    pub fn flag(&self, key: &str) -> bool {
        self.get(key).and_then(Value::as_bool).unwrap_or(false)
    }

    pub fn text(&self, key: &str) -> Option<&'a str> {
        self.get(key).and_then(Value::as_str)
    }
}

/// Reads a decoder's `config.json`.
///
/// # Errors
/// An architecture, activation or rope scaling that is not supported, or a
/// field that is missing or out of range; the message names it.
pub fn from_json(root: &Value) -> Result<DecoderConfig, LoadError> {
    let model_type = root.get("model_type").and_then(Value::as_str).unwrap_or_default();
    // Multimodal Gemma 3 keeps its decoder's fields in `text_config`.
    let json = Fields(root.get("text_config").filter(|v| v.is_object()).unwrap_or(root));
    quantization(root)?;
    let gemma = model_type.starts_with("gemma");
    let (cohere, olmo) =
        (model_type.starts_with("cohere"), matches!(model_type, "olmo2" | "olmo3"));
    if json.get("clip_qkv").is_some() {
        return Err(LoadError::config(
            "clip_qkv",
            "is not supported: queries, keys and values are not cut off",
        ));
    }
    let heads = json.need("num_attention_heads")?;
    let hidden_size = json.need("hidden_size")?;
    let head_dim = match json.size("head_dim")? {
        Some(d) => d,
        None if hidden_size % heads == 0 => hidden_size / heads,
        None => {
            return Err(LoadError::config("hidden_size", "is no multiple of num_attention_heads"));
        }
    };
    if !head_dim.is_multiple_of(2) {
        return Err(LoadError::config(
            "head_dim",
            format!("{head_dim} is odd; the rotary embedding turns halves of a head"),
        ));
    }
    let kv_heads = json.size("num_key_value_heads")?.unwrap_or(heads);
    if heads % kv_heads != 0 {
        return Err(LoadError::config(
            "num_key_value_heads",
            format!("{kv_heads} does not divide {heads}"),
        ));
    }
    let rotary_dim = rotary_dim(&json, head_dim, model_type)?;
    let (ropes, layers) = layers(&json, json.layers("num_hidden_layers")?, model_type)?;
    for rope in &ropes {
        if let RopeScaling::Long { short, long, .. } = &rope.scaling
            && [short, long].iter().any(|factors| 2 * factors.len() != rotary_dim)
        {
            let reason = format!("and long_factor have to be {} numbers each", rotary_dim / 2);
            return Err(LoadError::config("rope_scaling.short_factor", reason));
        }
    }
    let scale = json.float("query_pre_attn_scalar")?.unwrap_or(head_dim as f64);
    let attention_scale = json.float("attention_multiplier")?.unwrap_or(scale.powf(-0.5));
    let embedding_scale = match json.float("embedding_multiplier")? {
        Some(scale) => Some(scale),
        None => gemma.then(|| f64::from((hidden_size as f32).sqrt())),
    };
    // Granite multiplies what each layer adds. All of the sum divided by that is
    // the same to the norms that read it, but for what they add to its square.
    let residual = json.float("residual_multiplier")?.unwrap_or(1.0);
    let embedding_scale = match residual == 1.0 {
        true => embedding_scale,
        false => Some(embedding_scale.unwrap_or(1.0) / residual),
    };
    let eps = match cohere {
        true => json.float("layer_norm_eps")?.unwrap_or(1e-5),
        false => json.float("rms_norm_eps")?.unwrap_or(1e-6),
    };
    let logits_divisor = match cohere {
        true => 1.0 / json.float("logit_scale")?.unwrap_or(0.0625),
        false => json.float("logits_scaling")?.unwrap_or(1.0),
    };
    let logits_field = if cohere { "logit_scale" } else { "logits_scaling" };
    for (field, usable) in [
        ("residual_multiplier", residual != 0.0),
        (logits_field, logits_divisor != 0.0 && logits_divisor.is_finite()),
    ] {
        if !usable {
            return Err(LoadError::config(field, "is 0, by which nothing can be divided"));
        }
    }
    let positions = match json.size("model_max_length")?.filter(|_| cohere) {
        Some(positions) => positions,
        None => json.need("max_position_embeddings")?,
    };
    Ok(DecoderConfig {
        vocab_size: json.need("vocab_size")?,
        hidden_size,
        intermediate_size: json.need("intermediate_size")?,
        experts: experts::from_json(&json, model_type, layers.len())?,
        heads,
        kv_heads,
        head_dim,
        context_length: context_length(positions, &ropes),
        rms_norm_eps: (eps / (residual * residual)) as f32,
        layer_norms: cohere,
        activation: activation(&json, &["hidden_activation", "hidden_act"])?,
        layers,
        rotary_dim,
        turns_neighbours: cohere,
        ropes,
        attention_scale: attention_scale as f32,
        qkv_bias: match model_type {
            "qwen2" => true,
            "qwen2_moe" => json.get("qkv_bias") != Some(&Value::Bool(false)),
            _ => json.flag("attention_bias"),
        },
        output_bias: !model_type.starts_with("qwen2") && json.flag("attention_bias"),
        mlp_bias: json.flag("mlp_bias"),
        qk_norm: match model_type {
            "gemma3" | "gemma3_text" | "qwen3" | "qwen3_moe" => Some(QkNorms::Heads),
            "olmo2" | "olmo3" | "olmoe" => Some(QkNorms::Row),
            "cohere" if json.flag("use_qk_norm") => Some(QkNorms::OwnHeads),
            _ => None,
        },
        norms: match (gemma, olmo, cohere) {
            (true, ..) => Placement::Around,
            (_, true, _) => Placement::After,
            (.., true) => Placement::Beside,
            _ => Placement::Before,
        },
        norm_plus_one: gemma,
        embedding_scale: embedding_scale.map(|x| x as f32),
        attention_softcap: json.float("attn_logit_softcapping")?.map(|x| x as f32),
        final_softcap: json.float("final_logit_softcapping")?.map(|x| x as f32),
        logits_divisor: logits_divisor as f32,
    })
}

/// How many columns of a head are turned (Phi-4-mini: not all).
fn rotary_dim(json: &Fields<'_>, head_dim: usize, model_type: &str) -> Result<usize, LoadError> {
    const FIELD: &str = "partial_rotary_factor";
    let inner = json.get("rope_parameters").map(Fields);
    let factor = match inner.map(|inner| inner.float(FIELD)).transpose()?.flatten() {
        Some(factor) => factor,
        None => json.float(FIELD)?.unwrap_or(1.0),
    };
    if factor == 1.0 {
        return Ok(head_dim);
    }
    if model_type != "phi3" {
        let reason = format!("{factor} is not supported for {model_type:?}");
        return Err(LoadError::config(FIELD, reason));
    }
    match (head_dim as f64 * factor) as usize {
        dim if dim > 0 && dim <= head_dim && dim.is_multiple_of(2) => Ok(dim),
        dim => {
            let reason = format!("{factor} leaves {dim} columns of {head_dim} to turn");
            Err(LoadError::config(FIELD, reason))
        }
    }
}

/// What the positions were stretched to, if that is more than what is said.
fn context_length(positions: usize, ropes: &[RopeConfig]) -> usize {
    let stretched = ropes.iter().map(|rope| match rope.scaling {
        RopeScaling::Yarn { factor, original_context, .. } => (factor * original_context) as usize,
        _ => 0,
    });
    stretched.fold(positions, usize::max).min(1 << 30)
}

/// Ropes and layers: windows by `layer_types`, or by the older pattern fields.
fn layers(
    json: &Fields<'_>,
    count: usize,
    model_type: &str,
) -> Result<(Vec<RopeConfig>, Vec<LayerConfig>), LoadError> {
    let gemma3 = model_type.starts_with("gemma3");
    // Qwen2-MoE writes 0 where there is none.
    let window = match json.get("sliding_window").and_then(Value::as_u64) {
        Some(0) => None,
        _ => json.size("sliding_window")?,
    };
    let sliding = match sliding_layers(json, count)? {
        Some(sliding) => sliding,
        None if model_type == "gemma2" => (0..count).map(|i| i % 2 == 0).collect(),
        None if matches!(model_type, "mistral" | "mixtral" | "phi3") => {
            vec![window.is_some(); count]
        }
        None if model_type == "qwen3_moe" => vec![json.flag("use_sliding_window"); count],
        None if model_type == "qwen2_moe" => {
            let until = json.size("max_window_layers")?.unwrap_or(28);
            let on = json.flag("use_sliding_window");
            (0..count).map(|i| on && i % 2 == 0 && i < until).collect()
        }
        None if gemma3 || matches!(model_type, "olmo3" | "cohere2") => {
            let default = if gemma3 { 6 } else { 4 };
            let pattern = json.size("sliding_window_pattern")?.unwrap_or(default);
            (0..count).map(|i| (i + 1) % pattern != 0).collect()
        }
        None => {
            let from = json.size("max_window_layers")?.unwrap_or(0);
            let on = json.flag("use_sliding_window");
            (0..count).map(|i| on && i >= from).collect()
        }
    };
    if sliding.contains(&true) && window.is_none() {
        return Err(LoadError::config("sliding_window", "is missing, but layers use it"));
    }
    let (full, local) = ropes(json, model_type)?;
    let turned = match model_type {
        "cohere2" => sliding.clone(),
        _ => turned(json, count)?,
    };
    let mut ropes: Vec<RopeConfig> = std::iter::once(full).chain(local).collect();
    let (locals, off) = (usize::from(ropes.len() > 1), ropes.len());
    if turned.contains(&false) {
        ropes.push(RopeConfig { theta: 1.0, scaling: RopeScaling::Off });
    }
    let layer = |(&s, turned)| LayerConfig {
        window: window.filter(|_| s),
        rope: if turned { usize::from(s) * locals } else { off },
    };
    let layers = sliding.iter().zip(turned).map(layer).collect();
    Ok((ropes, layers))
}

/// Which layers see only their neighbourhood, where `layer_types` says so.
pub(super) fn sliding_layers(
    json: &Fields<'_>,
    count: usize,
) -> Result<Option<Vec<bool>>, LoadError> {
    let Some(types) = json.get("layer_types").and_then(Value::as_array) else {
        return Ok(None);
    };
    if types.len() != count {
        let found = format!("has {} entries for {count} layers", types.len());
        return Err(LoadError::config("layer_types", found));
    }
    let sliding = types.iter().map(|t| match t.as_str() {
        Some("sliding_attention") => Ok(true),
        Some("full_attention") => Ok(false),
        _ => Err(LoadError::config("layer_types", format!("{t} is not supported"))),
    });
    sliding.collect::<Result<_, _>>().map(Some)
}

/// Which layers turn queries and keys by their positions (SmolLM3: not all).
fn turned(json: &Fields<'_>, count: usize) -> Result<Vec<bool>, LoadError> {
    let Some(list) = json.get("no_rope_layers") else {
        return Ok(match json.size("no_rope_layer_interval")? {
            Some(n) => (0..count).map(|i| (i + 1) % n != 0).collect(),
            None => vec![true; count],
        });
    };
    // In spite of its name, 1 is for those that do.
    let flags = list.as_array().map(|list| list.iter().map(Value::as_u64).collect::<Vec<_>>());
    match flags {
        Some(flags) if flags.len() == count => Ok(flags.iter().map(|f| *f != Some(0)).collect()),
        _ => {
            let why = format!("is no list of 0 and 1 for {count} layers");
            Err(LoadError::config("no_rope_layers", why))
        }
    }
}

pub(super) fn activation(json: &Fields<'_>, keys: &[&str]) -> Result<Activation, LoadError> {
    let (key, name) = keys
        .iter()
        .find_map(|key| Some((*key, json.text(key)?)))
        .ok_or_else(|| LoadError::config(keys[keys.len() - 1], "is missing from config.json"))?;
    match name {
        "silu" | "swish" => Ok(Activation::Silu),
        "gelu_pytorch_tanh" | "gelu_new" | "gelu_fast" => Ok(Activation::GeluTanh),
        "gelu" => Ok(Activation::GeluErf),
        "relu" => Ok(Activation::Relu),
        other => Err(LoadError::config(key, format!("activation {other:?} is not supported"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn llama() -> Value {
        json!({"model_type": "llama", "hidden_size": 64, "num_attention_heads": 4,
            "num_key_value_heads": 2, "num_hidden_layers": 2, "vocab_size": 96,
            "intermediate_size": 128, "max_position_embeddings": 128, "hidden_act": "silu"})
    }

    #[test]
    fn a_fault_is_named() {
        let cases = [
            ("vocab_size", json!(null), "vocab_size: is missing"),
            ("vocab_size", json!(-1), "vocab_size: -1 is not a size"),
            ("num_key_value_heads", json!(3), "num_key_value_heads"),
            ("hidden_act", json!("tanhshrink"), "hidden_act: activation \"tanhshrink\""),
            (
                "rope_scaling",
                json!({"rope_type": "longrope", "factor": 4}),
                "rope_scaling.short_factor: is missing",
            ),
            (
                "rope_scaling",
                json!({"type": "su", "short_factor": [1.0], "long_factor": [2.0],
                    "original_max_position_embeddings": 64}),
                "short_factor: and long_factor have to be 8 numbers",
            ),
            ("rope_scaling", json!({"rope_type": "dynamic"}), "rope_type: \"dynamic\""),
            ("partial_rotary_factor", json!(0.5), "partial_rotary_factor: 0.5 is not supported"),
            ("rope_scaling", json!({"rope_type": "linear"}), "rope_scaling.factor: is missing"),
            (
                "quantization_config",
                json!({"quant_method": "gptq"}),
                "quantization_config.quant_method: \"gptq\" weights",
            ),
            ("layer_types", json!(["full_attention"]), "layer_types: has 1 entries for 2"),
        ];
        for (key, value, expected) in cases {
            let mut config = llama();
            config[key] = value;
            let error = from_json(&config).unwrap_err().to_string();
            assert!(error.contains(expected), "{error:?} lacks {expected:?}");
        }
    }

    #[test]
    fn both_spellings_of_rope_are_read() {
        let mut old = llama();
        old["rope_theta"] = json!(5e5);
        old["rope_scaling"] = json!({"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
            "high_freq_factor": 4.0, "original_max_position_embeddings": 64});
        let mut new = llama();
        new["rope_parameters"] = old["rope_scaling"].clone();
        new["rope_parameters"]["rope_theta"] = json!(5e5);
        assert_eq!(from_json(&old).unwrap().ropes, from_json(&new).unwrap().ropes);
    }
}
