//! How far a download is: bars on a terminal, lines in a log, silence in tests.

use std::io::IsTerminal;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::error::size;

/// Told about every piece of work that takes noticeable time.
pub trait Progress: Send + Sync {
    /// A piece of work begins. `total` is in bytes, where it is known.
    fn start(&self, what: &str, total: Option<u64>) -> Box<dyn Meter>;
    /// Something worth a line by itself.
    fn note(&self, message: &str);
}

/// One piece of work. Dropping it ends it.
pub trait Meter: Send + Sync {
    /// Bytes done so far; may go back when a download starts over.
    fn set(&self, done: u64);
}

/// Bars when standard error is a terminal, else lines.
pub fn for_stderr() -> Arc<dyn Progress> {
    if std::io::stderr().is_terminal() { Arc::new(Bars::default()) } else { Arc::new(Lines) }
}

/// Says nothing.
pub struct Silent;

impl Progress for Silent {
    fn start(&self, _what: &str, _total: Option<u64>) -> Box<dyn Meter> {
        Box::new(Silent)
    }
    fn note(&self, _message: &str) {}
}

impl Meter for Silent {
    fn set(&self, _done: u64) {}
}

/// Progress bars on standard error.
#[derive(Default)]
pub struct Bars {
    all: MultiProgress,
}

struct Bar(ProgressBar);

impl Progress for Bars {
    fn start(&self, what: &str, total: Option<u64>) -> Box<dyn Meter> {
        let bar = match total {
            Some(total) => ProgressBar::new(total).with_style(style(
                "{msg}  [{bar:28}] {decimal_bytes}/{decimal_total_bytes}  {decimal_bytes_per_sec}  {eta}",
            )),
            None => ProgressBar::new_spinner().with_style(style("{msg}  {decimal_bytes}  {decimal_bytes_per_sec}")),
        };
        let bar = self.all.add(bar.with_message(what.to_owned()));
        bar.enable_steady_tick(Duration::from_millis(200));
        Box::new(Bar(bar))
    }

    fn note(&self, message: &str) {
        // A terminal that went away is no reason to stop a download.
        let _ = self.all.println(message);
    }
}

impl Meter for Bar {
    fn set(&self, done: u64) {
        self.0.set_position(done);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// A style that does not read falls back to indicatif's own.
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ")
}

/// A line on standard error every few seconds, for logs and pipes.
pub struct Lines;

/// Seconds between two lines about the same work.
const LINE_EVERY: Duration = Duration::from_secs(5);

struct Line {
    what: String,
    total: Option<u64>,
    begun: Instant,
    last: Mutex<(Instant, u64)>,
}

impl Progress for Lines {
    fn start(&self, what: &str, total: Option<u64>) -> Box<dyn Meter> {
        let begun = Instant::now();
        Box::new(Line { what: what.to_owned(), total, begun, last: Mutex::new((begun, 0)) })
    }

    fn note(&self, message: &str) {
        eprintln!("{message}");
    }
}

impl Meter for Line {
    fn set(&self, done: u64) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.1 = done;
        if last.0.elapsed() >= LINE_EVERY {
            last.0 = Instant::now();
            match self.total {
                Some(total) if total > 0 => {
                    let percent = done.saturating_mul(100) / total;
                    eprintln!("{}: {} of {} ({percent} %)", self.what, size(done), size(total));
                }
                _ => eprintln!("{}: {}", self.what, size(done)),
            }
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let done = self.last.get_mut().unwrap_or_else(PoisonError::into_inner).1;
        // Short work needs no line: it ended before anyone wondered.
        if self.begun.elapsed() >= LINE_EVERY {
            eprintln!(
                "{}: {} in {:.0} s",
                self.what,
                size(done),
                self.begun.elapsed().as_secs_f64()
            );
        }
    }
}
