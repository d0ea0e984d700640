//! Real GGUF files against llama.cpp: its greedy tokens, position by position.
//!
//! Both sides compute with 8-bit activations and round differently, so where
//! llama.cpp itself is nearly undecided either token may come first. Each
//! position is judged on llama.cpp's own text, so that one such place does not
//! hide the rest.

use dragoman::backend::{Batch, KvCache, KvDtype, Logits};
use dragoman::models::{ModelPaths, Network, load};
use serde::Deserialize;

use crate::support::{json, model_files, options};

#[derive(Deserialize)]
struct Recorded {
    prompts: Vec<Prompt>,
}

#[derive(Deserialize)]
struct Prompt {
    text: String,
    prompt_tokens: Vec<u32>,
    /// llama.cpp's greedy continuation.
    tokens: Vec<u32>,
    /// How far its first choice is before its second, in nats.
    top: Vec<Option<f32>>,
}

/// Lead in nats from which llama.cpp's choice must be ours.
const CLEAR: f32 = 0.5;

/// Positions that must be equal even when the unclear ones count.
const SHARE: f64 = 0.95;

fn check(model: &str, fixture: &str) {
    let Some(files) = model_files(model) else { return };
    let paths = ModelPaths { weights: files.weights, config: None };
    let Network::Decoder(model) = load(&paths, options()).unwrap().network else {
        panic!("{fixture} is no decoder")
    };
    let recorded: Recorded = json(&format!("llamacpp/{fixture}.json"));
    let mut cache = KvCache::new(model.kv_shape(16, KvDtype::F32), 64, model.device()).unwrap();
    let blocks: Vec<u32> = (0..64).collect();
    let mut logits = Logits::default();
    let (mut equal, mut all) = (0, 0);
    for prompt in &recorded.prompts {
        // One pass over prompt and continuation gives every position.
        let Some((_, fed)) = prompt.tokens.split_last() else { continue };
        let known = [&prompt.prompt_tokens[..], fed].concat();
        let mut batch = Batch::new();
        batch.push(&known, 0, &blocks, 16, true);
        batch.logit_rows =
            (prompt.prompt_tokens.len() - 1..known.len()).map(|r| r as u32).collect();
        model.forward(&batch, &mut cache, &mut logits).unwrap();
        for (i, row) in logits.rows().enumerate() {
            let ours = (0..row.len()).max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap() as u32;
            let theirs = prompt.tokens[i];
            let lead = prompt.top[i].unwrap_or(f32::INFINITY);
            assert!(
                ours == theirs || lead < CLEAR,
                "{fixture}, {:?}, token {i}: ours {ours}, llama.cpp's {theirs}, which leads by {lead}",
                prompt.text
            );
            equal += usize::from(ours == theirs);
            all += 1;
        }
    }
    let share = equal as f64 / all as f64;
    println!("{fixture}: {equal} of {all} positions equal");
    assert!(share >= SHARE, "{fixture}: only {equal} of {all} positions are equal");
}

#[test]
fn smollm2_says_what_it_says_under_llamacpp() {
    check("smollm2-135m-instruct", "smollm2-135m");
}

#[test]
fn qwen2_says_what_it_says_under_llamacpp() {
    check("qwen2.5-coder-0.5b-instruct", "qwen2.5-coder-0.5b");
}

#[test]
fn gemma3_says_what_it_says_under_llamacpp() {
    check("gemma-3-270m", "gemma-3-270m");
}
