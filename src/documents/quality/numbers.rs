//! Numbers of both texts, with decimals and thousands as each language sets
//! them off.

use std::ops::Range;

use super::digits::digit;
use super::{Done, Finding, Kind, Severity, Texts, overlaps, spelled};

/// A number of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Number {
    pub span: Range<usize>,
    /// As its language reads it: digits, and a point before decimals.
    pub value: String,
    /// As others would read it.
    pub other: Option<String>,
    /// With a word such as *million* after it.
    pub scaled: Option<String>,
}

pub fn check(texts: Texts<'_>, done: &Done, findings: &mut Vec<Finding>) {
    let (source, target) = (
        numbers(texts.source, texts.source_language, &done.source),
        numbers(texts.target, texts.target_language, &done.target),
    );
    let mut free: Vec<bool> = vec![true; target.len()];
    let mut left = Vec::new();
    let mut separators = Vec::new();
    // First those that are the same as their languages read them, so that the
    // others do not take their partners.
    for pass in [true, false] {
        let open: Vec<&Number> = match pass {
            true => source.iter().collect(),
            false => std::mem::take(&mut left),
        };
        for number in open {
            let partner = (0..target.len()).find(|&at| {
                free[at]
                    && if pass { same(number, &target[at]) } else { alike(number, &target[at]) }
            });
            match partner {
                Some(at) => {
                    free[at] = false;
                    if !pass {
                        separators.push((number, &target[at]));
                    }
                }
                None => left.push(number),
            }
        }
    }
    for (number, partner) in separators {
        let why = format!(
            "{} is {} in the translation, which its language reads as another number",
            &texts.source[number.span.clone()],
            &texts.target[partner.span.clone()],
        );
        let finding = Finding::new(Kind::Separator, Severity::Minor, why);
        findings.push(finding.in_source(number.span.clone()).in_target(partner.span.clone()));
    }
    for number in left {
        if in_words(number, texts.target, texts.target_language) {
            continue;
        }
        let shown = &texts.source[number.span.clone()];
        let why = format!("the number {shown} is not in the translation");
        let finding = Finding::new(Kind::Number, Severity::Major, why);
        findings.push(finding.in_source(number.span.clone()));
    }
    for (number, _) in target.iter().zip(free).filter(|(_, free)| *free) {
        if in_words(number, texts.source, texts.source_language) {
            continue;
        }
        let shown = &texts.target[number.span.clone()];
        let why = format!("the number {shown} is not in the source");
        let finding = Finding::new(Kind::Number, Severity::Major, why);
        findings.push(finding.in_target(number.span.clone()));
    }
}

fn same(a: &Number, b: &Number) -> bool {
    let values = |n: &Number| [Some(n.value.clone()), n.scaled.clone()];
    values(a).iter().flatten().any(|x| values(b).iter().flatten().any(|y| x == y))
}

fn alike(a: &Number, b: &Number) -> bool {
    a.other.as_ref() == Some(&b.value)
        || b.other.as_ref() == Some(&a.value)
        || (a.other.is_some() && a.other == b.other)
}

/// Written in words, or as a Roman numeral. Where we do not know the words of
/// the language, small numbers are taken to be.
fn in_words(number: &Number, text: &str, language: &str) -> bool {
    let Ok(value) = number.value.parse::<u32>() else { return false };
    spelled::has(value, text, language)
}

/// The numbers of a text, but for those in `done`.
pub fn numbers(text: &str, language: &str, done: &[Range<usize>]) -> Vec<Number> {
    let chars: Vec<(usize, char)> = text.char_indices().collect();
    let mut found = Vec::new();
    let mut at = 0;
    while at < chars.len() {
        if digit(chars[at].1).is_none() {
            at += 1;
            continue;
        }
        let (end, groups) = groups(&chars, at);
        let stop = chars.get(end).map_or(text.len(), |(place, _)| *place);
        let span = chars[at].0..stop;
        if !overlaps(done, &span) {
            let (value, other) = read(&groups, language);
            let scaled = spelled::magnitude(&text[stop..]).map(|zeros| shift(&value, zeros));
            found.push(Number { span, value, other, scaled });
        }
        at = end;
    }
    found
}

/// Groups of digits with what is before each, and where they end.
fn groups(chars: &[(usize, char)], from: usize) -> (usize, Vec<(char, String)>) {
    let run = |mut at: usize| {
        let mut digits = String::new();
        while let Some(value) = chars.get(at).and_then(|(_, c)| digit(*c)) {
            digits.extend(char::from_digit(value, 10));
            at += 1;
        }
        (at, digits)
    };
    let (mut at, first) = run(from);
    let mut groups = vec![('\0', first)];
    while let Some(&(_, separator)) = chars.get(at) {
        let (after, digits) = run(at + 1);
        let grouped = match separator {
            '.' | ',' | '٫' | '٬' => !digits.is_empty(),
            // A space or an apostrophe only groups three by three.
            ' ' | '\u{a0}' | '\u{202f}' | '\u{2009}' | '\'' | '’' => {
                let before = groups.last().map_or(0, |(_, digits)| digits.len());
                let first = groups.len() == 1;
                let like = groups.iter().skip(1).all(|(other, _)| *other == separator);
                digits.len() == 3 && like && (before == 3 || first && (1..=3).contains(&before))
            }
            _ => false,
        };
        if !grouped {
            break;
        }
        groups.push((separator, digits));
        at = after;
    }
    (at, groups)
}

