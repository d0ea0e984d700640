//! A folder as sentence-transformers leaves it: a decoder that sees both ways,
//! the mean, a linear layer, no normalisation, and a prompt by default.

use std::collections::HashMap;

use candle_core::{Device, Tensor};
use dragoman::config::Config;
use dragoman::engine::{EmbeddingRequest, EngineOptions, ModelKind};
use dragoman::models::Quantize;
use dragoman::provision::{Provisioner, progress};
use serde_json::{Value, json};

use crate::support::{fixture, json as read, relative_error};
use crate::tei::tokenizer;

const WIDTH: usize = 32;
const OUT: usize = 6;

/// The weight of input `i` in output `o`.
fn weight(o: usize, i: usize) -> f32 {
    ((o * 31 + i * 17) % 13) as f32 / 13.0 - 0.5
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_says_what_follows_the_pooling() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let write = |name: &str, value: Value| std::fs::write(at(name), value.to_string()).unwrap();
    let tiny = fixture("tiny/gemma3");
    std::fs::copy(tiny.join("model.safetensors"), at("model.safetensors")).unwrap();
    std::fs::copy(tiny.join("config.both-ways.json"), at("config.json")).unwrap();
    write("tokenizer.json", tokenizer());
    write(
        "modules.json",
        json!([
            {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
            {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
            {"idx": 2, "name": "2", "path": "2_Dense", "type": "sentence_transformers.models.Dense"},
        ]),
    );
    write(
        "config_sentence_transformers.json",
        json!({"prompts": {"query": "w9 w8 "}, "default_prompt_name": "query"}),
    );
    std::fs::create_dir(at("1_Pooling")).unwrap();
    write("1_Pooling/config.json", json!({"pooling_mode_mean_tokens": true}));
    std::fs::create_dir(at("2_Dense")).unwrap();
    write(
        "2_Dense/config.json",
        json!({"in_features": WIDTH, "out_features": OUT, "bias": false,
        "activation_function": "torch.nn.modules.linear.Identity"}),
    );
    let weights: Vec<f32> = (0..OUT).flat_map(|o| (0..WIDTH).map(move |i| weight(o, i))).collect();
    let weights = Tensor::from_vec(weights, (OUT, WIDTH), &Device::Cpu).unwrap();
    let tensors = HashMap::from([("linear.weight".to_owned(), weights)]);
    candle_core::safetensors::save(&tensors, at("2_Dense/model.safetensors")).unwrap();

    let provisioner = Provisioner::new(&Config::default().provision, progress::for_stderr());
    let files = provisioner.unwrap().resolve(folder.path().to_str().unwrap()).unwrap();
    // The vectors to compare with were computed in f32.
    let options = EngineOptions { quantize: Quantize::None, ..Default::default() };
    let engine = dragoman::cli::load::load(files, options).unwrap();
    let info = engine.info();
    assert_eq!((info.kind, info.embedding_dims), (ModelKind::Embedding, Some(OUT)));
    assert_eq!(info.pooling, Some("mean"));
    assert_eq!(info.default_prompt.as_deref(), Some("query"));

    let recorded: Value = read("tiny/gemma3/both-ways.json");
    let inputs: Vec<Vec<u32>> = serde_json::from_value(recorded["inputs"].clone()).unwrap();
    let means: Vec<Vec<f32>> =
        serde_json::from_value(recorded["last_hidden_mean"].clone()).unwrap();
    let found = engine.embed(EmbeddingRequest::new(inputs)).await.unwrap().vectors;
    for (found, mean) in found.iter().zip(means) {
        let output = |o| mean.iter().enumerate().map(|(i, x)| x * weight(o, i)).sum();
        let expected: Vec<f32> = (0..OUT).map(output).collect();
        let off = relative_error(found, &expected);
        assert!(off < 1e-4, "off by {off}");
    }
}
