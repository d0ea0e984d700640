//! The engine from submission to the last event, on a model without weights.

mod ahead;
#[cfg(feature = "cuda")]
mod on_cuda;
mod prompts;

use std::time::{Duration, Instant};

use super::*;
use crate::engine::load::EngineError;
use crate::engine::prepare::Worker;
use crate::engine::provenance::Origin;
use crate::engine::testing::{EOS, FAILS, HashModel, PANICS, VOCABULARY, byte_tokenizer, greedy};
use crate::engine::{
    Engine, Event, FinishReason, Generation, Limits, ModelInfo, ModelKind, SamplingParams,
    StopConditions, Usage,
};

const ALL: usize = usize::MAX;
const BLOCK: usize = 8;
const CONTEXT: usize = 1200;

fn options() -> EngineOptions {
    EngineOptions {
        block_size: BLOCK,
        max_batch_tokens: 64,
        max_sequences: 16,
        ..Default::default()
    }
}

fn engine(model: &HashModel, blocks: usize, options: EngineOptions) -> Engine {
    let model = model.clone();
    launch(options, move |options| {
        let again = model.clone();
        let reload = Box::new(move || {
            again.lost.store(false, Relaxed);
            Ok(Box::new(again.clone()) as Box<_>)
        });
        ModelState::new(Box::new(model), HashModel::shape(options.block_size), blocks, reload)
    })
}

/// An engine on what `state` makes, on the engine's thread.
fn launch(
    options: EngineOptions,
    state: impl FnOnce(&EngineOptions) -> candle_core::Result<ModelState> + Send + 'static,
) -> Engine {
    let prepare = move |options: &EngineOptions| {
        let state = state(options).map_err(|e| EngineError::Source(e.to_string()))?;
        let info = ModelInfo {
            id: "hash".into(),
            kind: ModelKind::Generation,
            architecture: "hash".into(),
            limits: Limits { context_length: CONTEXT, vocab_size: VOCABULARY, source: None },
            embedding_dims: None,
            default_prompt: None,
            pooling: None,
            labels: Vec::new(),
            multi_label: false,
            prompts: Default::default(),
            writing: None,
            created: 0,
            quantization: String::new(),
            parameters: 0,
            device: "cpu".into(),
        };
        Ok((
            Worker::Generate(Box::new(GenerateWorker {
                state,
                context_length: CONTEXT,
                writing: None,
            })),
            info,
        ))
    };
    Engine::launch(("hash", Origin::default()), || Ok((byte_tokenizer(), None)), options, prepare)
        .unwrap()
}

fn prompt(len: usize, seed: u32) -> Vec<u32> {
    (0..len as u32).map(|i| 97 + (i * i + seed * (i / 16 + 1)) % 26).collect()
}

fn request(prompt: Vec<u32>, tokens: usize) -> GenerationRequest {
    GenerationRequest {
        prompt,
        sampling: SamplingParams { temperature: 0.0, ..Default::default() },
        stop: StopConditions { max_tokens: Some(tokens), ignore_eos: true, ..Default::default() },
        ..Default::default()
    }
}

/// The tokens and how it ended: `Ok` with the usage, or what went wrong.
fn finish(mut generation: Generation) -> (Vec<u32>, Result<(FinishReason, Usage), String>) {
    let mut out = Vec::new();
    loop {
        match generation.blocking_next() {
            Some(Event::Delta { tokens, .. }) => out.extend(tokens),
            Some(Event::Prompt { .. }) => panic!("a prompt was not asked for"),
            Some(Event::Alternatives(texts)) => panic!("{texts:?} were not asked for"),
            Some(Event::Finished { reason, usage, .. }) => return (out, Ok((reason, usage))),
            Some(Event::Failed { message }) => return (out, Err(message)),
            Some(Event::TimedOut { .. }) => return (out, Err("timed out".into())),
            None => return (out, Err("the thread is gone".into())),
        }
    }
}

fn tokens(generation: Generation) -> Vec<u32> {
    let (tokens, end) = finish(generation);
    end.unwrap();
    tokens
}

