//! What Hugging Face calls the tensors our models ask for.

pub mod encoders;

/// What a file may call a tensor, or a larger one of which it is some rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alias {
    pub name: String,
    /// The tensor is this part of so many equal ones, by rows.
    pub part: (usize, usize),
}

impl Alias {
    pub fn whole(name: String) -> Self {
        Self { name, part: (0, 1) }
    }
}

/// Decoders with one norm before attention and one before the MLP.
pub fn decoder(name: &str) -> Vec<Alias> {
    translate(name, &[("ffn_norm", "post_attention_layernorm")])
}

/// Decoders that also norm after attention and after the MLP (Gemma).
pub fn sandwich_decoder(name: &str) -> Vec<Alias> {
    translate(
        name,
        &[
            ("post_attention_norm", "post_attention_layernorm"),
            ("ffn_norm", "pre_feedforward_layernorm"),
            ("post_ffw_norm", "post_feedforward_layernorm"),
        ],
    )
}

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

fn translate(name: &str, norms: &[(&str, &str)]) -> Vec<Alias> {
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
    ["model.", "language_model.model.", "model.language_model.", ""]
        .iter()
        .map(|prefix| Alias::whole(format!("{prefix}{layer}{own}.{kind}")))
        .collect()
}

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
            assert_eq!(decoder(ours)[0].name, theirs);
        }
        assert_eq!(
            sandwich_decoder("blk.1.ffn_norm.weight")[0].name,
            "model.layers.1.pre_feedforward_layernorm.weight"
        );
    }
}
