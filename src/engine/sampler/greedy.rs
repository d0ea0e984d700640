//! The most likely token of each row, for callers without a request.

use candle_core::{Result, bail};

use super::top::argmax;
use crate::backend::{Draw, Logits};

/// A token for each row.
///
/// # Errors
/// A row has no finite logit.
pub fn greedy(logits: &Logits) -> Result<Vec<u32>> {
    if logits.can_draw() {
        let draws: Vec<Draw> = (0..logits.len()).map(Draw::greedy).collect();
        let drawn: Option<Vec<u32>> = logits.draw(&draws)?.wait()?.into_iter().collect();
        return drawn.ok_or_else(|| candle_core::Error::msg("the model's logits are not finite"));
    }
    let best = |row| match argmax(row) {
        Some(token) => Ok(token),
        None => bail!("the model's logits are not finite"),
    };
    logits.rows().map(best).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_row_gives_its_highest() {
        let mut logits = Logits::default();
        logits.room(2, 3).copy_from_slice(&[0.0, 3.0, 1.0, 5.0, -1.0, 5.0]);
        assert_eq!(greedy(&logits).unwrap(), [1, 0]);
        logits.room(1, 3).fill(f32::NAN);
        assert!(greedy(&logits).unwrap_err().to_string().contains("not finite"));
    }
}
