//! Our logits against Hugging Face transformers', on tiny random models:
//! alone, in one ragged batch, in chunks, token by token.

use dragoman::backend::{Batch, KvCache, KvDtype, Logits};
use dragoman::models::{Decoder, LoadOptions, Network, Quantize};
use serde::Deserialize;

use crate::support::{json, options, relative_error, tiny_with};

const TOLERANCE: f32 = 1e-4;
const BLOCK: usize = 8;

#[derive(Deserialize)]
struct DecoderFixture {
    prompts: Vec<Vec<u32>>,
    /// Of each prompt's last position.
    logits: Vec<Vec<f32>>,
    all_logits: AllLogits,
    greedy: Vec<Vec<u32>>,
}

#[derive(Deserialize)]
struct AllLogits {
    prompt: usize,
    logits: Vec<Vec<f32>>,
}

/// A decoder with its own cache; sequence `s` owns every sixteenth block, out
/// of order, so that a mistake in a block table shows.
struct Bench {
    model: Decoder,
    cache: KvCache,
}

impl Bench {
    fn new(name: &str, config: &str) -> Self {
        Self::with(name, config, Quantize::None)
    }

    fn with(name: &str, config: &str, quantize: Quantize) -> Self {
        // Texts of this one are of the short kind, of which the context has to be.
        let context_length = (name == "phi3").then_some(64);
        let options = LoadOptions { quantize, context_length, ..options() };
        let Network::Decoder(model) = tiny_with(name, config, options).network else {
            panic!("{name} is no decoder")
        };
        let cache =
            KvCache::new(model.kv_shape(BLOCK, KvDtype::F32), 16 * 12, model.device()).unwrap();
        Self { model: *model, cache }
    }

    fn blocks(sequence: usize) -> Vec<u32> {
        (0..12u32).rev().map(|i| i * 16 + sequence as u32).collect()
    }

    fn push(batch: &mut Batch, sequence: usize, ids: &[u32], first: usize) {
        batch.push(ids, first, &Self::blocks(sequence), BLOCK, true);
    }

    fn forward(&mut self, batch: &Batch) -> Vec<Vec<f32>> {
        let mut logits = Logits::default();
        self.model.forward(batch, &mut self.cache, &mut logits).unwrap();
        logits.rows().map(<[f32]>::to_vec).collect()
    }
}

fn argmax(row: &[f32]) -> u32 {
    (0..row.len()).max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap() as u32
}

fn decoder_parity(name: &str, config: &str) {
    let fixture: DecoderFixture = json(&format!("tiny/{name}/fixture.json"));
    let close = |what: &str, found: &[f32], expected: &[f32]| {
        let error = relative_error(found, expected);
        assert!(error < TOLERANCE, "{name}, {what}: off by {error}");
    };

    // Alone.
    let mut bench = Bench::new(name, config);
    for (s, prompt) in fixture.prompts.iter().enumerate() {
        let mut batch = Batch::new();
        Bench::push(&mut batch, s, prompt, 0);
        close("alone", &bench.forward(&batch)[0], &fixture.logits[s]);
    }

    // Every position of one prompt.
    let AllLogits { prompt, logits } = &fixture.all_logits;
    let mut batch = Batch::new();
    Bench::push(&mut batch, 0, &fixture.prompts[*prompt], 0);
    batch.logit_rows = (0..logits.len() as u32).collect();
    for (found, expected) in bench.forward(&batch).iter().zip(logits) {
        close("every position", found, expected);
    }

    // All prompts in one batch, then all decode together, on a fresh cache.
    let mut bench = Bench::new(name, config);
    let mut batch = Batch::new();
    for (s, prompt) in fixture.prompts.iter().enumerate() {
        Bench::push(&mut batch, s, prompt, 0);
    }
    let mut rows = bench.forward(&batch);
    for (found, expected) in rows.iter().zip(&fixture.logits) {
        close("ragged", found, expected);
    }
    for step in 0..fixture.greedy[0].len() {
        let mut batch = Batch::new();
        for (s, row) in rows.iter().enumerate() {
            let token = argmax(row);
            assert_eq!(token, fixture.greedy[s][step], "{name}, prompt {s}, token {step}");
            Bench::push(&mut batch, s, &[token], fixture.prompts[s].len() + step);
        }
        rows = bench.forward(&batch);
    }

    // Prompts in uneven chunks, beside decode rows of others.
    let mut bench = Bench::new(name, config);
    let mut at = vec![0; fixture.prompts.len()];
    let mut last = vec![vec![]; fixture.prompts.len()];
    for round in 0.. {
        let mut batch = Batch::new();
        let mut members = Vec::new();
        for (s, prompt) in fixture.prompts.iter().enumerate() {
            let len = (1 + (round + 3 * s) % 7).min(prompt.len() - at[s]);
            if len > 0 {
                Bench::push(&mut batch, s, &prompt[at[s]..at[s] + len], at[s]);
                at[s] += len;
                members.push(s);
            }
        }
        if members.is_empty() {
            break;
        }
        for (s, row) in members.into_iter().zip(bench.forward(&batch)) {
            last[s] = row;
        }
    }
    for (found, expected) in last.iter().zip(&fixture.logits) {
        close("in chunks", found, expected);
    }
}

