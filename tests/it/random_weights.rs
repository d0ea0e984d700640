//! Models made up from their configuration alone: they load, they run, and a
//! seed fixes them.

use dragoman::backend::{Batch, KvCache, KvDtype, Logits};
use dragoman::models::Network;
use dragoman::models::random::{self, RandomModel, WeightsType};

use crate::support::{fixture, options};

fn model(name: &str, weights: WeightsType, seed: u64) -> RandomModel {
    let config = fixture("tiny").join(name).join("config.json");
    RandomModel { config, weights, layers: None, seed }
}

/// Logits, or vectors, of a few tokens.
fn outputs(wanted: &RandomModel) -> Vec<f32> {
    let (loaded, _) = random::load(wanted, options()).unwrap_or_else(|e| panic!("{wanted:?}: {e}"));
    match loaded.network {
        Network::Decoder(model) => {
            let shape = model.kv_shape(16, KvDtype::F32);
            let mut cache = KvCache::new(shape, 2, model.device()).unwrap();
            let mut batch = Batch::new();
            batch.push(&[5, 9, 2, 60, 31], 0, &[1], 16, true);
            let mut logits = Logits::default();
            model.forward(&batch, &mut cache, &mut logits).unwrap();
            assert_eq!(logits.len(), 1);
            logits.rows().flatten().copied().collect()
        }
        Network::Seq2Seq(_) => panic!("{wanted:?} is made up"),
        Network::Encoder(model) => {
            let vectors = model.forward(&[5, 9, 2, 60, 31], &[0, 3, 5]).unwrap();
            vectors.flatten_all().unwrap().to_vec1().unwrap()
        }
    }
}

#[test]
fn every_architecture_runs_and_a_seed_fixes_it() {
    let all =
        ["llama", "llama3-rope", "mixtral", "qwen2", "qwen3", "gemma3", "bert", "xlm-roberta"];
    for name in all {
        for weights in [WeightsType::Q4K, WeightsType::Q8_0, WeightsType::Q4_0, WeightsType::F16] {
            let found = outputs(&model(name, weights, 3));
            assert!(found.iter().all(|x| x.is_finite()), "{name} {weights}");
            let spread = found.iter().fold(0f32, |m, x| m.max((x - found[0]).abs()));
            assert!(spread > 1e-3, "{name} {weights}: all outputs are alike");
            assert_eq!(found, outputs(&model(name, weights, 3)), "{name} {weights}");
            assert_ne!(found, outputs(&model(name, weights, 4)), "{name} {weights}");
        }
    }
}

#[test]
fn layers_and_ties_are_those_that_were_asked_for() {
    let load = |wanted: &RandomModel| random::load(wanted, options()).unwrap();
    let all = load(&model("llama", WeightsType::F32, 0));
    let one = load(&RandomModel { layers: Some(1), ..model("llama", WeightsType::F32, 0) });
    assert_eq!((all.1, one.1), (3, 3));
    // A layer of 32, 4 heads of 8 over 2, a feed-forward of 64, two norms.
    let layer = 2 * 32 * 32 + 2 * 16 * 32 + 3 * 64 * 32 + 2 * 32;
    assert_eq!(all.0.parameters - one.0.parameters, 2 * layer);
    // Both tables of 96 tokens and the last norm: llama's are not tied.
    assert_eq!(one.0.parameters, layer + 2 * 96 * 32 + 32);
    let Network::Decoder(untied) = &one.0.network else { panic!("llama is a decoder") };
    assert_eq!(untied.lookup_bytes(), 96 * 32 * 4);
    let (gemma, _) = load(&model("gemma3", WeightsType::F32, 0));
    let Network::Decoder(tied) = &gemma.network else { panic!("gemma is a decoder") };
    assert_eq!(tied.lookup_bytes(), 0);
}

#[test]
fn the_memory_they_take_is_known_before() {
    for (name, weights) in [
        ("llama", WeightsType::Q4_0),
        ("mixtral", WeightsType::Q4_0),
        ("qwen2-moe", WeightsType::F16),
        ("gemma3", WeightsType::Q8_0),
        ("bert", WeightsType::BF16),
    ] {
        let wanted = model(name, weights, 0);
        let most = random::most_bytes(&wanted).unwrap();
        let (loaded, _) = random::load(&wanted, options()).unwrap();
        // These matrices are so narrow that a tile's padding shows.
        assert!(
            (loaded.bytes..4 * loaded.bytes).contains(&most),
            "{name}: {most} {}",
            loaded.bytes
        );
    }
}

#[test]
fn what_cannot_be_made_is_an_error_that_says_why() {
    let cases = [
        (RandomModel { layers: Some(4), ..model("llama", WeightsType::F32, 0) }, "3 layers"),
        (RandomModel { layers: Some(0), ..model("bert", WeightsType::F32, 0) }, "3 layers"),
        (model("nowhere", WeightsType::F32, 0), "config.json"),
    ];
    for (wanted, expected) in cases {
        let error = random::load(&wanted, options()).err().unwrap().to_string();
        assert!(error.contains(expected), "{error}");
    }
}
