//! The same configuration from GGUF metadata.

mod keys;
mod ropes;
mod t5;

use self::keys::Keys;
pub use self::t5::{T5, seq2seq_from_gguf};
use super::{
    DecoderConfig, LayerConfig, Placement, QkNorms, RopeConfig, RopeScaling, experts, layer_count,
};
use crate::backend::ops::Activation;
use crate::models::error::LoadError;
use crate::models::gguf::GgufFile;

/// GGUF architectures [`from_gguf`] reads.
pub const ARCHITECTURES: [&str; 15] = [
    "llama",
    "qwen2",
    "qwen2moe",
    "qwen3",
    "qwen3moe",
    "gemma2",
    "gemma3",
    "granite",
    "granitemoe",
    "smollm3",
    "phi3",
    "olmo2",
    "olmoe",
    "command-r",
    "cohere2",
];

/// Those whose files turn neighbouring columns of a head: because converters
/// reorder the rows of q and k, or because the model does.
const TURN_NEIGHBOURS: [&str; 6] =
    ["llama", "granite", "granitemoe", "smollm3", "command-r", "cohere2"];

/// Every so many layers a SmolLM3 layer has no positions; GGUF does not store it.
const SMOLLM3_NO_ROPE: usize = 4;

/// Reads a decoder's configuration.
///
/// # Errors
/// A key that is missing, out of range, or asks for what is not supported.
pub fn from_gguf(file: &GgufFile) -> Result<DecoderConfig, LoadError> {
    let arch = file.string("general.architecture").unwrap_or_default();
    if !ARCHITECTURES.contains(&arch) {
        return Err(LoadError::Architecture {
            found: arch.to_owned(),
            supported: [&ARCHITECTURES[..], &[T5]].concat().join(", "),
        });
    }
    let keys = Keys { file, arch };
    let gemma = arch.starts_with("gemma");
    let cohere = matches!(arch, "command-r" | "cohere2");
    let granite = arch.starts_with("granite");
    let hidden_size = keys.need("embedding_length")?;
    let heads = keys.need("attention.head_count")?;
    let kv_heads = keys.size("attention.head_count_kv")?.unwrap_or(heads);
    if heads % kv_heads != 0 {
        let reason = format!("{kv_heads} does not divide {heads}");
        return Err(keys.fault("attention.head_count_kv", reason));
    }
    let head_dim = match keys.size("attention.key_length")? {
        Some(d) => d,
        None if hidden_size.is_multiple_of(heads) => hidden_size / heads,
        None => {
            let reason = format!("{hidden_size} is no multiple of the {heads} heads");
            return Err(keys.fault("embedding_length", reason));
        }
    };
    if !head_dim.is_multiple_of(2) {
        let reason = format!("{head_dim} is odd; the rotary embedding turns halves of a head");
        return Err(keys.fault("attention.key_length", reason));
    }
    if keys.size("attention.value_length")?.is_some_and(|d| d != head_dim) {
        return Err(keys.fault("attention.value_length", "differs from key_length"));
    }
    let rotary_dim = keys.size("rope.dimension_count")?.unwrap_or(head_dim);
    if rotary_dim != head_dim && arch != "phi3" {
        let reason = "partial rotary embeddings are supported for phi3 alone";
        return Err(keys.fault("rope.dimension_count", reason));
    }
    if rotary_dim > head_dim || !rotary_dim.is_multiple_of(2) {
        let reason = format!("{rotary_dim} is odd or more than a head of {head_dim}");
        return Err(keys.fault("rope.dimension_count", reason));
    }
    let count = layer_count(keys.key("block_count"), keys.need("block_count")?)?;
    let (layers, ropes) = layers(&keys, count, rotary_dim)?;
    // Gemma's largest models scale by the width of the model (27B: 46 layers of
    // Gemma 2, 62 of Gemma 3); GGUF does not store it.
    let largest = matches!((arch, count), ("gemma2", 46) | ("gemma3", 62));
    let scaled = if largest { hidden_size / heads } else { head_dim };
    let attention_scale = keys.float("attention.scale").filter(|_| granite);
    // As in config.json's residual_multiplier: see there.
    let residual = keys.float("residual_scale").filter(|_| granite).unwrap_or(1.0);
    let embedding_scale = match arch {
        _ if granite => Some(keys.float("embedding_scale").unwrap_or(1.0) / residual),
        _ => gemma.then(|| f64::from((hidden_size as f32).sqrt())),
    };
    let eps = match cohere {
        true => keys.float("attention.layer_norm_epsilon").unwrap_or(1e-5),
        false => keys.float("attention.layer_norm_rms_epsilon").unwrap_or(1e-6),
    };
    let logits_divisor = match arch {
        _ if granite => keys.float("logit_scale").unwrap_or(1.0),
        // Written where it is not 0, and multiplied with.
        _ if cohere => 1.0 / keys.float("logit_scale").filter(|s| *s != 0.0).unwrap_or(1.0),
        _ => 1.0,
    };
    if residual == 0.0 || logits_divisor == 0.0 || !logits_divisor.is_finite() {
        return Err(keys.fault("logit_scale", "or residual_scale is out of range"));
    }
    let cap = |name: &str, default: Option<f64>| {
        let cap = keys.float(name).or(default).filter(|cap| gemma && *cap != 0.0);
        cap.map(|cap| cap as f32)
    };
    let gemma2 = |default: f64| (arch == "gemma2").then_some(default);
    let has = |tensor: &str| file.tensors.contains_key(tensor);
    Ok(DecoderConfig {
        vocab_size: file.tensor("token_embd.weight")?.0.shape.first().copied().unwrap_or(0),
        hidden_size,
        intermediate_size: keys.need("feed_forward_length")?,
        experts: experts::from_gguf(file, arch, count)?,
        heads,
        kv_heads,
        head_dim,
        context_length: keys.need("context_length")?,
        rms_norm_eps: (eps / (residual * residual)) as f32,
        layer_norms: cohere,
        activation: if gemma { Activation::GeluTanh } else { Activation::Silu },
        layers,
        rotary_dim,
        turns_neighbours: TURN_NEIGHBOURS.contains(&arch),
        ropes,
        attention_scale: attention_scale.unwrap_or((scaled as f64).powf(-0.5)) as f32,
        qkv_bias: has("blk.0.attn_q.bias") || has("blk.0.attn_qkv.bias"),
        output_bias: has("blk.0.attn_output.bias"),
        mlp_bias: has("blk.0.ffn_up.bias"),
        qk_norm: has("blk.0.attn_q_norm.weight").then_some(match arch {
            "olmo2" | "olmoe" => QkNorms::Row,
            "command-r" => QkNorms::OwnHeads,
            _ => QkNorms::Heads,
        }),
        norms: match arch {
            "olmo2" => Placement::After,
            _ if gemma => Placement::Around,
            _ if cohere => Placement::Beside,
            _ => Placement::Before,
        },
        // Converters add the 1 before they write the file.
        norm_plus_one: false,
        embedding_scale: embedding_scale.map(|x| x as f32),
        attention_softcap: cap("attn_logit_softcapping", gemma2(50.0)),
        final_softcap: cap("final_logit_softcapping", gemma2(30.0)),
        logits_divisor: logits_divisor as f32,
    })
}

