//! Statistics of measured values: means, percentiles, and how sure a ratio is.

use rand_pcg::Pcg64Mcg;
use rand_pcg::rand_core::{Rng, SeedableRng};

/// What is said of a list of values. All in the values' own unit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Summary {
    pub count: usize,
    pub mean: f64,
    pub median: f64,
    /// Standard deviation of the values themselves (divided by n, as numpy's
    /// `std`), not of their mean.
    pub std: f64,
    pub min: f64,
    pub max: f64,
    pub p90: f64,
    pub p95: f64,
    pub p99: f64,
}

impl Summary {
    /// `None` of nothing. Values that are not numbers are left out.
    pub fn of(values: &[f64]) -> Option<Self> {
        let sorted = sorted(values);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        let mean = mean(&sorted)?;
        let variance = sorted.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / sorted.len() as f64;
        Some(Self {
            count: sorted.len(),
            mean,
            median: percentile(&sorted, 50.0)?,
            std: variance.sqrt(),
            min,
            max,
            p90: percentile(&sorted, 90.0)?,
            p95: percentile(&sorted, 95.0)?,
            p99: percentile(&sorted, 99.0)?,
        })
    }

    /// The same of values that are larger by `factor`: seconds to
    /// milliseconds with 1000.
    #[must_use]
    pub fn scaled(self, factor: f64) -> Self {
        Self {
            count: self.count,
            mean: self.mean * factor,
            median: self.median * factor,
            std: self.std * factor,
            min: self.min * factor,
            max: self.max * factor,
            p90: self.p90 * factor,
            p95: self.p95 * factor,
            p99: self.p99 * factor,
        }
    }
}

/// The values in order, without those that are not numbers.
pub fn sorted(values: &[f64]) -> Vec<f64> {
    let mut sorted: Vec<f64> = values.iter().copied().filter(|v| !v.is_nan()).collect();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted
}

/// Cosine of the angle between two vectors; 0 where one has no length.
pub fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum()
    };
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt().max(f64::MIN_POSITIVE)
}

/// `None` of nothing.
pub fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// The value below which `p` percent of the sorted values lie, between two of
/// them by a straight line (numpy's default). `None` of nothing.
pub fn percentile(sorted: &[f64], p: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let place = (p.clamp(0.0, 100.0) / 100.0) * last as f64;
    let below = place.floor() as usize;
    let above = (below + 1).min(last);
    Some(sorted[below] + (sorted[above] - sorted[below]) * (place - below as f64))
}

/// `None` of nothing.
pub fn median(values: &[f64]) -> Option<f64> {
    percentile(&sorted(values), 50.0)
}

/// A ratio and the interval that holds it with 95 % confidence.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ratio {
    pub ratio: f64,
    pub low: f64,
    pub high: f64,
}

impl Ratio {
    /// Whether the interval leaves 1 out: the two sides differ for more
    /// reasons than chance.
    pub fn is_clear(&self) -> bool {
        self.low > 1.0 || self.high < 1.0
    }
}

/// Samples drawn for an interval.
const RESAMPLES: usize = 1000;

/// The median of `other` over the median of `base`, with a bootstrap interval.
pub fn ratio_of_medians(base: &[f64], other: &[f64]) -> Option<Ratio> {
    bootstrap_ratio(base, other, |values| {
        let mut values: Vec<f64> = values.iter().map(|v| **v).collect();
        median_unsorted(&mut values)
    })
}

/// The median without a full sort; the order of `values` is lost.
pub fn median_unsorted(values: &mut [f64]) -> Option<f64> {
    let middle = values.len() / 2;
    if values.is_empty() {
        return None;
    }
    let even = values.len().is_multiple_of(2);
    let (below, upper, _) = values.select_nth_unstable_by(middle, f64::total_cmp);
    let upper = *upper;
    match even {
        true => below.iter().copied().max_by(f64::total_cmp).map(|lower| (lower + upper) / 2.0),
        false => Some(upper),
    }
}

