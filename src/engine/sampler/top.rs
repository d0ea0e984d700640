//! The largest of many values, without sorting them.

/// Values looked at together when most of them are to be passed over.
const CHUNK: usize = 64;

/// The index of the highest logit; the lowest index among equals. `None` if it
/// is not finite.
pub fn argmax(logits: &[f32]) -> Option<u32> {
    let highest = highest(logits)?;
    logits.iter().position(|&l| l == highest).map(|i| i as u32)
}

/// The highest logit, if it is finite. NaN is passed over.
pub fn highest(logits: &[f32]) -> Option<f32> {
    Some(maximum(logits)).filter(|x| x.is_finite())
}

fn maximum(values: &[f32]) -> f32 {
    // Comparing lanes ignores NaN and leaves the loop free to vectorise.
    let mut lanes = [f32::NEG_INFINITY; 16];
    let chunks = values.chunks_exact(16);
    let tail = chunks.remainder().iter().copied().fold(f32::NEG_INFINITY, f32::max);
    for chunk in chunks {
        for (lane, &x) in lanes.iter_mut().zip(chunk) {
            *lane = if x > *lane { x } else { *lane };
        }
    }
    lanes.into_iter().fold(tail, f32::max)
}

/// Value and index of every value that is at least `least`, by index.
pub fn at_least(values: &[f32], least: f32) -> Vec<(f32, u32)> {
    let mut found = Vec::new();
    for (c, chunk) in values.chunks(CHUNK).enumerate() {
        if maximum(chunk) >= least {
            let indexed = (c * CHUNK..).zip(chunk).filter(|(_, x)| **x >= least);
            found.extend(indexed.map(|(i, &x)| (x, i as u32)));
        }
    }
    found
}

/// The `k` largest values, the largest first, the lower index among equals.
/// Fewer if fewer are above -inf.
pub fn largest(values: &[f32], k: usize) -> Vec<(f32, u32)> {
    // The k-th largest of the chunks' maxima: at least k values reach it, so
    // none of the k largest is below it.
    let mut maxima: Vec<f32> = values.chunks(CHUNK).map(maximum).collect();
    let least = match maxima.len() > k && k > 0 {
        true => *maxima.select_nth_unstable_by(k - 1, |a, b| b.total_cmp(a)).1,
        false => f32::NEG_INFINITY,
    };
    let mut found = at_least(values, least.max(f32::MIN));
    found.sort_unstable_by(by_value);
    found.truncate(k);
    found
}

/// The larger value first, the lower index among equals, so that no tie
/// depends on the order of a sort.
pub fn by_value(a: &(f32, u32), b: &(f32, u32)) -> std::cmp::Ordering {
    b.0.total_cmp(&a.0).then(a.1.cmp(&b.1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_largest_are_those_that_sorting_finds(
            values in proptest::collection::vec(
                prop_oneof![4 => -3i8..3, 1 => Just(100)].prop_map(|v| match v {
                    100 => f32::NEG_INFINITY,
                    v => f32::from(v),
                }),
                0..400,
            ),
            k in 0usize..40,
        ) {
            let mut sorted: Vec<_> =
                values.iter().copied().zip(0u32..).filter(|v| v.0.is_finite()).collect();
            sorted.sort_by(by_value);
            prop_assert_eq!(argmax(&values), sorted.first().map(|v| v.1));
            sorted.truncate(k);
            prop_assert_eq!(largest(&values, k), sorted);
        }
    }
}
