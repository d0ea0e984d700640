//! How likely the tokens of prompts were, for requests that ask for it.

use super::*;
use crate::engine::request::TokenLogprob;
use crate::engine::sampler::score;
use crate::engine::testing::logits_after;

fn echo(prompt: Vec<u32>, tokens: usize) -> GenerationRequest {
    let mut request = GenerationRequest { echo: true, ..request(prompt, tokens) };
    request.sampling.logprobs = Some(2);
    request
}

/// What the model says of each token of a prompt but the first.
fn wanted(prompt: &[u32]) -> Vec<TokenLogprob> {
    let after = |n: usize| score(&logits_after(&prompt[..n], ALL), prompt[n], 2).unwrap();
    (1..prompt.len()).map(after).collect()
}

/// Holds what came against the request: the prompt once, then the text.
fn check(mut generation: Generation, request: &GenerationRequest) -> Usage {
    let prompt = &request.prompt;
    match generation.blocking_next() {
        Some(Event::Prompt { first, rest }) => {
            assert_eq!((first, rest), (prompt[0], wanted(prompt)));
        }
        other => panic!("{other:?}"),
    }
    let (text, end) = finish(generation);
    let (reason, usage) = end.unwrap();
    assert_eq!(text, greedy(prompt, request.stop.max_tokens.unwrap(), ALL));
    assert_eq!(reason, FinishReason::Length);
    assert_eq!((usage.prompt_tokens, usage.completion_tokens), (prompt.len(), text.len()));
    usage
}

#[test]
fn every_token_has_its_score_in_any_company() {
    // 90 blocks hold two of the longest: the others are preempted.
    for blocks in [400, 90] {
        let model = HashModel::new(ALL);
        let engine = engine(&model, blocks, options());
        let lengths = [1, 2, 9, 63, 64, 65, 66, 129, 300, 40, 8, 200];
        let echoes: Vec<_> = (0..24usize)
            .map(|i| echo(prompt(lengths[i % 12], i as u32 % 3), [0, 5, 30][i % 3]))
            .collect();
        let others: Vec<_> = (0..12u32).map(|i| request(prompt(20 + i as usize, i), 40)).collect();
        let mut running = Vec::new();
        for (i, request) in echoes.iter().enumerate() {
            running.push(engine.submit(request.clone()).unwrap());
            if let Some(other) = others.get(i) {
                running.push(engine.submit(other.clone()).unwrap());
            }
        }
        let mut running = running.into_iter();
        for (i, request) in echoes.iter().enumerate() {
            check(running.next().unwrap(), request);
            if let Some(other) = others.get(i) {
                assert_eq!(tokens(running.next().unwrap()), greedy(&other.prompt, 40, ALL));
            }
        }
        // Within the memory that is reserved for logits.
        let most = options().max_sequences + options().max_guess_rows;
        assert!(model.widest.load(Relaxed) <= most, "{} rows", model.widest.load(Relaxed));
        at_rest(&engine);
    }
}

#[test]
fn a_prompt_is_scored_though_the_cache_has_it() {
    let model = HashModel::new(ALL);
    let engine = engine(&model, 400, options());
    let request = GenerationRequest { no_speculation: true, ..echo(prompt(100, 1), 3) };
    for _ in 0..2 {
        let begun = model.rows.load(Relaxed);
        assert_eq!(check(engine.submit(request.clone()).unwrap(), &request).cached_tokens, 0);
        assert_eq!(model.rows.load(Relaxed) - begun, 102);
    }
    // It leaves the cache as useful as others do.
    let plain = GenerationRequest { echo: false, ..request.clone() };
    let (_, end) = finish(engine.submit(plain).unwrap());
    assert_eq!(end.unwrap().1.cached_tokens, 96);
}

#[test]
fn all_answers_to_a_prompt_have_its_scores() {
    let model = HashModel { step: Duration::from_millis(2), ..HashModel::new(ALL) };
    let engine = engine(&model, 400, options());
    // More answers than places, and the first of them hangs up on the way.
    let request = echo(prompt(200, 2), 6);
    let mut answers = engine.submit_n(request.clone(), 20).unwrap();
    std::thread::sleep(Duration::from_millis(5));
    drop(answers.remove(0));
    for answer in answers {
        check(answer, &request);
    }
    at_rest(&engine);
}

#[test]
fn without_log_probabilities_a_prompt_alone_is_an_answer() {
    let engine = engine(&HashModel::new(ALL), 400, options());
    let mut request = echo(prompt(30, 1), 0);
    request.sampling.logprobs = None;
    let (text, end) = finish(engine.submit(request.clone()).unwrap());
    assert_eq!((text.len(), end.unwrap().0), (0, FinishReason::Length));
    request.echo = false;
    assert!(engine.submit(request).is_err());
}
