use std::collections::HashMap;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::*;
use crate::engine::request::{Event, GenerationRequest, SamplingParams, StopConditions};
use crate::engine::sequence::ModelLimits;
use crate::engine::testing::{byte_tokenizer, greedy, logits_after};
use crate::text::Tokenizer;

const BLOCK: usize = 4;
/// Tokens the next one follows from: few, so that texts repeat themselves.
const MEMORY: usize = 2;
const ALL: usize = usize::MAX;

fn scheduler(budget: usize, sequences: usize, blocks: usize) -> Scheduler {
    let config =
        SchedulerConfig { max_batch_tokens: budget, max_sequences: sequences, max_guess_rows: 8 };
    Scheduler::new(config, BlockPool::new(blocks, BLOCK))
}

/// A request and its place in line.
#[derive(Debug, Clone)]
struct Wanted {
    prompt: Vec<u32>,
    output: usize,
    priority: i32,
    guesses: bool,
}

impl Wanted {
    fn new(prompt: usize, output: usize) -> Self {
        let prompt = (0..prompt as u32).map(|i| 97 + i % 26).collect();
        Self { prompt, output, priority: 0, guesses: false }
    }
}

fn sequence(id: u64, wanted: &Wanted) -> (Sequence, UnboundedReceiver<Event>) {
    let (events, receiver) = unbounded_channel();
    let request = GenerationRequest {
        prompt: wanted.prompt.clone(),
        sampling: SamplingParams { temperature: 0.0, ..Default::default() },
        stop: StopConditions { max_tokens: Some(wanted.output), ..Default::default() },
        priority: wanted.priority,
        no_speculation: !wanted.guesses,
        ..Default::default()
    };
    let epoch = Instant::now();
    let model =
        ModelLimits { context_length: 1000, eos_ids: &[], strips_leading_space: false, epoch };
    (Sequence::new(id, request, epoch, events, model, &|_| b"x"), receiver)
}

/// A scheduler with a cache that holds tokens, to see that every row reads
/// exactly its own text.
struct Bench {
    s: Scheduler,
    cache: Vec<u32>,
    tokenizer: Tokenizer,
    memory: usize,
}

impl Bench {
    fn new(s: Scheduler, memory: usize) -> Self {
        let cache = vec![u32::MAX; s.blocks.total() * BLOCK];
        Self { s, cache, tokenizer: byte_tokenizer(), memory }
    }

    fn add(&mut self, id: u64, wanted: &Wanted) -> UnboundedReceiver<Event> {
        let (sequence, receiver) = sequence(id, wanted);
        self.s.add(sequence);
        receiver
    }

    /// Computes a step and lets every sequence draw; the ids of those that end.
    fn run(&mut self, prompt_tokens: usize) -> (Step, Vec<u64>) {
        let step = self.s.schedule(prompt_tokens);
        for &(from, to) in &step.copies {
            let from = from as usize * BLOCK;
            self.cache.copy_within(from..from + BLOCK, to as usize * BLOCK);
        }
        for (&slot, &id) in step.batch.slot_mapping.iter().zip(&step.batch.ids) {
            self.cache[slot as usize] = id;
        }
        self.s.computed(&step);
        let mut rows = step.batch.logit_rows.iter();
        let mut drawing = HashMap::new();
        for (i, part) in step.parts.iter().enumerate() {
            let logits: Vec<Vec<f32>> = rows
                .by_ref()
                .take(if part.samples { 1 + part.guess.len() } else { 0 })
                .map(|&row| logits_after(&self.context(&step, i, row as usize), self.memory))
                .collect();
            if part.samples {
                for id in self.s.fork(part.id) {
                    drawing.insert(id, (logits.clone(), vec![]));
                }
                drawing.insert(part.id, (logits, part.guess.clone()));
            }
        }
        let mut ended = Vec::new();
        for sequence in self.s.running_mut() {
            let Some((logits, guess)) = drawing.remove(&sequence.id) else { continue };
            let rows: Vec<&[f32]> = logits.iter().map(Vec::as_slice).collect();
            if sequence.advance(&rows, &guess, &self.tokenizer).unwrap().is_some() {
                ended.push(sequence.id);
            }
        }
        for &id in &ended {
            self.s.remove(id);
        }
        (step, ended)
    }

    /// The text that a row sees, read from the cache.
    fn context(&self, step: &Step, sequence: usize, row: usize) -> Vec<u32> {
        let table = &step.batch.block_tables[sequence];
        (0..=step.batch.positions[row] as usize)
            .map(|p| self.cache[table[p / BLOCK] as usize * BLOCK + p % BLOCK])
            .collect()
    }
}

