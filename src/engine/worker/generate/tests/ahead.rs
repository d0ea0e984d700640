//! The loop on a model whose tokens are drawn where its logits are, so that
//! steps begin before the tokens of the one before have come.

use super::*;
use crate::engine::grammar::{GrammarCompiler, GrammarSpec};

fn drawing(memory: usize) -> HashModel {
    HashModel { draws: true, ..HashModel::new(memory) }
}

fn plain(prompt: Vec<u32>, tokens: usize) -> GenerationRequest {
    GenerationRequest { no_speculation: true, ..request(prompt, tokens) }
}

#[test]
fn a_text_goes_ahead_at_each_step_but_its_first_and_last() {
    let model = drawing(ALL);
    let engine = engine(&model, 200, options());
    let text = tokens(engine.submit(plain(prompt(20, 1), 30)).unwrap());
    assert_eq!(text, greedy(&prompt(20, 1), 30, ALL));
    // The step of the prompt gives the first token, and none follows the last.
    assert_eq!((model.steps.load(Relaxed), model.ahead.load(Relaxed)), (30, 29));
    at_rest(&engine);
}

#[test]
fn texts_that_come_and_end_at_any_time_are_what_they_are_alone() {
    for (memory, speculation, blocks) in [(ALL, false, 400), (3, true, 400), (3, false, 160)] {
        let model = drawing(memory);
        let engine = engine(&model, blocks, EngineOptions { speculation, ..options() });
        let wanted: Vec<_> = (0..40u32)
            .map(|i| request(prompt(1 + 31 * i as usize % 700, i % 5), 1 + 7 * i as usize % 60))
            .collect();
        let mut running = Vec::new();
        for (i, wanted) in wanted.iter().enumerate() {
            running.push(engine.submit(wanted.clone()).unwrap());
            if i % 3 == 0 {
                std::thread::sleep(Duration::from_millis(3));
            }
        }
        for (request, generation) in wanted.iter().zip(running) {
            let most = request.stop.max_tokens.unwrap();
            assert_eq!(tokens(generation), greedy(&request.prompt, most, memory));
        }
        assert!(model.ahead.load(Relaxed) > 0);
        at_rest(&engine);
    }
}

/// Where one ends, the row that was begun for it is of no use.
#[test]
fn a_text_that_ends_by_itself_leaves_the_others_as_they_are() {
    let model = drawing(ALL);
    let engine = engine(&model, 400, options());
    let wanted: Vec<_> = (0..12).map(|i| prompt(10 + i, i as u32)).collect();
    let running: Vec<_> = (wanted.iter().enumerate())
        .map(|(i, prompt)| {
            let mut request = plain(prompt.clone(), 40);
            // The token that the text has at some place ends it.
            request.stop.token_ids = match i % 3 {
                0 => Vec::new(),
                _ => vec![greedy(prompt, 40, ALL)[3 * i]],
            };
            engine.submit(request).unwrap()
        })
        .collect();
    for (i, (prompt, generation)) in wanted.iter().zip(running).enumerate() {
        let all = greedy(prompt, 40, ALL);
        let end = match i % 3 {
            0 => 40,
            _ => all.iter().position(|&t| t == all[3 * i]).unwrap(),
        };
        let (text, reason) = finish(generation);
        assert_eq!(text, all[..end]);
        let expected = if i % 3 == 0 { FinishReason::Length } else { FinishReason::Stop };
        assert_eq!(reason.unwrap().0, expected);
    }
    assert!(model.ahead.load(Relaxed) > 20);
    at_rest(&engine);
}

#[test]
fn answers_that_share_a_prompt_go_ahead_once_each_has_its_own_block() {
    let model = drawing(ALL);
    let engine = engine(&model, 400, options());
    // The last block of the prompt is filled in part, and copied.
    let many = engine.submit_n(plain(prompt(90, 2), 25), 40).unwrap();
    let expected = greedy(&prompt(90, 2), 25, ALL);
    assert!(many.into_iter().map(tokens).all(|answer| answer == expected));
    assert!(model.ahead.load(Relaxed) > 20);
    at_rest(&engine);
}

#[test]
fn who_leaves_or_runs_out_of_time_while_a_step_is_under_way_takes_nobody_along() {
    let model = HashModel { step: Duration::from_millis(2), ..drawing(ALL) };
    let engine = engine(&model, 200, options());
    let stays = engine.submit(plain(prompt(30, 1), 60)).unwrap();
    let timeout = Some(Duration::from_millis(40));
    let late = engine.submit(GenerationRequest { timeout, ..plain(prompt(31, 2), 1000) }).unwrap();
    let mut leaves = engine.submit(plain(prompt(32, 3), 1000)).unwrap();
    assert!(matches!(leaves.blocking_next(), Some(Event::Delta { .. })));
    drop(leaves);
    let (text, end) = finish(late);
    assert_eq!(end.unwrap().0, FinishReason::Timeout);
    assert_eq!(text, greedy(&prompt(31, 2), text.len(), ALL));
    assert_eq!(tokens(stays), greedy(&prompt(30, 1), 60, ALL));
    at_rest(&engine);
}

#[test]
fn a_step_that_fails_ahead_is_that_of_its_texts() {
    let model = drawing(ALL);
    lose_the_device(model.clone());
    assert!(model.ahead.load(Relaxed) > 20);
}

/// Guesses are worth more than going ahead, where there may be one.
#[test]
fn a_text_that_repeats_itself_is_guessed() {
    let model = drawing(2);
    let engine = engine(&model, 400, options());
    let text = tokens(engine.submit(request(prompt(60, 1), 200)).unwrap());
    assert_eq!(text, greedy(&prompt(60, 1), 200, 2));
    let steps = model.steps.load(Relaxed);
    assert!(steps < 100, "{steps} steps");
}

/// Where a token is followed by others that the grammar forces, the row that was
/// begun is of no use, and those are computed first.
#[test]
fn texts_of_a_grammar_are_those_of_the_host() {
    let compiler = GrammarCompiler::new(std::sync::Arc::new(byte_tokenizer()));
    let spec = GrammarSpec::Regex("([a-m]|[n-z] follows, |[0-9]+ and then ){12}".into());
    let grammar = compiler.compile(&spec).unwrap();
    let drawing = drawing(ALL);
    let on_host = engine(&HashModel::new(ALL), 400, options());
    let on_device = engine(&drawing, 400, options());
    let texts = |engine: &Engine| {
        let requests = (0..8u32).map(|i| {
            let mut request = plain(prompt(9 + i as usize, i), 200);
            // Others beside them have none.
            request.grammar = (i % 3 > 0).then(|| grammar.clone());
            engine.submit(request).unwrap()
        });
        requests.collect::<Vec<_>>().into_iter().map(tokens).collect::<Vec<_>>()
    };
    let expected = texts(&on_host);
    let forced =
        |text: &Vec<u32>| text.windows(9).any(|bytes| bytes == b" follows,".map(u32::from));
    assert!(expected.iter().filter(|text| forced(text)).count() > 2);
    assert_eq!(texts(&on_device), expected);
    assert!(drawing.ahead.load(Relaxed) > 100);
    at_rest(&on_device);
}
