//! Which experts compute which rows, and how much each of them counts.

use std::ops::Range;

/// How experts are chosen by the logits of a router.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Routing {
    /// Experts of each row.
    pub chosen: usize,
    /// Their weights add up to 1; otherwise they are what a softmax over all
    /// experts gives them.
    pub normalised: bool,
}

/// One of a row's experts.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Choice {
    pub expert: u32,
    pub weight: f32,
}

impl Routing {
    /// Chooses the experts with the highest logits, the highest first, and of
    /// equal ones the first. What is no number is below all, but makes all
    /// weights what it is, so that it is seen in the result.
    ///
    /// # Panics
    /// There is room for more choices than there are logits.
    pub fn choose(self, logits: &[f32], out: &mut [Choice]) {
        assert!((1..=logits.len()).contains(&out.len()));
        let above = |a: f32, b: f32| a > b || (b.is_nan() && !a.is_nan());
        let (mut count, mut taint) = (0, 0.0);
        for (expert, &logit) in logits.iter().enumerate() {
            if logit.is_nan() {
                taint = logit;
            }
            if count == out.len() && !above(logit, out[count - 1].weight) {
                continue;
            }
            let mut at = count.min(out.len() - 1);
            while at > 0 && above(logit, out[at - 1].weight) {
                out[at] = out[at - 1];
                at -= 1;
            }
            out[at] = Choice { expert: expert as u32, weight: logit };
            count = (count + 1).min(out.len());
        }
        let highest = out[0].weight;
        let total: f32 = match self.normalised {
            true => out.iter().map(|c| (c.weight - highest).exp()).sum(),
            false => logits.iter().map(|l| (l - highest).exp()).sum(),
        };
        out.iter_mut().for_each(|c| c.weight = (c.weight - highest).exp() / total + taint);
    }
}

/// The rows of each expert; kept from step to step. A slot is one row in one
/// expert, and an expert's slots stand together.
#[derive(Debug, Default)]
pub struct Slots {
    /// The row of each slot.
    pub rows: Vec<u32>,
    /// The slot of each choice.
    pub of_choice: Vec<u32>,
    /// Experts that somebody chose, each with its slots.
    pub experts: Vec<(usize, Range<usize>)>,
    /// Of each expert: where its next slot is.
    next: Vec<u32>,
}

impl Slots {
    /// Sorts the choices of rows that made `chosen` each, of `experts`.
    pub fn sort(&mut self, choices: &[Choice], chosen: usize, experts: usize) {
        self.next.clear();
        self.next.resize(experts, 0);
        for choice in choices {
            self.next[choice.expert as usize] += 1;
        }
        self.experts.clear();
        let mut begin = 0;
        for (expert, next) in self.next.iter_mut().enumerate() {
            let slots = begin..begin + *next as usize;
            *next = begin as u32;
            begin = slots.end;
            if !slots.is_empty() {
                self.experts.push((expert, slots));
            }
        }
        self.rows.resize(choices.len(), 0);
        self.of_choice.resize(choices.len(), 0);
        for (i, choice) in choices.iter().enumerate() {
            let next = &mut self.next[choice.expert as usize];
            self.of_choice[i] = *next;
            self.rows[*next as usize] = (i / chosen) as u32;
            *next += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_are_chosen_and_weighted() {
        const NAN: f32 = f32::NAN;
        const INF: f32 = f32::INFINITY;
        let cases: [(&[f32], &[u32]); 8] = [
            (&[0.0, 3.0, 1.0, 2.0], &[1, 3]),
            (&[3.0, 2.0, 1.0], &[0, 1]),
            // Of equal ones the first.
            (&[1.0, 1.0, 1.0], &[0, 1]),
            (&[0.0, 1.0, 2.0, 2.0, 2.0], &[2, 3]),
            (&[NAN, 1.0, NAN, 0.0], &[1, 3]),
            (&[NAN, NAN, 1.0], &[2, 0]),
            (&[NAN, NAN], &[0, 1]),
            (&[-INF, -INF, INF], &[2, 0]),
        ];
        for (logits, experts) in cases {
            for normalised in [true, false] {
                let mut out = [Choice::default(); 2];
                Routing { chosen: 2, normalised }.choose(logits, &mut out);
                assert_eq!(out.map(|c| c.expert), experts, "{logits:?}");
                let finite = logits.iter().all(|l| l.is_finite());
                let total = match normalised {
                    true => experts.iter().map(|&e| logits[e as usize].exp()).sum::<f32>(),
                    false => logits.iter().map(|l| l.exp()).sum(),
                };
                for choice in out {
                    let expected = logits[choice.expert as usize].exp() / total;
                    let close = (choice.weight - expected).abs() < 1e-6;
                    assert!(close || !finite, "{logits:?}: {choice:?}, not {expected}");
                    // A broken router does not look whole.
                    assert!(choice.weight.is_nan() || finite, "{logits:?}: {choice:?}");
                }
            }
        }
    }

    #[test]
    fn every_choice_has_a_slot_of_its_expert() {
        let experts = [2, 0, 2, 3, 0, 3];
        let choices = experts.map(|expert| Choice { expert, weight: 1.0 });
        let mut slots = Slots::default();
        slots.sort(&choices, 2, 5);
        assert_eq!(slots.experts, [(0, 0..2), (2, 2..4), (3, 4..6)]);
        assert_eq!(slots.of_choice, [2, 0, 3, 4, 1, 5]);
        assert_eq!(slots.rows, [0, 2, 0, 1, 1, 2]);
    }
}
