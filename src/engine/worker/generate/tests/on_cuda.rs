//! The loop on a CUDA device: tokens are drawn there, or of logits that were
//! fetched, and are those of the CPU.

use std::path::Path;

use candle_core::Device;

use super::*;
use crate::backend::device::cuda_for_tests as cuda;
use crate::backend::{DeviceSpec, KvDtype};
use crate::models::{LoadOptions, ModelPaths, Network, Quantize, load};

fn tiny(device: Device) -> Engine {
    launch(options(), move |options| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tiny/llama");
        let paths = ModelPaths {
            weights: vec![folder.join("model.safetensors")],
            config: Some(folder.join("config.json")),
        };
        let load_options = LoadOptions {
            device,
            context_length: None,
            quantize: Quantize::None,
            on_progress: &|_, _| {},
        };
        let Network::Decoder(model) = load(&paths, load_options).unwrap().network else {
            panic!("a decoder");
        };
        let shape = model.kv_shape(options.block_size, KvDtype::F32);
        ModelState::new(model, shape, 200, Box::new(|| Err("it is not loaded again".into())))
    })
}

/// Requests that differ in all that decides where their tokens are drawn.
fn requests() -> Vec<GenerationRequest> {
    let sampled = |seed: u64| SamplingParams {
        temperature: 0.7 + seed as f32 / 10.0,
        seed: Some(seed),
        ..Default::default()
    };
    let all = [
        SamplingParams { temperature: 0.0, ..Default::default() },
        sampled(1),
        SamplingParams { top_k: 5, ..sampled(2) },
        SamplingParams { top_p: 0.8, ..sampled(3) },
        SamplingParams { min_p: 0.02, top_p: 0.95, top_k: 40, ..sampled(4) },
        // Their logits are edited.
        SamplingParams { repetition_penalty: 1.3, ..sampled(5) },
        SamplingParams {
            presence_penalty: 0.5,
            frequency_penalty: 0.3,
            logit_bias: vec![(3, 2.0), (5, -100.0), (7, -1.0)],
            ..sampled(8)
        },
        // These need them on the host.
        SamplingParams { logprobs: Some(2), ..sampled(6) },
        SamplingParams { typical_p: 0.9, ..sampled(7) },
    ];
    (0u32..)
        .zip(all)
        .map(|(i, sampling)| {
            let prompt = (0..3 + 4 * i).map(|t| (t * 7 + i) % 90).collect();
            let mut request = request(prompt, 12);
            (request.sampling, request.no_speculation) = (sampling, i % 2 == 0);
            request
        })
        .collect()
}

#[test]
fn texts_are_those_of_the_cpu() {
    let Some(cuda) = cuda() else { return };
    let (cpu, gpu) = (tiny(Device::Cpu), tiny(cuda));
    // All at once, then each alone, where all its tokens are drawn alike.
    for size in [9, 1] {
        for requests in requests().chunks(size) {
            let texts = |engine: &Engine| {
                let running: Vec<_> =
                    requests.iter().map(|r| engine.submit(r.clone()).unwrap()).collect();
                running.into_iter().map(tokens).collect::<Vec<_>>()
            };
            assert_eq!(texts(&cpu), texts(&gpu));
        }
    }
}

/// From files, with the largest step tried and the cache in what is left.
#[test]
fn a_model_that_is_started_takes_what_memory_is_left() {
    if cuda().is_none() {
        return;
    }
    let files = tempfile::tempdir().unwrap();
    let vocab: serde_json::Map<_, _> = (0..96).map(|i| (format!("t{i}"), i.into())).collect();
    let model = serde_json::json!({"type": "WordLevel", "vocab": vocab, "unk_token": "t0"});
    let tokenizer = files.path().join("tokenizer.json");
    let json = serde_json::json!({"version": "1.0", "added_tokens": [], "model": model});
    std::fs::write(&tokenizer, json.to_string()).unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tiny/gemma3");
    let start = |device: DeviceSpec, tune_products: bool| {
        let source = crate::engine::ModelSource {
            id: "tiny".into(),
            paths: ModelPaths {
                weights: vec![folder.join("model.safetensors")],
                config: Some(folder.join("config.json")),
            },
            tokenizer: Some(tokenizer.clone()),
            ..Default::default()
        };
        let (quantize, kv_dtype) = (Quantize::None, KvDtype::F32);
        // None at all, were it not for what is left.
        let kv_cache_mib = usize::from(device == DeviceSpec::Cpu);
        let more = EngineOptions { kv_cache_mib, kv_cache_grows: true, tune_products, ..options() };
        Engine::start(source, EngineOptions { device, quantize, kv_dtype, ..more }, |_, _| {})
            .unwrap()
    };
    let (cpu, gpu) = (start(DeviceSpec::Cpu, false), start(DeviceSpec::Cuda(0), false));
    let tuned = start(DeviceSpec::Cuda(0), true);
    for request in requests() {
        let text = |engine: &Engine| tokens(engine.submit(request.clone()).unwrap());
        let expected = text(&cpu);
        assert_eq!(expected, text(&gpu));
        assert_eq!(expected, text(&tuned));
    }
    // As many as all sequences at their longest fill.
    assert_eq!(gpu.stats().kv_blocks_total, 16 * 128 / BLOCK);
}
