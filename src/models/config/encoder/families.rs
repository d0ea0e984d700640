//! The families of encoders: where each keeps its sizes in `config.json`, and
//! what it is built of.

use super::super::hf::{Fields, activation, rope, sliding_layers};
use super::super::{LayerConfig, RopeConfig, RopeScaling};
use super::{Bias, Biases, EncoderConfig, Positions};
use crate::backend::ops::Activation;
use crate::models::error::LoadError;

/// What a family calls its sizes.
struct Names {
    hidden: &'static str,
    inner: &'static str,
    layers: &'static str,
    heads: &'static str,
    positions: &'static str,
    activation: &'static str,
    eps: &'static str,
}

const NAMES: Names = Names {
    hidden: "hidden_size",
    inner: "intermediate_size",
    layers: "num_hidden_layers",
    heads: "num_attention_heads",
    positions: "max_position_embeddings",
    activation: "hidden_act",
    eps: "layer_norm_eps",
};

/// The encoder of a configuration whose `model_type` is one of
/// [`super::ENCODERS`].
pub fn read(json: &Fields<'_>) -> Result<EncoderConfig, LoadError> {
    match json.text("model_type").unwrap_or_default() {
        "modernbert" => modernbert(json),
        "nomic_bert" if json.get("n_embd").is_some() => nomic_of_the_hub(json),
        "nomic_bert" => nomic(json),
        "gte" => gte(json),
        "new" => gte_of_the_hub(json),
        "distilbert" => {
            let names = Names {
                hidden: "dim",
                inner: "hidden_dim",
                layers: "n_layers",
                heads: "n_heads",
                activation: "activation",
                ..NAMES
            };
            // The position table is in the file even where it holds sines.
            Ok(EncoderConfig { token_types: 0, ..bert(json, &names)? })
        }
        "electra" => {
            let config = absolute(json, 0)?;
            let embedding_size = json.size("embedding_size")?.unwrap_or(config.hidden_size);
            Ok(EncoderConfig { embedding_size, ..config })
        }
        // RoBERTa and its kin count positions from the padding token's id on.
        "roberta" | "xlm-roberta" | "camembert" => {
            let pad = json.get("pad_token_id").and_then(serde_json::Value::as_u64).unwrap_or(1);
            absolute(json, usize::try_from(pad).unwrap_or(usize::MAX).saturating_add(1))
        }
        "mpnet" => {
            let buckets = json.size("relative_attention_num_buckets")?.unwrap_or(32);
            // The reference computes ranges for 32 whatever the field says.
            if buckets != 32 {
                return Err(LoadError::config(
                    "relative_attention_num_buckets",
                    format!("{buckets} is not supported; 32 is"),
                ));
            }
            let config = absolute(json, 2)?;
            let positions = Positions::Table { offset: 2, bias: Some(Bias::Buckets(buckets)) };
            Ok(EncoderConfig { positions, token_types: 0, ..config })
        }
        _ if json.text("position_embedding_type") == Some("alibi") => jina(json),
        _ => absolute(json, 0),
    }
}

/// BERT's own layers, under the names of `names`.
fn bert(json: &Fields<'_>, names: &Names) -> Result<EncoderConfig, LoadError> {
    let (hidden_size, heads) = (json.need(names.hidden)?, json.need(names.heads)?);
    Ok(EncoderConfig {
        vocab_size: json.need("vocab_size")?,
        hidden_size,
        embedding_size: hidden_size,
        intermediate_size: json.need(names.inner)?,
        layers: json.layers(names.layers)?,
        heads,
        head_dim: hidden_size / heads,
        context_length: json.need(names.positions)?,
        positions: Positions::Table { offset: 0, bias: None },
        layer_configs: Vec::new(),
        token_types: types(json, 1)?,
        norm_eps: json.float(names.eps)?.unwrap_or(1e-12) as f32,
        biases: Biases::ALL,
        pre_norm: false,
        gated: false,
        activation: activation(json, &[names.activation])?,
        head: None,
        sparse: false,
    })
}

/// Token types, which may be 0.
fn types(json: &Fields<'_>, default: usize) -> Result<usize, LoadError> {
    match json.get("type_vocab_size").and_then(serde_json::Value::as_u64) {
        Some(0) => Ok(0),
        _ => Ok(json.size("type_vocab_size")?.unwrap_or(default)),
    }
}

/// BERT with a table of positions, the first token's row being `offset`.
fn absolute(json: &Fields<'_>, offset: usize) -> Result<EncoderConfig, LoadError> {
    if let Some(kind) = json.text("position_embedding_type").filter(|k| *k != "absolute") {
        return Err(unsupported("position_embedding_type", kind, "absolute"));
    }
    let config = bert(json, &NAMES)?;
    if offset >= config.context_length {
        return Err(LoadError::config("max_position_embeddings", "leaves no position for a token"));
    }
    Ok(EncoderConfig {
        context_length: config.context_length - offset,
        positions: Positions::Table { offset, bias: None },
        ..config
    })
}

