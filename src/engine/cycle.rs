//! Texts that only repeat themselves.

/// Longest passage whose repetition is noticed, in tokens.
const LONGEST: usize = 256;
/// So often must a passage stand at the end of a text, one after the other...
const TIMES: usize = 4;
/// ...and so many tokens must that be: ruled lines, rows of dots and tables
/// repeat something short quite often.
const TOKENS: usize = 128;

/// Notices when the end of a text is one passage, over and over.
#[derive(Debug)]
pub struct CycleDetector {
    /// For each distance, how many tokens at the end equal the one so far before.
    runs: [u32; LONGEST],
}

impl Default for CycleDetector {
    fn default() -> Self {
        Self { runs: [0; LONGEST] }
    }
}

impl CycleDetector {
    /// To be called after each token, with all of the output. True when its
    /// end is the same passage at least four times, and 128 tokens.
    pub fn push(&mut self, output: &[u32]) -> bool {
        let Some((last, before)) = output.split_last() else { return false };
        let mut cycle = false;
        for (i, (run, earlier)) in self.runs.iter_mut().zip(before.iter().rev()).enumerate() {
            *run = if earlier == last { *run + 1 } else { 0 };
            let period = i + 1;
            cycle |= *run as usize + period >= TOKENS.max(TIMES * period);
        }
        cycle
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where a text is found to repeat itself.
    fn found_at(text: impl IntoIterator<Item = u32>) -> Option<usize> {
        let (mut detector, mut output) = (CycleDetector::default(), Vec::new());
        for token in text {
            output.push(token);
            if detector.push(&output) {
                return Some(output.len());
            }
        }
        None
    }

    #[test]
    fn a_passage_counts_when_it_is_often_and_long_enough() {
        let after_a_start = |period: u32| (1000..1100).chain((0..2000).map(move |i| i % period));
        for (period, tokens) in [(1, 128), (3, 128), (32, 128), (33, 132), (200, 800), (256, 1024)]
        {
            assert_eq!(found_at(after_a_start(period)), Some(100 + tokens), "{period}");
        }
        assert_eq!(found_at(after_a_start(257)), None);
    }

    #[test]
    fn lists_and_rules_are_no_cycles() {
        // A rule of 100 dashes between lines, and items that differ in a number.
        let rule = std::iter::repeat_n(7, 100);
        let lines = (0..30).flat_map(|i| rule.clone().chain([100 + i]));
        assert_eq!(found_at(lines), None);
        assert_eq!(found_at((0..500).flat_map(|i| [1, 2, 3, 1000 + i, 4])), None);
        assert_eq!(found_at([]), None);
    }
}