fn parts(step: &Step) -> Vec<(u64, usize, bool)> {
    step.parts.iter().map(|p| (p.id, p.tokens, p.samples)).collect()
}

/// Everything a request received.
fn text(receiver: &mut UnboundedReceiver<Event>) -> Vec<u32> {
    let mut out = Vec::new();
    while let Ok(event) = receiver.try_recv() {
        if let Event::Delta { tokens, .. } = event {
            out.extend(tokens);
        }
    }
    out
}

#[test]
fn a_long_prompt_is_computed_beside_running_texts() {
    let mut b = Bench::new(scheduler(50, 8, 100), ALL);
    let _a = b.add(0, &Wanted::new(3, 50));
    assert_eq!(parts(&b.run(50).0), [(0, 3, true)]);
    let _b = b.add(1, &Wanted::new(35, 50));
    // The running text gets its token in every step, and the prompt no more
    // than the pace allows.
    assert_eq!(parts(&b.run(10).0), [(0, 1, true), (1, 10, false)]);
    assert_eq!(parts(&b.run(20).0), [(0, 1, true), (1, 20, false)]);
    assert_eq!(parts(&b.run(10).0), [(0, 1, true), (1, 5, true)]);
    assert_eq!(parts(&b.run(10).0), [(0, 1, true), (1, 1, true)]);
    b.s.check().unwrap();
}

#[test]
fn the_youngest_gives_way_and_comes_back() {
    let mut b = Bench::new(scheduler(100, 8, 6), ALL);
    let (first, second) =
        (Wanted::new(8, 16), Wanted { prompt: vec![98; 7], ..Wanted::new(0, 16) });
    let (mut ra, mut rb) = (b.add(0, &first), b.add(1, &second));
    let mut ended = Vec::new();
    for _ in 0..200 {
        ended.extend(b.run(100).1);
        b.s.check().unwrap();
    }
    assert_eq!(ended, [0, 1]);
    assert!(b.s.take_preempted() > 0);
    assert_eq!(b.s.blocks.used(), 0);
    assert_eq!(text(&mut ra), greedy(&first.prompt, 16, ALL));
    assert_eq!(text(&mut rb), greedy(&second.prompt, 16, ALL));
}

#[test]
fn an_abandoned_sequence_frees_its_blocks() {
    let mut b = Bench::new(scheduler(100, 1, 20), ALL);
    let receivers = (b.add(0, &Wanted::new(8, 100)), b.add(1, &Wanted::new(8, 100)));
    b.run(100);
    assert!(b.s.blocks.used() > 0);
    drop(receivers);
    assert_eq!(b.s.remove_abandoned().len(), 2);
    assert_eq!(b.s.blocks.used(), 0);
    assert!(b.s.is_idle());
    b.s.check().unwrap();
}

#[test]
fn a_prompt_that_begins_like_an_earlier_one_is_not_computed_again() {
    let mut b = Bench::new(scheduler(100, 8, 40), ALL);
    let wanted = Wanted::new(18, 3);
    let _a = b.add(0, &wanted);
    while !b.s.is_idle() {
        b.run(100);
    }
    let mut again = b.add(1, &wanted);
    // Four blocks are known; the last tokens are computed for their logits.
    assert_eq!(parts(&b.run(100).0), [(1, 2, true)]);
    while !b.s.is_idle() {
        b.run(100);
    }
    assert_eq!(text(&mut again), greedy(&wanted.prompt, 3, ALL));
    // Even a prompt that is known as a whole has one token to compute.
    let _c = b.add(2, &Wanted::new(16, 3));
    assert_eq!(parts(&b.run(100).0), [(2, 4, true)]);
}

#[test]
fn answers_to_one_prompt_share_its_blocks_until_they_differ() {
    let mut b = Bench::new(scheduler(100, 3, 40), ALL);
    let wanted = Wanted::new(10, 6);
    let (mut leader, mut r0) = sequence(0, &wanted);
    let mut receivers: Vec<_> = (1..4)
        .map(|id| {
            let (sibling, receiver) = sequence(id, &wanted);
            leader.add_sibling(sibling);
            receiver
        })
        .collect();
    b.s.add(leader);
    assert_eq!(parts(&b.run(100).0), [(0, 10, true)]);
    // Three have a place, with two full blocks and a shared beginning of a third.
    assert_eq!((b.s.running().len(), b.s.blocks.used()), (3, 3));
    let (step, _) = b.run(100);
    assert_eq!(step.copies.len(), 2);
    b.s.check().unwrap();
    // One hangs up before it has a place; the others go on.
    drop(receivers.pop());
    assert_eq!(b.s.remove_abandoned().len(), 1);
    while !b.s.is_idle() {
        b.run(100);
        b.s.check().unwrap();
    }
    let expected = greedy(&wanted.prompt, 6, ALL);
    assert_eq!(text(&mut r0), expected);
    for receiver in &mut receivers {
        assert_eq!(text(receiver), expected);
    }
}

