//! GGUF's T5, under the names that our encoder-decoders ask for.

use candle_core::Device;

use super::GgufSource;
use crate::backend::linear::Weight;
use crate::models::error::LoadError;
use crate::models::gguf::GgufFile;
use crate::models::weights::{Purpose, TensorSource};

/// A T5 in a GGUF file.
pub struct GgufT5(GgufSource);

impl GgufT5 {
    pub fn new(file: GgufFile) -> Self {
        Self(GgufSource { file, heads: 1, kv_heads: 1, pairs: None })
    }
}

impl TensorSource for GgufT5 {
    fn has(&self, name: &str) -> bool {
        self.0.has(&stored(name))
    }

    fn read(&self, name: &str, device: &Device, purpose: Purpose) -> Result<Weight, LoadError> {
        self.0.read(&stored(name), device, purpose)
    }

    fn len(&self) -> usize {
        self.0.len()
    }

    fn parameters(&self) -> u64 {
        self.0.parameters()
    }

    fn storage(&self) -> String {
        self.0.storage()
    }
}

/// What GGUF calls a tensor of BART's name.
fn stored(name: &str) -> String {
    let same = || name.to_owned();
    match name {
        "shared.weight" => return "token_embd.weight".to_owned(),
        "lm_head.weight" => return "output.weight".to_owned(),
        _ => {}
    }
    let Some((side, rest)) = name.split_once('.') else { return same() };
    let side = match side {
        "encoder" => "enc",
        "decoder" => "dec",
        _ => return same(),
    };
    if let Some(kind) = rest.strip_prefix("layer_norm.") {
        return format!("{side}.output_norm.{kind}");
    }
    if let Some(kind) = rest.strip_prefix("relative_bias.") {
        return format!("{side}.blk.0.attn_rel_b.{kind}");
    }
    let parts = rest.strip_prefix("layers.").and_then(|rest| rest.split_once('.'));
    let Some((layer, Some((part, kind)))) = parts.map(|(n, part)| (n, part.rsplit_once('.')))
    else {
        return same();
    };
    let part = match part {
        "self_attn.q_proj" => "attn_q",
        "self_attn.k_proj" => "attn_k",
        "self_attn.v_proj" => "attn_v",
        "self_attn.out_proj" => "attn_o",
        "self_attn_layer_norm" => "attn_norm",
        "encoder_attn.q_proj" => "cross_attn_q",
        "encoder_attn.k_proj" => "cross_attn_k",
        "encoder_attn.v_proj" => "cross_attn_v",
        "encoder_attn.out_proj" => "cross_attn_o",
        "encoder_attn_layer_norm" => "cross_attn_norm",
        "fc1_gate" => "ffn_gate",
        "fc1" => "ffn_up",
        "fc2" => "ffn_down",
        "final_layer_norm" => "ffn_norm",
        _ => return same(),
    };
    format!("{side}.blk.{layer}.{part}.{kind}")
}
