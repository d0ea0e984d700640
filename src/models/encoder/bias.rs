//! What attention scores get by the distance of two tokens.

use crate::backend::DistanceBias;
use crate::models::config::{Bias, EncoderConfig, Positions};
use crate::models::error::LoadError;
use crate::models::relative;
use crate::models::weights::Weights;

/// Distances from here on share the last range.
const FAR: usize = 128;

/// The bias that the configuration asks for.
pub fn load(c: &EncoderConfig, weights: &Weights<'_>) -> Result<Option<DistanceBias>, LoadError> {
    let bias = match c.positions {
        Positions::Table { bias, .. } => bias,
        Positions::Bias(bias) => Some(bias),
        Positions::Rotary(_) => None,
    };
    let reach = c.context_length - 1;
    Ok(match bias {
        None => None,
        Some(Bias::Slopes) => Some(DistanceBias::new(c.heads, reach, |head, distance| {
            -slope(head, c.heads) * distance.unsigned_abs() as f32
        })),
        Some(Bias::Buckets(ranges)) => {
            let name = "encoder.relative_attention_bias.weight";
            let table = weights.dense(name, &[ranges, c.heads])?.to_vec2::<f32>()?;
            Some(DistanceBias::new(c.heads, reach, |head, distance| {
                table[relative::range(distance, ranges, FAR)][head]
            }))
        }
    })
}

/// ALiBi's slopes: powers of 2^(-8/heads), and where the heads are no power of
/// two, every other one of the next such sequence after the last that is.
fn slope(head: usize, heads: usize) -> f32 {
    let whole = if heads.is_power_of_two() { heads } else { heads.next_power_of_two() / 2 };
    let of = |i: usize, n: usize| 2f64.powf(-8.0 * i as f64 / n as f64) as f32;
    match head < whole {
        true => of(head + 1, whole),
        false => of(2 * (head - whole) + 1, 2 * whole),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slopes_of_eight_and_of_twelve_heads() {
        let all = |heads: usize| (0..heads).map(|h| slope(h, heads)).collect::<Vec<_>>();
        assert_eq!(all(8)[0], 0.5);
        assert_eq!(all(8)[7], 1.0 / 256.0);
        assert_eq!(all(12)[..8], all(8));
        assert_eq!(all(12)[8..], [all(16)[0], all(16)[2], all(16)[4], all(16)[6]]);
    }
}
