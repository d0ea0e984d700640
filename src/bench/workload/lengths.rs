//! How long prompts and answers are: a number, or a distribution.

use std::fmt;
use std::str::FromStr;

use rand_distr::{Distribution, LogNormal, Normal};
use rand_pcg::Pcg64Mcg;
use rand_pcg::rand_core::Rng;

/// Lengths in tokens. Written `256`, `uniform:100..300`, `normal:256,64` (mean,
/// standard deviation) or `lognormal:256,0.5` (median, sigma of the logarithm).
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Lengths {
    Fixed(usize),
    /// Both ends included.
    Uniform(usize, usize),
    Normal(f64, f64),
    LogNormal(f64, f64),
}

/// No length is drawn above this many times the centre, so that one prompt in
/// a long tail does not overrun the model's context.
const TAIL: f64 = 4.0;

/// The longest text that is asked for.
const MOST: usize = 10_000_000;

impl Lengths {
    /// A length, at least 1.
    pub fn draw(&self, random: &mut Pcg64Mcg) -> usize {
        let round = |value: f64, centre: f64| value.round().clamp(1.0, centre * TAIL) as usize;
        match *self {
            Self::Fixed(length) => length,
            Self::Uniform(low, high) => {
                let span = (high - low + 1) as u128;
                low + ((u128::from(random.next_u64()) * span) >> 64) as usize
            }
            // The parameters were checked when they were read.
            Self::Normal(mean, std) => {
                Normal::new(mean, std).map_or(mean as usize, |d| round(d.sample(random), mean))
            }
            Self::LogNormal(median, sigma) => LogNormal::new(median.ln(), sigma)
                .map_or(median as usize, |d| round(d.sample(random), median)),
        }
    }
}

impl fmt::Display for Lengths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(length) => write!(f, "{length}"),
            Self::Uniform(low, high) => write!(f, "uniform:{low}..{high}"),
            Self::Normal(mean, std) => write!(f, "normal:{mean},{std}"),
            Self::LogNormal(median, sigma) => write!(f, "lognormal:{median},{sigma}"),
        }
    }
}

impl FromStr for Lengths {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| {
            Err(format!("{why}; write 256, uniform:100..300, normal:256,64 or lognormal:256,0.5"))
        };
        let pair = |rest: &str, by: &str| -> Option<(f64, f64)> {
            let (a, b) = rest.split_once(by)?;
            Some((a.trim().parse().ok()?, b.trim().parse().ok()?))
        };
        let found = match text.split_once(':') {
            None => text.parse().ok().map(Self::Fixed),
            Some(("uniform", rest)) => rest
                .split_once("..")
                .and_then(|(a, b)| Some((a.trim().parse().ok()?, b.trim().parse().ok()?)))
                .map(|(a, b)| Self::Uniform(a, b)),
            Some(("normal", rest)) => pair(rest, ",").map(|(a, b)| Self::Normal(a, b)),
            Some(("lognormal", rest)) => pair(rest, ",").map(|(a, b)| Self::LogNormal(a, b)),
            Some((name, _)) => return wrong(&format!("there is no distribution {name:?}")),
        };
        let good = |centre: f64, spread: f64| {
            (1.0..=MOST as f64).contains(&centre) && (0.0..=MOST as f64).contains(&spread)
        };
        match found {
            None => wrong("this is not a length"),
            Some(Self::Fixed(n)) if n == 0 || n > MOST => wrong("a length is at least 1"),
            Some(Self::Uniform(low, high)) if low == 0 || low > high || high > MOST => {
                wrong("the lower end is at least 1 and not above the upper")
            }
            Some(Self::Normal(centre, spread) | Self::LogNormal(centre, spread))
                if !good(centre, spread) =>
            {
                wrong("the centre is at least 1 and the spread not below 0")
            }
            Some(lengths) => Ok(lengths),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::generator;
    use super::*;
    use crate::bench::stats::Summary;

    #[test]
    fn what_is_written_is_read() {
        for text in ["256", "uniform:100..300", "normal:256,64", "lognormal:256,0.5"] {
            assert_eq!(text.parse::<Lengths>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "0",
            "-3",
            "x",
            "uniform:5..2",
            "uniform:0..2",
            "normal:5",
            "normal:0,1",
            "pareto:3",
            "lognormal:5,-1",
            "normal:NaN,1",
        ] {
            assert!(text.parse::<Lengths>().is_err(), "{text}");
        }
    }

    /// Mean and standard deviation of 20,000 draws, to 3 %.
    #[test]
    fn draws_follow_their_distribution() {
        let check = |text: &str, mean: f64, std: f64| {
            let lengths: Lengths = text.parse().unwrap();
            let mut random = generator(1, 2, 3);
            let drawn: Vec<f64> = (0..20_000).map(|_| lengths.draw(&mut random) as f64).collect();
            let found = Summary::of(&drawn).unwrap();
            assert!((found.mean - mean).abs() < 0.03 * mean, "{text}: {found:?}");
            assert!((found.std - std).abs() < 0.03 * std.max(1.0), "{text}: {found:?}");
            assert!(found.min >= 1.0);
        };
        check("100", 100.0, 0.0);
        check("uniform:50..150", 100.0, 101.0 / 12f64.sqrt());
        check("normal:200,30", 200.0, 30.0);
        // Of a log-normal: mean m·exp(s²/2), standard deviation mean·√(exp(s²) − 1).
        let mean = 100.0 * (0.04f64 / 2.0).exp();
        check("lognormal:100,0.2", mean, mean * (0.04f64.exp() - 1.0).sqrt());
    }
}
