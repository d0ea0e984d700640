//! The bound on what waits, so that a full queue refuses instead of growing.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use super::error::SubmitError;

/// Counts what waits, in requests and in prompt tokens.
pub struct QueueBound {
    pub requests: AtomicUsize,
    tokens: AtomicUsize,
    max_requests: usize,
    max_tokens: usize,
    /// When the last request was served, in microseconds since `began`.
    last_served: AtomicU64,
    /// Microseconds between two that were served, a moving average.
    interval: AtomicU64,
    began: Instant,
}

impl QueueBound {
    pub fn new(max_requests: usize, max_tokens: usize) -> Self {
        Self {
            requests: AtomicUsize::new(0),
            tokens: AtomicUsize::new(0),
            max_requests,
            max_tokens,
            last_served: AtomicU64::new(0),
            interval: AtomicU64::new(0),
            began: Instant::now(),
        }
    }

    /// Takes places for `requests` answers to a prompt of `tokens` tokens.
    ///
    /// # Errors
    /// [`SubmitError::QueueFull`], with the time after which there should be
    /// room.
    pub fn enter(&self, requests: usize, tokens: usize) -> Result<(), SubmitError> {
        let waiting = self.requests.fetch_add(requests, Relaxed);
        let queued = self.tokens.fetch_add(tokens, Relaxed);
        // What is larger than a bound may still wait alone.
        let too_many = waiting > 0 && waiting + requests > self.max_requests;
        if too_many || (queued > 0 && queued + tokens > self.max_tokens) {
            self.leave(requests, tokens);
            return Err(SubmitError::QueueFull { waiting, retry_after: self.retry_after(waiting) });
        }
        Ok(())
    }

    /// Gives places in the queue back.
    pub fn leave(&self, requests: usize, tokens: usize) {
        self.requests.fetch_sub(requests, Relaxed);
        self.tokens.fetch_sub(tokens, Relaxed);
    }

    /// A request was served.
    pub fn served(&self) {
        let now = self.began.elapsed().as_micros() as u64;
        let newest = now.saturating_sub(self.last_served.swap(now, Relaxed));
        let old = self.interval.load(Relaxed);
        // A quiet hour says nothing about how fast requests are served.
        let newest = newest.min(60_000_000);
        let average = if old == 0 { newest } else { (7 * old + newest) / 8 };
        self.interval.store(average, Relaxed);
    }

    /// Until half of those who wait are served, by the present pace: 1 to 60 s.
    fn retry_after(&self, waiting: usize) -> Duration {
        let micros = self.interval.load(Relaxed).saturating_mul(waiting as u64 / 2);
        Duration::from_micros(micros).clamp(Duration::from_secs(1), Duration::from_secs(60))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_queue_refuses_until_somebody_leaves() {
        let queue = QueueBound::new(3, 100);
        queue.enter(2, 40).unwrap();
        assert!(matches!(
            queue.enter(2, 1),
            Err(SubmitError::QueueFull { waiting: 2, retry_after }) if retry_after.as_secs() == 1
        ));
        assert!(queue.enter(1, 61).is_err());
        queue.enter(1, 60).unwrap();
        assert!(queue.enter(1, 0).is_err());
        queue.leave(2, 40);
        queue.enter(1, 30).unwrap();
        queue.leave(1, 60);
        queue.leave(1, 30);
        // What is too large for any queue waits alone.
        queue.enter(9, 1000).unwrap();
    }

    #[test]
    fn the_time_to_come_again_follows_the_pace() {
        let queue = QueueBound::new(1, 1);
        queue.interval.store(500_000, Relaxed);
        assert_eq!(queue.retry_after(20), Duration::from_secs(5));
        assert_eq!(queue.retry_after(10_000), Duration::from_secs(60));
    }
}
