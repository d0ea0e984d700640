//! Which units of two texts say the same, in the order of both.

use std::ops::Range;

/// Merged units must be so much more alike than the better of them alone.
const GAIN: f32 = 0.01;

/// Units that belong together: one and one, two and one, one and two; or one of
/// a single side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    pub a: Range<usize>,
    pub b: Range<usize>,
}

/// How alike ranges of one or two units of both sides are, and from where on they
/// say the same.
pub trait Likeness {
    fn of(&self, a: Range<usize>, b: Range<usize>) -> f32;

    /// Units that are less alike are left alone.
    fn least(&self) -> f32;

    /// From where on units that stand elsewhere in the other text are the same;
    /// `None` where the likeness does not tell.
    fn least_crossing(&self) -> Option<f32>;
}

/// The steps through both texts whose likenesses, as far as they are above the
/// least, add up to the most (the dynamic programme of Needleman and Wunsch, with
/// the merges of Gale and Church).
pub fn align(n: usize, m: usize, likeness: &impl Likeness) -> Vec<Step> {
    let width = m + 1;
    let mut best = vec![0.0f32; (n + 1) * width];
    // How many units of a and b the best last step takes.
    let mut last = vec![(0u8, 0u8); (n + 1) * width];
    // Likenesses of single units in this row and the one before.
    let mut above = vec![f32::MIN; width];
    let mut row = vec![f32::MIN; width];
    for i in 0..=n {
        for j in 0..=m {
            if i + j == 0 {
                continue;
            }
            let (mut most, mut step) = (f32::MIN, (0, 0));
            let mut offer = |value: f32, taken: (u8, u8)| {
                if value > most {
                    (most, step) = (value, taken);
                }
            };
            let from = |a: usize, b: usize| best[(i - a) * width + j - b];
            // First the pairs: of equal ways the one that leaves less alone.
            row[j] = f32::MIN;
            if i > 0 && j > 0 {
                let single = likeness.of(i - 1..i, j - 1..j);
                row[j] = single;
                if single >= likeness.least() {
                    offer(from(1, 1) + single - likeness.least(), (1, 1));
                }
                if i > 1 {
                    let merged = likeness.of(i - 2..i, j - 1..j);
                    if merged >= likeness.least() && merged > single.max(above[j]) + GAIN {
                        offer(from(2, 1) + merged - likeness.least(), (2, 1));
                    }
                }
                if j > 1 {
                    let merged = likeness.of(i - 1..i, j - 2..j);
                    if merged >= likeness.least() && merged > single.max(row[j - 1]) + GAIN {
                        offer(from(1, 2) + merged - likeness.least(), (1, 2));
                    }
                }
            }
            // Of two that stand alone `a`'s comes first, so `b`'s is the last step.
            if j > 0 {
                offer(from(0, 1), (0, 1));
            }
            if i > 0 {
                offer(from(1, 0), (1, 0));
            }
            best[i * width + j] = most;
            last[i * width + j] = step;
        }
        std::mem::swap(&mut above, &mut row);
    }
    let (mut i, mut j) = (n, m);
    let mut steps = Vec::new();
    while i + j > 0 {
        let (a, b) = last[i * width + j];
        let (a, b) = (usize::from(a), usize::from(b));
        steps.push(Step { a: i - a..i, b: j - b..j });
        (i, j) = (i - a, j - b);
    }
    steps.reverse();
    steps
}

