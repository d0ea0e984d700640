//! The tensors of encoders: models ask by BERT's names, with `intermediate.gate`,
//! `head.*` and `final_norm` for what BERT lacks or has no one name for.

use super::Alias;

/// What one family calls things.
struct Family {
    /// What may stand before all names, as in files of task models.
    prefixes: &'static [&'static str],
    /// What stands before the number of a layer.
    layers: &'static [&'static str],
    /// Our name, theirs, and which part of theirs it is; the first that a
    /// file has is taken, and a name that is not listed is theirs as well.
    names: &'static [(&'static str, &'static str, (usize, usize))],
}

const WHOLE: (usize, usize) = (0, 1);

const BERT: Family = Family {
    prefixes: &["", "bert.", "roberta.", "electra."],
    layers: &["encoder.layer."],
    names: &[
        // JinaBERT's gated layer: first the gate, then what it opens for.
        ("intermediate.gate", "mlp.gated_layers", (0, 2)),
        ("intermediate.dense", "intermediate.dense", WHOLE),
        ("intermediate.dense", "mlp.gated_layers", (1, 2)),
        ("output.dense", "output.dense", WHOLE),
        ("output.dense", "mlp.wo", WHOLE),
        ("output.LayerNorm", "output.LayerNorm", WHOLE),
        ("output.LayerNorm", "mlp.layernorm", WHOLE),
        ("head.dense", "pooler.dense", WHOLE),
        ("head.out", "classifier", WHOLE),
        ("mlm.dense", "cls.predictions.transform.dense", WHOLE),
        ("mlm.norm", "cls.predictions.transform.LayerNorm", WHOLE),
        // Its matrix may be that of the words, its bias may stand beside it.
        ("mlm.out", "cls.predictions.decoder", WHOLE),
        ("mlm.out", "cls.predictions", WHOLE),
        ("mlm.out", "embeddings.word_embeddings", WHOLE),
    ],
};

const ROBERTA: Family = Family {
    names: &[
        ("head.dense", "classifier.dense", WHOLE),
        ("head.out", "classifier.out_proj", WHOLE),
        ("mlm.dense", "lm_head.dense", WHOLE),
        ("mlm.norm", "lm_head.layer_norm", WHOLE),
        ("mlm.out", "lm_head.decoder", WHOLE),
        ("mlm.out", "lm_head", WHOLE),
        ("mlm.out", "embeddings.word_embeddings", WHOLE),
    ],
    ..BERT
};

const MPNET: Family = Family {
    prefixes: &["", "mpnet."],
    layers: &["encoder.layer."],
    names: &[
        ("attention.self.query", "attention.attn.q", WHOLE),
        ("attention.self.key", "attention.attn.k", WHOLE),
        ("attention.self.value", "attention.attn.v", WHOLE),
        ("attention.output.dense", "attention.attn.o", WHOLE),
        ("attention.output.LayerNorm", "attention.LayerNorm", WHOLE),
        ("head.dense", "classifier.dense", WHOLE),
        ("head.out", "classifier.out_proj", WHOLE),
    ],
};

const DISTILBERT: Family = Family {
    prefixes: &["", "distilbert."],
    layers: &["transformer.layer."],
    names: &[
        ("attention.self.query", "attention.q_lin", WHOLE),
        ("attention.self.key", "attention.k_lin", WHOLE),
        ("attention.self.value", "attention.v_lin", WHOLE),
        ("attention.output.dense", "attention.out_lin", WHOLE),
        ("attention.output.LayerNorm", "sa_layer_norm", WHOLE),
        ("intermediate.dense", "ffn.lin1", WHOLE),
        ("output.dense", "ffn.lin2", WHOLE),
        ("output.LayerNorm", "output_layer_norm", WHOLE),
        ("head.dense", "pre_classifier", WHOLE),
        ("head.out", "classifier", WHOLE),
        ("mlm.dense", "vocab_transform", WHOLE),
        ("mlm.norm", "vocab_layer_norm", WHOLE),
        ("mlm.out", "vocab_projector", WHOLE),
        ("mlm.out", "embeddings.word_embeddings", WHOLE),
    ],
};

