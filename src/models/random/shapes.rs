//! The tensors a configuration stands for, by the names our models ask for.

use std::collections::BTreeMap;

use crate::models::config::{DecoderConfig, EncoderConfig};

type Shapes = BTreeMap<String, Vec<usize>>;

/// Tensors of a decoder, named as in GGUF; `tied` leaves the output head out.
pub fn decoder(c: &DecoderConfig, tied: bool) -> Shapes {
    let (h, f, d) = (c.hidden_size, c.intermediate_size, c.head_dim);
    let mut shapes = Shapes::new();
    let mut put = |name: String, shape: &[usize]| {
        shapes.insert(name, shape.to_vec());
    };
    put("token_embd.weight".into(), &[c.vocab_size, h]);
    put("output_norm.weight".into(), &[h]);
    if !tied {
        put("output.weight".into(), &[c.vocab_size, h]);
    }
    let linears = [
        ("attn_q", c.heads * d, h, c.qkv_bias),
        ("attn_k", c.kv_heads * d, h, c.qkv_bias),
        ("attn_v", c.kv_heads * d, h, c.qkv_bias),
        ("attn_output", h, c.heads * d, c.output_bias),
        ("ffn_gate", f, h, c.mlp_bias),
        ("ffn_up", f, h, c.mlp_bias),
        ("ffn_down", h, f, c.mlp_bias),
    ];
    let mut norms = vec![("attn_norm", h), ("ffn_norm", h)];
    if c.qk_norm {
        norms.extend([("attn_q_norm", d), ("attn_k_norm", d)]);
    }
    if c.sandwich_norms {
        norms.extend([("post_attention_norm", h), ("post_ffw_norm", h)]);
    }
    for layer in 0..c.layers.len() {
        for (part, out, input, bias) in linears {
            put(format!("blk.{layer}.{part}.weight"), &[out, input]);
            if bias {
                put(format!("blk.{layer}.{part}.bias"), &[out]);
            }
        }
        for (part, len) in &norms {
            put(format!("blk.{layer}.{part}.weight"), &[*len]);
        }
    }
    shapes
}

/// Tensors of an encoder, named as in Hugging Face's BERT.
pub fn encoder(c: &EncoderConfig) -> Shapes {
    let (h, f) = (c.hidden_size, c.intermediate_size);
    let mut shapes = Shapes::new();
    let mut put = |name: String, shape: &[usize]| {
        shapes.insert(name, shape.to_vec());
    };
    for (table, rows) in [
        ("word_embeddings", c.vocab_size),
        ("position_embeddings", c.max_positions),
        ("token_type_embeddings", c.type_vocab_size),
    ] {
        put(format!("embeddings.{table}.weight"), &[rows, h]);
    }
    let mut norms = vec!["embeddings.LayerNorm".to_owned()];
    for layer in 0..c.layers {
        let name = |part: &str| format!("encoder.layer.{layer}.{part}");
        for (part, out, input) in [
            ("attention.self.query", h, h),
            ("attention.self.key", h, h),
            ("attention.self.value", h, h),
            ("attention.output.dense", h, h),
            ("intermediate.dense", f, h),
            ("output.dense", h, f),
        ] {
            put(name(part) + ".weight", &[out, input]);
            put(name(part) + ".bias", &[out]);
        }
        norms.extend([name("attention.output.LayerNorm"), name("output.LayerNorm")]);
    }
    for norm in norms {
        put(format!("{norm}.weight"), &[h]);
        put(format!("{norm}.bias"), &[h]);
    }
    shapes
}