macro_rules! decoders {
    ($($test:ident: $name:literal;)*) => { $(
        #[test]
        fn $test() {
            // The configuration as transformers 5 and as transformers 4 write it.
            decoder_parity($name, "config.json");
            decoder_parity($name, "config.v4.json");
        }
    )* };
}

decoders! {
    mixtral: "mixtral";
    qwen2_moe: "qwen2-moe";
    qwen3_moe: "qwen3-moe";
    qwen3_moe_with_dense_layers: "qwen3-moe-mixed";
    granite_moe: "granite-moe";
    olmoe: "olmoe";
    llama: "llama";
    llama_with_scaled_rope: "llama3-rope";
    qwen2: "qwen2";
    qwen3: "qwen3";
    gemma3: "gemma3";
    gemma2: "gemma2";
    mistral: "mistral";
    granite: "granite";
    smollm3: "smollm3";
    llama_with_yarn: "llama-yarn";
    phi3: "phi3";
    phi3_with_a_long_context: "phi3-longrope";
    olmo2: "olmo2";
    olmo3: "olmo3";
    cohere: "cohere";
    cohere_with_norms_of_heads: "cohere-qk-norm";
    cohere2: "cohere2";
}

/// Weights of eight bits, of files that have scales for blocks, for outputs and
/// for whole tensors; some of experts, of fused tensors and in another order.
#[test]
fn eight_bit_floats() {
    for name in ["qwen3-fp8", "qwen3-moe-fp8", "cohere-fp8", "phi3-fp8"] {
        decoder_parity(name, "config.json");
    }
}

macro_rules! gguf {
    ($($test:ident: $name:literal;)*) => { $(
        #[test]
        fn $test() {
            decoder_parity($name, "model.gguf");
        }
    )* };
}

// Files of the same weights; llama.cpp's converter made those without experts.
gguf! {
    gguf_of_llama: "llama3-rope";
    gguf_of_gemma2: "gemma2";
    gguf_of_granite: "granite";
    gguf_of_smollm3: "smollm3";
    gguf_of_phi3: "phi3-longrope";
    gguf_of_olmo: "olmo3";
    gguf_of_command_r: "cohere";
    gguf_of_cohere2: "cohere2";
    gguf_of_mixtral: "mixtral";
    gguf_of_qwen2_moe: "qwen2-moe";
    gguf_of_qwen3_moe: "qwen3-moe";
    gguf_of_granite_moe: "granite-moe";
    gguf_of_olmoe: "olmoe";
}

/// Bit for bit, whoever takes the same experts in a step.
#[test]
fn experts_give_a_row_the_same_in_any_company() {
    for name in ["mixtral", "qwen2-moe", "qwen3-moe"] {
        let fixture: DecoderFixture = json(&format!("tiny/{name}/fixture.json"));
        for quantize in ["none", "int16", "bf16", "bf16x2", "q8_0"] {
            let mut bench = Bench::with(name, "config.json", quantize.parse().unwrap());
            let mut together = Batch::new();
            let mut alone = Vec::new();
            for (s, prompt) in fixture.prompts.iter().enumerate() {
                let mut batch = Batch::new();
                Bench::push(&mut batch, s, prompt, 0);
                alone.extend(bench.forward(&batch));
                Bench::push(&mut together, s, prompt, 0);
            }
            assert_eq!(bench.forward(&together), alone, "{name} {quantize}");
        }
    }
}

/// Weights of f32 as 16-bit integers, and as bytes: how far logits may be off.
#[test]
fn fewer_bits_stay_as_close_as_they_should() {
    for (quantize, least, most) in
        [("int16", 0.0, 2e-3), ("bf16x2", 0.0, 1e-3), ("bf16", 1e-4, 0.1), ("q8_0", 1e-3, 0.1)]
    {
        for name in ["llama", "qwen3", "gemma3", "qwen3-fp8", "phi3-fp8"] {
            let fixture: DecoderFixture = json(&format!("tiny/{name}/fixture.json"));
            let mut bench = Bench::with(name, "config.json", quantize.parse().unwrap());
            let mut batch = Batch::new();
            Bench::push(&mut batch, 0, &fixture.prompts[0], 0);
            let error = relative_error(&bench.forward(&batch)[0], &fixture.logits[0]);
            // Where nothing changed, nothing was quantized.
            assert!((least..most).contains(&error), "{name} {quantize}: off by {error}");
        }
    }
}