const MODERNBERT: Family = Family {
    prefixes: &["", "model."],
    layers: &["layers."],
    names: &[
        ("embeddings.word_embeddings", "embeddings.tok_embeddings", WHOLE),
        ("embeddings.LayerNorm", "embeddings.norm", WHOLE),
        ("attention.self.query", "attn.Wqkv", (0, 3)),
        ("attention.self.key", "attn.Wqkv", (1, 3)),
        ("attention.self.value", "attn.Wqkv", (2, 3)),
        ("attention.output.dense", "attn.Wo", WHOLE),
        // Norms before the layers, under the names of those after them.
        ("attention.output.LayerNorm", "attn_norm", WHOLE),
        ("intermediate.gate", "mlp.Wi", (0, 2)),
        ("intermediate.dense", "mlp.Wi", (1, 2)),
        ("output.dense", "mlp.Wo", WHOLE),
        ("output.LayerNorm", "mlp_norm", WHOLE),
        ("head.out", "classifier", WHOLE),
    ],
};

/// Both spellings of Nomic's BERT: its own code's and transformers'.
const NOMIC: Family = Family {
    prefixes: &["", "bert.", "nomic_bert."],
    layers: &["encoder.layers.", "layers."],
    names: &[
        ("embeddings.LayerNorm", "emb_ln", WHOLE),
        ("embeddings.LayerNorm", "embeddings.LayerNorm", WHOLE),
        ("attention.self.query", "attn.Wqkv", (0, 3)),
        ("attention.self.key", "attn.Wqkv", (1, 3)),
        ("attention.self.value", "attn.Wqkv", (2, 3)),
        ("attention.output.dense", "attn.out_proj", WHOLE),
        ("attention.output.LayerNorm", "norm1", WHOLE),
        ("intermediate.gate", "mlp.fc12", WHOLE),
        ("intermediate.dense", "mlp.fc11", WHOLE),
        ("output.dense", "mlp.fc2", WHOLE),
        ("output.LayerNorm", "norm2", WHOLE),
        ("attention.self.query", "self_attn.q_proj", WHOLE),
        ("attention.self.key", "self_attn.k_proj", WHOLE),
        ("attention.self.value", "self_attn.v_proj", WHOLE),
        ("attention.output.dense", "self_attn.o_proj", WHOLE),
        ("attention.output.LayerNorm", "post_attention_layernorm", WHOLE),
        ("intermediate.gate", "mlp.gate_proj", WHOLE),
        ("intermediate.dense", "mlp.up_proj", WHOLE),
        ("output.dense", "mlp.down_proj", WHOLE),
        ("output.LayerNorm", "post_mlp_layernorm", WHOLE),
        ("head.dense", "pooler.dense", WHOLE),
        ("head.out", "classifier", WHOLE),
    ],
};

/// Both spellings of GTE, likewise.
const GTE: Family = Family {
    prefixes: &["", "new.", "gte."],
    layers: &["encoder.layer.", "layers."],
    names: &[
        ("attention.self.query", "attention.qkv_proj", (0, 3)),
        ("attention.self.key", "attention.qkv_proj", (1, 3)),
        ("attention.self.value", "attention.qkv_proj", (2, 3)),
        ("attention.self.query", "attention.q_proj", WHOLE),
        ("attention.self.key", "attention.k_proj", WHOLE),
        ("attention.self.value", "attention.v_proj", WHOLE),
        ("attention.output.dense", "attention.o_proj", WHOLE),
        ("attention.output.LayerNorm", "attn_ln", WHOLE),
        ("intermediate.dense", "mlp.up_gate_proj", (0, 2)),
        ("intermediate.gate", "mlp.up_gate_proj", (1, 2)),
        ("output.dense", "mlp.down_proj", WHOLE),
        ("output.LayerNorm", "mlp_ln", WHOLE),
        ("attention.self.query", "self_attn.q_proj", WHOLE),
        ("attention.self.key", "self_attn.k_proj", WHOLE),
        ("attention.self.value", "self_attn.v_proj", WHOLE),
        ("attention.output.dense", "self_attn.o_proj", WHOLE),
        ("attention.output.LayerNorm", "post_attention_layernorm", WHOLE),
        ("intermediate.gate", "mlp.gate_proj", WHOLE),
        ("intermediate.dense", "mlp.up_proj", WHOLE),
        ("output.LayerNorm", "post_mlp_layernorm", WHOLE),
        ("head.dense", "pooler.dense", WHOLE),
        ("head.out", "classifier", WHOLE),
    ],
};