/// The decimal mark of a language: `.` or `,`, or either.
fn decimal(language: &str) -> Option<char> {
    match language {
        "en" | "zh" | "zt" | "ja" | "ko" | "th" | "hi" | "mr" | "bn" | "ta" | "te" | "gu"
        | "kn" | "ml" | "pa" | "ur" | "he" | "sw" | "ga" | "mt" | "yo" | "ig" | "ha" | "am"
        | "my" | "ms" | "tl" | "ne" | "si" => Some('.'),
        // Spain and Mexico, Egypt and Morocco, Switzerland and Germany differ.
        "es" | "ar" | "fa" | "" => None,
        _ => Some(','),
    }
}

/// The value, and what it would be with the other decimal mark.
fn read(groups: &[(char, String)], language: &str) -> (String, Option<String>) {
    let joined = |upto: usize| groups[..upto].iter().map(|(_, d)| d.as_str()).collect::<String>();
    let whole = || plain(&joined(groups.len()), "");
    let last = groups.len() - 1;
    let fraction = || plain(&joined(last), &groups[last].1);
    let count = |mark: char| groups.iter().filter(|(m, _)| *m == mark).count();
    let mark = groups[last].0;
    if last == 0 {
        return (whole(), None);
    }
    if mark == '٫' {
        return (fraction(), None);
    }
    if !['.', ','].contains(&mark) {
        return (whole(), None);
    }
    let other_marks = groups.iter().skip(1).any(|(m, _)| *m != mark);
    let threes = groups[1..].iter().enumerate().all(|(at, (_, digits))| {
        // As in 12,34,567.
        digits.len() == 3 || (digits.len() == 2 && at + 1 < last)
    });
    match () {
        () if other_marks && count(mark) == 1 => (fraction(), None),
        () if count(mark) > 1 && threes => (whole(), None),
        // A version, a section, a date: as it is.
        () if count(mark) > 1 => {
            let parts: Vec<&str> = groups.iter().map(|(_, digits)| digits.as_str()).collect();
            (parts.join("."), None)
        }
        () if !threes || groups[0].1.len() > 3 || groups[0].1 == "0" => (fraction(), None),
        () if decimal(language) == Some(mark) => (fraction(), Some(whole())),
        () => (whole(), Some(fraction())),
    }
}

fn plain(whole: &str, fraction: &str) -> String {
    let whole = whole.trim_start_matches('0');
    let whole = if whole.is_empty() { "0" } else { whole };
    match fraction.trim_end_matches('0') {
        "" => whole.to_owned(),
        fraction => format!("{whole}.{fraction}"),
    }
}

/// A value with its point moved to the right.
fn shift(value: &str, zeros: usize) -> String {
    let (whole, fraction) = value.split_once('.').unwrap_or((value, ""));
    let mut digits = fraction.to_owned();
    while digits.len() < zeros {
        digits.push('0');
    }
    plain(&format!("{whole}{}", &digits[..zeros]), &digits[zeros..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_their_language_does() {
        let check = |language: &str, text: &str, expected: &[&str]| {
            let found: Vec<String> = numbers(text, language, &[])
                .into_iter()
                .map(|n| n.scaled.unwrap_or(n.value))
                .collect();
            assert_eq!(found, expected, "{language}: {text}");
        };
        check("en", "1,234.50 and 1,234 and 0.5 and .5", &["1234.5", "1234", "0.5", "5"]);
        check("de", "1.234,50 und 1.234 und 0,5", &["1234.5", "1234", "0.5"]);
        check("fr", "1 234,5 et 12 345 678", &["1234.5", "12345678"]);
        check("fr", "en 2020 500 personnes", &["2020", "500"]);
        check("ru", "1 234,5", &["1234.5"]);
        check("ar", "١٢٣٫٤٥ و ١٬٢٣٤", &["123.45", "1234"]);
        check("hi", "१२,३४,५६७", &["1234567"]);
        check("en", "12,34,567", &["1234567"]);
        check("de", "1'234'567.25", &["1234567.25"]);
        check("en", "section 1.2.3, 12:30, 5-6", &["1.2.3", "12", "30", "5", "6"]);
        check("en", "1.5 million, 2 billion", &["1500000", "2000000000"]);
        check("fr", "1,5 million, 2 milliards", &["1500000", "2000000000"]);
        check("zh", "150万人，3亿", &["1500000", "300000000"]);
        check("hi", "5 लाख", &["500000"]);
        check("en", "the 21st, G20, CO2", &["21", "20", "2"]);
        check("en", "007", &["7"]);
    }
}
