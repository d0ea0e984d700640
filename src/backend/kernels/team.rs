//! Threads that compute a step together.
//!
//! A step is a few hundred short operations, each of which all threads work on
//! and must have finished before the next begins. Handing each of them to a
//! general thread pool costs more than the small ones take. Here the threads
//! of a team run the same function side by side and meet at barriers, which
//! cost well under a microsecond while everybody is awake. A thread that has
//! nothing to do spins for a moment, because the next step is usually near,
//! and then sleeps, so that an idle server leaves the processor to others.

use std::any::Any;
use std::cell::Cell;
use std::marker::PhantomData;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering::*};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::Thread;

/// Rounds of waiting before a thread lets others have its processor.
const SPINS: usize = 3_000;
/// Rounds an idle thread waits for the next job before it sleeps.
const IDLE_SPINS: usize = 6_000;

/// A fixed number of threads, the caller's included.
pub struct Team {
    shared: Arc<Shared>,
    workers: Vec<Thread>,
    /// One job at a time; another model's thread waits here.
    turn: Mutex<()>,
}

/// Keeps what different threads write on different cache lines.
#[repr(align(128))]
#[derive(Default)]
struct Apart<T>(T);

struct Shared {
    threads: usize,
    /// Grows by one with each job.
    epoch: Apart<AtomicUsize>,
    job: AtomicPtr<Job<'static>>,
    /// Workers that are not done with the job.
    busy: Apart<AtomicUsize>,
    arrived: Apart<AtomicUsize>,
    /// Grows by one each time all have met.
    met: Apart<AtomicUsize>,
    /// Of each worker: whether it sleeps.
    asleep: Vec<Apart<AtomicBool>>,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
    panicked: AtomicBool,
}

thread_local! {
    /// This thread is in a job of a team.
    static IN_JOB: Cell<bool> = const { Cell::new(false) };
}

type Job<'a> = &'a (dyn Fn(&Member<'_>) + Sync);

/// One thread's part in a job.
pub struct Member<'a> {
    index: usize,
    threads: usize,
    shared: Option<&'a Shared>,
}

impl Member<'_> {
    /// The only one, who does all and waits for nobody.
    pub fn alone() -> Self {
        Self { index: 0, threads: 1, shared: None }
    }

    /// From 0 to `threads() - 1`.
    pub fn index(&self) -> usize {
        self.index
    }

    pub fn threads(&self) -> usize {
        self.threads
    }

    /// Waits until every thread of the team is here. What any of them wrote
    /// before can be read by all of them afterwards.
    pub fn meet(&self) {
        let Some(shared) = self.shared else { return };
        let met = shared.met.0.load(Acquire);
        if shared.arrived.0.fetch_add(1, AcqRel) + 1 == self.threads {
            shared.arrived.0.store(0, Relaxed);
            shared.met.0.store(met + 1, Release);
        } else {
            wait_until(|| shared.met.0.load(Acquire) != met || shared.panicked.load(Relaxed));
        }
        // A thread that panicked will never come, so nobody may go on. Its
        // panic was told; this one only ends the others.
        if shared.panicked.load(Relaxed) {
            resume_unwind(Box::new("another thread of the team panicked"));
        }
    }

    /// This thread's share of `n` things: contiguous, and as large as the others'
    /// but for one at most.
    pub fn share(&self, n: usize) -> Range<usize> {
        self.index * n / self.threads..(self.index + 1) * n / self.threads
    }
}

fn wait_until(mut done: impl FnMut() -> bool) {
    let mut rounds = 0;
    while !done() {
        rounds += 1;
        if rounds < SPINS {
            std::hint::spin_loop();
        } else {
            // Somebody else may need this processor to get done.
            std::thread::yield_now();
        }
    }
}

/// The team of this process: as many threads as rayon has.
pub fn team() -> &'static Team {
    static TEAM: OnceLock<Team> = OnceLock::new();
    #[cfg(test)]
    if let Some(team) = test_team::get() {
        return team;
    }
    TEAM.get_or_init(|| Team::new(rayon::current_num_threads()))
}

/// Runs `f` on every item, on all threads of the process's team.
pub fn for_each<T: Send>(items: &mut [T], f: impl Fn(&mut T) + Sync) {
    if let [one] = items {
        // Done sooner than a second thread is awake.
        return f(one);
    }
    let items = Parts::new(items);
    team().run(|member| {
        // SAFETY: shares are distinct.
        unsafe { items.write(member.share(items.len())) }.iter_mut().for_each(&f);
    });
}

