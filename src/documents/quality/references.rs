//! Links, symbols of documents, articles and paragraphs of both texts.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

use super::digits::ascii;
use super::{Done, Finding, Kind, Severity, Texts, overlaps};

/// Web and mail addresses, which stay as they are.
pub fn links(texts: Texts<'_>, findings: &mut Vec<Finding>) -> Done {
    static LINK: LazyLock<Regex> = LazyLock::new(|| {
        pattern(
            r"(?i)\b(?:https?://|www\.)[^\s<>]*[^\s<>.,;:!?)\]}»”’。，、؟]|\b[\w.+-]+@[\w-]+(?:\.[\w-]+)+",
        )
    });
    let spans = |text: &str| LINK.find_iter(text).map(|found| found.range()).collect::<Vec<_>>();
    let done = Done { source: spans(texts.source), target: spans(texts.target) };
    let shown = |text: &str, span: &Range<usize>| text[span.clone()].to_owned();
    let targets: Vec<String> = done.target.iter().map(|span| shown(texts.target, span)).collect();
    for span in &done.source {
        let link = shown(texts.source, span);
        if !targets.contains(&link) {
            let why = format!("the link {link} is not in the translation");
            findings.push(Finding::new(Kind::Link, Severity::Major, why).in_source(span.clone()));
        }
    }
    let sources: Vec<String> = done.source.iter().map(|span| shown(texts.source, span)).collect();
    for span in &done.target {
        let link = shown(texts.target, span);
        if !sources.contains(&link) {
            let why = format!("the link {link} is not in the source");
            findings.push(Finding::new(Kind::Link, Severity::Major, why).in_target(span.clone()));
        }
    }
    done
}

/// Symbols of documents (`A/RES/70/1`, `COM(2020) 123`, `2016/679`, the
/// Official Journal's `L 119`), and numbers of articles and paragraphs. The
/// symbols are done with.
pub fn check(texts: Texts<'_>, links: &Done, findings: &mut Vec<Finding>) -> Done {
    let mut done = links.clone();
    let source = symbols(texts.source, &done.source);
    let target = symbols(texts.target, &done.target);
    let mut free = vec![true; target.len()];
    for (span, symbol) in &source {
        done.source.push(span.clone());
        match (0..target.len()).find(|at| free[*at] && target[*at].1 == *symbol) {
            Some(at) => free[at] = false,
            None => {
                let shown = &texts.source[span.clone()];
                let why = format!("the reference {shown} is not in the translation");
                let finding = Finding::new(Kind::Reference, Severity::Major, why);
                findings.push(finding.in_source(span.clone()));
            }
        }
    }
    for ((span, _), free) in target.iter().zip(free) {
        done.target.push(span.clone());
        if free {
            let shown = &texts.target[span.clone()];
            let why = format!("the reference {shown} is not in the source");
            let finding = Finding::new(Kind::Reference, Severity::Major, why);
            findings.push(finding.in_target(span.clone()));
        }
    }
    parts(texts, findings);
    letters(texts, findings);
    done
}

fn symbols(text: &str, done: &[Range<usize>]) -> Vec<(Range<usize>, String)> {
    static SYMBOL: LazyLock<Regex> = LazyLock::new(|| {
        let patterns = [
            // Of the United Nations.
            r"\b[A-Z]{1,6}(?:/[A-Z0-9][A-Za-z0-9.\-]*)+(?:\([IVXLC0-9]+\))?",
            // Of the European Commission.
            r"\b(?:COM|SWD|SEC|JOIN)\s?\(\d{4}\)\s?\d+",
            // Regulations and directives; cases.
            r"\b[CT]-\d+/\d{2}\b",
            r"\b\d{1,4}/\d{1,4}(?:/[A-Z]{2,4})?\b",
            // The Official Journal.
            r"\b[LC] \d{1,3}(?:[ /][A-Z0-9]+)?\b",
        ];
        pattern(&patterns.join("|"))
    });
    let mut found = Vec::new();
    // Other digits have other lengths, so only texts with ours are read.
    for symbol in SYMBOL.find_iter(text) {
        let (range, text) = (symbol.range(), symbol.as_str());
        if text.chars().any(|c| c.is_ascii_digit()) && !overlaps(done, &range) {
            found.push((range, reduced(text)));
        }
    }
    found
}

/// Without the spaces, and the name of the community, which is translated.
fn reduced(symbol: &str) -> String {
    let mut reduced: String = symbol.chars().filter(|c| !c.is_whitespace()).collect();
    for (name, own) in
        [("/EC", "/CE"), ("/EG", "/CE"), ("/EU", "/UE"), ("/EEC", "/CEE"), ("/EWG", "/CEE")]
    {
        if let Some(number) = reduced.strip_suffix(name) {
            reduced = format!("{number}{own}");
            break;
        }
    }
    reduced
}