/// Units that are left alone on both sides, and are much alike, belong together
/// across the order: the nearest first. Each such step stands where `a` has it.
/// Returns the steps, and the places of those that cross.
pub fn cross(steps: Vec<Step>, likeness: &impl Likeness) -> (Vec<Step>, Vec<usize>) {
    let Some(least) = likeness.least_crossing() else { return (steps, Vec::new()) };
    let alone = |of_a: bool| {
        let places = steps.iter().enumerate();
        let places = places.filter(move |(_, step)| match of_a {
            true => step.b.is_empty(),
            false => step.a.is_empty(),
        });
        places.map(|(place, _)| place).collect::<Vec<_>>()
    };
    let mut pairs: Vec<(f32, usize, usize)> = Vec::new();
    let of_b = alone(false);
    for a in alone(true) {
        for &b in &of_b {
            let value = likeness.of(steps[a].a.clone(), steps[b].b.clone());
            if value >= least {
                pairs.push((value, a, b));
            }
        }
    }
    pairs.sort_by(|x, y| y.0.total_cmp(&x.0));
    let mut partner = vec![None; steps.len()];
    for (_, a, b) in pairs {
        if partner[a].is_none() && partner[b].is_none() {
            (partner[a], partner[b]) = (Some(b), Some(a));
        }
    }
    let mut kept = Vec::with_capacity(steps.len());
    let mut crossing = Vec::new();
    for (place, step) in steps.iter().enumerate() {
        match partner[place] {
            None => kept.push(step.clone()),
            Some(other) if step.b.is_empty() => {
                crossing.push(kept.len());
                kept.push(Step { a: step.a.clone(), b: steps[other].b.clone() });
            }
            Some(_) => {}
        }
    }
    (kept, crossing)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Units are sets of letters.
    struct Letters<'a>(&'a [&'a str], &'a [&'a str]);

    impl Likeness for Letters<'_> {
        fn of(&self, a: Range<usize>, b: Range<usize>) -> f32 {
            let (a, b) = (self.0[a].concat(), self.1[b].concat());
            let common = a.chars().filter(|c| b.contains(*c)).count();
            2.0 * common as f32 / (a.len() + b.len()) as f32
        }

        fn least(&self) -> f32 {
            0.4
        }

        fn least_crossing(&self) -> Option<f32> {
            Some(0.7)
        }
    }

    #[test]
    fn what_says_the_same_is_put_together() {
        let check = |a: &[&str], b: &[&str], expected: &str| {
            let steps = align(a.len(), b.len(), &Letters(a, b));
            let show = |step: &Step| {
                format!("{}={}", a[step.a.clone()].join("+"), b[step.b.clone()].join("+"))
            };
            let found: Vec<String> = steps.iter().map(show).collect();
            assert_eq!(found.join(" "), expected);
        };
        check(&[], &[], "");
        check(&["abc"], &[], "abc=");
        check(&["abc", "def"], &["abc", "def"], "abc=abc def=def");
        check(&["abc", "xyz", "def"], &["abc", "def"], "abc=abc xyz= def=def");
        check(&["abc", "def"], &["abc", "xyz", "deg"], "abc=abc =xyz def=deg");
        check(&["abcd", "efgh"], &["abcdefgh"], "abcd+efgh=abcdefgh");
        check(&["abcdefgh", "ijk"], &["abcd", "efgh", "ijk"], "abcdefgh=abcd+efgh ijk=ijk");
        check(&["abc"], &["xyz"], "abc= =xyz");
    }

    #[test]
    fn what_stands_elsewhere_is_found_there() {
        let check = |a: &[&str], b: &[&str], expected: &str| {
            let likeness = Letters(a, b);
            let (steps, crossing) = cross(align(a.len(), b.len(), &likeness), &likeness);
            let show = |(place, step): (usize, &Step)| {
                let sign = if crossing.contains(&place) { '~' } else { '=' };
                format!("{}{sign}{}", a[step.a.clone()].concat(), b[step.b.clone()].concat())
            };
            let found: Vec<String> = steps.iter().enumerate().map(show).collect();
            assert_eq!(found.join(" "), expected);
        };
        check(&["abc", "defgh"], &["defgh", "abc"], "abc~abc defgh=defgh");
        check(&["abcd", "efghi"], &["efghi", "abcx"], "abcd~abcx efghi=efghi");
        check(&["abcd", "efghi"], &["efghi", "abxy"], "abcd= efghi=efghi =abxy");
    }
}
