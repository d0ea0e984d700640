//! The tensors a configuration stands for, by the names our models ask for.

use std::collections::BTreeMap;

use crate::models::config::seq2seq::TokenPositions;
use crate::models::config::{
    Bias, DecoderConfig, EncoderConfig, Placement, Positions, QkNorms, Seq2SeqConfig,
};

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
    let (before, after) = (["attn_norm", "ffn_norm"], ["post_attention_norm", "post_ffw_norm"]);
    let around = match c.norms {
        Placement::Before => before.to_vec(),
        Placement::Around => [before, after].concat(),
        Placement::After => after.to_vec(),
        Placement::Beside => before[..1].to_vec(),
    };
    let mut norms: Vec<_> = around.into_iter().map(|name| (name, vec![h])).collect();
    if let Some(kind) = c.qk_norm {
        for (name, heads) in [("attn_q_norm", c.heads), ("attn_k_norm", c.kv_heads)] {
            norms.push(match kind {
                QkNorms::Heads => (name, vec![d]),
                QkNorms::OwnHeads => (name, vec![heads, d]),
                QkNorms::Row => (name, vec![heads * d]),
            });
        }
    }
    for layer in 0..c.layers.len() {
        let experts = c.experts.as_ref().filter(|e| e.layers.get(layer) == Some(&true));
        if let Some(e) = experts {
            put(format!("blk.{layer}.ffn_gate_inp.weight"), &[e.count, h]);
            let mut expert = |of: &str, inner: usize| {
                put(format!("blk.{layer}.ffn_gate{of}.weight"), &[inner, h]);
                put(format!("blk.{layer}.ffn_up{of}.weight"), &[inner, h]);
                put(format!("blk.{layer}.ffn_down{of}.weight"), &[h, inner]);
            };
            (0..e.count).for_each(|i| expert(&format!(".{i}"), e.intermediate_size));
            if let Some(inner) = e.shared {
                expert("_shexp", inner);
                put(format!("blk.{layer}.ffn_gate_inp_shexp.weight"), &[h]);
            }
        }
        for (part, out, input, bias) in linears {
            if experts.is_some() && part.starts_with("ffn_") {
                continue;
            }
            put(format!("blk.{layer}.{part}.weight"), &[out, input]);
            if bias {
                put(format!("blk.{layer}.{part}.bias"), &[out]);
            }
        }
        for (part, shape) in &norms {
            put(format!("blk.{layer}.{part}.weight"), shape);
        }
    }
    shapes
}

/// Tensors of an encoder, named as our encoder asks for them.
pub fn encoder(c: &EncoderConfig) -> Shapes {
    let (h, f, width, b) = (c.hidden_size, c.intermediate_size, c.embedding_size, c.biases);
    let mut shapes = Shapes::new();
    let mut put = |name: String, shape: &[usize]| {
        shapes.insert(name, shape.to_vec());
    };
    for (table, rows) in [
        ("word_embeddings", c.vocab_size),
        ("position_embeddings", c.position_rows()),
        ("token_type_embeddings", c.token_types),
    ] {
        if rows > 0 {
            put(format!("embeddings.{table}.weight"), &[rows, width]);
        }
    }
    if let Positions::Table { bias: Some(Bias::Buckets(n)), .. } = c.positions {
        put("encoder.relative_attention_bias.weight".into(), &[n, c.heads]);
    }
    let mut linears = Vec::new();
    if width != h {
        linears.push(("embeddings_project".to_owned(), h, width, true));
    }
    let mut norms = vec![("embeddings.LayerNorm".to_owned(), width)];
    for layer in 0..c.layers {
        let name = |part: &str| format!("encoder.layer.{layer}.{part}");
        for (part, out, input, bias) in [
            ("attention.self.query", h, h, b.qkv),
            ("attention.self.key", h, h, b.qkv),
            ("attention.self.value", h, h, b.qkv),
            ("attention.output.dense", h, h, b.output),
            ("intermediate.dense", f, h, b.up),
            ("output.dense", h, f, b.down),
        ] {
            linears.push((name(part), out, input, bias));
        }
        if c.gated {
            linears.push((name("intermediate.gate"), f, h, b.up));
        }
        norms.push((name("output.LayerNorm"), h));
        if !(c.pre_norm && layer == 0) {
            norms.push((name("attention.output.LayerNorm"), h));
        }
    }
    if c.pre_norm {
        norms.push(("final_norm".to_owned(), h));
    }
    if let Some(head) = &c.head {
        linears.push(("head.dense".to_owned(), h, h, head.bias));
        linears.push(("head.out".to_owned(), head.labels.len(), h, true));
        norms.extend(head.norm.then(|| ("head.norm".to_owned(), h)));
    }
    for (name, out, input, bias) in linears {
        put(format!("{name}.weight"), &[out, input]);
        if bias {
            put(format!("{name}.bias"), &[out]);
        }
    }
    for (norm, len) in norms {
        put(format!("{norm}.weight"), &[len]);
        if b.norm {
            put(format!("{norm}.bias"), &[len]);
        }
    }
    shapes
}

