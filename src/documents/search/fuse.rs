//! Two orders of the same passages made one.

/// How much the first places differ from the next: reciprocal rank fusion
/// (Cormack, Clarke and Büttcher 2009) with its usual constant.
const K: f32 = 60.0;

/// Passages of both lists with `1 / (K + rank)` of each list summed, best first.
///
/// In the lexical one this counts by the share of the query that the passage
/// has: where a query's language is not that of the passages, what little they
/// have in common, such as "de", says nothing, and its first place is no place.
pub fn fuse(semantic: &[usize], lexical: &[(usize, f32)]) -> Vec<(usize, f32)> {
    let place = |rank: usize| 1.0 / (K + rank as f32 + 1.0);
    let mut fused: Vec<(usize, f32)> =
        semantic.iter().enumerate().map(|(rank, passage)| (*passage, place(rank))).collect();
    let mut known: std::collections::HashMap<usize, usize> =
        fused.iter().enumerate().map(|(at, (passage, _))| (*passage, at)).collect();
    for (rank, (passage, share)) in lexical.iter().enumerate() {
        let at = *known.entry(*passage).or_insert_with(|| {
            fused.push((*passage, 0.0));
            fused.len() - 1
        });
        fused[at].1 += share * place(rank);
    }
    // Of equals the one that is semantically nearer.
    fused.sort_by(|a, b| b.1.total_cmp(&a.1));
    fused
}

#[cfg(test)]
mod tests {
    use super::*;

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
        // A word or two in common is no evidence.
        check(
            &[4, 5],
            &[(6, 0.1), (5, 0.01)],
            &[(4, 1.0 / 61.0), (5, 1.0 / 62.0 + 0.01 / 62.0), (6, 0.1 / 61.0)],
        );
        check(&[], &[(3, 0.5)], &[(3, 0.5 / 61.0)]);
        check(&[], &[], &[]);
    }
}
