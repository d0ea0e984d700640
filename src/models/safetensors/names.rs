//! What Hugging Face calls the tensors our models ask for.

pub mod encoders;
pub mod seq2seq;

use crate::models::config::{DecoderConfig, Placement};
use crate::models::rows::Pieces;

/// What a file may call a tensor, or a larger one of which it is some rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alias {
    pub name: String,
    pub pieces: Pieces,
}

impl Alias {
    pub fn whole(name: String) -> Self {
        Self { name, pieces: Pieces::ALL }
    }
}

/// The names of a decoder's tensors.
pub fn decoder(config: &DecoderConfig) -> impl Fn(&str) -> Vec<Alias> + use<> {
    let norms = match config.norms {
        Placement::Before | Placement::Beside => BEFORE,
        Placement::Around | Placement::After => AROUND,
    };
    let (heads, kv_heads) = (config.heads, config.kv_heads);
    move |name| translate(name, norms, (heads, kv_heads))
}

/// One norm before attention and one before the MLP.
const BEFORE: &[(&str, &str)] = &[("ffn_norm", "post_attention_layernorm")];

/// Norms after attention and after the MLP (Gemma, OLMo 2).
const AROUND: &[(&str, &str)] = &[
    ("post_attention_norm", "post_attention_layernorm"),
    ("ffn_norm", "pre_feedforward_layernorm"),
    ("post_ffw_norm", "post_feedforward_layernorm"),
];

const SHARED: [(&str, &str); 12] = [
    ("attn_norm", "input_layernorm"),
    ("attn_q", "self_attn.q_proj"),
    ("attn_k", "self_attn.k_proj"),
    ("attn_v", "self_attn.v_proj"),
    ("attn_output", "self_attn.o_proj"),
    ("attn_q_norm", "self_attn.q_norm"),
    ("attn_k_norm", "self_attn.k_norm"),
    ("ffn_gate", "mlp.gate_proj"),
    ("ffn_up", "mlp.up_proj"),
    ("ffn_down", "mlp.down_proj"),
    ("token_embd", "embed_tokens"),
    ("output_norm", "norm"),
];

fn translate(name: &str, norms: &[(&str, &str)], (heads, kv_heads): (usize, usize)) -> Vec<Alias> {
    if let Some(rest) = name.strip_prefix("output.") {
        return vec![
            Alias::whole(format!("lm_head.{rest}")),
            Alias::whole(format!("language_model.lm_head.{rest}")),
        ];
    }
    let (layer, rest) = match name.strip_prefix("blk.").and_then(|n| n.split_once('.')) {
        Some((layer, rest)) => (format!("layers.{layer}."), rest),
        None => (String::new(), name),
    };
    let (part, kind) = rest.rsplit_once('.').unwrap_or((rest, ""));
    let own = norms.iter().chain(&SHARED).find(|(ours, _)| *ours == part).map_or(part, |p| p.1);
    let names = |own: &str, pieces| {
        PREFIXES.map(|prefix| Alias { name: format!("{prefix}{layer}{own}.{kind}"), pieces })
    };
    let mut all = names(own, Pieces::ALL).to_vec();
    // Phi-3 keeps them in one.
    let qkv = |which| ("self_attn.qkv_proj", Pieces::of_qkv(which, heads, kv_heads));
    let fused = match part {
        "attn_q" => Some(qkv(0)),
        "attn_k" => Some(qkv(1)),
        "attn_v" => Some(qkv(2)),
        "ffn_gate" => Some(("mlp.gate_up_proj", (0, 2).into())),
        "ffn_up" => Some(("mlp.gate_up_proj", (1, 2).into())),
        _ => None,
    };
    all.extend(fused.into_iter().flat_map(|(own, pieces)| names(own, pieces)));
    all
}

/// What may stand before all names; models of more than text have more.
const PREFIXES: [&str; 4] = ["model.", "language_model.model.", "model.language_model.", ""];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_hugging_face() {
        for (ours, theirs) in [
            ("token_embd.weight", "model.embed_tokens.weight"),
            ("output.weight", "lm_head.weight"),
            ("output_norm.weight", "model.norm.weight"),
            ("blk.3.attn_q.bias", "model.layers.3.self_attn.q_proj.bias"),
            ("blk.0.ffn_norm.weight", "model.layers.0.post_attention_layernorm.weight"),
        ] {
            assert_eq!(translate(ours, BEFORE, (4, 2))[0].name, theirs);
        }
        assert_eq!(
            translate("blk.1.ffn_norm.weight", AROUND, (4, 2))[0].name,
            "model.layers.1.pre_feedforward_layernorm.weight"
        );
        let keys = translate("blk.0.attn_k.weight", BEFORE, (4, 2));
        let name = "model.layers.0.self_attn.qkv_proj.weight".to_owned();
        assert!(keys.contains(&Alias { name, pieces: Pieces { first: 4, count: 2, of: 8 } }));
    }
}