/// Tensors of an encoder-decoder, named as in BART; `tied` leaves the matrix of
/// the logits out.
pub fn seq2seq(c: &Seq2SeqConfig, tied: bool) -> Shapes {
    let h = c.hidden_size;
    let mut shapes = Shapes::new();
    let mut put = |name: String, shape: &[usize]| {
        shapes.insert(name, shape.to_vec());
    };
    if c.shared {
        put("shared.weight".into(), &[c.vocab_size, h]);
    } else {
        put("encoder.embed_tokens.weight".into(), &[c.source_vocab_size, h]);
        put("decoder.embed_tokens.weight".into(), &[c.vocab_size, h]);
    }
    if !tied {
        put("lm_head.weight".into(), &[c.vocab_size, h]);
    }
    if c.logits_bias {
        put("final_logits_bias".into(), &[1, c.vocab_size]);
    }
    let (mut linears, mut norms) = (Vec::new(), Vec::new());
    for (side, stack) in [("encoder", c.encoder), ("decoder", c.decoder)] {
        match c.positions {
            TokenPositions::Sines { .. } => {}
            TokenPositions::Learned { offset } => {
                put(format!("{side}.embed_positions.weight"), &[c.context_length + offset, h]);
            }
            TokenPositions::Buckets { buckets, .. } => {
                put(format!("{side}.relative_bias.weight"), &[buckets, stack.heads]);
            }
        }
        norms.extend(c.embedding_norm.then(|| format!("{side}.layernorm_embedding")));
        norms.extend(c.final_norm.then(|| format!("{side}.layer_norm")));
        let (inner, f) = (stack.heads * stack.head_dim, stack.intermediate_size);
        for layer in 0..stack.layers {
            let name = |part: &str| format!("{side}.layers.{layer}.{part}");
            let attentions = match side {
                "encoder" => &["self_attn"][..],
                _ => &["self_attn", "encoder_attn"],
            };
            for attention in attentions {
                for part in ["q_proj", "k_proj", "v_proj"] {
                    linears.push((name(&format!("{attention}.{part}")), inner, h));
                }
                linears.push((name(&format!("{attention}.out_proj")), h, inner));
                norms.push(name(&format!("{attention}_layer_norm")));
            }
            linears.extend(c.gated.then(|| (name("fc1_gate"), f, h)));
            linears.push((name("fc1"), f, h));
            linears.push((name("fc2"), h, f));
            norms.push(name("final_layer_norm"));
        }
    }
    for (name, out, input) in linears {
        put(format!("{name}.weight"), &[out, input]);
        if c.biases {
            put(format!("{name}.bias"), &[out]);
        }
    }
    for norm in norms {
        put(format!("{norm}.weight"), &[h]);
        if !c.rms_norms {
            put(format!("{norm}.bias"), &[h]);
        }
    }
    shapes
}
