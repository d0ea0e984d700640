//! Where sentences begin.

use icu_segmenter::SentenceSegmenter;
use icu_segmenter::options::SentenceBreakInvariantOptions;

use super::rules::Rules;

/// Letters and digits of the longest number of a paragraph, such as `xviii`.
const MAX_MARK: usize = 6;

/// Where sentences after the first begin in `text`, in bytes.
pub(super) fn starts(text: &str, language: Option<&str>) -> Vec<usize> {
    let rules = Rules::of(language);
    let segmenter = SentenceSegmenter::new(SentenceBreakInvariantOptions::default());
    let mut ends: Vec<usize> = segmenter.segment_str(text).collect();
    ends.extend(marks(text));
    // Two word spaces are how many write the Ethiopic full stop.
    ends.extend(text.match_indices("፡፡").map(|(at, mark)| {
        let after = at + mark.len();
        after + text[after..].len() - text[after..].trim_start().len()
    }));
    if let Some(mark) = rules.question_mark() {
        let after = text.match_indices(mark).map(|(at, _)| at + mark.len_utf8());
        ends.extend(after.filter_map(|at| {
            let white = text[at..].len() - text[at..].trim_start().len();
            (white > 0).then_some(at + white)
        }));
    }
    ends.sort_unstable();
    ends.dedup();
    let mut starts = Vec::new();
    let mut from = 0;
    for end in ends {
        let end = opening(&text[..end]);
        let end = end + closing(&text[end..]);
        if end == 0 || end >= text.len() || end <= from {
            continue;
        }
        let sentence = text[from..end].trim();
        if ends_sentence(sentence, &text[end..], &rules) {
            starts.push(end);
            from = end;
        }
    }
    // Marks without a word, such as quotes after a space, end a sentence.
    let words = |from: usize, to: usize| text[from..to].chars().any(char::is_alphanumeric);
    let mut kept: Vec<usize> = Vec::with_capacity(starts.len());
    for (index, start) in starts.iter().copied().enumerate() {
        let end = starts.get(index + 1).copied().unwrap_or(text.len());
        if words(start, end) && words(kept.last().copied().unwrap_or(0), start) {
            kept.push(start);
        }
    }
    kept
}

/// Where numbers of paragraphs such as `(b)` stand behind a full stop, which
/// small letters would be taken to go on from.
fn marks(text: &str) -> impl Iterator<Item = usize> {
    text.match_indices('(').map(|(at, _)| at).filter(|at| {
        let before = text[..*at].trim_end();
        let mark = text[*at..].split_whitespace().next().unwrap_or_default();
        before.len() < *at && before.ends_with('.') && mark.ends_with(')') && is_mark(mark)
    })
}

/// Where the quotes and brackets begin that open the next sentence and follow a
/// full stop of Chinese or Japanese without a space; else the text's end.
fn opening(text: &str) -> usize {
    let before = text.trim_end_matches(['（', '「', '『', '《', '〈', '【', '“', '‘', '(']);
    if before.ends_with(['。', '！', '？', '」', '』', '）', '”', '’']) {
        before.len()
    } else {
        text.len()
    }
}

/// The length of quotes and brackets that stand alone at the beginning of
/// `text`, as French sets them, with the white space behind: they close what is
/// before.
fn closing(text: &str) -> usize {
    // A word space of Ethiopic as well, where one follows each word.
    let spaces = text.len() - text.trim_start_matches('፡').len();
    if spaces > 0 {
        return spaces;
    }
    let quotes = text.trim_start_matches(['»', '”', '’', '›', ')', ']']);
    let rest = quotes.trim_start();
    let alone = quotes.len() < text.len() && rest.len() < quotes.len();
    if alone { text.len() - rest.len() } else { 0 }
}

/// Whether `sentence` is one, before `rest`.
fn ends_sentence(sentence: &str, rest: &str, rules: &Rules) -> bool {
    if sentence.is_empty() || is_mark(sentence) {
        return false;
    }
    // Only full stops have other uses.
    if !sentence.ends_with('.') {
        return true;
    }
    if rules.abbreviated(sentence) {
        return false;
    }
    let word = sentence.rsplit(|c: char| c.is_whitespace() || "([«\"“".contains(c)).next();
    let word = word.unwrap_or_default().trim_end_matches('.');
    let letters = word.rsplit(['.', '-', '’', '\'']).next().unwrap_or_default();
    if is_initial(letters) {
        return false;
    }
    let digits = !word.is_empty() && word.chars().all(|c| c.is_ascii_digit());
    // "Nr. 4." is a number, "am 4." an ordinal.
    let before = sentence.trim_end_matches('.').trim_end_matches(word).trim_end();
    if rules.ordinals() && digits && word.len() <= 2 && !before.ends_with('.') {
        return false;
    }
    // A full stop and small letters go on.
    !rest.chars().next().is_some_and(char::is_lowercase)
}

/// A single letter, as of a name.
fn is_initial(word: &str) -> bool {
    let mut letters = word.chars().filter(|c| !is_combining(*c));
    let first = letters.next().is_some_and(|c| c.is_alphabetic() && !is_ideograph(c));
    first && letters.next().is_none()
}

fn is_combining(character: char) -> bool {
    matches!(u32::from(character), 0x0300..=0x036f | 0x0610..=0x061a | 0x064b..=0x065f | 0x0670 | 0x0640)
}

fn is_ideograph(character: char) -> bool {
    matches!(u32::from(character), 0x3400..=0x9fff | 0x3040..=0x30ff | 0xac00..=0xd7af | 0x20000..=0x3ffff)
}

/// Whether a text is the number of a paragraph: `1.`, `(a)`, `IV.`, `2.1.`.
fn is_mark(text: &str) -> bool {
    let within = text.trim_start_matches(['(', '[']).trim_end_matches(['.', ')', ']']);
    let marked = within.len() < text.len();
    let part = |part: &str| {
        let roman = |c: char| "ivxlcdmIVXLCDM".contains(c);
        !part.is_empty()
            && part.chars().count() <= MAX_MARK
            && (part.chars().all(char::is_numeric)
                || part.chars().all(roman)
                || is_initial(part)
                || part.chars().count() == 2 && part.chars().all(char::is_lowercase))
    };
    marked && within.split('.').all(part)
}
