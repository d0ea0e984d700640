//! The line that tells how a run goes on.

use std::sync::Arc;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use tokio::task::JoinHandle;

use crate::bench::load::Live;

/// Often enough to be live, seldom enough to take nothing from the measurement.
const EVERY: Duration = Duration::from_millis(250);

/// A bar that goes on by itself until it is ended.
pub struct Bar {
    bar: ProgressBar,
    task: JoinHandle<()>,
}

/// Shows the counts of `live`; hidden where standard error is no terminal.
pub fn begin(what: &str, requests: Option<usize>, seconds: Option<f64>, live: &Arc<Live>) -> Bar {
    let length = requests.map_or_else(|| seconds.unwrap_or(0.0).ceil() as u64, |n| n as u64);
    let bar = ProgressBar::new(length);
    let unit = if requests.is_some() { "requests" } else { "s" };
    let template = format!("{{prefix}} {{wide_bar}} {{pos}}/{{len}} {unit}, {{msg}}, {{elapsed}}");
    if let Ok(style) = ProgressStyle::with_template(&template) {
        bar.set_style(style);
    }
    bar.set_prefix(what.to_owned());
    let (shown, live, begun) = (bar.clone(), Arc::clone(live), Instant::now());
    let task = tokio::spawn(async move {
        let mut before = 0;
        loop {
            tokio::time::sleep(EVERY).await;
            let pieces = live.pieces();
            let speed = (pieces - before) as f64 / EVERY.as_secs_f64();
            before = pieces;
            let ended = live.completed() + live.failed();
            shown.set_position(match requests {
                Some(_) => ended as u64,
                None => (begun.elapsed().as_secs()).min(length),
            });
            shown.set_message(format!(
                "{} under way, {} failed, {speed:.0} tokens/s",
                live.running(),
                live.failed()
            ));
        }
    });
    Bar { bar, task }
}

impl Bar {
    pub fn end(self) {
        self.task.abort();
        self.bar.finish_and_clear();
    }
}