impl Team {
    /// Starts `threads - 1` workers; none where the system has not enough.
    pub fn new(threads: usize) -> Self {
        let start = |threads: usize| {
            let shared = Arc::new(Shared::new(threads));
            let workers = (1..threads).map(|index| {
                let shared = shared.clone();
                std::thread::Builder::new()
                    .name(format!("compute {index}"))
                    .spawn(move || work(&shared, index))
                    .map(|handle| handle.thread().clone())
            });
            let workers = workers.collect::<std::io::Result<Vec<_>>>()?;
            Ok::<_, std::io::Error>(Self { shared, workers, turn: Mutex::new(()) })
        };
        match start(threads.max(1)) {
            Ok(team) => team,
            Err(_) => {
                Self { shared: Arc::new(Shared::new(1)), workers: Vec::new(), turn: Mutex::new(()) }
            }
        }
    }

    pub fn threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// Runs `job` on every thread at once; returns when all are done. A panic
    /// in any of them is a panic here, after all have stopped.
    ///
    /// # Panics
    /// Also when a job runs another one: it would wait for itself for ever.
    pub fn run(&self, job: impl Fn(&Member<'_>) + Sync) {
        assert!(!IN_JOB.get(), "a job of the team started another one");
        if self.workers.is_empty() {
            return job(&Member::alone());
        }
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let shared = &*self.shared;
        let job: Job<'_> = &job;
        shared.arrived.0.store(0, Relaxed);
        shared.panicked.store(false, Relaxed);
        shared.busy.0.store(self.workers.len(), Relaxed);
        // The workers are done with it before this function returns.
        shared.job.store((&raw const job).cast_mut().cast(), Relaxed);
        shared.epoch.0.fetch_add(1, SeqCst);
        for (worker, asleep) in self.workers.iter().zip(&shared.asleep) {
            // Read first: to write is dear, and mostly everybody is awake.
            if asleep.0.load(SeqCst) && asleep.0.swap(false, SeqCst) {
                worker.unpark();
            }
        }
        shared.guarded(job, 0);
        wait_until(|| shared.busy.0.load(Acquire) == 0);
        let panic = shared.panic.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(panic) = panic {
            resume_unwind(panic);
        }
    }
}

impl Shared {
    fn new(threads: usize) -> Self {
        Self {
            threads,
            epoch: Apart::default(),
            job: AtomicPtr::default(),
            busy: Apart::default(),
            arrived: Apart::default(),
            met: Apart::default(),
            asleep: (1..threads).map(|_| Apart::default()).collect(),
            panic: Mutex::default(),
            panicked: AtomicBool::default(),
        }
    }

    fn guarded(&self, job: Job<'_>, index: usize) {
        let member = Member { index, threads: self.threads, shared: Some(self) };
        IN_JOB.set(true);
        let result = catch_unwind(AssertUnwindSafe(|| job(&member)));
        IN_JOB.set(false);
        if let Err(panic) = result {
            // The first to panic tells why; the others only found it missing.
            let mut first = self.panic.lock().unwrap_or_else(PoisonError::into_inner);
            if !self.panicked.swap(true, SeqCst) {
                *first = Some(panic);
            }
        }
    }
}

fn work(shared: &Shared, index: usize) {
    let mut seen = 0;
    loop {
        let mut rounds = 0;
        while shared.epoch.0.load(Acquire) == seen {
            rounds += 1;
            if rounds < IDLE_SPINS {
                std::hint::spin_loop();
                continue;
            }
            let asleep = &shared.asleep[index - 1].0;
            asleep.store(true, SeqCst);
            // Looked at again after telling, so that no job is slept through.
            if shared.epoch.0.load(SeqCst) == seen {
                std::thread::park();
            }
            asleep.store(false, SeqCst);
            rounds = 0;
        }
        seen += 1;
        // SAFETY: `run` published the job before the epoch, and keeps it alive
        // until `busy` is 0.
        let job = unsafe { *shared.job.load(Relaxed) };
        shared.guarded(job, index);
        shared.busy.0.fetch_sub(1, AcqRel);
    }
}

/// A slice whose parts different members of a team write.
#[derive(Debug)]
pub struct Parts<'a, T> {
    data: *mut T,
    len: usize,
    slice: PhantomData<&'a mut [T]>,
}

impl<T> Clone for Parts<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Parts<'_, T> {}

// SAFETY: it is a mutable slice; who touches which part is each caller's
// promise to the unsafe functions below.
unsafe impl<T: Send> Send for Parts<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Parts<'_, T> {}