/// JinaBERT 2: slopes for positions, a gated layer without biases on the way up.
fn jina(json: &Fields<'_>) -> Result<EncoderConfig, LoadError> {
    if json.get("auto_map").is_some_and(|map| map.to_string().contains("qk-post-norm")) {
        return Err(unsupported("auto_map", "qk-post-norm", "jina-bert-implementation"));
    }
    let (gated, activation) = match json.text("feed_forward_type") {
        Some("geglu") => (true, Activation::GeluErf),
        Some("reglu") => (true, Activation::Relu),
        Some("original") => (false, activation(json, &["hidden_act"])?),
        other => {
            let found = other.unwrap_or("none");
            return Err(unsupported("feed_forward_type", found, "geglu, reglu and original"));
        }
    };
    Ok(EncoderConfig {
        positions: Positions::Bias(Bias::Slopes),
        gated,
        activation,
        biases: Biases { up: !gated, ..Biases::ALL },
        ..bert(json, &NAMES)?
    })
}

/// ModernBERT (arXiv:2412.13663): norms before the layers, rotary positions,
/// layers that see all and layers that see their neighbourhood in turn.
fn modernbert(json: &Fields<'_>) -> Result<EncoderConfig, LoadError> {
    let names = Names { activation: "hidden_activation", eps: "norm_eps", ..NAMES };
    let config = EncoderConfig { token_types: 0, ..bert(json, &names)? };
    let count = config.layers;
    let local: Vec<bool> = match sliding_layers(json, count)? {
        Some(local) => local,
        None => {
            let every = json.size("global_attn_every_n_layers")?.unwrap_or(3);
            (0..count).map(|i| i % every != 0).collect()
        }
    };
    let (full, near) = match json.get("rope_parameters") {
        Some(parameters) => {
            let one = |kind: &str| {
                let value = parameters.get(kind).ok_or_else(|| {
                    LoadError::config(format!("rope_parameters.{kind}"), "is missing")
                })?;
                rope(&Fields(value), "rope_parameters")
            };
            (one("full_attention")?, one("sliding_attention")?)
        }
        None => {
            let theta = json.float("global_rope_theta")?.unwrap_or(160_000.0);
            let near = match json.0.get("local_rope_theta") {
                // Written as null it means the other layers'.
                Some(serde_json::Value::Null) => theta,
                _ => json.float("local_rope_theta")?.unwrap_or(10_000.0),
            };
            (plain(theta), plain(near))
        }
    };
    // The whole window is named, half of it lies on either side.
    let reach = json.size("local_attention")?.unwrap_or(128) / 2;
    let layer = |local| LayerConfig { window: Some(reach).filter(|_| local), rope: local.into() };
    let bias = |name: &str| json.flag(name);
    Ok(EncoderConfig {
        positions: Positions::Rotary(vec![full, near]),
        layer_configs: local.into_iter().map(layer).collect(),
        norm_eps: json.float("norm_eps")?.unwrap_or(1e-5) as f32,
        biases: Biases {
            qkv: bias("attention_bias"),
            output: bias("attention_bias"),
            up: bias("mlp_bias"),
            down: bias("mlp_bias"),
            norm: bias("norm_bias"),
        },
        pre_norm: true,
        gated: true,
        ..config
    })
}

/// Nomic's BERT as transformers writes it.
fn nomic(json: &Fields<'_>) -> Result<EncoderConfig, LoadError> {
    let rope = rope_parameters(json, 1000.0)?;
    let none = Biases { norm: true, qkv: false, output: false, up: false, down: false };
    Ok(EncoderConfig {
        positions: Positions::Rotary(vec![rope]),
        biases: none,
        gated: true,
        ..bert(json, &NAMES)?
    })
}

