use serde_json::json;

use super::*;
use crate::models::config::RopeScaling;

fn bert() -> Value {
    json!({"model_type": "bert", "hidden_size": 64, "num_attention_heads": 4,
        "num_hidden_layers": 2, "vocab_size": 96, "intermediate_size": 128,
        "max_position_embeddings": 128, "hidden_act": "gelu"})
}

/// `bert()` with some fields set.
fn with(changes: Value) -> Value {
    let mut config = bert();
    for (key, value) in changes.as_object().unwrap() {
        config[key] = value.clone();
    }
    config
}

#[test]
fn what_is_not_supported_is_named() {
    let nomic = |field: &str, value: Value| {
        let mut config = json!({"model_type": "nomic_bert", "n_embd": 64, "n_head": 4, "n_layer": 2,
            "n_positions": 128, "vocab_size": 96, "activation_function": "swiglu"});
        config[field] = value;
        config
    };
    for (config, expected) in [
        (
            with(json!({"position_embedding_type": "relative_key"})),
            "\"relative_key\" is not supported",
        ),
        (with(json!({"hidden_act": "mish"})), "hidden_act: activation \"mish\""),
        (with(json!({"num_attention_heads": 5})), "hidden_size: is no multiple"),
        (
            with(json!({"model_type": "roberta", "max_position_embeddings": 2})),
            "leaves no position",
        ),
        (with(json!({"lora_adaptations": ["a"]})), "lora_adaptations"),
        (with(json!({"is_decoder": true})), "is_decoder"),
        (with(json!({"model_type": "mpnet", "relative_attention_num_buckets": 64})), "64 is not"),
        (
            with(json!({"position_embedding_type": "alibi", "feed_forward_type": "swiglu"})),
            "feed_forward_type: \"swiglu\"",
        ),
        (
            with(json!({"model_type": "new", "position_embedding_type": "absolute"})),
            "\"absolute\" is not",
        ),
        (
            with(json!({"model_type": "new", "rope_scaling": {"type": "yarn"}})),
            "rope_scaling.type: \"yarn\"",
        ),
        (with(json!({"model_type": "new", "logn_attention_scale": true})), "logn_attention_scale"),
        (
            with(
                json!({"model_type": "modernbert", "hidden_activation": "gelu", "layer_types": ["full_attention"]}),
            ),
            "layer_types: has 1 entries for 2",
        ),
        (nomic("num_experts", json!(8)), "num_experts"),
        (nomic("activation_function", json!("gelu")), "activation_function: \"gelu\""),
        (nomic("prenorm", json!(true)), "prenorm"),
        (nomic("rotary_emb_fraction", json!(0.5)), "rotary_emb_fraction"),
        (
            with(
                json!({"architectures": ["BertForSequenceClassification"], "id2label": {"1": "a"}}),
            ),
            "id2label",
        ),
        (
            with(
                json!({"model_type": "modernbert", "hidden_activation": "gelu", "classifier_pooling": "max",
            "architectures": ["ModernBertForSequenceClassification"]}),
            ),
            "classifier_pooling: \"max\"",
        ),
    ] {
        let error = encoder_from_json(&config).unwrap_err().to_string();
        assert!(error.contains(expected), "{error:?} lacks {expected:?}");
    }
}

#[test]
fn a_classifier_has_its_labels_in_order() {
    let labels = |changes: Value| {
        let head = encoder_from_json(&with(changes)).unwrap().head;
        head.map(|head| head.labels).unwrap_or_default()
    };
    let kind = ["BertForSequenceClassification"];
    assert!(labels(json!({"architectures": ["BertModel"]})).is_empty());
    assert_eq!(labels(json!({"architectures": kind})), ["LABEL_0", "LABEL_1"]);
    let named = json!({"architectures": kind, "id2label": {"1": "b", "0": "a", "2": 7}});
    assert_eq!(labels(named), ["a", "b", "7"]);
}

#[test]
fn scaling_beyond_the_trained_length_limits_the_length() {
    let mut config = json!({"model_type": "nomic_bert", "n_embd": 64, "n_head": 4, "n_layer": 2,
        "n_positions": 8192, "vocab_size": 96, "activation_function": "swiglu",
        "rotary_scaling_factor": 2, "max_trained_positions": 2048});
    assert_eq!(encoder_from_json(&config).unwrap().context_length, 2048);
    config["rotary_scaling_factor"] = Value::Null;
    assert_eq!(encoder_from_json(&config).unwrap().context_length, 8192);
}

#[test]
fn ntk_scaling_is_a_larger_base_and_a_divisor() {
    let config = with(json!({"model_type": "new", "rope_theta": 20000.0,
        "rope_scaling": {"type": "ntk", "factor": 8.0}}));
    let Positions::Rotary(ropes) = encoder_from_json(&config).unwrap().positions else {
        panic!("no rope")
    };
    assert_eq!(ropes[0].theta, 160_000.0);
    assert_eq!(ropes[0].scaling, RopeScaling::Linear { factor: 8f64.powf(2.0 / 16.0) });
}
