//! The same configuration from GGUF metadata.

use super::{DecoderConfig, LayerConfig, RopeConfig, RopeScaling};
use crate::backend::ops::Activation;
use crate::models::error::LoadError;
use crate::models::gguf::GgufFile;

/// GGUF architectures [`from_gguf`] reads.
pub const ARCHITECTURES: [&str; 4] = ["llama", "qwen2", "qwen3", "gemma3"];

/// Every how many layers a Gemma 3 layer sees the whole context; GGUF does not
/// store it.
const GEMMA3_PATTERN: usize = 6;
/// Gemma 3's rope base in windowed layers; GGUF does not store it.
const GEMMA3_LOCAL_THETA: f64 = 10_000.0;

/// Reads a decoder's configuration.
///
/// # Errors
/// A key that is missing, out of range, or asks for what is not supported.
pub fn from_gguf(file: &GgufFile) -> Result<DecoderConfig, LoadError> {
    let arch = file.string("general.architecture").unwrap_or_default();
    if !ARCHITECTURES.contains(&arch) {
        return Err(LoadError::Architecture {
            found: arch.to_owned(),
            supported: ARCHITECTURES.join(", "),
        });
    }
    let key = |name: &str| format!("{arch}.{name}");
    let size = |name: &str| match file.unsigned(&key(name)) {
        Some(n) if (1..=1 << 30).contains(&n) => Ok(Some(n as usize)),
        Some(n) => Err(LoadError::config(key(name), format!("{n} is not a size"))),
        None => Ok(None),
    };
    let need = |name: &str| {
        size(name)?.ok_or_else(|| LoadError::config(key(name), "is missing from the metadata"))
    };
    let gemma = arch == "gemma3";
    let hidden_size = need("embedding_length")?;
    let heads = need("attention.head_count")?;
    let kv_heads = size("attention.head_count_kv")?.unwrap_or(heads);
    if heads % kv_heads != 0 {
        return Err(LoadError::config(
            key("attention.head_count_kv"),
            format!("{kv_heads} does not divide {heads}"),
        ));
    }
    if size("expert_count")?.is_some() {
        return Err(LoadError::config(
            key("expert_count"),
            "mixtures of experts are not supported",
        ));
    }
    let head_dim = match size("attention.key_length")? {
        Some(d) => d,
        None => hidden_size / heads,
    };
    if !head_dim.is_multiple_of(2) {
        return Err(LoadError::config(
            key("attention.key_length"),
            format!("{head_dim} is odd; the rotary embedding turns halves of a head"),
        ));
    }
    if size("attention.value_length")?.is_some_and(|d| d != head_dim) {
        return Err(LoadError::config(key("attention.value_length"), "differs from key_length"));
    }
    if size("rope.dimension_count")?.is_some_and(|d| d != head_dim) {
        return Err(LoadError::config(
            key("rope.dimension_count"),
            "partial rotary embeddings are not supported",
        ));
    }
    let vocab = file.tensor("token_embd.weight")?.0.shape.first().copied().unwrap_or(0);
    let window = size("attention.sliding_window")?.filter(|_| gemma);
    let layers = (0..need("block_count")?)
        .map(|i| {
            let local = gemma && (i + 1) % GEMMA3_PATTERN != 0;
            LayerConfig { window: window.filter(|_| local), rope: usize::from(local) }
        })
        .collect();
    let theta = file.float(&key("rope.freq_base")).unwrap_or(10_000.0);
    let mut ropes = vec![RopeConfig { theta, scaling: scaling(file, &key)? }];
    if gemma {
        ropes.push(RopeConfig { theta: GEMMA3_LOCAL_THETA, scaling: RopeScaling::None });
    }
    Ok(DecoderConfig {
        vocab_size: vocab,
        hidden_size,
        intermediate_size: need("feed_forward_length")?,
        heads,
        kv_heads,
        head_dim,
        context_length: need("context_length")?,
        rms_norm_eps: file.float(&key("attention.layer_norm_rms_epsilon")).unwrap_or(1e-6) as f32,
        activation: if gemma { Activation::GeluTanh } else { Activation::Silu },
        layers,
        ropes,
        attention_scale: (head_dim as f32).powf(-0.5),
        qkv_bias: file.tensors.contains_key("blk.0.attn_q.bias"),
        output_bias: file.tensors.contains_key("blk.0.attn_output.bias"),
        mlp_bias: file.tensors.contains_key("blk.0.ffn_up.bias"),
        qk_norm: file.tensors.contains_key("blk.0.attn_q_norm.weight"),
        sandwich_norms: gemma,
        // Converters add the 1 before they write the file.
        norm_plus_one: false,
        embedding_scale: gemma.then(|| (hidden_size as f32).sqrt()),
        attention_softcap: None,
        final_softcap: None,
        logits_divisor: 1.0,
    })
}

fn scaling(file: &GgufFile, key: &dyn Fn(&str) -> String) -> Result<RopeScaling, LoadError> {
    if file.tensors.contains_key("rope_freqs.weight") {
        let (_, _, bytes) = file.tensor("rope_freqs.weight")?;
        let divisors = bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
        return Ok(RopeScaling::Divisors(divisors.collect()));
    }
    match file.string(&key("rope.scaling.type")).unwrap_or("none") {
        "none" => Ok(RopeScaling::None),
        "linear" => {
            let factor = file.float(&key("rope.scaling.factor")).unwrap_or(1.0);
            Ok(RopeScaling::Linear { factor })
        }
        other => Err(LoadError::config(
            key("rope.scaling.type"),
            format!("{other:?} is not supported; none and linear are"),
        )),
    }
}