/// What each layer sees, and the ropes they take: the first is that of layers
/// that see everything.
fn layers(
    keys: &Keys<'_>,
    count: usize,
    rotary_dim: usize,
) -> Result<(Vec<LayerConfig>, Vec<RopeConfig>), LoadError> {
    let arch = keys.arch;
    let (default, every) = match arch {
        "gemma2" => (Some(4096), 2),
        "gemma3" => (None, 6),
        "olmo2" | "cohere2" => (None, 4),
        _ => (None, 0),
    };
    let windowed = every > 0 || arch == "phi3";
    // 0 is for none.
    let window = match keys.unsigned("attention.sliding_window") {
        Some(0) => None,
        _ => keys.size("attention.sliding_window")?.or(default),
    };
    let window = window.filter(|_| windowed);
    let sliding = match (window, arch) {
        (None, _) => vec![false; count],
        (_, "phi3") => vec![true; count],
        _ => keys.pattern("attention.sliding_window_pattern", every, count)?,
    };
    let full = ropes::full(keys, rotary_dim)?;
    let local = ropes::local(keys, full.theta);
    let off = RopeConfig { theta: 1.0, scaling: RopeScaling::Off };
    // The second rope, and who takes it.
    let (second, takes): (Option<RopeConfig>, Vec<bool>) = match arch {
        "gemma3" | "olmo2" => (Some(local), sliding.clone()),
        "cohere2" => (Some(off), sliding.iter().map(|s| !s).collect()),
        "smollm3" => (Some(off), (1..=count).map(|i| i % SMOLLM3_NO_ROPE == 0).collect()),
        _ => (None, vec![false; count]),
    };
    let layer = |(s, second): (bool, bool)| LayerConfig {
        window: window.filter(|_| s),
        rope: usize::from(second),
    };
    let layers = sliding.into_iter().zip(takes).map(layer).collect();
    Ok((layers, std::iter::once(full).chain(second).collect()))
}
