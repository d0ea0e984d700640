//! One run of load: how it was set and everything that was seen.

use super::record::Record;
use super::slo::Slo;
use super::stats::{self, Summary};

/// What is asked of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endpoint {
    Chat,
    Completions,
    Embeddings,
}

impl Endpoint {
    /// Below the server's address.
    pub fn path(self) -> &'static str {
        match self {
            Self::Chat => "/v1/chat/completions",
            Self::Completions => "/v1/completions",
            Self::Embeddings => "/v1/embeddings",
        }
    }

    /// As `vllm bench serve` calls it.
    pub fn vllm_name(self) -> &'static str {
        match self {
            Self::Chat => "openai-chat",
            Self::Completions => "openai",
            Self::Embeddings => "openai-embeddings",
        }
    }
}

/// When requests are sent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pace {
    /// So many at once: each answer is followed by the next request.
    Concurrency(usize),
    /// So many a second, whether answers come or not.
    Rate(Rate),
}

/// Requests a second with gaps drawn from a gamma distribution.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    pub per_second: f64,
    /// Shape of the gamma distribution: 1 is a Poisson process, less comes in
    /// bursts, more comes evenly.
    pub burstiness: f64,
    /// Seconds in which the rate climbs from 0 in a straight line.
    pub ramp: f64,
    /// Most requests at once; those beyond wait here, not at the server.
    pub cap: Option<usize>,
}

/// When a run is over.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Limit {
    Requests(usize),
    /// No new requests after so many seconds; those under way are waited for.
    Seconds(f64),
}

/// Everything the reports say about how a run was set.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    pub url: String,
    pub endpoint: Endpoint,
    pub model: String,
    pub tokenizer: Option<String>,
    pub label: Option<String>,
    pub workload: String,
    pub pace: Pace,
    pub limit: Limit,
    pub warmup: usize,
    pub slo: Option<Slo>,
    pub seed: u64,
    pub ignore_eos: bool,
    /// `--extra-body`, as JSON.
    pub extra_body: String,
}

impl Settings {
    /// How hard the server was pressed, in a few words.
    pub fn load(&self) -> String {
        match self.pace {
            Pace::Concurrency(n) => format!("{n} at once"),
            Pace::Rate(rate) => {
                let mut text = format!("{}/s", rate.per_second);
                if rate.burstiness != 1.0 {
                    text += &format!(", burstiness {}", rate.burstiness);
                }
                if rate.ramp > 0.0 {
                    text += &format!(", climbing for {} s", rate.ramp);
                }
                if let Some(cap) = rate.cap {
                    text += &format!(", at most {cap} at once");
                }
                text
            }
        }
    }

    /// The number that a sweep changes.
    pub fn load_number(&self) -> f64 {
        match self.pace {
            Pace::Concurrency(n) => n as f64,
            Pace::Rate(rate) => rate.per_second,
        }
    }
}

/// How late this tool was. Seconds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Lag {
    /// From when a request could have been sent to when it was.
    pub sending: Vec<f64>,
    /// How much later than asked a timer of the event loop fired, every 10 ms:
    /// a token that arrives is read about that late.
    pub event_loop: Vec<f64>,
    /// Processor time this process used, in seconds; `None` where the system
    /// does not tell.
    pub processor: Option<f64>,
}

/// Above this, 99th percentile, the tool may have been the bottleneck.
pub const LAG_LIMIT: f64 = 0.010;

/// What the lag means.
#[derive(Debug, Clone, PartialEq)]
pub struct LagSummary {
    pub sending: Option<Summary>,
    pub event_loop: Option<Summary>,
    /// Share of one processor that was used.
    pub processor: Option<f64>,
    /// Whether a 99th percentile is above [`LAG_LIMIT`].
    pub suspicious: bool,
}

impl Lag {
    pub fn summary(&self, duration: f64) -> LagSummary {
        let [sending, event_loop] = [&self.sending, &self.event_loop].map(|l| Summary::of(l));
        let late = |s: &Option<Summary>| s.is_some_and(|s| s.p99 > LAG_LIMIT);
        LagSummary {
            suspicious: late(&sending) || late(&event_loop),
            sending,
            event_loop,
            processor: self.processor.filter(|_| duration > 0.0).map(|s| s / duration),
        }
    }
}

/// A run that was made.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    pub settings: Settings,
    /// When it began, local time.
    pub began: jiff::Zoned,
    pub duration: f64,
    /// In the order in which they were sent.
    pub records: Vec<Record>,
    pub lag: Lag,
    /// Whether it was stopped before its end.
    pub partial: bool,
}

/// The point of a sweep beyond which more load brings little.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Knee {
    /// Which run of the sweep.
    pub index: usize,
    pub load: f64,
    pub throughput: f64,
    pub best: f64,
}

pub const KNEE_SHARE: f64 = 0.9;

/// The definition that is printed.
pub const KNEE: &str = "the knee is the smallest load of the sweep that reaches 90 % of the \
    highest throughput of the sweep (output tokens/s; embedded texts/s for embeddings)";

/// The knee of throughputs by load; `None` of fewer than two points or of
/// nothing but zeros.
pub fn knee(points: &[(f64, f64)]) -> Option<Knee> {
    let best = stats::sorted(&points.iter().map(|p| p.1).collect::<Vec<_>>()).last().copied()?;
    if points.len() < 2 || best <= 0.0 {
        return None;
    }
    let reached = points.iter().enumerate().filter(|(_, p)| p.1 >= KNEE_SHARE * best);
    let (index, &(load, throughput)) = reached.min_by(|a, b| a.1.0.total_cmp(&b.1.0))?;
    Some(Knee { index, load, throughput, best })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_knee_is_where_the_curve_flattens() {
        let check = |points: &[(f64, f64)], expected: Option<f64>| {
            assert_eq!(knee(points).map(|k| k.load), expected, "{points:?}");
        };
        check(&[(1.0, 100.0), (2.0, 190.0), (4.0, 350.0), (8.0, 380.0), (16.0, 385.0)], Some(4.0));
        check(&[(1.0, 100.0), (2.0, 200.0)], Some(2.0));
        check(&[(4.0, 50.0), (1.0, 49.0)], Some(1.0));
        check(&[(1.0, 100.0)], None);
        check(&[(1.0, 0.0), (2.0, 0.0)], None);
    }

    #[test]
    fn lag_is_judged_by_its_tail() {
        let lag = |sending: f64| Lag { sending: vec![sending; 5], ..Lag::default() };
        assert!(!lag(0.002).summary(1.0).suspicious);
        assert!(lag(0.02).summary(1.0).suspicious);
        assert!(!Lag::default().summary(0.0).suspicious);
    }
}
