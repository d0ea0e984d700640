//! Beam search, as Hugging Face transformers defines it: the same texts for
//! the same logits, length penalty and early stopping.

use super::super::request::{BeamParams, EarlyStopping};
use super::super::rules::Rules;
use super::top;
use crate::backend::kernels::softmax::softmax_weights;

/// A beginning of a text that is gone on with.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// The prompt's tokens too.
    pub tokens: Vec<u32>,
    /// Sum of the log probabilities of its tokens.
    score: f32,
}

/// A whole text.
#[derive(Debug, Clone, PartialEq)]
pub struct Hypothesis {
    /// The prompt's tokens too, and the end token unless it ran into its limit.
    pub tokens: Vec<u32>,
    /// By the length that it has.
    score: f32,
}

/// One search: its lines go on together, a token a step.
#[derive(Debug)]
pub struct BeamSearch {
    params: BeamParams,
    /// The best first. All are of one length.
    lines: Vec<Line>,
    /// The best first, at most as many as beams.
    finished: Vec<Hypothesis>,
    ends: Vec<u32>,
    /// Tokens that count as no part of a text.
    start: usize,
    /// Lengths of `tokens` before which no text ends, and at which all do.
    least: usize,
    most: usize,
}

/// Where a search is after a step.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// It goes on with these of the lines it had, some of them several times.
    Lines(Vec<usize>),
    /// The best text is known.
    Done,
    /// Nothing may follow any line, and no text was finished.
    Stuck,
}

/// What may follow a line.
struct Candidate {
    score: f32,
    line: usize,
    token: u32,
}

/// Lengths of prompt and text together that bound a search.
#[derive(Debug, Clone, Copy)]
pub struct Lengths {
    /// Tokens that count as no part of the text.
    pub start: usize,
    /// No text ends before it has so many.
    pub least: usize,
    /// All end when they have so many.
    pub most: usize,
}

impl BeamSearch {
    /// A search for what follows `prompt`. `ends` are the end tokens.
    pub fn new(params: BeamParams, prompt: Vec<u32>, ends: Vec<u32>, lengths: Lengths) -> Self {
        Self {
            params,
            lines: vec![Line { tokens: prompt, score: 0.0 }],
            finished: Vec::new(),
            ends,
            start: lengths.start,
            least: lengths.least,
            most: lengths.most,
        }
    }

    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// Beams that it may come to have.
    pub fn most_lines(&self) -> usize {
        self.params.num_beams
    }

    /// Goes a step, by the logits that follow each line.
    pub fn advance(&mut self, rows: &[&[f32]], rules: &Rules) -> Next {
        let beams = self.params.num_beams;
        let length = self.lines.first().map_or(0, |line| line.tokens.len());
        let last = length + 1 >= self.most;
        let found = self.candidates(rows, rules, last);
        let ends = |candidate: &Candidate| last || self.ends.contains(&candidate.token);

        // Texts that ended among the best are kept, unless enough are there and
        // no more are wanted.
        let full = self.finished.len() == beams && self.params.early_stopping == EarlyStopping::Yes;
        let weight = self.weight(length + 1);
        let new: Vec<Hypothesis> = (found.iter().take(beams))
            .filter(|candidate| !full && ends(candidate))
            .map(|c| Hypothesis { tokens: self.extended(c), score: c.score / weight })
            .collect();
        let next: Vec<&Candidate> = found.iter().filter(|c| !ends(c)).take(beams).collect();
        let parents: Vec<usize> = next.iter().map(|c| c.line).collect();
        let lines: Vec<Line> =
            next.iter().map(|c| Line { tokens: self.extended(c), score: c.score }).collect();
        self.finished.extend(new);
        // Earlier ones stay before equal ones.
        self.finished.sort_by(|a, b| b.score.total_cmp(&a.score));
        self.finished.truncate(beams);
        match lines.first() {
            Some(best) if self.may_improve(best.score, length + 1) => {
                self.lines = lines;
                Next::Lines(parents)
            }
            _ if !self.finished.is_empty() => Next::Done,
            _ => Next::Stuck,
        }
    }

    /// The best continuations of all lines, enough that as many as beams do not
    /// end.
    fn candidates(&self, rows: &[&[f32]], rules: &Rules, last: bool) -> Vec<Candidate> {
        let wanted = (1 + self.ends.len()).max(2) * self.params.num_beams;
        let mut all = Vec::new();
        let mut scratch = Scratch::default();
        for (i, (line, row)) in self.lines.iter().zip(rows).enumerate() {
            if last && let Some(end) = rules.forced_end {
                all.push(Candidate { score: line.score, line: i, token: end });
                continue;
            }
            let mut banned = rules.banned(&line.tokens);
            if line.tokens.len() < self.least {
                banned.extend_from_slice(&self.ends);
            }
            let best = scratch.log_probabilities(row, &banned, rules.renormalize, wanted);
            let candidate = |(log, token)| Candidate { score: line.score + log, line: i, token };
            all.extend(best.map(candidate));
        }
        all.sort_by(|a, b| {
            b.score.total_cmp(&a.score).then((a.line, a.token).cmp(&(b.line, b.token)))
        });
        all.truncate(wanted);
        all
    }

    fn extended(&self, candidate: &Candidate) -> Vec<u32> {
        let line = &self.lines[candidate.line].tokens;
        line.iter().copied().chain([candidate.token]).collect()
    }

    /// What the score of a text of so many tokens is divided by.
    fn weight(&self, tokens: usize) -> f32 {
        let length = (tokens - self.start) as f64;
        length.powf(f64::from(self.params.length_penalty)) as f32
    }