/// The words for parts of a document, by language; lower case.
static PARTS: [(&str, &str, &str); 10] = [
    ("en", r"articles?|arts?\.", r"paragraphs?|paras?\."),
    ("fr", r"articles?|arts?\.", r"paragraphes?|alinéas?"),
    ("es", r"artículos?|arts?\.", r"párrafos?|apartados?"),
    ("pt", r"artigos?|arts?\.", r"parágrafos?|n\.º"),
    ("it", r"articol[oi]|arts?\.", r"paragraf[oi]|comm[ai]"),
    ("de", r"artikeln?s?|art\.", r"abs(?:ätzen?|atz(?:es)?|\.)|ziffern?"),
    ("nl", r"artikel(?:en)?|art\.", r"leden|lid|paragraaf|paragrafen"),
    ("ru", r"стать(?:я|и|е|ю|ей|ям|ями|ях)|ст\.", r"пункт(?:а|у|е|ом|ы|ов|ам|ами|ах)?|п\."),
    ("ar", r"(?:و|ب|ل)?(?:ال|لل)?(?:مادة|مواد|مادتين)", r"(?:و|ب|ل)?(?:ال|لل)?(?:فقرة|فقرات)"),
    ("pl", r"artykuł(?:u|y|ów|em|ami)?|art\.", r"ustęp(?:u|y|ów|ami)?|ust\.|paragraf(?:u|y|ów)?"),
];

/// The numbers that articles and paragraphs of a text have; `None` for
/// languages whose words for them we do not know.
fn numbers_of_parts(text: &str, language: &str) -> Option<[Vec<String>; 2]> {
    static PATTERNS: LazyLock<Vec<(&str, [Regex; 2])>> = LazyLock::new(|| {
        let compiled =
            |words: &str| pattern(&format!(r"(?i)(?:^|[^\p{{L}}\p{{M}}])(?:{words})\s*\(?(\d+)"));
        let chinese = ("zh", [pattern(r"第\s*(\d+)\s*[条條]"), pattern(r"第\s*(\d+)\s*[款段]")]);
        let row = |(language, articles, paragraphs): &(&'static str, &str, &str)| {
            (*language, [compiled(articles), compiled(paragraphs)])
        };
        PARTS.iter().map(row).chain([chinese]).collect()
    });
    let (_, patterns) = PATTERNS.iter().find(|(known, _)| *known == language)?;
    let text = ascii(text);
    let all = |pattern: &Regex| {
        let number =
            |groups: regex::Captures<'_>| groups.get(1).map(|found| found.as_str().to_owned());
        let mut numbers: Vec<String> = pattern.captures_iter(&text).filter_map(number).collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers
    };
    Some(patterns.each_ref().map(all))
}

/// *Article 5, paragraph 3* has become *Article 3, paragraph 5*: all numbers are
/// there and do not stand with the words they stood with.
fn parts(texts: Texts<'_>, findings: &mut Vec<Finding>) {
    let source = numbers_of_parts(texts.source, texts.source_language);
    let target = numbers_of_parts(texts.target, texts.target_language);
    let (Some(source), Some(target)) = (source, target) else { return };
    for (at, name) in ["article", "paragraph"].into_iter().enumerate() {
        // A translation may say "it" or "Articles 5 and 6".
        if target[at].is_empty() {
            continue;
        }
        for number in source[at].iter().filter(|number| !target[at].contains(number)) {
            let instead = target[1 - at].contains(number)
                || !target[at].iter().all(|n| source[at].contains(n));
            if instead {
                let why = format!(
                    "{name} {number} of the source is not {name} {number} in the translation"
                );
                findings.push(Finding::new(Kind::Reference, Severity::Major, why));
            }
        }
    }
}

/// Letters of items, `(b)`, between languages in Latin script.
fn letters(texts: Texts<'_>, findings: &mut Vec<Finding>) {
    static LETTER: LazyLock<Regex> = LazyLock::new(|| pattern(r"\(([a-z]|[ivx]{1,4})\)"));
    let letters = |text: &str| -> Vec<(Range<usize>, String)> {
        LETTER.find_iter(text).map(|found| (found.range(), found.as_str().to_owned())).collect()
    };
    let (source, target) = (letters(texts.source), letters(texts.target));
    let latin = |text: &str| {
        text.chars()
            .filter(|c| c.is_alphabetic())
            .all(|c| c < '\u{250}' || ('\u{1e00}'..'\u{1f00}').contains(&c))
    };
    if !latin(texts.source) || !latin(texts.target) {
        return;
    }
    // `the party(s)` is no item.
    let plural = |text: &str, span: &Range<usize>| {
        text[..span.start].chars().next_back().is_some_and(char::is_alphabetic)
    };
    let bare = |text: &str, letter: &str| {
        text.contains(&format!("{})", letter.trim_matches(['(', ')'])))
            || text.contains(&format!(" {}.", letter.trim_matches(['(', ')'])))
    };
    for (span, letter) in &source {
        if !target.iter().any(|(_, other)| other == letter)
            && !bare(texts.target, letter)
            && !plural(texts.source, span)
        {
            let why = format!("the item {letter} is not in the translation");
            let finding = Finding::new(Kind::Reference, Severity::Minor, why);
            findings.push(finding.in_source(span.clone()));
        }
    }
}

fn pattern(source: &str) -> Regex {
    Regex::new(source).expect("a pattern of ours is valid")
}