/// `statistic` of `other` over that of `base`, with the percentile bootstrap:
/// both sides are drawn again from themselves, with replacement, 1000 times.
/// A unit (`T`) is what is drawn: it should not depend on the others, so the
/// gaps of one request are one unit. The same input gives the same interval.
///
/// `None` where a side is empty or the base is 0.
pub fn bootstrap_ratio<T>(
    base: &[T],
    other: &[T],
    statistic: impl Fn(&[&T]) -> Option<f64>,
) -> Option<Ratio> {
    let whole = |side: &[T]| statistic(&side.iter().collect::<Vec<_>>());
    let quotient = |other: f64, base: f64| (base != 0.0).then(|| other / base);
    let ratio = quotient(whole(other)?, whole(base)?)?;
    let mut random = Pcg64Mcg::seed_from_u64(0x5eed);
    let mut ratios = Vec::with_capacity(RESAMPLES);
    for _ in 0..RESAMPLES {
        let drawn = [other, base].map(|side| statistic(&draw(side, &mut random)));
        if let [Some(other), Some(base)] = drawn {
            ratios.extend(quotient(other, base));
        }
    }
    let ratios = sorted(&ratios);
    Some(Ratio { ratio, low: percentile(&ratios, 2.5)?, high: percentile(&ratios, 97.5)? })
}

/// As many of `side` as there are, with replacement.
fn draw<'a, T>(side: &'a [T], random: &mut Pcg64Mcg) -> Vec<&'a T> {
    let count = side.len() as u128;
    // The upper half of a product is an even choice without a division.
    let index = |random: &mut Pcg64Mcg| ((u128::from(random.next_u64()) * count) >> 64) as usize;
    side.iter().map(|_| &side[index(random)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Against numpy.percentile with its default method.
    #[test]
    fn percentiles_are_numpys() {
        for (values, p, expected) in [
            (&[1.0][..], 99.0, 1.0),
            (&[1.0, 2.0], 50.0, 1.5),
            (&[1.0, 2.0, 3.0, 4.0], 25.0, 1.75),
            (&[1.0, 2.0, 3.0, 4.0], 90.0, 3.7),
            (&[15.0, 20.0, 35.0, 40.0, 50.0], 40.0, 29.0),
            (&[15.0, 20.0, 35.0, 40.0, 50.0], 100.0, 50.0),
            (&[15.0, 20.0, 35.0, 40.0, 50.0], 0.0, 15.0),
        ] {
            let found = percentile(values, p).unwrap();
            assert!((found - expected).abs() < 1e-12, "{values:?} p{p}: {found} != {expected}");
        }
        assert_eq!(percentile(&[], 50.0), None);
    }

    #[test]
    fn a_summary_sorts_by_itself() {
        let found = Summary::of(&[4.0, 1.0, f64::NAN, 3.0, 2.0]).unwrap();
        assert_eq!((found.count, found.mean, found.median), (4, 2.5, 2.5));
        assert!((found.std - 1.25f64.sqrt()).abs() < 1e-12);
        assert_eq!((found.min, found.max), (1.0, 4.0));
        assert_eq!(found.scaled(1000.0).median, 2500.0);
        assert_eq!(Summary::of(&[]), None);
    }

    #[test]
    fn quick_medians_equal_sorted_ones() {
        for values in [vec![3.0], vec![2.0, 1.0], vec![5.0, 1.0, 4.0], vec![9.0, 1.0, 4.0, 7.0]] {
            assert_eq!(median_unsorted(&mut values.clone()), median(&values), "{values:?}");
        }
    }

    #[test]
    fn an_interval_holds_the_truth_and_repeats() {
        let base: Vec<f64> = (0..200).map(|i| 100.0 + f64::from(i % 20)).collect();
        let other: Vec<f64> = base.iter().map(|v| v * 2.0).collect();
        let found = ratio_of_medians(&base, &other).unwrap();
        assert!((found.ratio - 2.0).abs() < 1e-9);
        assert!(found.low < 2.0 && 2.0 < found.high && found.high - found.low < 0.2, "{found:?}");
        assert!(found.is_clear());
        assert_eq!(ratio_of_medians(&base, &other), Some(found));
        assert!(!ratio_of_medians(&base, &base).unwrap().is_clear());
        assert_eq!(ratio_of_medians(&[], &base), None);
        assert_eq!(ratio_of_medians(&[0.0], &base), None);
    }
}
