//! The loop on a CUDA device: tokens are drawn there, or of logits that were
//! fetched, and are those of the CPU.

use std::path::Path;

use candle_core::Device;

use super::*;
use crate::backend::{DeviceSpec, KvDtype, device};
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
    let cuda = match device::open(DeviceSpec::Cuda(0)) {
        Ok(opened) => opened.device,
        Err(e) if std::env::var_os("DRAGOMAN_TEST_DEVICE").is_some() => panic!("{e}"),
        Err(e) => return eprintln!("skipped: {e}"),
    };
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
