//! Wheels downloaded ahead of the one that joins them, a few at a time.
//!
//! Starting pip costs more than fetching a small wheel, and one connection
//! rarely fills a line; but every wheel ahead also takes disk space, so only a
//! window of them is open.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::manifest::Part;
use super::{ProvisionError, pip};

/// Wheels downloading or waiting to be joined at one time.
pub(crate) const WINDOW: usize = 4;

/// Tries of one wheel once the index has been seen to answer.
const TRIES: usize = 3;

/// The wheels of one model, in the order in which they are wanted.
pub(crate) struct Wheelhouse<'a> {
    pip: &'a [String],
    folder: &'a Path,
    wheels: Vec<&'a Part>,
    /// Bytes of each wheel so far, for progress.
    seen: Vec<AtomicU64>,
    state: Mutex<State>,
    changed: Condvar,
    stop: AtomicBool,
}

struct State {
    /// The next wheel to be begun.
    next: usize,
    /// The wheel being joined now.
    wanted: usize,
    /// Whether the index has given anything yet.
    index_answers: bool,
    done: Vec<Option<Result<PathBuf, ProvisionError>>>,
}

impl<'a> Wheelhouse<'a> {
    /// For the wheels of `parts`; several parts may be in one wheel.
    pub(crate) fn new(
        pip: &'a [String],
        folder: &'a Path,
        parts: impl Iterator<Item = &'a Part>,
    ) -> Self {
        let mut wheels: Vec<&Part> = Vec::new();
        for part in parts {
            if !wheels.iter().any(|w| w.same_wheel(part)) {
                wheels.push(part);
            }
        }
        let state = State {
            next: 0,
            wanted: 0,
            index_answers: false,
            done: wheels.iter().map(|_| None).collect(),
        };
        Self {
            pip,
            folder,
            seen: wheels.iter().map(|_| AtomicU64::new(0)).collect(),
            wheels,
            state: Mutex::new(state),
            changed: Condvar::new(),
            stop: AtomicBool::new(false),
        }
    }

    /// All wheels, in the order in which they are wanted.
    pub(crate) fn wheels(&self) -> &[&'a Part] {
        &self.wheels
    }

    /// The folder a wheel is downloaded into.
    fn place(&self, part: &Part) -> PathBuf {
        self.folder.join(format!("{}-{}", part.package, part.version))
    }

    /// Bytes that have come.
    pub(crate) fn bytes(&self) -> u64 {
        self.seen.iter().map(|s| s.load(Ordering::Relaxed)).sum()
    }

    /// Works until all wheels are there or somebody calls [`Self::close`]; run
    /// it on [`WINDOW`] threads.
    pub(crate) fn work(&self) {
        while let Some(index) = self.take() {
            let mut result = self.fetch(index);
            for _ in 1..TRIES {
                let flaky = matches!(result, Err(ProvisionError::IndexUnreachable { .. }));
                if !flaky || !self.state().index_answers || self.stop.load(Ordering::Relaxed) {
                    break;
                }
                result = self.fetch(index);
            }
            let mut state = self.state();
            state.index_answers |= result.is_ok();
            state.done[index] = Some(result);
            self.changed.notify_all();
        }
    }

    fn take(&self) -> Option<usize> {
        let mut state = self.state();
        loop {
            if self.stop.load(Ordering::Relaxed) || state.next >= self.wheels.len() {
                return None;
            }
            // Until the index is known to answer, one try is enough to fail.
            let window = if state.index_answers || state.wanted > 0 { WINDOW } else { 1 };
            if state.next < state.wanted + window {
                state.next += 1;
                return Some(state.next - 1);
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// A wheel left whole by an interrupted run is used again.
    fn fetch(&self, index: usize) -> Result<PathBuf, ProvisionError> {
        let (part, place, seen) =
            (self.wheels[index], self.place(self.wheels[index]), &self.seen[index]);
        if let (Some(wheel), Some(bytes)) = (pip::find_wheel(&place), part.wheel_bytes)
            && std::fs::metadata(&wheel).is_ok_and(|m| m.len() == bytes)
        {
            seen.store(bytes, Ordering::Relaxed);
            return Ok(wheel);
        }
        let _ = std::fs::remove_dir_all(&place);
        let wheel = pip::download(self.pip, part, &place, seen, &self.stop);
        match &wheel {
            Ok(wheel) => {
                seen.store(std::fs::metadata(wheel).map_or(0, |m| m.len()), Ordering::Relaxed)
            }
            Err(_) => {
                seen.store(0, Ordering::Relaxed);
                let _ = std::fs::remove_dir_all(&place);
            }
        }
        wheel
    }

    /// Waits for the wheel of `part`; `tick` is called while it waits.
    pub(crate) fn wait(&self, part: &Part, tick: impl Fn()) -> Result<PathBuf, ProvisionError> {
        let index = self.wheels.iter().position(|w| w.same_wheel(part));
        let index = index.ok_or_else(|| ProvisionError::BadWheel {
            package: part.package.clone(),
            detail: "it was not asked for".to_owned(),
        })?;
        let mut state = self.state();
        state.wanted = state.wanted.max(index);
        self.changed.notify_all();
        loop {
            match state.done[index].take() {
                // A wheel may be wanted again later.
                Some(Ok(wheel)) => {
                    state.done[index] = Some(Ok(wheel.clone()));
                    return Ok(wheel);
                }
                Some(Err(error)) => return Err(error),
                None => {}
            }
            let waited = self.changed.wait_timeout(state, Duration::from_millis(200));
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            tick();
        }
    }

    /// A wheel that has been used is deleted.
    pub(crate) fn discard(&self, part: &Part) {
        let _ = std::fs::remove_dir_all(self.place(part));
    }

    /// Ends all work; running downloads are given up.
    pub(crate) fn close(&self) {
        self.stop.store(true, Ordering::Relaxed);
        let _state = self.state();
        self.changed.notify_all();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
