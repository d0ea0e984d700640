//! What attention scores get by the distance of two tokens.

use crate::backend::DistanceBias;
use crate::models::config::{Bias, EncoderConfig, Positions};
use crate::models::error::LoadError;
use crate::models::weights::Weights;

/// Distances from here on share the last range.
const FAR: f32 = 128.0;

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
                table[range(distance, ranges)][head]
            }))
        }
    })
}

/// The range a distance is in, as in T5: half of them for keys after the row,
/// half of those for single distances, the others wider the farther they are.
fn range(distance: i64, ranges: usize) -> usize {
    let (side, half) = (if distance > 0 { ranges / 2 } else { 0 }, ranges / 2);
    let (exact, distance) = (half / 2, distance.unsigned_abs() as usize);
    if distance < exact {
        return side + distance;
    }
    let share = (distance as f32 / exact as f32).ln() / (FAR / exact as f32).ln();
    side + (exact + (share * (half - exact) as f32) as usize).min(half - 1)
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
    fn ranges_are_symmetric_and_grow() {
        for (distance, expected) in
            [(0, 0), (-1, 1), (1, 17), (-7, 7), (-8, 8), (8, 24), (-16, 10), (-127, 15), (500, 31)]
        {
            assert_eq!(range(distance, 32), expected, "{distance}");
        }
    }

    #[test]
    fn slopes_of_eight_and_of_twelve_heads() {
        let all = |heads: usize| (0..heads).map(|h| slope(h, heads)).collect::<Vec<_>>();
        assert_eq!(all(8)[0], 0.5);
        assert_eq!(all(8)[7], 1.0 / 256.0);
        assert_eq!(all(12)[..8], all(8));
        assert_eq!(all(12)[8..], [all(16)[0], all(16)[2], all(16)[4], all(16)[6]]);
    }
}
