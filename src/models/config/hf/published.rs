//! Configurations as they are published, which have to be read.

use serde_json::{Value, json};

use super::super::{Placement, RopeScaling};
use super::from_json;

/// `config` with the fields of all these models.
fn with(mut config: Value) -> Value {
    let common = json!({"attention_bias": false, "attention_dropout": 0.0, "hidden_act": "silu",
        "initializer_range": 0.02, "rope_scaling": null, "torch_dtype": "bfloat16",
        "use_cache": true});
    for (key, value) in common.as_object().unwrap() {
        if config.get(key).is_none() {
            config[key] = value.clone();
        }
    }
    config
}

#[test]
fn falcon3_and_eurollm_are_llama() {
    let falcon3 = with(json!({"architectures": ["LlamaForCausalLM"], "model_type": "llama",
        "eos_token_id": 11, "head_dim": 256, "hidden_size": 3072, "intermediate_size": 23040,
        "max_position_embeddings": 32768, "mlp_bias": false, "num_attention_heads": 12,
        "num_hidden_layers": 28, "num_key_value_heads": 4, "pretraining_tp": 1,
        "rms_norm_eps": 1e-6, "rope_theta": 1000042, "tie_word_embeddings": false,
        "vocab_size": 131072}));
    let eurollm = with(json!({"architectures": ["LlamaForCausalLM"], "model_type": "llama",
        "bos_token_id": 1, "eos_token_id": 2, "head_dim": 128, "hidden_size": 4096,
        "intermediate_size": 12288, "max_position_embeddings": 4096, "mlp_bias": false,
        "num_attention_heads": 32, "num_hidden_layers": 42, "num_key_value_heads": 8,
        "pretraining_tp": 1, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
        "tie_word_embeddings": false, "vocab_size": 128000}));
    for (config, layers, head_dim, theta) in
        [(falcon3, 28, 256, 1_000_042.0), (eurollm, 42, 128, 1e4)]
    {
        let c = from_json(&config).unwrap();
        assert_eq!((c.layers.len(), c.head_dim, c.ropes[0].theta), (layers, head_dim, theta));
        assert!(!c.qkv_bias && !c.mlp_bias && c.norms == Placement::Before);
    }
}

#[test]
fn phi4_is_phi3() {
    let phi4 = with(json!({"architectures": ["Phi3ForCausalLM"], "model_type": "phi3",
        "bos_token_id": 100257, "embd_pdrop": 0.0, "eos_token_id": 100265, "hidden_size": 5120,
        "intermediate_size": 17920, "max_position_embeddings": 16384, "num_attention_heads": 40,
        "num_hidden_layers": 40, "num_key_value_heads": 10,
        "original_max_position_embeddings": 16384, "pad_token_id": 100257, "resid_pdrop": 0.0,
        "rms_norm_eps": 1e-5, "rope_theta": 250000, "sliding_window": null,
        "tie_word_embeddings": false, "vocab_size": 100352}));
    let c = from_json(&phi4).unwrap();
    assert_eq!((c.head_dim, c.rotary_dim, c.layers[0].window), (128, 128, None));

    let factors = vec![1.5; 48];
    let mini = with(json!({"architectures": ["Phi3ForCausalLM"], "model_type": "phi3",
        "full_attn_mod": 1, "hidden_size": 3072, "intermediate_size": 8192,
        "interpolate_factor": 1, "lm_head_bias": false, "max_position_embeddings": 131072,
        "mlp_bias": false, "num_attention_heads": 24, "num_hidden_layers": 32,
        "num_key_value_heads": 8, "original_max_position_embeddings": 4096,
        "partial_rotary_factor": 0.75, "rms_norm_eps": 1e-5,
        "rope_scaling": {"long_factor": factors, "short_factor": factors, "type": "longrope"},
        "rope_theta": 10000.0, "sliding_window": 262144, "tie_word_embeddings": true,
        "vocab_size": 200064}));
    let c = from_json(&mini).unwrap();
    assert_eq!((c.head_dim, c.rotary_dim, c.layers[31].window), (128, 96, Some(262_144)));
    let RopeScaling::Long { original_context, attention_factor, .. } = c.ropes[0].scaling else {
        panic!("{:?}", c.ropes[0])
    };
    // sqrt(1 + ln 32 / ln 4096)
    assert!(original_context == 4096.0 && (attention_factor - 1.190_238).abs() < 1e-6);
}

#[test]
fn command_r7b_is_cohere2() {
    let c = from_json(&with(json!({"architectures": ["Cohere2ForCausalLM"],
        "model_type": "cohere2", "bos_token_id": 5, "cache_implementation": "hybrid",
        "eos_token_id": 255001, "head_dim": 128, "hidden_size": 4096,
        "intermediate_size": 14336, "layer_norm_eps": 1e-5, "layer_switch": 4,
        "logit_scale": 0.25, "max_position_embeddings": 132096, "num_attention_heads": 32,
        "num_hidden_layers": 32, "num_key_value_heads": 8,
        "order_of_interleaved_layers": "local_attn_first", "pad_token_id": 0,
        "position_embedding_type": "rope_gptj", "rope_theta": 50000, "rotary_pct": 1.0,
        "sliding_window": 4096, "sliding_window_pattern": 4, "use_embedding_sharing": true,
        "use_gated_activation": true, "use_parallel_block": true,
        "use_parallel_embedding": true, "vocab_size": 256000})))
    .unwrap();
    let turned = |i: usize| c.ropes[c.layers[i].rope].scaling != RopeScaling::Off;
    assert_eq!((c.layers[2].window, turned(2)), (Some(4096), true));
    assert_eq!((c.layers[3].window, turned(3)), (None, false));
    assert_eq!((c.norms, c.logits_divisor), (Placement::Beside, 4.0));
}