/// The names of a family by its `model_type`.
pub fn of(model_type: &str) -> fn(&str) -> Vec<Alias> {
    match model_type {
        "roberta" | "xlm-roberta" | "camembert" | "electra" => |name| ROBERTA.aliases(name),
        "mpnet" => |name| MPNET.aliases(name),
        "distilbert" => |name| DISTILBERT.aliases(name),
        "modernbert" => |name| MODERNBERT.aliases(name),
        "nomic_bert" => |name| NOMIC.aliases(name),
        "gte" | "new" => |name| GTE.aliases(name),
        _ => |name| BERT.aliases(name),
    }
}

impl Family {
    fn aliases(&self, name: &str) -> Vec<Alias> {
        let (stem, kind) = name.rsplit_once('.').unwrap_or((name, ""));
        let layer = stem.strip_prefix("encoder.layer.").and_then(|rest| rest.split_once('.'));
        let (layers, part): (Vec<String>, &str) = match layer {
            Some((i, part)) => (self.layers.iter().map(|l| format!("{l}{i}.")).collect(), part),
            None => (vec![String::new()], stem),
        };
        // Files converted from TensorFlow call the numbers of a norm so.
        let old = match (part.ends_with("LayerNorm"), kind) {
            (true, "weight") => Some("gamma"),
            (true, "bias") => Some("beta"),
            _ => None,
        };
        let listed = self.names.iter().filter(|(ours, ..)| *ours == part);
        let mut theirs: Vec<_> = listed.map(|&(_, theirs, rows)| (theirs, rows)).collect();
        if theirs.is_empty() {
            theirs.push((part, WHOLE));
        }
        let mut all = Vec::new();
        for (theirs, part) in theirs {
            for layer in &layers {
                for prefix in self.prefixes {
                    for kind in [Some(kind), old].into_iter().flatten() {
                        let name = format!("{prefix}{layer}{theirs}.{kind}");
                        all.push(Alias { name, pieces: part.into() });
                    }
                }
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_files() {
        let check = |model: &str, ours: &str, theirs: &str, part: (usize, usize)| {
            let found = of(model)(ours);
            let wanted = Alias { name: theirs.to_owned(), pieces: part.into() };
            assert!(found.contains(&wanted), "{model}: {found:?}");
        };
        let query = "encoder.layer.3.attention.self.query.weight";
        check("bert", query, "bert.encoder.layer.3.attention.self.query.weight", WHOLE);
        check("mpnet", query, "encoder.layer.3.attention.attn.q.weight", WHOLE);
        check("modernbert", query, "model.layers.3.attn.Wqkv.weight", (0, 3));
        check("nomic_bert", query, "encoder.layers.3.attn.Wqkv.weight", (0, 3));
        check("new", query, "new.encoder.layer.3.attention.qkv_proj.weight", (0, 3));
        check("gte", query, "gte.layers.3.self_attn.q_proj.weight", WHOLE);
        check("bert", "embeddings.LayerNorm.bias", "bert.embeddings.LayerNorm.beta", WHOLE);
        check("electra", "head.out.bias", "classifier.out_proj.bias", WHOLE);
        check("modernbert", "final_norm.weight", "model.final_norm.weight", WHOLE);
    }
}
