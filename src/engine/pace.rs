//! How much of the prompts that arrive a step may compute beside texts that
//! are being written.
//!
//! A prompt token costs time that every running text waits for. The pace keeps
//! a step with prompts within [`PaceConfig::stretch`] times a step without, by
//! what steps were seen to cost, so that it holds for any model and machine.
//! Where more prompts wait than texts are being written, they get more, in
//! proportion: else a burst of requests would wait for the first few of its own.

use std::time::Duration;

/// Bounds of the pace.
#[derive(Debug, Clone, Copy)]
pub struct PaceConfig {
    /// How many times as long as a step without prompts one with them may take.
    pub stretch: f64,
    /// Least prompt tokens a step computes, so that prompts always go on.
    pub least: usize,
}

impl Default for PaceConfig {
    fn default() -> Self {
        Self { stretch: 2.0, least: 8 }
    }
}

/// What steps cost, as moving averages.
#[derive(Debug)]
pub struct Pace {
    config: PaceConfig,
    /// Steps without prompts, by how many texts are written in them.
    writing: [Writing; CLASSES],
    /// Seconds a prompt token adds to a step.
    token: Option<f64>,
}

/// Steps that write about so many texts: up to 1, 2, 4, 8 and so on.
#[derive(Debug, Clone, Copy, Default)]
struct Writing {
    /// Seconds of one.
    took: Option<f64>,
    /// Steps that had prompts beside them since one was measured.
    age: u32,
}

const CLASSES: usize = 12;

/// Weight of the newest observation.
const NEWEST: f64 = 0.25;

/// So many steps with prompts may follow one another before one without tells
/// anew what writing costs: where prompts always wait nothing else would.
const OLD: u32 = 128;

impl Pace {
    pub fn new(config: PaceConfig) -> Self {
        Self { config, writing: [Writing::default(); CLASSES], token: None }
    }

    /// Prompt tokens, of at most so many, that the next step may compute beside
    /// this many texts, for each of which `crowd` prompts wait, but at least 1.
    /// 0 where it is to be learned what the texts cost alone.
    pub fn prompt_tokens(&mut self, most: usize, writers: usize, crowd: f64) -> usize {
        if writers == 0 {
            return most;
        }
        let class = &mut self.writing[class(writers)];
        let Some(decode) = class.took.filter(|_| class.age < OLD) else { return 0 };
        class.age += 1;
        let Some(token) = self.token else { return (4 * self.config.least).min(most) };
        let spare = decode * (self.config.stretch - 1.0) * crowd;
        ((spare / token) as usize).clamp(self.config.least.min(most), most)
    }

    /// Notes what a step of so many prompt tokens and texts took.
    pub fn observe(&mut self, prompt_tokens: usize, writers: usize, took: Duration) {
        let took = took.as_secs_f64();
        let writing = (writers > 0).then(|| &mut self.writing[class(writers)]);
        if prompt_tokens > 0 {
            let beside = writing.and_then(|w| w.took).unwrap_or(0.0);
            // Never nothing: a step as quick as one without prompts is noise.
            let token = ((took - beside) / prompt_tokens as f64).max(took * 1e-3);
            blend(&mut self.token, token);
        } else if let Some(writing) = writing {
            blend(&mut writing.took, took);
            writing.age = 0;
        }
    }
}

fn class(writers: usize) -> usize {
    (writers.next_power_of_two().ilog2() as usize).min(CLASSES - 1)
}

fn blend(average: &mut Option<f64>, newest: f64) {
    *average = Some(average.map_or(newest, |old| old + NEWEST * (newest - old)));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine that takes 2 ms a step, 1 ms a text and 0.5 ms a prompt token.
    fn step(pace: &mut Pace, prompt: usize, writers: usize) {
        let took = 0.002 + writers as f64 * 0.001 + prompt as f64 * 0.0005;
        pace.observe(prompt, writers, Duration::from_secs_f64(took));
    }

    #[test]
    fn a_step_with_prompts_stays_within_its_stretch() {
        let mut pace = Pace::new(PaceConfig { stretch: 2.0, least: 4 });
        assert_eq!(pace.prompt_tokens(512, 0, 1.0), 512);
        for _ in 0..40 {
            let tokens = pace.prompt_tokens(512, 8, 1.0);
            step(&mut pace, tokens, 8);
        }
        let tokens = pace.prompt_tokens(512, 8, 1.0);
        assert!((15..=20).contains(&tokens), "{tokens}");
        let tokens = pace.prompt_tokens(512, 8, 4.0);
        assert!((60..=80).contains(&tokens), "{tokens}");
    }

    #[test]
    fn steps_are_measured_by_what_they_write() {
        let mut pace = Pace::new(PaceConfig { stretch: 2.0, least: 4 });
        for writers in [8, 1].repeat(20) {
            step(&mut pace, 0, writers);
            step(&mut pace, 10, writers);
        }
        // What one text takes says nothing of eight.
        let tokens = [1, 8].map(|writers| pace.prompt_tokens(512, writers, 1.0));
        assert!((5..=6).contains(&tokens[0]) && (18..=20).contains(&tokens[1]), "{tokens:?}");
        assert_eq!(pace.prompt_tokens(512, 16, 1.0), 0, "not known yet");
        step(&mut pace, 0, 16);
        assert!(pace.prompt_tokens(512, 9, 1.0) > 20);
    }

    #[test]
    fn what_is_old_is_measured_again() {
        let mut pace = Pace::new(PaceConfig::default());
        step(&mut pace, 0, 3);
        let mut measured = 0;
        for _ in 0..4 * OLD {
            let tokens = pace.prompt_tokens(512, 3, 1.0);
            measured += usize::from(tokens == 0);
            step(&mut pace, tokens, 3);
        }
        assert_eq!(measured, 3);
    }

    #[test]
    fn prompts_go_on_whatever_they_cost() {
        let mut pace = Pace::new(PaceConfig { stretch: 1.5, least: 8 });
        pace.observe(0, 1, Duration::from_micros(10));
        assert!(pace.prompt_tokens(512, 1, 1.0) >= 8);
        pace.observe(1, 0, Duration::from_secs(3));
        assert_eq!(pace.prompt_tokens(512, 1, 1.0), 8);
        assert_eq!(pace.prompt_tokens(5, 1, 9.0), 5);
        pace.observe(0, usize::MAX / 4, Duration::from_secs(1));
        assert!(pace.prompt_tokens(5, 5000, 9.0) > 0);
    }
}