impl<'a, T> Parts<'a, T> {
    pub fn new(slice: &'a mut [T]) -> Self {
        Self { data: slice.as_mut_ptr(), len: slice.len(), slice: PhantomData }
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Some of the elements, as if they were all.
    ///
    /// # Panics
    /// The range is not inside.
    pub fn part(self, range: Range<usize>) -> Self {
        assert!(range.start <= range.end && range.end <= self.len);
        // SAFETY: inside the slice.
        Self { data: unsafe { self.data.add(range.start) }, len: range.len(), ..self }
    }

    /// Elements to be written.
    ///
    /// # Safety
    /// Until the next meeting nobody else reads or writes them.
    ///
    /// # Panics
    /// The range is not inside.
    #[allow(clippy::mut_from_ref)]
    pub unsafe fn write(&self, range: Range<usize>) -> &'a mut [T] {
        assert!(range.start <= range.end && range.end <= self.len);
        // SAFETY: inside the slice; the caller vouches for the rest.
        unsafe { std::slice::from_raw_parts_mut(self.data.add(range.start), range.len()) }
    }

    /// Writes one element.
    ///
    /// # Safety
    /// Until the next meeting nobody else reads or writes it.
    ///
    /// # Panics
    /// It is not inside.
    pub unsafe fn put(&self, index: usize, value: T) {
        assert!(index < self.len);
        // SAFETY: inside the slice; the caller vouches for the rest.
        unsafe { self.data.add(index).write(value) };
    }

    /// Elements to be read.
    ///
    /// # Safety
    /// Until the next meeting nobody writes them.
    ///
    /// # Panics
    /// The range is not inside.
    pub unsafe fn read(&self, range: Range<usize>) -> &'a [T] {
        assert!(range.start <= range.end && range.end <= self.len);
        // SAFETY: inside the slice; the caller vouches for the rest.
        unsafe { std::slice::from_raw_parts(self.data.add(range.start), range.len()) }
    }
}

/// Lets a test compute with teams of other sizes.
#[cfg(test)]
pub mod test_team {
    use super::*;

    thread_local! {
        static TEAM: Cell<Option<&'static Team>> = const { Cell::new(None) };
    }

    pub fn get() -> Option<&'static Team> {
        TEAM.get()
    }

    /// Runs `f` with a team of so many threads.
    pub fn with<R>(threads: usize, f: impl FnOnce() -> R) -> R {
        let before = TEAM.replace(Some(Box::leak(Box::new(Team::new(threads)))));
        let result = f();
        TEAM.set(before);
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_wrote_all_see_after_they_met() {
        for threads in [1, 2, 3, 5] {
            let team = Team::new(threads);
            for n in [0, 1, 7, 1000] {
                let (mut first, mut second) = (vec![0usize; n], vec![0usize; n]);
                let (a, b) = (Parts::new(&mut first), Parts::new(&mut second));
                team.run(|member| {
                    for i in member.share(n) {
                        // SAFETY: shares are distinct.
                        unsafe { a.write(i..i + 1)[0] = i };
                    }
                    member.meet();
                    for i in member.share(n) {
                        // SAFETY: `a` is only read now; shares are distinct.
                        unsafe { b.write(i..i + 1)[0] = 2 * a.read(n - 1 - i..n - i)[0] };
                    }
                });
                assert!(second.into_iter().eq((0..n).rev().map(|i| 2 * i)), "{threads} {n}");
            }
        }
    }

    #[test]
    fn sleepers_are_woken() {
        let team = Team::new(3);
        let count = AtomicUsize::new(0);
        for pause in [0, 1, 20, 0, 5] {
            std::thread::sleep(std::time::Duration::from_millis(pause));
            team.run(|member| {
                member.meet();
                count.fetch_add(1, Relaxed);
            });
        }
        assert_eq!(count.load(Relaxed), 15);
    }

    #[test]
    fn a_panic_stops_all_and_is_told_and_the_team_goes_on() {
        let team = Team::new(3);
        for bad in 0..3 {
            let caught = catch_unwind(AssertUnwindSafe(|| {
                team.run(|member| {
                    assert!(member.index() != bad, "member {bad}");
                    member.meet();
                    member.meet();
                });
            }));
            let why = caught.unwrap_err();
            let why = why.downcast_ref::<String>().cloned().unwrap_or_default();
            assert_eq!(why, format!("member {bad}"));
            let count = AtomicUsize::new(0);
            team.run(|member| {
                member.meet();
                count.fetch_add(1, Relaxed);
            });
            assert_eq!(count.load(Relaxed), 3);
        }
    }

    #[test]
    fn a_job_in_a_job_is_a_panic_and_no_deadlock() {
        let team = Team::new(2);
        for outer in 0..2 {
            let caught = catch_unwind(AssertUnwindSafe(|| {
                team.run(|member| {
                    if member.index() == outer {
                        team.run(|_| {});
                    }
                });
            }));
            assert!(caught.is_err());
        }
        team.run(|member| member.meet());
    }

    #[test]
    fn callers_take_turns() {
        let (team, total) = (Team::new(2), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        team.run(|member| {
                            member.meet();
                            total.fetch_add(1, Relaxed);
                        });
                    }
                });
            }
        });
        assert_eq!(total.load(Relaxed), 1600);
    }
}
