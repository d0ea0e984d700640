use std::time::Instant;

use proptest::prelude::*;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::*;
use crate::engine::request::{Event, GenerationRequest, StopConditions};
use crate::engine::sequence::ModelLimits;

const BLOCK: usize = 4;

fn scheduler(budget: usize, sequences: usize, blocks: usize) -> Scheduler {
    let config = SchedulerConfig { max_batch_tokens: budget, max_sequences: sequences };
    Scheduler::new(config, BlockPool::new(blocks, BLOCK))
}

fn sequence(id: u64, prompt: usize, output: usize) -> (Sequence, UnboundedReceiver<Event>) {
    let (events, receiver) = unbounded_channel();
    let request = GenerationRequest {
        prompt: (0..prompt as u32).collect(),
        stop: StopConditions { max_tokens: Some(output), ..Default::default() },
        ..Default::default()
    };
    let model = ModelLimits { context_length: 1000, eos_ids: &[], strips_leading_space: false };
    (Sequence::new(id, request, Instant::now(), events, model), receiver)
}

/// Computes a step and gives every sampling sequence a token.
fn run(s: &mut Scheduler) -> (Step, Vec<u64>) {
    let step = s.schedule();
    s.computed(&step);
    let mut ended = Vec::new();
    for part in step.parts.iter().filter(|p| p.samples) {
        let sequence = s.get_mut(part.id).expect("a part of a step is running");
        if sequence.accept(7, b"x").is_some() {
            s.remove(part.id);
            ended.push(part.id);
        }
    }
    (step, ended)
}

fn parts(step: &Step) -> Vec<(u64, usize, bool)> {
    step.parts.iter().map(|p| (p.id, p.tokens, p.samples)).collect()
}

#[test]
fn a_long_prompt_is_computed_beside_running_texts() {
    let mut s = scheduler(10, 8, 100);
    let (a, _ra) = sequence(0, 3, 50);
    s.add(a);
    assert_eq!(parts(&run(&mut s).0), [(0, 3, true)]);
    let (b, _rb) = sequence(1, 25, 50);
    s.add(b);
    // The running text gets its token in every step.
    assert_eq!(parts(&run(&mut s).0), [(0, 1, true), (1, 9, false)]);
    assert_eq!(parts(&run(&mut s).0), [(0, 1, true), (1, 9, false)]);
    assert_eq!(parts(&run(&mut s).0), [(0, 1, true), (1, 7, true)]);
    assert_eq!(parts(&run(&mut s).0), [(0, 1, true), (1, 1, true)]);
    s.check().unwrap();
}

#[test]
fn the_youngest_gives_way_and_comes_back() {
    let mut s = scheduler(100, 8, 6);
    let (a, _ra) = sequence(0, 8, 16);
    let (b, _rb) = sequence(1, 7, 16);
    s.add(a);
    s.add(b);
    let mut ended = Vec::new();
    for _ in 0..200 {
        ended.extend(run(&mut s).1);
        s.check().unwrap();
    }
    assert_eq!(ended, [0, 1]);
    assert!(s.preempted() > 0);
    assert_eq!(s.blocks.used(), 0);
}

#[test]
fn an_abandoned_sequence_frees_its_blocks() {
    let mut s = scheduler(100, 1, 20);
    let (a, ra) = sequence(0, 8, 100);
    let (b, rb) = sequence(1, 8, 100);
    s.add(a);
    s.add(b);
    run(&mut s);
    assert!(s.blocks.used() > 0);
    drop((ra, rb));
    assert_eq!(s.remove_abandoned().len(), 2);
    assert_eq!(s.blocks.used(), 0);
    assert!(s.is_idle());
    s.check().unwrap();
}

#[derive(Debug, Clone)]
enum Action {
    Arrive { prompt: usize, output: usize },
    Cancel(usize),
    Step,
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        2 => (1usize..40, 1usize..30).prop_map(|(prompt, output)| Action::Arrive { prompt, output }),
        1 => (0usize..10).prop_map(Action::Cancel),
        6 => Just(Action::Step),
    ]
}

proptest! {
    #[test]
    fn books_and_order_hold_through_anything(
        actions in proptest::collection::vec(action(), 1..120),
        budget in 1usize..40,
        sequences in 1usize..6,
        // The longest sequence alone needs 18 blocks.
        blocks in 18usize..40,
    ) {
        let mut s = scheduler(budget, sequences, blocks);
        let (mut next, mut listening) = (0, Vec::new());
        let mut ended = 0;
        let mut cancelled = 0;
        for action in actions {
            match action {
                Action::Arrive { prompt, output } => {
                    let (sequence, receiver) = sequence(next, prompt, output);
                    s.add(sequence);
                    listening.push(receiver);
                    next += 1;
                }
                Action::Cancel(i) if i < listening.len() => {
                    drop(listening.swap_remove(i));
                    cancelled += s.remove_abandoned().len();
                }
                Action::Cancel(_) => {}
                Action::Step => {
                    let (step, done) = run(&mut s);
                    ended += done.len();
                    prop_assert!(step.batch.tokens() <= budget);
                    prop_assert!(s.running().len() <= sequences);
                    // Every row has a slot of its own.
                    let mut slots = step.batch.slot_mapping.clone();
                    slots.sort_unstable();
                    slots.dedup();
                    prop_assert_eq!(slots.len(), step.batch.tokens());
                }
            }
            s.check().map_err(TestCaseError::fail)?;
            prop_assert!(s.running().is_sorted_by_key(|r| r.id));
        }
        // Whatever is left runs to its end.
        for _ in 0..20_000 {
            if s.is_idle() { break; }
            ended += run(&mut s).1.len();
        }
        prop_assert!(s.is_idle());
        prop_assert_eq!(ended + cancelled, next as usize);
        prop_assert_eq!(s.blocks.used(), 0);
    }
}
