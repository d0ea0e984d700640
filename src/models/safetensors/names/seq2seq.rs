//! The tensors of encoder-decoders: models ask by BART's names, with
//! `fc1_gate` and `relative_bias` for what BART lacks.

use super::Alias;

/// The names of an encoder-decoder's tensors, by its `model_type`.
pub fn of(model_type: &str) -> impl Fn(&str) -> Vec<Alias> + use<> {
    let t5 = matches!(model_type, "t5" | "mt5");
    move |name| {
        let names = if t5 { t5_names(name) } else { bart_names(name) };
        names.into_iter().map(Alias::whole).collect()
    }
}

/// A table of words, which may be in the file once for all that it is.
fn words(name: &str) -> Vec<&str> {
    match name {
        "decoder.embed_tokens.weight" => vec![name, "lm_head.weight"],
        "shared.weight" => vec![
            name,
            "encoder.embed_tokens.weight",
            "decoder.embed_tokens.weight",
            "lm_head.weight",
        ],
        other => vec![other],
    }
}

fn bart_names(name: &str) -> Vec<String> {
    words(name).iter().flat_map(|name| [format!("model.{name}"), (*name).to_owned()]).collect()
}

fn t5_names(name: &str) -> Vec<String> {
    words(name).into_iter().flat_map(t5_name).collect()
}

fn t5_name(name: &str) -> Vec<String> {
    let same = || vec![name.to_owned()];
    let Some((side, rest)) = name.split_once('.') else { return same() };
    let last = if side == "encoder" { 1 } else { 2 };
    if let Some(kind) = rest.strip_prefix("layer_norm.") {
        return vec![format!("{side}.final_layer_norm.{kind}")];
    }
    if let Some(kind) = rest.strip_prefix("relative_bias.") {
        return vec![format!(
            "{side}.block.0.layer.0.SelfAttention.relative_attention_bias.{kind}"
        )];
    }
    let Some((layer, part)) = rest.strip_prefix("layers.").and_then(|r| r.split_once('.')) else {
        return same();
    };
    let Some((part, kind)) = part.rsplit_once('.') else { return same() };
    let projection = |of: &str| match of {
        "out_proj" => "o".to_owned(),
        of => of.trim_end_matches("_proj").to_owned(),
    };
    let own = match part.split_once('.') {
        Some(("self_attn", of)) => vec![format!("0.SelfAttention.{}", projection(of))],
        Some(("encoder_attn", of)) => vec![format!("1.EncDecAttention.{}", projection(of))],
        _ => match part {
            "self_attn_layer_norm" => vec!["0.layer_norm".to_owned()],
            "encoder_attn_layer_norm" => vec!["1.layer_norm".to_owned()],
            "final_layer_norm" => vec![format!("{last}.layer_norm")],
            "fc1_gate" => vec![format!("{last}.DenseReluDense.wi_0")],
            "fc1" => ["wi_1", "wi"].map(|wi| format!("{last}.DenseReluDense.{wi}")).to_vec(),
            "fc2" => vec![format!("{last}.DenseReluDense.wo")],
            _ => return same(),
        },
    };
    own.into_iter().map(|own| format!("{side}.block.{layer}.layer.{own}.{kind}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_hugging_face() {
        for (model_type, ours, theirs) in [
            ("marian", "encoder.layers.3.fc1.bias", "model.encoder.layers.3.fc1.bias"),
            ("marian", "shared.weight", "model.shared.weight"),
            ("bart", "final_logits_bias", "final_logits_bias"),
            ("m2m_100", "decoder.embed_tokens.weight", "lm_head.weight"),
            ("t5", "shared.weight", "shared.weight"),
            ("t5", "lm_head.weight", "lm_head.weight"),
            ("t5", "encoder.layer_norm.weight", "encoder.final_layer_norm.weight"),
            (
                "t5",
                "decoder.layers.4.self_attn.out_proj.weight",
                "decoder.block.4.layer.0.SelfAttention.o.weight",
            ),
            (
                "mt5",
                "decoder.layers.4.encoder_attn.q_proj.weight",
                "decoder.block.4.layer.1.EncDecAttention.q.weight",
            ),
            (
                "t5",
                "encoder.layers.1.final_layer_norm.weight",
                "encoder.block.1.layer.1.layer_norm.weight",
            ),
            (
                "t5",
                "decoder.layers.0.fc1.weight",
                "decoder.block.0.layer.2.DenseReluDense.wi.weight",
            ),
            (
                "mt5",
                "decoder.layers.0.fc1_gate.weight",
                "decoder.block.0.layer.2.DenseReluDense.wi_0.weight",
            ),
            (
                "t5",
                "decoder.relative_bias.weight",
                "decoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight",
            ),
        ] {
            let names = of(model_type)(ours);
            let wanted = Alias::whole(theirs.to_owned());
            assert!(names.contains(&wanted), "{model_type} {ours}: {names:?}");
        }
    }
}
