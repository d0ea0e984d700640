//! Texts that were not translated, that repeat themselves, or that are in
//! another language than they should be.

use std::collections::HashMap;

use super::{Finding, Kind, Severity, Texts};
use crate::documents::language::detect;
use crate::documents::termbase::{unspaced, words};

/// Fewer words may be names, or the same in both languages.
const FEWEST_WORDS: usize = 3;
/// Letters from which on a language is told well enough.
const TELLING: usize = 30;
/// Confidence from which on another language counts.
const SURE: f32 = 0.8;

/// Says whether the target is a copy of the source.
pub fn check(texts: Texts<'_>, findings: &mut Vec<Finding>) -> bool {
    let differ = texts.source_language != texts.target_language;
    let copied = differ && copy(texts);
    if copied {
        let why = "the translation is the source, word for word";
        let finding = Finding::new(Kind::Untranslated, Severity::Critical, why);
        findings.push(finding.in_source(0..texts.source.len()).in_target(0..texts.target.len()));
    }
    repeated(texts, findings);
    if !copied {
        language(texts, findings);
    }
    copied
}

fn copy(texts: Texts<'_>) -> bool {
    let tokens = |text: &str| -> Vec<String> {
        match unspaced(text) {
            true => text.chars().filter(|c| c.is_alphabetic()).map(String::from).collect(),
            false => (words(text, "").into_iter().map(|word| word.folded))
                .filter(|word| word.chars().any(char::is_alphabetic))
                .collect(),
        }
    };
    let (source, target) = (tokens(texts.source), tokens(texts.target));
    let lower = |text: &str| text.chars().any(char::is_lowercase);
    let enough = source.len() >= FEWEST_WORDS && (lower(texts.source) || unspaced(texts.source));
    if !enough || target.is_empty() {
        return false;
    }
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for token in &source {
        *counts.entry(token).or_default() += 1;
    }
    let shared = target.iter().filter(|token| {
        counts.get_mut(token.as_str()).is_some_and(|count| {
            let there = *count > 0;
            *count = count.saturating_sub(1);
            there
        })
    });
    // Neighbours share words; nine of ten is more than that.
    shared.count() * 10 >= source.len().max(target.len()) * 9
}

/// The same words over and over at the end of a text, as models that lost their
/// way write them.
fn repeated(texts: Texts<'_>, findings: &mut Vec<Finding>) {
    let span_of = |text: &str| -> Option<std::ops::Range<usize>> {
        let tokens: Vec<(usize, String)> = match unspaced(text) {
            true => text.char_indices().map(|(at, c)| (at, c.to_string())).collect(),
            false => words(text, "").into_iter().map(|w| (w.span.start, w.folded)).collect(),
        };
        let fewest = if unspaced(text) { 6 } else { 3 };
        for length in 1..=(tokens.len() / 3).min(40) {
            // Three times a phrase; a word alone more often.
            let times = if length < fewest { 6usize.div_ceil(length).max(4) } else { 3 };
            for start in 0..tokens.len().saturating_sub(length * times - 1) {
                let same = (0..length * (times - 1))
                    .all(|at| tokens[start + at].1 == tokens[start + at + length].1);
                if same {
                    let end = tokens.get(start + length * times).map_or(text.len(), |t| t.0);
                    return Some(tokens[start].0..end);
                }
            }
        }
        None
    };
    if let (Some(span), None) = (span_of(texts.target), span_of(texts.source)) {
        let finding =
            Finding::new(Kind::Repetition, Severity::Critical, "the translation repeats itself");
        findings.push(finding.in_target(span));
    }
}

fn language(texts: Texts<'_>, findings: &mut Vec<Finding>) {
    let letters = texts.target.chars().filter(|c| c.is_alphabetic()).count();
    let found = detect(texts.target);
    let Some(language) = found.language else { return };
    let base = |code: &str| match code {
        "zt" => "zh".to_owned(),
        "nb" | "nn" => "nb".to_owned(),
        code => code.to_owned(),
    };
    // What we cannot tell apart from others is not said to be another.
    let wanted = base(texts.target_language);
    if base(language) == wanted || !super::super::language::detected().contains(&wanted.as_str()) {
        return;
    }
    let enough = if unspaced(texts.target) { TELLING / 4 } else { TELLING };
    if letters < enough || found.confidence < SURE {
        return;
    }
    let name = |code: &str| {
        crate::text::known(code).map_or(code.to_owned(), |known| known.name.to_owned())
    };
    let why = format!(
        "the translation seems to be in {} and is to be in {}",
        name(language),
        name(texts.target_language)
    );
    let finding = Finding::new(Kind::Language, Severity::Critical, why);
    findings.push(finding.in_target(0..texts.target.len()));
}
