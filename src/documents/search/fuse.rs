//! Two orders of the same passages made one.

/// How much the first places differ from the next: reciprocal rank fusion
/// (Cormack, Clarke and Büttcher 2009) with its usual constant.
const K: f32 = 60.0;

/// Shares of the query's words below which a place among the passages that have
/// some counts for nothing, and from which on it counts in full.
const COUNTS: (f32, f32) = (0.3, 0.7);

/// What a place by words is worth, by the share of the query that the passage
/// has. Where a query's language is not that of the passages, they have a few
/// words in common by chance, such as "de", and the first of those would be put
/// before what answers the query.
pub fn worth(share: f32) -> f32 {
    let (nothing, full) = COUNTS;
    ((share - nothing) / (full - nothing)).clamp(0.0, 1.0)
}

/// Passages of both lists with `1 / (K + rank)` of each list summed, best first.
/// In the lexical one it is multiplied by what stands beside the passage.
pub fn fuse(semantic: &[usize], lexical: &[(usize, f32)]) -> Vec<(usize, f32)> {
    let place = |rank: usize| 1.0 / (K + rank as f32 + 1.0);
    let mut fused: Vec<(usize, f32)> =
        semantic.iter().enumerate().map(|(rank, passage)| (*passage, place(rank))).collect();
    let mut known: std::collections::HashMap<usize, usize> =
        fused.iter().enumerate().map(|(at, (passage, _))| (*passage, at)).collect();
    for (rank, (passage, worth)) in lexical.iter().enumerate() {
        let at = *known.entry(*passage).or_insert_with(|| {
            fused.push((*passage, 0.0));
            fused.len() - 1
        });
        fused[at].1 += worth * place(rank);
    }
    // Of equals the one that is semantically nearer.
    fused.sort_by(|a, b| b.1.total_cmp(&a.1));
    fused
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_words_are_worth_nothing() {
        for (share, expected) in [(0.0, 0.0), (0.3, 0.0), (0.5, 0.5), (0.7, 1.0), (1.0, 1.0)] {
            assert!((worth(share) - expected).abs() < 1e-6, "{share}");
        }
    }

    #[test]
    fn places_in_both_lists_count() {
        let check = |semantic: &[usize], lexical: &[(usize, f32)], expected: &[(usize, f32)]| {
            let found = fuse(semantic, lexical);
            let ids = |list: &[(usize, f32)]| list.iter().map(|(id, _)| *id).collect::<Vec<_>>();
            assert_eq!(ids(&found), ids(expected));
            for ((_, found), (_, expected)) in found.iter().zip(expected) {
                assert!((found - expected).abs() < 1e-6, "{found} is not {expected}");
            }
        };
        check(
            &[4, 5, 6],
            &[(6, 1.0), (7, 1.0)],
            &[(6, 1.0 / 63.0 + 1.0 / 61.0), (4, 1.0 / 61.0), (5, 1.0 / 62.0), (7, 1.0 / 62.0)],
        );
        // What is worth little is put behind.
        check(
            &[4, 5],
            &[(6, 0.1), (5, 0.01)],
            &[(4, 1.0 / 61.0), (5, 1.0 / 62.0 + 0.01 / 62.0), (6, 0.1 / 61.0)],
        );
        check(&[], &[(3, 0.5)], &[(3, 0.5 / 61.0)]);
        check(&[], &[], &[]);
    }
}
