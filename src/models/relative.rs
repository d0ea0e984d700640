//! Ranges of distances between two tokens, as T5 has them (arXiv:1910.10683):
//! single distances first, then ranges that are the wider the farther they are.

/// The range of a distance among `ranges`, half of which are for keys after
/// the row. The last begins before `far`.
pub fn range(distance: i64, ranges: usize, far: usize) -> usize {
    let side = if distance > 0 { ranges / 2 } else { 0 };
    side + range_before(distance.unsigned_abs() as usize, ranges / 2, far)
}

/// The range of a distance back, all of `ranges` being for those.
pub fn range_before(distance: usize, ranges: usize, far: usize) -> usize {
    let exact = ranges / 2;
    if distance < exact {
        return distance;
    }
    let share = (distance as f32 / exact as f32).ln() / (far as f32 / exact as f32).ln();
    (exact + (share * (ranges - exact) as f32) as usize).min(ranges - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_symmetric_and_grow() {
        for (distance, expected) in
            [(0, 0), (-1, 1), (1, 17), (-7, 7), (-8, 8), (8, 24), (-16, 10), (-127, 15), (500, 31)]
        {
            assert_eq!(range(distance, 32, 128), expected, "{distance}");
        }
        for (distance, expected) in [(0, 0), (15, 15), (16, 16), (32, 21), (127, 31), (500, 31)] {
            assert_eq!(range_before(distance, 32, 128), expected, "{distance}");
        }
    }
}
