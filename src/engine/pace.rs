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

/// What steps cost, as a moving average.
#[derive(Debug)]
pub struct Pace {
    config: PaceConfig,
    /// Seconds of a step that computes no prompt, and its rows.
    decode: Option<f64>,
    /// Seconds a prompt token adds to a step.
    token: Option<f64>,
}

/// Weight of the newest observation.
const NEWEST: f64 = 0.25;

impl Pace {
    pub fn new(config: PaceConfig) -> Self {
        Self { config, decode: None, token: None }
    }

    /// Prompt tokens that the next step may compute beside running texts, for each
    /// of which `crowd` prompts wait, but at least 1.
    pub fn prompt_tokens(&self, most: usize, crowd: f64) -> usize {
        let (Some(decode), Some(token)) = (self.decode, self.token) else {
            return (4 * self.config.least).min(most);
        };
        let spare = decode * (self.config.stretch - 1.0) * crowd;
        ((spare / token) as usize).clamp(self.config.least.min(most), most)
    }

    /// Notes what a step of so many prompt tokens and other rows took.
    pub fn observe(&mut self, prompt_tokens: usize, others: usize, took: Duration) {
        let took = took.as_secs_f64();
        if prompt_tokens == 0 {
            blend(&mut self.decode, took);
        } else {
            let beside = if others > 0 { self.decode.unwrap_or(0.0) } else { 0.0 };
            // Never nothing: a step as quick as one without prompts is noise.
            let token = ((took - beside) / prompt_tokens as f64).max(took * 1e-3);
            blend(&mut self.token, token);
        }
    }
}

fn blend(average: &mut Option<f64>, newest: f64) {
    *average = Some(average.map_or(newest, |old| old + NEWEST * (newest - old)));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine that takes 10 ms a step and 0.5 ms a prompt token.
    fn step(pace: &mut Pace, prompt: usize, others: usize) -> f64 {
        let decode = if others > 0 { 0.010 } else { 0.0 };
        let took = decode + prompt as f64 * 0.0005;
        pace.observe(prompt, others, Duration::from_secs_f64(took));
        took
    }

    #[test]
    fn a_step_with_prompts_stays_within_its_stretch() {
        let mut pace = Pace::new(PaceConfig { stretch: 2.0, least: 4 });
        for _ in 0..20 {
            step(&mut pace, 0, 8);
        }
        for _ in 0..20 {
            let tokens = pace.prompt_tokens(512, 1.0);
            step(&mut pace, tokens, 8);
        }
        let tokens = pace.prompt_tokens(512, 1.0);
        assert!((15..=20).contains(&tokens), "{tokens}");
        let tokens = pace.prompt_tokens(512, 4.0);
        assert!((60..=80).contains(&tokens), "{tokens}");
    }

    #[test]
    fn prompts_go_on_whatever_they_cost() {
        let mut pace = Pace::new(PaceConfig { stretch: 1.5, least: 8 });
        assert!(pace.prompt_tokens(512, 1.0) >= 8);
        pace.observe(0, 1, Duration::from_micros(10));
        pace.observe(1, 0, Duration::from_secs(3));
        assert_eq!(pace.prompt_tokens(512, 1.0), 8);
        assert_eq!(pace.prompt_tokens(5, 9.0), 5);
    }
}
