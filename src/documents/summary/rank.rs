//! Which sentences stand for most of a document, each for something else: the
//! first is nearest to the middle of all (and to what is looked for), each next
//! one is so without being near those before it (maximal marginal relevance,
//! Carbonell and Goldstein 1998).

use unicode_segmentation::UnicodeSegmentation;

use crate::documents::vectors::dot;

/// What being near to one that was taken costs, of what relevance gives.
const REDUNDANCY: f32 = 0.5;
/// Numbers of a vector that is made of words.
const DIMENSIONS: usize = 1024;

/// Places of the `count` sentences that are to be taken, the best first. `near`
/// is the vector of what is looked for; all vectors are of length 1.
pub fn rank(vectors: &[Vec<f32>], near: Option<&[f32]>, count: usize) -> Vec<usize> {
    let Some(width) = vectors.first().map(Vec::len) else { return Vec::new() };
    let mut middle = vec![0.0f32; width];
    for vector in vectors {
        middle.iter_mut().zip(vector).for_each(|(sum, value)| *sum += value);
    }
    let length = dot(&middle, &middle).sqrt().max(f32::MIN_POSITIVE);
    let relevance: Vec<f32> = (vectors.iter())
        .map(|vector| {
            let central = dot(vector, &middle) / length;
            // What is looked for weighs twice what is usual.
            near.map_or(central, |near| (central + 2.0 * dot(vector, near)) / 3.0)
        })
        .collect();
    let mut closest = vec![0.0f32; vectors.len()];
    let mut taken: Vec<usize> = Vec::with_capacity(count.min(vectors.len()));
    while taken.len() < count.min(vectors.len()) {
        let value = |at: &usize| relevance[*at] - REDUNDANCY * closest[*at];
        let free = (0..vectors.len()).filter(|at| !taken.contains(at));
        // Of equals the first.
        let best = free.max_by(|a, b| value(a).total_cmp(&value(b)).then(b.cmp(a)));
        let Some(best) = best else { break };
        taken.push(best);
        for (closest, vector) in closest.iter_mut().zip(vectors) {
            *closest = closest.max(dot(vector, &vectors[best]));
        }
    }
    taken
}

/// A vector of a text's words, for where there is no model that embeds.
pub fn by_words(text: &str) -> Vec<f32> {
    let mut vector = vec![0.0f32; DIMENSIONS];
    for word in text.unicode_words() {
        // FNV-1a, so that the same words give the same vector everywhere.
        let hash = word.to_lowercase().bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
        });
        let place = usize::try_from(hash % DIMENSIONS as u64).unwrap_or(0);
        vector[place] += 1.0;
    }
    let length = dot(&vector, &vector).sqrt().max(f32::MIN_POSITIVE);
    vector.iter_mut().for_each(|value| *value /= length);
    vector
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranked(texts: &[&str], near: Option<&str>, count: usize) -> Vec<usize> {
        let vectors: Vec<_> = texts.iter().map(|text| by_words(text)).collect();
        rank(&vectors, near.map(by_words).as_deref(), count)
    }

    #[test]
    fn sentences_that_say_the_same_are_not_both_taken() {
        let texts = [
            "the council met in may",
            "the water of the river belongs to all states",
            "the water of the river belongs to all the states",
            "states pay for the network",
        ];
        let taken = ranked(&texts, None, 2);
        assert!(taken.contains(&1) != taken.contains(&2), "{taken:?}");
        assert_eq!(ranked(&texts, Some("who pays for the network"), 1), [3]);
        assert_eq!(ranked(&texts, None, 9).len(), 4);
        assert!(ranked(&[], None, 3).is_empty());
        assert_eq!(ranked(&["…", "…"], None, 2), [0, 1]);
    }
}