    /// Whether a text that goes on from the best line, now of `length` tokens,
    /// might be better than the worst of those kept.
    fn may_improve(&self, best: f32, length: usize) -> bool {
        if self.finished.len() < self.params.num_beams {
            return true;
        }
        let hoped = match self.params.early_stopping {
            EarlyStopping::Yes => return false,
            EarlyStopping::Never if self.params.length_penalty > 0.0 => self.most,
            _ => length,
        };
        let worst = self.finished.last().map_or(f32::NEG_INFINITY, |text| text.score);
        best / self.weight(hoped) > worst
    }

    /// The best text: of those that ended, or else of those that go on.
    pub fn best(&self) -> &[u32] {
        match (self.finished.first(), self.lines.first()) {
            (Some(text), _) => &text.tokens,
            (None, Some(line)) => &line.tokens,
            (None, None) => &[],
        }
    }

    /// The wanted texts besides the best, the better first.
    pub fn others(&self) -> impl Iterator<Item = &[u32]> {
        let others = self.finished.iter().skip(1).take(self.params.alternatives);
        others.map(|text| text.tokens.as_slice())
    }
}

/// Space of the size of a vocabulary.
#[derive(Default)]
struct Scratch {
    logits: Vec<f32>,
    weights: Vec<f32>,
}

impl Scratch {
    /// The `wanted` best tokens that are not `banned`, with the logarithms of
    /// their probabilities: among all tokens, or with `renormalize` among those
    /// that may follow.
    fn log_probabilities(
        &mut self,
        row: &[f32],
        banned: &[u32],
        renormalize: bool,
        wanted: usize,
    ) -> impl Iterator<Item = (f32, u32)> + use<> {
        let Self { logits, weights } = self;
        logits.clear();
        logits.extend(row.iter().map(|&l| if l.is_nan() { f32::NEG_INFINITY } else { l }));
        let ban = |logits: &mut [f32]| {
            for &id in banned {
                if let Some(logit) = logits.get_mut(id as usize) {
                    *logit = f32::NEG_INFINITY;
                }
            }
        };
        if renormalize {
            ban(logits);
        }
        let max = top::highest(logits).unwrap_or(0.0);
        let mut sum = 0.0;
        softmax_weights(logits, max, 1.0, weights, &mut sum);
        ban(logits);
        let log_sum = sum.ln();
        let logprob = move |logit: f32| (f64::from(logit - max) - log_sum) as f32;
        top::largest(logits, wanted).into_iter().map(move |(l, id)| (logprob(l), id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const END: u32 = 0;

    fn params(num_beams: usize, early_stopping: EarlyStopping) -> BeamParams {
        BeamParams { num_beams, length_penalty: 1.0, early_stopping, alternatives: 0 }
    }

    /// Logits of these probabilities.
    fn row(probabilities: &[f32]) -> Vec<f32> {
        probabilities.iter().map(|p| p.ln()).collect()
    }

    #[test]
    fn a_search_finds_what_greedy_decoding_misses() {
        // Token 1 is likelier at first, but all that follows it is unlikely.
        let next = |tokens: &[u32]| match tokens {
            [9] => row(&[0.0, 0.6, 0.4, 0.0]),
            [9, 1] => row(&[0.3, 0.25, 0.25, 0.2]),
            [9, 2] => row(&[0.9, 0.0, 0.0, 0.1]),
            _ => row(&[0.97, 0.01, 0.01, 0.01]),
        };
        let search = |beams: usize| {
            let lengths = Lengths { start: 1, least: 0, most: 5 };
            let mut search =
                BeamSearch::new(params(beams, EarlyStopping::No), vec![9], vec![END], lengths);
            loop {
                let rows: Vec<Vec<f32>> = search.lines.iter().map(|l| next(&l.tokens)).collect();
                let rows: Vec<&[f32]> = rows.iter().map(Vec::as_slice).collect();
                match search.advance(&rows, &Rules::default()) {
                    Next::Lines(parents) => assert_eq!(parents.len(), search.lines.len()),
                    next => {
                        assert_eq!(next, Next::Done);
                        break search.best().to_vec();
                    }
                }
            }
        };
        assert_eq!(search(1), [9, 1, END]);
        assert_eq!(search(2), [9, 2, END]);
    }

    #[test]
    fn limits_and_rules_hold() {
        let lengths = Lengths { start: 1, least: 3, most: 4 };
        let rules = Rules { forced_end: Some(END), banned: vec![1], ..Rules::default() };
        let mut search =
            BeamSearch::new(params(2, EarlyStopping::Yes), vec![9], vec![END], lengths);
        let logits = row(&[0.5, 0.3, 0.15, 0.05]);
        let mut steps = 0;
        while let Next::Lines(_) =
            search.advance(&vec![logits.as_slice(); search.lines.len()], &rules)
        {
            steps += 1;
            assert!(search.lines.iter().all(|l| !l.tokens[1..].contains(&1)));
        }
        // Neither ends before three tokens, and both have to with the fourth.
        assert_eq!((steps, search.best()), (2, &[9, 2, 2, END][..]));
    }

    #[test]
    fn a_search_that_may_not_go_on_says_so() {
        let lengths = Lengths { start: 1, least: 0, most: 9 };
        let rules = Rules { banned: (0..4).collect(), ..Rules::default() };
        let mut search = BeamSearch::new(params(2, EarlyStopping::No), vec![9], vec![END], lengths);
        assert_eq!(search.advance(&[&[0.0; 4]], &rules), Next::Stuck);
        assert_eq!(search.best(), [9]);
    }
}
