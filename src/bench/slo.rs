//! Service level objectives: limits a request has to keep to count as good.

use std::fmt;
use std::str::FromStr;

use super::record::Record;

/// Limits in seconds; a request is good when it meets all that are given.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Slo {
    pub ttft: Option<f64>,
    pub tpot: Option<f64>,
    /// On every single gap.
    pub itl: Option<f64>,
    pub e2el: Option<f64>,
}

impl Slo {
    /// Whether a request keeps the limits. One that failed does not; one
    /// without a first token does not keep a limit on it; an answer of one
    /// token has no gaps and keeps every limit on them.
    pub fn is_met(&self, record: &Record) -> bool {
        let within = |limit: Option<f64>, value: f64| limit.is_none_or(|limit| value <= limit);
        record.is_complete()
            && (self.ttft.is_none() || record.ttft().is_some_and(|v| within(self.ttft, v)))
            && record.tpot().is_none_or(|v| within(self.tpot, v))
            && record.gaps().iter().all(|v| within(self.itl, *v))
            && within(self.e2el, record.e2el())
    }
}

impl fmt::Display for Slo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all =
            [("ttft", self.ttft), ("tpot", self.tpot), ("itl", self.itl), ("e2el", self.e2el)];
        let given: Vec<String> = all
            .iter()
            .filter_map(|(name, limit)| limit.map(|s| format!("{name} ≤ {} ms", s * 1000.0)))
            .collect();
        f.write_str(&given.join(", "))
    }
}

impl FromStr for Slo {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut slo = Self::default();
        for part in text.split(',') {
            let (name, value) = part
                .split_once('=')
                .ok_or_else(|| format!("{part:?} is not a limit; write ttft=500ms,itl=50ms"))?;
            let place = match name.trim() {
                "ttft" => &mut slo.ttft,
                "tpot" => &mut slo.tpot,
                "itl" => &mut slo.itl,
                "e2el" => &mut slo.e2el,
                other => {
                    return Err(format!(
                        "there is no figure {other:?} to limit; there are ttft, tpot, itl, e2el"
                    ));
                }
            };
            if place.replace(seconds(value.trim())?).is_some() {
                return Err(format!("{name} is limited twice"));
            }
        }
        Ok(slo)
    }
}

/// A time span: `500ms`, `60s`, `5m`, `1h`, in seconds.
///
/// # Errors
/// It is not one, or not above 0.
pub fn seconds(text: &str) -> Result<f64, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "ms" => 0.001,
        "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        "" => return Err(format!("{text:?} has no unit; write {text}s or {text}ms")),
        other => return Err(format!("there is no unit {other:?}; there are ms, s, m and h")),
    };
    match digits.parse::<f64>() {
        Ok(value) if value > 0.0 && value * unit < 1e9 => Ok(value * unit),
        _ => Err(format!("{text:?} is not a time span above 0, such as 500ms, 60s or 5m")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::record::{Failure, FailureKind};

    #[test]
    fn what_is_written_is_read() {
        let slo: Slo = "ttft=500ms, itl=0.05s".parse().unwrap();
        assert_eq!(slo, Slo { ttft: Some(0.5), itl: Some(0.05), ..Slo::default() });
        assert_eq!(slo.to_string(), "ttft ≤ 500 ms, itl ≤ 50 ms");
        for (text, part) in [
            ("ttft", "not a limit"),
            ("ttft=5", "no unit"),
            ("ttft=-5ms", "above 0"),
            ("x=5ms", "no figure"),
            ("itl=5ms,itl=6ms", "twice"),
            ("itl=5parsecs", "no unit \"parsecs\""),
            ("itl=NaNms", "no unit"),
        ] {
            let error = text.parse::<Slo>().unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
        assert_eq!(seconds("2m"), Ok(120.0));
    }

    #[test]
    fn every_limit_counts() {
        let good = Record { pieces: vec![0.4, 0.44, 0.48], ended: 0.5, ..Record::default() };
        let check = |slo: &str, record: &Record| slo.parse::<Slo>().unwrap().is_met(record);
        assert!(check("ttft=500ms,tpot=50ms,itl=50ms,e2el=1s", &good));
        for slo in ["ttft=300ms", "tpot=30ms", "itl=30ms", "e2el=450ms"] {
            assert!(!check(slo, &good), "{slo}");
        }
        let silent = Record { ended: 0.1, ..Record::default() };
        assert!(!check("ttft=1s", &silent) && check("e2el=1s", &silent));
        let failed =
            Record { failure: Some(Failure::new(FailureKind::CutOff, "")), ..good.clone() };
        assert!(!check("e2el=1s", &failed));
    }
}