#[test]
fn the_next_answer_takes_over_from_one_that_left() {
    let mut b = Bench::new(scheduler(4, 3, 40), ALL);
    let wanted = Wanted::new(10, 3);
    let (mut leader, r0) = sequence(0, &wanted);
    let (sibling, mut r1) = sequence(1, &wanted);
    leader.add_sibling(sibling);
    b.s.add(leader);
    assert_eq!(parts(&b.run(100).0), [(0, 4, false)]);
    drop(r0);
    assert_eq!(b.s.remove_abandoned().len(), 1);
    // What was computed is not computed again.
    assert_eq!(parts(&b.run(100).0), [(0, 4, false)]);
    while !b.s.is_idle() {
        b.run(100);
    }
    assert_eq!(text(&mut r1), greedy(&wanted.prompt, 3, ALL));
}

#[test]
fn priority_goes_first_and_waiting_makes_up_for_it() {
    let mut b = Bench::new(scheduler(100, 1, 40), ALL);
    let wanted = |priority| Wanted { priority, ..Wanted::new(4, 1) };
    let mut receivers: Vec<_> =
        [0, 5, -1, 0].iter().zip(0..).map(|(&p, id)| b.add(id, &wanted(p))).collect();
    let order: Vec<u64> = (0..4).flat_map(|_| b.run(100).1).collect();
    assert_eq!(order, [2, 0, 3, 1]);
    // One that has waited a minute is before one of higher priority that came now.
    let (mut old, r) = sequence(10, &wanted(5));
    old.turn -= Duration::from_secs(60).as_millis() as i64;
    b.s.add(old);
    receivers.push(r);
    receivers.push(b.add(11, &wanted(0)));
    assert_eq!([b.run(100).1, b.run(100).1], [[10], [11]]);
}

#[test]
fn a_crowd_is_those_who_wait_for_each_that_writes() {
    let mut b = Bench::new(scheduler(100, 8, 400), ALL);
    let long = |priority| Wanted { priority, ..Wanted::new(60, 40) };
    let mut receivers = vec![b.add(0, &Wanted::new(4, 40))];
    assert_eq!(b.s.crowd(), 1.0, "nobody writes yet");
    b.run(100);
    assert_eq!(b.s.crowd(), 1.0, "nobody waits");
    receivers.extend((1..4).map(|id| b.add(id, &long(0))));
    assert_eq!(b.s.crowd(), 3.0);
    receivers.extend((4..6).map(|id| b.add(id, &long(1))));
    assert_eq!(b.s.crowd(), 3.0, "what is less urgent does not count");
    receivers.extend((6..16).map(|id| b.add(id, &long(-1))));
    assert_eq!(b.s.crowd(), 7.0, "what has no place does not count");
    drop(receivers);
}

#[derive(Debug, Clone)]
enum Action {
    Arrive { wanted: Wanted, answers: usize },
    Cancel(usize),
    Restart,
    Step { prompt_tokens: usize },
}

