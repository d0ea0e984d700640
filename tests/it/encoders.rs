//! Our embeddings and classifiers against their references on tiny random
//! models of every family: alone, and in one ragged batch.

use dragoman::models::encoder::{PackedTexts, Pooling, SparsePooling};
use dragoman::models::{Encoder, ModelPaths, Network, Wanted, load_as};
use serde::Deserialize;

use crate::support::{fixture, json, options, relative_error, tiny};

const TOLERANCE: f32 = 1e-4;

#[derive(Deserialize)]
struct Fixture {
    inputs: Vec<Vec<u32>>,
    last_hidden_mean: Vec<Vec<f32>>,
    cls: Vec<Vec<f32>>,
    last_hidden: LastHidden,
    /// Of models with a classifier.
    #[serde(default)]
    types: Vec<Vec<u32>>,
    #[serde(default)]
    logits: Vec<Vec<f32>>,
}

#[derive(Deserialize)]
struct Sparse {
    inputs: Vec<Vec<u32>>,
    max: Vec<Vec<f32>>,
    sum_twice: Vec<Vec<f32>>,
}

#[derive(Deserialize)]
struct LastHidden {
    input: usize,
    values: Vec<Vec<f32>>,
}

/// Texts end to end; without types where `types` has none.
fn pack(inputs: &[Vec<u32>], types: &[Vec<u32>]) -> PackedTexts {
    let mut cu_seqlens = vec![0u32];
    for input in inputs {
        cu_seqlens.push(cu_seqlens[cu_seqlens.len() - 1] + input.len() as u32);
    }
    PackedTexts { ids: inputs.concat(), types: types.concat(), cu_seqlens }
}

fn parity(name: &str, config: &str) {
    let fixture: Fixture = json(&format!("tiny/{name}/fixture.json"));
    let Network::Encoder(model) = tiny(name, config).network else {
        panic!("{name} is no encoder")
    };
    check(name, &model, &fixture);
}

/// The decoder `name`, loaded to embed, against `reference`.
fn decoder_parity(name: &str, config: &str, reference: &str) {
    let dir = fixture("tiny").join(name);
    let paths =
        ModelPaths { weights: vec![dir.join("model.safetensors")], config: Some(dir.join(config)) };
    let Network::Encoder(model) = load_as(&paths, options(), Wanted::Vectors).unwrap().network
    else {
        panic!("{name} gives no vectors")
    };
    check(reference, &model, &json(&format!("tiny/{name}/{reference}")));
}

fn check(name: &str, model: &Encoder, fixture: &Fixture) {
    let close = |what: &str, found: &[f32], expected: &[f32]| {
        let error = relative_error(found, expected);
        assert!(error < TOLERANCE, "{name}, {what}: off by {error}");
    };
    let embed = |model: &Encoder, inputs: &[Vec<u32>], pooling| {
        let PackedTexts { ids, cu_seqlens, .. } = pack(inputs, &[]);
        model.embed(&ids, &cu_seqlens, pooling).unwrap()
    };
    for (input, expected) in fixture.inputs.iter().zip(&fixture.last_hidden_mean) {
        close("alone", &embed(model, std::slice::from_ref(input), Pooling::Mean)[0], expected);
    }
    let packed = embed(model, &fixture.inputs, Pooling::Mean);
    for (found, expected) in packed.iter().zip(&fixture.last_hidden_mean) {
        close("packed, mean", found, expected);
    }
    for (found, expected) in embed(model, &fixture.inputs, Pooling::Cls).iter().zip(&fixture.cls) {
        close("packed, first token", found, expected);
    }
    let LastHidden { input, values } = &fixture.last_hidden;
    let input = &fixture.inputs[*input];
    let tokens = model.forward(input, &[0, input.len() as u32]).unwrap().to_vec2().unwrap();
    for (found, expected) in tokens.iter().zip(values) {
        close("every token", found, expected);
    }
    let last = embed(model, std::slice::from_ref(input), Pooling::Last);
    close("last token", &last[0], &values[values.len() - 1]);

    let Some(together) = model.classify(&pack(&fixture.inputs, &fixture.types)).unwrap() else {
        assert!(fixture.logits.is_empty(), "{name} has lost its classifier");
        return;
    };
    // One logit can be near 0, so the scale is that of all of them.
    close("classified together", &together.concat(), &fixture.logits.concat());
    let alone: Vec<f32> = (fixture.inputs.iter().zip(&fixture.types))
        .flat_map(|(input, types)| {
            let text = pack(std::slice::from_ref(input), std::slice::from_ref(types));
            model.classify(&text).unwrap().unwrap().concat()
        })
        .collect();
    close("classified alone", &alone, &fixture.logits.concat());
}

macro_rules! encoders {
    ($($test:ident: $name:literal $(as $config:literal)?;)*) => { $(
        #[test]
        fn $test() {
            parity($name, "config.json");
            $(parity($name, $config);)?
        }
    )* };
}

encoders! {
    bert: "bert" as "config.v4.json";
    bert_classifies: "bert-classifier";
    xlm_roberta: "xlm-roberta" as "config.v4.json";
    roberta: "roberta";
    mpnet: "mpnet";
    distilbert: "distilbert";
    electra: "electra";
    modernbert: "modernbert" as "config.v4.json";
    nomic: "nomic";
    nomic_as_on_the_hub: "nomic-hub";
    gte: "gte";
    gte_as_on_the_hub: "gte-hub";
    jina: "jina";
}

#[test]
fn a_decoder_embeds() {
    decoder_parity("qwen3", "config.json", "embedding.json");
}

#[test]
fn a_decoder_embeds_with_windows() {
    decoder_parity("gemma3", "config.json", "embedding.json");
}

#[test]
fn a_decoder_that_sees_both_ways_embeds() {
    decoder_parity("gemma3", "config.both-ways.json", "both-ways.json");
}

#[test]
fn words_are_weighed() {
    for name in ["bert-mlm", "distilbert-mlm"] {
        let fixture: Sparse = json(&format!("tiny/{name}/fixture.json"));
        let dir = fixture_dir(name);
        let paths = ModelPaths {
            weights: vec![dir.join("model.safetensors")],
            config: Some(dir.join("config.json")),
        };
        let Network::Encoder(model) = load_as(&paths, options(), Wanted::Sparse).unwrap().network
        else {
            panic!("{name} is no encoder")
        };
        let head = model.sparse_head().unwrap();
        let check = |inputs: &[Vec<u32>], how: SparsePooling, expected: &[Vec<f32>]| {
            let texts = pack(inputs, &[]);
            let tokens = model.forward_texts(&texts).unwrap();
            let found = head.forward(&tokens, &texts.cu_seqlens, how).unwrap();
            for (found, expected) in found.iter().zip(expected) {
                let error = relative_error(found, expected);
                assert!(error < TOLERANCE, "{name}, {how:?}: off by {error}");
            }
        };
        let twice = SparsePooling { sum: true, twice: true };
        check(&fixture.inputs, SparsePooling::default(), &fixture.max);
        check(&fixture.inputs, twice, &fixture.sum_twice);
        for (i, input) in fixture.inputs.iter().enumerate() {
            let alone = std::slice::from_ref(input);
            check(alone, SparsePooling::default(), std::slice::from_ref(&fixture.max[i]));
        }
    }
}

fn fixture_dir(name: &str) -> std::path::PathBuf {
    fixture("tiny").join(name)
}