/// Waits until nothing runs, and sees that nothing is left behind.
fn at_rest(engine: &Engine) {
    let begun = Instant::now();
    while engine.stats().running + engine.stats().waiting + engine.stats().kv_blocks_used > 0 {
        assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", engine.stats());
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn prompts_of_1_to_700_tokens_beside_decodes_give_what_they_give_alone() {
    for (memory, speculation, blocks) in [(ALL, true, 400), (3, true, 400), (3, false, 160)] {
        // 160 blocks hold two of the longest: the others are preempted.
        let model = HashModel::new(memory);
        let engine = engine(&model, blocks, EngineOptions { speculation, ..options() });
        let wanted: Vec<_> =
            (0..24u32).map(|i| request(prompt(1 + 31 * i as usize % 700, i % 5), 40)).collect();
        let running: Vec<_> = wanted.iter().map(|r| engine.submit(r.clone()).unwrap()).collect();
        for (request, generation) in wanted.iter().zip(running) {
            assert_eq!(tokens(generation), greedy(&request.prompt, 40, memory));
        }
        at_rest(&engine);
    }
}

#[test]
fn guessing_ahead_saves_steps_and_changes_no_draw() {
    let sampled = |seed, no_speculation| GenerationRequest {
        sampling: SamplingParams {
            temperature: 0.7,
            top_p: 0.9,
            seed: Some(seed),
            ..Default::default()
        },
        no_speculation,
        ..request(prompt(60, 1), 200)
    };
    // Two tokens decide the next, so texts repeat themselves.
    let model = HashModel::new(2);
    let engine = engine(&model, 400, options());
    for seed in 0..8 {
        let plain = tokens(engine.submit(sampled(seed, true)).unwrap());
        assert_eq!(tokens(engine.submit(sampled(seed, false)).unwrap()), plain);
    }
    let steps = |no_speculation| {
        let begun = model.steps.load(Relaxed);
        let greedy = GenerationRequest { no_speculation, ..request(prompt(60, 1), 200) };
        tokens(engine.submit(greedy).unwrap());
        model.steps.load(Relaxed) - begun
    };
    let (plain, guessed) = (steps(true), steps(false));
    assert!(guessed * 2 < plain, "{guessed} steps instead of {plain}");
}

#[test]
fn n_answers_cost_one_prompt_and_have_seeds_of_their_own() {
    let model = HashModel::new(ALL);
    let engine = engine(&model, 400, options());
    let sampled = |seed| GenerationRequest {
        sampling: SamplingParams { temperature: 1.0, seed: Some(seed), ..Default::default() },
        no_speculation: true,
        ..request(prompt(100, 1), 10)
    };
    let answers: Vec<_> =
        engine.submit_n(sampled(5), 12).unwrap().into_iter().map(tokens).collect();
    assert_eq!(model.rows.load(Relaxed), 100 + 12 * 9);
    for (i, answer) in answers.iter().enumerate() {
        assert_eq!(&tokens(engine.submit(sampled(5 + i as u64)).unwrap()), answer);
    }
    assert_ne!(answers[0], answers[1]);
    // More answers than places: the rest finds the prompt in the cache.
    let begun = model.rows.load(Relaxed);
    let many: Vec<_> = engine.submit_n(request(prompt(90, 2), 5), 40).unwrap();
    let expected = greedy(&prompt(90, 2), 5, ALL);
    assert!(many.into_iter().map(tokens).all(|answer| answer == expected));
    // 88 of 90 tokens are whole blocks.
    assert_eq!(model.rows.load(Relaxed) - begun, 90 + 24 * 2 + 40 * 4);
    at_rest(&engine);
}

#[test]
fn a_beginning_that_was_computed_before_is_reported() {
    let engine = engine(&HashModel::new(ALL), 400, options());
    let (first, usage) = finish(engine.submit(request(prompt(50, 1), 5)).unwrap());
    assert_eq!(usage.unwrap().1.cached_tokens, 0);
    // The next turn of a conversation: prompt, answer, and something new.
    let mut next = prompt(50, 1);
    next.extend(&first);
    next.extend(prompt(20, 3));
    let (second, usage) = finish(engine.submit(request(next.clone(), 5)).unwrap());
    assert_eq!(second, greedy(&next, 5, ALL));
    // 54 of its tokens were computed, 48 of them in whole blocks.
    let usage = usage.unwrap().1;
    assert_eq!(usage, Usage { prompt_tokens: 75, completion_tokens: 5, cached_tokens: 48 });
}

#[test]
fn a_request_that_fails_takes_nobody_with_it() {
    let model = HashModel::new(ALL);
    let engine = engine(&model, 200, options());
    for (bad, message) in [(FAILS, "the device is lost"), (PANICS, "a bug in a kernel")] {
        let before = engine.submit(request(prompt(300, 1), 60)).unwrap();
        // It waits in the queue while the step with the bad one fails.
        let mut failing = prompt(20, 2);
        failing.push(bad);
        let failing =
            engine.submit(GenerationRequest { priority: -1, ..request(failing, 5) }).unwrap();
        let after = engine.submit(request(prompt(40, 3), 20)).unwrap();
        let (_, end) = finish(failing);
        assert!(end.unwrap_err().contains(message));
        let (text, end) = finish(after);
        // In the same step it fails too; else it gives its text.
        if end.is_ok() {
            assert_eq!(text, greedy(&prompt(40, 3), 20, ALL));
        }
        drop(before);
        assert_eq!(
            tokens(engine.submit(request(prompt(9, 4), 9)).unwrap()),
            greedy(&prompt(9, 4), 9, ALL)
        );
        assert_eq!(engine.health(), Health::Ready);
        at_rest(&engine);
    }
}

#[test]
fn a_lost_device_is_loaded_again_and_those_who_wait_get_their_texts() {
    lose_the_device(HashModel::new(ALL));
}

fn lose_the_device(model: HashModel) {
    let model = HashModel { step: Duration::from_millis(2), ..model };
    let engine = engine(&model, 200, EngineOptions { max_sequences: 2, ..options() });
    let wanted: Vec<_> = (0..6).map(|i| prompt(20 + i, i as u32)).collect();
    let request = |prompt: &Vec<u32>| GenerationRequest {
        no_speculation: model.draws,
        ..request(prompt.clone(), 30)
    };
    let mut running: Vec<_> = wanted.iter().map(|p| engine.submit(request(p)).unwrap()).collect();
    // Both places are taken from here on.
    for first in &mut running[..2] {
        assert!(matches!(first.blocking_next(), Some(Event::Delta { .. })));
    }
    model.lost.store(true, Relaxed);
    let ends: Vec<_> = running.into_iter().map(finish).collect();
    assert_eq!(ends.iter().filter(|(_, end)| end.is_err()).count(), 2, "the two that ran");
    for (prompt, (text, end)) in wanted.iter().zip(&ends).skip(2) {
        assert!(end.is_ok());
        assert_eq!(*text, greedy(prompt, 30, ALL));
    }
    assert_eq!(engine.health(), Health::Ready);
    at_rest(&engine);
}

#[test]
fn time_ends_a_text_and_refuses_one_that_never_began() {
    let model = HashModel { step: Duration::from_millis(5), ..HashModel::new(ALL) };
    let engine = engine(&model, 200, EngineOptions { max_sequences: 1, ..options() });
    let timeout = Some(Duration::from_millis(150));
    let first =
        engine.submit(GenerationRequest { timeout, ..request(prompt(9, 1), 1000) }).unwrap();
    let second = engine
        .submit(GenerationRequest {
            timeout: Some(Duration::from_millis(50)),
            ..request(prompt(9, 2), 5)
        })
        .unwrap();
    assert_eq!(finish(second).1.unwrap_err(), "timed out");
    let (text, end) = finish(first);
    let (reason, usage) = end.unwrap();
    assert_eq!(reason, FinishReason::Timeout);
    assert_eq!(usage.completion_tokens, text.len());
    assert!((5..40).contains(&text.len()), "{} tokens in 150 ms", text.len());
    assert_eq!(text, greedy(&prompt(9, 1), text.len(), ALL));
    at_rest(&engine);
}

#[test]
fn leaving_frees_the_blocks_at_once() {
    let engine = engine(&HashModel::new(ALL), 200, options());
    let mut running: Vec<_> =
        (0..20).map(|i| engine.submit(request(prompt(50 + i, 1), 500)).unwrap()).collect();
    assert!(matches!(running[3].blocking_next(), Some(Event::Delta { .. })));
    drop(running);
    at_rest(&engine);
    assert_eq!(tokens(engine.submit(request(prompt(5, 1), 5)).unwrap()).len(), 5);
}

#[test]
fn the_end_of_text_waits_for_min_tokens() {
    let engine = engine(&HashModel::new(ALL), 200, options());
    let end_at_once = |min_tokens| GenerationRequest {
        sampling: SamplingParams {
            temperature: 0.0,
            logit_bias: vec![(EOS, 100.0)],
            ..Default::default()
        },
        stop: StopConditions { max_tokens: Some(50), min_tokens, ..Default::default() },
        ..request(prompt(20, 1), 50)
    };
    for min_tokens in [0, 1, 7] {
        let (text, end) = finish(engine.submit(end_at_once(min_tokens)).unwrap());
        assert_eq!((text.len(), end.unwrap().0), (min_tokens, FinishReason::Stop));
    }
}

#[test]
fn draining_finishes_what_was_taken_and_takes_no_more() {
    let model = HashModel { step: Duration::from_millis(1), ..HashModel::new(ALL) };
    let engine = engine(&model, 200, options());
    let running: Vec<_> =
        (0..30).map(|i| engine.submit(request(prompt(30 + i, 1), 20)).unwrap()).collect();
    engine.shutdown();
    assert!(engine.submit(request(prompt(5, 1), 5)).is_err());
    assert!(running.into_iter().all(|g| tokens(g).len() == 20));
}
