//! Names in Latin script: words with a capital that stand in one text alone.

use std::collections::HashSet;
use std::ops::Range;

use super::{Done, Finding, Kind, Severity, Texts, overlaps};
use crate::documents::termbase::{bare, words};

/// Letters that a name and what it is in another language begin with.
const STEM: usize = 4;
/// In these every noun has a capital.
const CAPITALS: [&str; 2] = ["de", "lb"];

/// Names that have no like in the translation. Many names are translated, so
/// this is only said where the translation has fewer names than the source.
pub fn check(texts: Texts<'_>, done: &Done, findings: &mut Vec<Finding>) {
    if !latin(texts.target) || CAPITALS.contains(&texts.source_language) {
        return;
    }
    let (mut source, mut target) = (names(texts.source), names(texts.target));
    // A month that was not compared as part of a date is no name.
    source.retain(|span| !overlaps(&done.source, span) && !by_digits(texts.source, span));
    target.retain(|span| !overlaps(&done.target, span));
    if !CAPITALS.contains(&texts.target_language) && target.len() >= source.len() {
        return;
    }
    let known: HashSet<String> =
        words(texts.target, texts.target_language).iter().map(|word| stem(&word.folded)).collect();
    for span in source {
        let name = &texts.source[span.clone()];
        let parts = words(name, texts.source_language);
        if parts.iter().any(|part| known.contains(&stem(&part.folded))) {
            continue;
        }
        let why = format!("the name {name} has no like in the translation");
        findings.push(Finding::new(Kind::Name, Severity::Minor, why).in_source(span));
    }
}

fn by_digits(text: &str, span: &Range<usize>) -> bool {
    let digit = |c: Option<char>| c.is_some_and(|c| c.is_ascii_digit());
    digit(text[..span.start].trim_end().chars().next_back())
        || digit(text[span.end..].trim_start().chars().next())
}

fn stem(folded: &str) -> String {
    bare(folded).chars().take(STEM).collect()
}

fn latin(text: &str) -> bool {
    let letters = text.chars().filter(|c| c.is_alphabetic());
    let (latin, all) =
        letters.fold((0, 0), |(latin, all), c| (latin + usize::from(c < '\u{250}'), all + 1));
    latin * 10 > all * 7
}

/// Sequences of words with a capital, but for the first word of a sentence.
fn names(text: &str) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = Vec::new();
    let mut beginning = true;
    let mut last = 0;
    for word in words(text, "") {
        let between = &text[last..word.span.start];
        beginning |= between.chars().any(|c| ".!?:;\n•–—«“\"(".contains(c)) && last > 0;
        let own = &text[word.span.clone()];
        let capital = own.starts_with(char::is_uppercase) && own.chars().count() > 1;
        if capital && (!beginning || word.capitals) {
            match found.last_mut().filter(|name| name.end == last && between == " ") {
                Some(name) => name.end = word.span.end,
                None => found.push(word.span.clone()),
            }
        }
        // The first word may still begin a name of several.
        beginning = false;
        last = word.span.end;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::names;

    #[test]
    fn names_are_found_within_sentences() {
        let check = |text: &str, expected: &[&str]| {
            let found: Vec<&str> = names(text).into_iter().map(|span| &text[span]).collect();
            assert_eq!(found, expected, "{text}");
        };
        check("The Security Council met in Geneva.", &["Security Council", "Geneva"]);
        check("Noting this. Recalling that, Mr Smith", &["Mr Smith"]);
        check("la Déclaration universelle", &["Déclaration"]);
        check("NATO said", &["NATO"]);
        check("", &[]);
    }
}
