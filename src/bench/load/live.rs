//! Counts that change during a run, for the progress bar.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

#[derive(Debug, Default)]
pub struct Live {
    running: AtomicUsize,
    completed: AtomicUsize,
    failed: AtomicUsize,
    pieces: AtomicUsize,
}

impl Live {
    pub(super) fn begin(&self) {
        self.running.fetch_add(1, Relaxed);
    }

    pub(super) fn end(&self, complete: bool) {
        self.running.fetch_sub(1, Relaxed);
        let counter = if complete { &self.completed } else { &self.failed };
        counter.fetch_add(1, Relaxed);
    }

    pub(super) fn piece(&self) {
        self.pieces.fetch_add(1, Relaxed);
    }

    /// Requests without a whole answer so far.
    pub fn running(&self) -> usize {
        self.running.load(Relaxed)
    }

    pub fn completed(&self) -> usize {
        self.completed.load(Relaxed)
    }

    pub fn failed(&self) -> usize {
        self.failed.load(Relaxed)
    }

    /// Pieces of text that were read, about one a token.
    pub fn pieces(&self) -> usize {
        self.pieces.load(Relaxed)
    }
}
