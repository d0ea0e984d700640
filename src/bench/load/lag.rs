//! Watches this process while it makes load: a late event loop reads tokens
//! late, and the server would be blamed for it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

/// Time between two looks.
const EVERY: Duration = Duration::from_millis(10);

/// A watch that ends when it is dropped.
pub struct Watch {
    late: Arc<Mutex<Vec<f64>>>,
    task: JoinHandle<()>,
    processor: Option<f64>,
}

impl Watch {
    pub fn begin() -> Self {
        let late = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&late);
        let task = tokio::spawn(async move {
            loop {
                let due = Instant::now() + EVERY;
                tokio::time::sleep_until(due.into()).await;
                let delay = Instant::now().saturating_duration_since(due).as_secs_f64();
                seen.lock().unwrap_or_else(PoisonError::into_inner).push(delay);
            }
        });
        Self { late, task, processor: processor_seconds() }
    }

    /// How late the event loop was at each look, and the processor time used.
    pub fn end(self) -> (Vec<f64>, Option<f64>) {
        let late = std::mem::take(&mut *self.late.lock().unwrap_or_else(PoisonError::into_inner));
        let used = self.processor.zip(processor_seconds()).map(|(before, now)| now - before);
        (late, used)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// User and system time of this process; Linux only.
fn processor_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The second field, a name in brackets, may hold spaces.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |field: usize| fields.get(field)?.parse::<f64>().ok();
    // Linux tells processor time in hundredths of a second on every platform.
    Some((ticks(11)? + ticks(12)?) / 100.0)
}