/// Nomic's BERT as its own code writes it, in GPT-2's names.
fn nomic_of_the_hub(json: &Fields<'_>) -> Result<EncoderConfig, LoadError> {
    for field in ["prenorm", "parallel_block", "use_rms_norm", "rotary_emb_interleaved", "causal"] {
        if json.flag(field) {
            return Err(unsupported(field, "true", "false"));
        }
    }
    for field in ["num_experts", "rotary_emb_scale_base"] {
        if json.float(field)?.is_some_and(|x| x > 0.0) {
            return Err(LoadError::config(field, "is set, which is not supported"));
        }
    }
    if json.float("rotary_emb_fraction")?.is_some_and(|x| x != 1.0) {
        return Err(LoadError::config("rotary_emb_fraction", "is not 1, which is not supported"));
    }
    let activation = match json.text("activation_function") {
        Some("swiglu") => Activation::Silu,
        Some("geglu") => Activation::GeluErf,
        other => {
            let found = other.unwrap_or("none");
            return Err(unsupported("activation_function", found, "swiglu and geglu"));
        }
    };
    let (hidden_size, positions) = (json.need("n_embd")?, json.need("n_positions")?);
    let heads = json.need("n_head")?;
    // With a scaling factor the rope depends on a text's length beyond what
    // was trained on; texts up to there need none.
    let context_length = match json.float("rotary_scaling_factor")? {
        Some(_) => json.size("max_trained_positions")?.unwrap_or(positions).min(positions),
        None => positions,
    };
    let bias = |name: &str| json.0.get(name).and_then(serde_json::Value::as_bool).unwrap_or(true);
    let theta = json.float("rotary_emb_base")?.unwrap_or(10_000.0);
    Ok(EncoderConfig {
        vocab_size: json.need("vocab_size")?,
        hidden_size,
        embedding_size: hidden_size,
        intermediate_size: json.size("n_inner")?.unwrap_or(4 * hidden_size),
        layers: json.layers("n_layer")?,
        heads,
        head_dim: hidden_size / heads,
        context_length,
        positions: Positions::Rotary(vec![plain(theta)]),
        layer_configs: Vec::new(),
        token_types: types(json, 0)?,
        norm_eps: json.float("layer_norm_epsilon")?.unwrap_or(1e-5) as f32,
        biases: Biases {
            qkv: bias("qkv_proj_bias"),
            output: bias("qkv_proj_bias"),
            up: bias("mlp_fc1_bias"),
            down: bias("mlp_fc2_bias"),
            norm: true,
        },
        pre_norm: false,
        gated: true,
        activation,
        head: None,
        sparse: false,
    })
}

/// GTE as transformers writes it.
fn gte(json: &Fields<'_>) -> Result<EncoderConfig, LoadError> {
    Ok(EncoderConfig {
        positions: Positions::Rotary(vec![rope_parameters(json, 160_000.0)?]),
        biases: Biases { up: false, ..Biases::ALL },
        gated: true,
        ..bert(json, &NAMES)?
    })
}

/// GTE as its own code writes it, under the model type "new".
fn gte_of_the_hub(json: &Fields<'_>) -> Result<EncoderConfig, LoadError> {
    for (field, wanted) in [("position_embedding_type", "rope"), ("layer_norm_type", "layer_norm")]
    {
        if let Some(found) = json.text(field).filter(|f| *f != wanted) {
            return Err(unsupported(field, found, wanted));
        }
    }
    if json.flag("logn_attention_scale") {
        return Err(unsupported("logn_attention_scale", "true", "false"));
    }
    let config = bert(json, &NAMES)?;
    let theta = json.float("rope_theta")?.unwrap_or(10_000.0);
    let rope = match json.get("rope_scaling").map(Fields) {
        None => plain(theta),
        Some(scaling) => ntk(&scaling, theta, config.head_dim)?,
    };
    Ok(EncoderConfig {
        positions: Positions::Rotary(vec![rope]),
        biases: Biases { up: false, ..Biases::ALL },
        gated: true,
        ..config
    })
}

/// GTE's fixed NTK scaling: a larger base, then all frequencies divided by
/// the factor's root for one pair.
fn ntk(scaling: &Fields<'_>, theta: f64, head_dim: usize) -> Result<RopeConfig, LoadError> {
    let kind = scaling.text("type").or_else(|| scaling.text("rope_type")).unwrap_or("none");
    if kind != "ntk" {
        return Err(unsupported("rope_scaling.type", kind, "ntk"));
    }
    if scaling.get("mixed_b").is_some() {
        return Err(LoadError::config("rope_scaling.mixed_b", "is set, which is not supported"));
    }
    let factor = scaling
        .float("factor")?
        .ok_or_else(|| LoadError::config("rope_scaling.factor", "is missing"))?;
    let scaling = RopeScaling::Linear { factor: factor.powf(2.0 / head_dim as f64) };
    Ok(RopeConfig { theta: theta * factor, scaling })
}

/// transformers 5's `rope_parameters`, or 4's `rope_theta`.
fn rope_parameters(json: &Fields<'_>, theta: f64) -> Result<RopeConfig, LoadError> {
    match json.get("rope_parameters") {
        Some(value) => {
            let parameters = Fields(value);
            let found = rope(&parameters, "rope_parameters")?;
            Ok(RopeConfig { theta: parameters.float("rope_theta")?.unwrap_or(theta), ..found })
        }
        None if json.get("rope_scaling").is_some() => {
            Err(LoadError::config("rope_scaling", "is not supported here"))
        }
        None => Ok(plain(json.float("rope_theta")?.unwrap_or(theta))),
    }
}

fn plain(theta: f64) -> RopeConfig {
    RopeConfig { theta, scaling: RopeScaling::None }
}

fn unsupported(field: &str, found: &str, supported: &str) -> LoadError {
    LoadError::config(field, format!("{found:?} is not supported; {supported} is"))
}
