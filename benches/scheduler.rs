//! Planning one step, with few and with many texts being written.
//!
//!     cargo bench --bench scheduler
#![allow(clippy::unwrap_used)]

use std::time::Instant;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use dragoman::engine::GenerationRequest;
use dragoman::engine::blocks::BlockPool;
use dragoman::engine::scheduler::{Scheduler, SchedulerConfig};
use dragoman::engine::sequence::{ModelLimits, Sequence};
use tokio::sync::mpsc::unbounded_channel;

const PROMPT: usize = 128;

/// A scheduler with so many texts after their prompts, each with one token to
/// compute.
fn writing(sequences: usize) -> Scheduler {
    let config = SchedulerConfig {
        max_batch_tokens: 512,
        max_sequences: sequences.max(1),
        max_guess_rows: 0,
    };
    let mut scheduler = Scheduler::new(config, BlockPool::new(sequences * 16, 16));
    let epoch = Instant::now();
    for id in 0..sequences as u64 {
        // Nobody listens, which only matters when texts are cleared out.
        let (events, _) = unbounded_channel();
        let prompt = (0..PROMPT as u32).map(|i| i * 31 + id as u32 * 1009).collect();
        let request = GenerationRequest { prompt, no_speculation: true, ..Default::default() };
        let limits =
            ModelLimits { context_length: 256, eos_ids: &[], strips_leading_space: false, epoch };
        scheduler.add(Sequence::new(id, request, epoch, events, limits, &|_| b"x"));
    }
    loop {
        let step = scheduler.schedule(usize::MAX);
        if step.batch.is_empty() {
            break;
        }
        scheduler.computed(&step);
    }
    assert_eq!(scheduler.running().len(), sequences);
    scheduler.running_mut().iter_mut().for_each(|s| s.tokens.push(7));
    scheduler
}

fn schedule(c: &mut Criterion) {
    let mut group = c.benchmark_group("schedule");
    for sequences in [1, 32, 256] {
        let mut scheduler = writing(sequences);
        group.bench_function(BenchmarkId::from_parameter(format!("{sequences} running")), |b| {
            // Nothing is computed, so each call plans the same step.
            b.iter(|| {
                let step = scheduler.schedule(usize::MAX);
                assert_eq!(step.batch.tokens(), sequences);
                step
            })
        });
    }
    group.finish();
}

criterion_group!(benches, schedule);
criterion_main!(benches);
