//! When requests of a rate are sent.

use rand_distr::{Distribution, Gamma};
use rand_pcg::Pcg64Mcg;
use rand_pcg::rand_core::SeedableRng;

use crate::bench::run::{Limit, Rate};

/// More requests than this are not planned: a mistyped rate ends here.
const MOST: usize = 5_000_000;

/// The moments, in seconds from the beginning of the run, in order.
///
/// Arrivals of one a second with gamma gaps are stretched by the rate: with
/// R(t) requests expected up to t, the nth arrival comes when R(t) is what the
/// first n gaps add up to. That keeps the burstiness while the rate climbs.
pub fn arrivals(rate: &Rate, limit: Limit, seed: u64) -> Vec<f64> {
    let Ok(gaps) = Gamma::new(rate.burstiness, 1.0 / rate.burstiness) else {
        return Vec::new();
    };
    let mut random = Pcg64Mcg::seed_from_u64(seed ^ 0xA221_7A15);
    let mut expected = 0.0;
    let mut times = Vec::new();
    while times.len() < MOST {
        if let Limit::Requests(count) = limit
            && times.len() >= count
        {
            break;
        }
        expected += gaps.sample(&mut random);
        let at = when(expected, rate);
        if let Limit::Seconds(end) = limit
            && at >= end
        {
            break;
        }
        times.push(at);
    }
    times
}

/// When so many requests have been expected: the rate climbs to its value in
/// `ramp` seconds and stays there.
fn when(expected: f64, rate: &Rate) -> f64 {
    let during_ramp = rate.per_second * rate.ramp / 2.0;
    if expected < during_ramp {
        (2.0 * expected * rate.ramp / rate.per_second).sqrt()
    } else {
        rate.ramp + (expected - during_ramp) / rate.per_second
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::stats::Summary;

    fn rate(per_second: f64, burstiness: f64, ramp: f64) -> Rate {
        Rate { per_second, burstiness, ramp, cap: None }
    }

    /// Gaps of a gamma distribution with shape k and mean 1/R have the
    /// variance 1/(k·R²); 40,000 draws, to 5 %.
    #[test]
    fn gaps_have_the_right_mean_and_variance() {
        for (per_second, burstiness) in [(10.0, 1.0), (5.0, 0.25), (200.0, 4.0)] {
            let times = arrivals(&rate(per_second, burstiness, 0.0), Limit::Requests(40_000), 3);
            assert_eq!(times.len(), 40_000);
            let gaps: Vec<f64> = times.windows(2).map(|w| w[1] - w[0]).collect();
            let found = Summary::of(&gaps).unwrap();
            let (mean, variance) = (1.0 / per_second, 1.0 / (burstiness * per_second * per_second));
            assert!((found.mean / mean - 1.0).abs() < 0.05, "{burstiness}: {found:?}");
            assert!((found.std.powi(2) / variance - 1.0).abs() < 0.05, "{burstiness}: {found:?}");
        }
    }

    #[test]
    fn the_rate_climbs_in_a_straight_line() {
        let times = arrivals(&rate(100.0, 1.0, 10.0), Limit::Seconds(20.0), 1);
        let within =
            |from: f64, to: f64| times.iter().filter(|t| (from..to).contains(*t)).count() as f64;
        // 1/8 of the ramp's 500 in its first half-second of ten is 1.25 %.
        for (from, to, expected) in
            [(0.0, 5.0, 125.0), (5.0, 10.0, 375.0), (10.0, 15.0, 500.0), (15.0, 20.0, 500.0)]
        {
            let found = within(from, to);
            assert!((found - expected).abs() < 4.0 * expected.sqrt(), "{from}..{to}: {found}");
        }
        assert!(times.is_sorted() && times.last().unwrap() < &20.0);
    }

    #[test]
    fn the_same_seed_gives_the_same_times() {
        let of = |seed| arrivals(&rate(10.0, 1.0, 0.0), Limit::Requests(50), seed);
        assert_eq!(of(1), of(1));
        assert_ne!(of(1), of(2));
    }
}