fn action() -> impl Strategy<Value = Action> {
    // Few beginnings, so that prompts share theirs.
    let wanted = (0usize..3, 1usize..40, 1usize..30, -2i32..3, any::<bool>()).prop_map(
        |(start, prompt, output, priority, guesses)| Wanted {
            prompt: (0..prompt).map(|i| 97 + ((start * (i / 9) + i) % 26) as u32).collect(),
            output,
            priority,
            guesses,
        },
    );
    prop_oneof![
        8 => (wanted, 1usize..4).prop_map(|(wanted, answers)| Action::Arrive { wanted, answers }),
        4 => (0usize..10).prop_map(Action::Cancel),
        1 => Just(Action::Restart),
        24 => (1usize..40).prop_map(|prompt_tokens| Action::Step { prompt_tokens }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..Default::default() })]
    #[test]
    fn every_text_is_what_it_would_be_alone_through_anything(
        actions in proptest::collection::vec(action(), 1..150),
        budget in 1usize..40,
        sequences in 1usize..6,
        // The longest sequence alone needs 18 blocks.
        blocks in 18usize..40,
        all in any::<bool>(),
    ) {
        let memory = if all { ALL } else { MEMORY };
        let mut b = Bench::new(scheduler(budget, sequences, blocks), memory);
        let (mut next, mut listening) = (0, Vec::new());
        let (mut ended, mut gone) = (0, 0);
        let mut step = |b: &mut Bench, prompt_tokens| -> Result<(), TestCaseError> {
            let (step, done) = b.run(prompt_tokens);
            ended += done.len();
            prop_assert!(step.batch.tokens() <= budget);
            prop_assert!(b.s.running().len() <= sequences);
            // Every row has a slot of its own.
            let mut slots = step.batch.slot_mapping.clone();
            slots.sort_unstable();
            slots.dedup();
            prop_assert_eq!(slots.len(), step.batch.tokens());
            Ok(())
        };
        for action in actions {
            match action {
                Action::Arrive { wanted, answers } => {
                    let (mut leader, receiver) = sequence(next, &wanted);
                    listening.push((wanted.clone(), receiver));
                    next += 1;
                    for _ in 1..answers {
                        let (sibling, receiver) = sequence(next, &wanted);
                        leader.add_sibling(sibling);
                        listening.push((wanted.clone(), receiver));
                        next += 1;
                    }
                    b.s.add(leader);
                }
                Action::Cancel(i) if i < listening.len() => {
                    drop(listening.swap_remove(i));
                    gone += b.s.remove_abandoned().len();
                }
                Action::Cancel(_) => {}
                Action::Restart => {
                    b.s.restart();
                    b.cache.fill(u32::MAX);
                    prop_assert_eq!(b.s.blocks.used(), 0);
                }
                Action::Step { prompt_tokens } => step(&mut b, prompt_tokens)?,
            }
            b.s.check().map_err(TestCaseError::fail)?;
            prop_assert!(b.s.running().is_sorted_by_key(|r| r.order()));
        }
        // Whatever is left runs to its end.
        for _ in 0..20_000 {
            if b.s.is_idle() { break; }
            step(&mut b, 16)?;
        }
        prop_assert!(b.s.is_idle());
        prop_assert_eq!(ended + gone, next as usize);
        prop_assert_eq!(b.s.blocks.used(), 0);
        for (wanted, mut receiver) in listening {
            prop_assert_eq!(text(&mut receiver), greedy(&wanted.prompt, wanted.output, memory));
        }
    }
}

/// A text that is written from a source of so many tokens.
fn from_source(id: u64, source: usize) -> Sequence {
    let (events, _) = unbounded_channel();
    let request = GenerationRequest {
        prompt: vec![97],
        source: Some(vec![98; source]),
        stop: StopConditions { max_tokens: Some(20), ..Default::default() },
        ..Default::default()
    };
    let epoch = Instant::now();
    let model =
        ModelLimits { context_length: 1000, eos_ids: &[], strips_leading_space: false, epoch };
    Sequence::new(id, request, epoch, events, model, &|_| b"x")
}

#[test]
fn sources_are_encoded_whole_and_one_at_a_time_beside_texts() {
    let mut s = scheduler(16, 8, 64);
    for (id, source) in [(0, 10), (1, 10), (2, 40)] {
        s.add(from_source(id, source));
    }
    let mut encoded = Vec::new();
    for step in 0..4 {
        // Two tokens of prompts beside texts.
        let planned = s.schedule(2);
        let (batch, texts) = (&planned.batch, planned.parts.len());
        assert_eq!((batch.sources.len(), batch.tokens()), (texts, texts));
        for (part, text) in planned.parts.iter().zip(&batch.sources) {
            assert!(part.samples);
            assert_eq!(text.blocks.len(), (text.len as usize).div_ceil(BLOCK));
        }
        encoded.extend(batch.encode.iter().map(|text| (step, text.ids.len())));
        s.computed(&planned);
        s.running_mut().iter_mut().for_each(|sequence| sequence.tokens.push(99));
        s.check().unwrap();
    }
    assert_eq!(encoded, [(0, 10), (1, 10), (2, 40)]);
    // One that was sent back is encoded again, and shares nothing.
    s.restart();
    assert_eq!(s.blocks.used(), 0);
    let again = s.schedule(ALL);
    assert_eq!(again.batch.encode.len(), 1);
    assert_eq!(again.parts[0].tokens, 5);
    s.remove_all();
    assert_eq!(s.blocks.used(), 0);
    s.check().unwrap();
}
