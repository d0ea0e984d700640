//! The requests of a measurement one by one.

use serde_json::Value;

/// One completed request. Seconds.
struct Request {
    start: f64,
    ttft: f64,
    gaps: Vec<f64>,
    e2el: f64,
    tokens: usize,
}

/// The completed requests of a run.
pub struct Details {
    requests: Vec<Request>,
    /// Whole seconds of the run.
    seconds: usize,
}

impl Details {
    /// `None` where the lists are not there, or not of one length.
    pub fn of(run: &Value) -> Option<Self> {
        let numbers = |key: &str| -> Option<Vec<f64>> {
            run.get(key)?.as_array()?.iter().map(Value::as_f64).collect()
        };
        let (ttfts, tokens) = (numbers("ttfts")?, numbers("output_lens")?);
        let starts = numbers("start_times").unwrap_or_default();
        let e2els = numbers("e2els").unwrap_or_default();
        let gaps: Vec<Vec<f64>> = (run.get("itls")?.as_array()?.iter())
            .map(|list| list.as_array().map(|l| l.iter().filter_map(Value::as_f64).collect()))
            .collect::<Option<_>>()?;
        if ttfts.len() != gaps.len() || ttfts.len() != tokens.len() {
            return None;
        }
        let failed = |i: usize| {
            let error = run.get("errors").and_then(|e| e.get(i)).and_then(Value::as_str);
            error.is_some_and(|e| !e.is_empty())
        };
        // vLLM's times count from an arbitrary moment, ours from the run's beginning.
        let first = starts.iter().copied().fold(f64::INFINITY, f64::min);
        let origin = if first > 1000.0 { first } else { 0.0 };
        let requests =
            gaps.into_iter().enumerate().filter(|(i, _)| !failed(*i)).map(|(i, gaps)| {
                let e2el = e2els.get(i).copied();
                Request {
                    start: starts.get(i).map_or(f64::NAN, |s| s - origin),
                    ttft: ttfts[i],
                    e2el: e2el.unwrap_or_else(|| ttfts[i] + gaps.iter().sum::<f64>()),
                    tokens: tokens[i] as usize,
                    gaps,
                }
            });
        let requests: Vec<Request> = requests.collect();
        let seconds = run.get("duration")?.as_f64()?.max(0.0) as usize;
        (!requests.is_empty()).then_some(Self { requests, seconds })
    }

    pub fn ttfts(&self) -> Vec<f64> {
        self.requests.iter().map(|r| r.ttft).filter(|t| *t > 0.0).collect()
    }

    pub fn e2els(&self) -> Vec<f64> {
        self.requests.iter().map(|r| r.e2el).collect()
    }

    pub fn tpots(&self) -> Vec<f64> {
        let later = self.requests.iter().filter(|r| r.tokens > 1 && r.ttft > 0.0);
        later.map(|r| (r.e2el - r.ttft) / (r.tokens - 1) as f64).collect()
    }

    /// Of requests that have any: those of one request belong together.
    pub fn gaps(&self) -> Vec<&[f64]> {
        self.requests.iter().map(|r| r.gaps.as_slice()).filter(|g| !g.is_empty()).collect()
    }

    /// Output tokens of each whole second.
    pub fn tokens_by_second(&self) -> Vec<f64> {
        self.by_second(|request, put| {
            if request.ttft <= 0.0 {
                return;
            }
            let share = request.tokens as f64 / (request.gaps.len() + 1) as f64;
            let mut at = request.start + request.ttft;
            put(at, share);
            for gap in &request.gaps {
                at += gap;
                put(at, share);
            }
        })
    }

    /// Requests that ended in each whole second.
    pub fn ends_by_second(&self) -> Vec<f64> {
        self.by_second(|request, put| put(request.start + request.e2el, 1.0))
    }

    fn by_second(&self, each: impl Fn(&Request, &mut dyn FnMut(f64, f64))) -> Vec<f64> {
        let mut seconds = vec![0.0; self.seconds.min(1_000_000)];
        for request in self.requests.iter().filter(|r| !r.start.is_nan()) {
            each(request, &mut |at, amount| {
                if let Some(second) = seconds.get_mut(at.max(0.0) as usize) {
                    *second += amount;
                }
            });
        }
        seconds
    }
}
