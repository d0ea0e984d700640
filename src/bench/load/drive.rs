//! Sends the requests of a run at their times and gathers the records.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::arrivals::arrivals;
use super::exchange::{Clock, Ready, exchange};
use super::lag::Watch;
use super::live::Live;
use super::target::Target;
use crate::bench::record::{Failure, FailureKind, Record};
use crate::bench::run::{Lag, Limit, Pace, Rate, Run, Settings};
use crate::bench::workload::Workload;

/// Pause after a connection could not be had, in a run of a given time: a dead
/// server would otherwise be counted a million times.
const BACK_OFF: Duration = Duration::from_millis(100);

/// Warm-up requests at once where the run itself goes by a rate.
const WARMUP_AT_ONCE: usize = 8;

/// Makes load.
#[derive(Clone)]
pub struct Driver {
    pub target: Arc<Target>,
    pub workload: Arc<dyn Workload>,
    pub live: Arc<Live>,
    /// Ends the run at once; requests under way are recorded as interrupted.
    pub cancel: CancellationToken,
}

/// Where the requests of a run come from.
enum Source {
    /// All were made beforehand.
    Made(Vec<Ready>),
    /// They are made when they are due, as nobody knows how many there will be.
    OnTheFly(u64),
}

/// What the tasks of one run share.
struct Shared {
    driver: Driver,
    source: Source,
    clock: Clock,
}

impl Driver {
    /// The warm-up requests, whose records are not part of any run.
    pub async fn warm_up(&self, settings: &Settings, stream: u64) -> Vec<Record> {
        let at_once = match settings.pace {
            Pace::Concurrency(n) => n,
            Pace::Rate(_) => WARMUP_AT_ONCE,
        };
        let source = self.make(settings.warmup, stream);
        let shared = self.share(source);
        shared.closed(at_once, Limit::Requests(settings.warmup)).await
    }

    /// The run. `stream` tells it apart from others of the same workload.
    pub async fn run(&self, settings: Settings, stream: u64) -> Run {
        let times = match settings.pace {
            Pace::Rate(rate) => Some((rate, arrivals(&rate, settings.limit, settings.seed))),
            Pace::Concurrency(_) => None,
        };
        let source = match (&times, settings.limit) {
            (Some((_, times)), _) => self.make(times.len(), stream),
            (None, Limit::Requests(count)) => self.make(count, stream),
            (None, Limit::Seconds(_)) => Source::OnTheFly(stream),
        };
        let began = jiff::Zoned::now();
        let watch = Watch::begin();
        let shared = self.share(source);
        let mut records = match (times, settings.pace) {
            (Some((rate, times)), _) => shared.clone().open(rate, times).await,
            (None, Pace::Concurrency(n)) => shared.clone().closed(n, settings.limit).await,
            (None, Pace::Rate(_)) => Vec::new(),
        };
        let elapsed = shared.clock.now();
        let (event_loop, processor) = watch.end();
        records.sort_by(|a, b| a.sent.total_cmp(&b.sent));
        let sending = records.iter().map(|r| (r.sent - r.due).max(0.0)).collect();
        let last = records.iter().map(|r| r.ended).fold(0.0, f64::max);
        let partial = self.cancel.is_cancelled();
        Run {
            settings,
            began,
            duration: if partial || records.is_empty() { elapsed } else { last },
            records,
            lag: Lag { sending, event_loop, processor },
            partial,
        }
    }

    fn share(&self, source: Source) -> Arc<Shared> {
        Arc::new(Shared { driver: self.clone(), source, clock: Clock(Instant::now()) })
    }

    fn make(&self, count: usize, stream: u64) -> Source {
        Source::Made((0..count).map(|number| self.ready(stream, number)).collect())
    }

    fn ready(&self, stream: u64, number: usize) -> Ready {
        let prompt = self.workload.prompt(stream, number);
        Ready {
            number,
            body: self.target.shape.body(&prompt),
            inputs: prompt.inputs(),
            own_prompt: prompt.tokens,
        }
    }
}

impl Shared {
    fn ready(&self, number: usize) -> Option<Ready> {
        match &self.source {
            Source::Made(all) => all.get(number).cloned(),
            Source::OnTheFly(stream) => Some(self.driver.ready(*stream, number)),
        }
    }

    /// So many slots, each sending its next request when it has its answer.
    async fn closed(self: Arc<Self>, slots: usize, limit: Limit) -> Vec<Record> {
        let next = Arc::new(AtomicUsize::new(0));
        let mut tasks = JoinSet::new();
        for _ in 0..slots {
            let (shared, next) = (Arc::clone(&self), Arc::clone(&next));
            tasks.spawn(async move {
                let mut records = Vec::new();
                while !shared.driver.cancel.is_cancelled() {
                    let due = shared.clock.now();
                    match limit {
                        Limit::Seconds(end) if due >= end => break,
                        _ => {}
                    }
                    let Some(ready) = shared.ready(next.fetch_add(1, Relaxed)) else { break };
                    let record = shared.send(ready, due).await;
                    let dead = record.failure.as_ref().is_some_and(|f| {
                        use FailureKind::{Closed, Connect, Refused};
                        matches!(f.kind, Refused | Connect | Closed)
                    });
                    records.push(record);
                    if dead && matches!(limit, Limit::Seconds(_)) {
                        tokio::time::sleep(BACK_OFF).await;
                    }
                }
                records
            });
        }
        tasks.join_all().await.into_iter().flatten().collect()
    }

    /// Requests at given times, whether answers come or not.
    async fn open(self: Arc<Self>, rate: Rate, times: Vec<f64>) -> Vec<Record> {
        let places = rate.cap.map(|cap| Arc::new(Semaphore::new(cap)));
        let mut tasks = JoinSet::new();
        for (number, at) in times.into_iter().enumerate() {
            let due = self.clock.0 + Duration::from_secs_f64(at);
            let wait = tokio::time::sleep_until(due.into());
            if self.driver.cancel.run_until_cancelled(wait).await.is_none() {
                break;
            }
            let (shared, places) = (Arc::clone(&self), places.clone());
            tasks.spawn(async move {
                let waits = async {
                    match places {
                        Some(places) => places.acquire_owned().await.ok(),
                        None => None,
                    }
                };
                let place = shared.driver.cancel.run_until_cancelled(waits).await?;
                let due = if place.is_some() { at.max(shared.clock.now()) } else { at };
                let ready = shared.ready(number)?;
                let record = shared.send(ready, due).await;
                drop(place);
                Some(record)
            });
        }
        tasks.join_all().await.into_iter().flatten().collect()
    }

    async fn send(&self, ready: Ready, due: f64) -> Record {
        let Driver { target, live, cancel, .. } = &self.driver;
        let mut record = Record {
            number: ready.number,
            due,
            sent: due,
            inputs: ready.inputs,
            own_prompt: ready.own_prompt,
            ..Record::default()
        };
        live.begin();
        let answer = exchange(target, ready.body, self.clock, live, &mut record);
        let outcome =
            cancel.run_until_cancelled(tokio::time::timeout(target.timeout, answer)).await;
        record.failure = match outcome {
            Some(Ok(Ok(()))) => None,
            Some(Ok(Err(failure))) => Some(failure),
            Some(Err(_)) => {
                let limit = format!("no whole answer within {} s", target.timeout.as_secs_f64());
                Some(Failure::new(FailureKind::Timeout, limit))
            }
            None => Some(Failure::new(FailureKind::Interrupted, "the run was stopped")),
        };
        if record.failure.is_some() {
            record.ended = self.clock.now();
        }
        live.end(record.failure.is_none());
        record
    }
}
