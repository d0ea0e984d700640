//! The engine under load, on a real model: many texts at once are the texts
//! they are alone, cancelling gives memory back, seeds fix texts.

use std::time::Instant;

use dragoman::engine::{
    Engine, Event, FinishReason, Generation, GenerationRequest, SamplingParams, StopConditions,
    SubmitError, Usage,
};

use crate::support::{GENERATOR, server};

fn generator() -> Option<&'static Engine> {
    server()?.engines.get(GENERATOR)
}

/// Prompts of very different lengths.
fn prompts(engine: &Engine, count: usize) -> Vec<Vec<u32>> {
    let themes =
        ["The river treaty", "Water is", "Article 1. The parties", "In Geneva, the delegates"];
    let filler = " of the five states, adopted by consensus after a long debate,";
    (0..count)
        .map(|i| {
            let text = format!("{}{}", themes[i % themes.len()], filler.repeat(i % 9));
            engine.tokenizer().encode(&text, true).unwrap()
        })
        .collect()
}

fn request(prompt: Vec<u32>, tokens: usize) -> GenerationRequest {
    GenerationRequest {
        prompt,
        sampling: SamplingParams { temperature: 0.0, ..Default::default() },
        stop: StopConditions { max_tokens: Some(tokens), ignore_eos: true, ..Default::default() },
        ..Default::default()
    }
}

struct Text {
    text: String,
    tokens: Vec<u32>,
    reason: FinishReason,
    usage: Usage,
}

async fn finish(mut generation: Generation) -> Text {
    let (mut text, mut tokens) = (String::new(), Vec::new());
    loop {
        match generation.next().await {
            Some(Event::Delta { text: piece, tokens: new, .. }) => {
                text += &piece;
                tokens.extend(new);
            }
            Some(Event::Finished { reason, usage, .. }) => {
                return Text { text, tokens, reason, usage };
            }
            other => panic!("{other:?}"),
        }
    }
}

async fn run(engine: &Engine, request: GenerationRequest) -> Text {
    finish(engine.submit(request).unwrap()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn thirty_two_streams_are_the_texts_they_are_alone() {
    const TOKENS: usize = 24;
    let Some(engine) = generator() else { return };
    let prompts = prompts(engine, 32);
    let mut alone = Vec::new();
    let begun = Instant::now();
    for prompt in &prompts {
        alone.push(run(engine, request(prompt.clone(), TOKENS)).await);
    }
    let one_by_one = begun.elapsed();
    let begun = Instant::now();
    let streams: Vec<_> =
        prompts.iter().map(|p| engine.submit(request(p.clone(), TOKENS)).unwrap()).collect();
    let together = futures::future::join_all(streams.into_iter().map(finish)).await;
    println!("32 texts: one by one {one_by_one:?}, together {:?}", begun.elapsed());
    for (prompt, (alone, together)) in prompts.iter().zip(alone.iter().zip(&together)) {
        assert_eq!(alone.text, together.text);
        assert_eq!(alone.tokens, together.tokens);
        assert_eq!(together.reason, FinishReason::Length);
        let Usage { prompt_tokens, completion_tokens, .. } = together.usage;
        assert_eq!((prompt_tokens, completion_tokens), (prompt.len(), TOKENS));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelling_half_frees_their_blocks_and_leaves_the_rest_alone() {
    let Some(engine) = generator() else { return };
    let prompts = prompts(engine, 16);
    let mut streams: Vec<_> =
        prompts.iter().map(|p| engine.submit(request(p.clone(), 40)).unwrap()).collect();
    for stream in &mut streams {
        assert!(matches!(stream.next().await, Some(Event::Delta { .. })));
    }
    // Every second one hangs up.
    let mut index = 0;
    streams.retain(|_| {
        index += 1;
        index % 2 == 0
    });
    for text in futures::future::join_all(streams.into_iter().map(finish)).await {
        assert_eq!(text.usage.completion_tokens, 40);
    }
    crate::support::at_rest(engine).await;
    assert_eq!(engine.stats().kv_blocks_used, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seed_fixes_a_text_in_any_company() {
    let Some(engine) = generator() else { return };
    let prompts = prompts(engine, 8);
    let seeded = |seed| GenerationRequest {
        sampling: SamplingParams { temperature: 1.0, seed: Some(seed), ..Default::default() },
        ..request(prompts[3].clone(), 20)
    };
    let alone = run(engine, seeded(5)).await;
    let crowd: Vec<_> =
        prompts.iter().map(|p| engine.submit(request(p.clone(), 30)).unwrap()).collect();
    assert_eq!(run(engine, seeded(5)).await.tokens, alone.tokens);
    assert_ne!(run(engine, seeded(6)).await.tokens, alone.tokens);
    drop(crowd);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_string_ends_a_text_before_itself() {
    let Some(engine) = generator() else { return };
    let prompt = prompts(engine, 1).remove(0);
    let whole = run(engine, request(prompt.clone(), 40)).await.text;
    // Something from the middle, so that it spans tokens.
    let middle: Vec<char> = whole.chars().skip(30).take(7).collect();
    let stop: String = middle.into_iter().collect();
    let mut stopped = request(prompt, 40);
    stopped.stop.strings = vec![stop.clone()];
    let stopped = run(engine, stopped).await;
    assert_eq!(stopped.reason, FinishReason::Stop);
    assert_eq!(stopped.text, whole[..whole.find(&stop).unwrap()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_that_cannot_fit_is_refused_and_one_that_just_fits_is_not() {
    let Some(engine) = generator() else { return };
    let limit = engine.info().limits.context_length;
    let long = vec![1u32; limit];
    match engine.submit(request(long, 1)) {
        Err(SubmitError::ContextExceeded { prompt_tokens, context_length, .. }) => {
            assert_eq!((prompt_tokens, context_length), (limit, limit));
        }
        other => panic!("{other:?}"),
    }
    assert!(matches!(
        engine.submit(request(vec![u32::MAX], 1)),
        Err(SubmitError::Invalid { param: "prompt", .. })
    ));
}
