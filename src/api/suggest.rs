//! "Did you mean": the name that a misspelt one is nearest to.

/// The candidate that `given` is most likely a slip for, if any is near.
pub fn closest<'a>(given: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // The distance is quadratic, and no name is anywhere near this long.
    if given.len() > 100 {
        return None;
    }
    let given = given.to_lowercase();
    let allowed = (given.chars().count() / 3).clamp(1, 4);
    candidates
        .map(|name| (distance(&given, name), name))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// Edit distance in characters, where swapping two neighbours, the commonest
/// slip, is one edit (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut cost = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            cost[i][j] = match (i, j) {
                (0, edits) | (edits, 0) => edits,
                _ => {
                    let substituted = cost[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
                    let edited = substituted.min(cost[i - 1][j].min(cost[i][j - 1]) + 1);
                    let swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
                    if swapped { edited.min(cost[i - 2][j - 2] + 1) } else { edited }
                }
            };
        }
    }
    cost[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edit_distance() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("é", "e"), 1);
        assert_eq!(distance("nmae", "name"), 1);
        assert_eq!(closest("max_token", ["max_tokens", "stop"].into_iter()), Some("max_tokens"));
        assert_eq!(closest("x", ["max_tokens", "stop"].into_iter()), None);
    }
}
