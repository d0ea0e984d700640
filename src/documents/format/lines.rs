//! Plain text. A unit is a paragraph whose lines were wrapped, or else a line.
//!
//! Lines were wrapped if all but the last of a paragraph are about as long as
//! the longest; verses, addresses and lists are not, and stay lines.

use std::ops::Range;

use super::spans::{Draft, Options, Spans};
use super::style::Style;
use super::{Body, FormatError, Unit, Written, encoding};
use crate::documents::script::spaceless;
use crate::documents::tagged::Tagged;

/// Characters below which the longest line of a paragraph was not wrapped.
const MIN_WIDTH: usize = 40;

/// How much of the longest line a wrapped line may leave empty.
const MAX_SLACK: f64 = 0.3;

pub(super) struct Text(Spans);

/// A line without its end: where it is, and where its words begin.
struct Line {
    range: Range<usize>,
    words: usize,
}

pub(super) fn read(bytes: &[u8]) -> Result<(Vec<Unit>, Text), FormatError> {
    let (source, encoding) = encoding::decode(bytes, "the text")?;
    let mut drafts = Vec::new();
    let mut paragraph: Vec<Line> = Vec::new();
    let mut at = 0;
    for line in source.split_inclusive('\n') {
        let words = line.trim_end();
        let indent = words.len() - words.trim_start().len();
        if words.trim().is_empty() {
            flush(&source, std::mem::take(&mut paragraph), &mut drafts);
        } else {
            // A line that is indented otherwise than the one before it, which
            // is not a paragraph's first, begins something else.
            let same = paragraph.get(1).is_none_or(|l| indentation(&source, l) == &line[..indent]);
            if !same || is_item(words.trim_start()) {
                flush(&source, std::mem::take(&mut paragraph), &mut drafts);
            }
            paragraph.push(Line { range: at..at + words.len(), words: at + indent });
        }
        at += line.len();
    }
    flush(&source, paragraph, &mut drafts);
    let (units, spans) = Spans::new(source, encoding, drafts);
    Ok((units, Text(spans)))
}

fn indentation<'a>(source: &'a str, line: &Line) -> &'a str {
    &source[line.range.start..line.words]
}

/// Whether a line begins with a bullet or a number, as lists do.
fn is_item(line: &str) -> bool {
    let Some(first) = line.split_whitespace().next().filter(|first| first.len() < line.len())
    else {
        return false;
    };
    let numbered = first.trim_start_matches('(').strip_suffix(['.', ')']).is_some_and(|number| {
        number.chars().count() <= 3 && number.chars().all(char::is_alphanumeric)
    });
    numbered || matches!(first, "-" | "*" | "+" | "•" | "–" | "—" | "·")
}

fn flush(source: &str, lines: Vec<Line>, drafts: &mut Vec<Draft>) {
    let length = |line: &Line| source[line.range.clone()].chars().count();
    let width = lines.iter().map(length).max().unwrap_or(0);
    let enough = width as f64 * (1.0 - MAX_SLACK);
    let wrapped = lines.len() > 1
        && width >= MIN_WIDTH
        && lines[..lines.len() - 1].iter().all(|line| length(line) as f64 >= enough);
    if !wrapped {
        for Line { range, words } in lines {
            let text = Tagged::from(&source[words..range.end]);
            drafts.push(Draft::new(words..range.end, text, Default::default(), Style::Line));
        }
        return;
    }
    let range = lines[0].words..lines[lines.len() - 1].range.end;
    let indent = indentation(source, &lines[1]).to_owned();
    let newline = if source[range.clone()].contains("\r\n") { "\r\n" } else { "\n" };
    let text = lines.iter().fold(String::new(), |mut text, line| {
        let words = &source[line.words..line.range.end];
        if needs_space(&text, words) {
            text.push(' ');
        }
        text.push_str(words);
        text
    });
    let style = Style::Wrapped { width, indent, newline };
    drafts.push(Draft::new(range, Tagged::from(text), Default::default(), style));
}

/// Whether a line's end stands for a space: not between characters of scripts
/// that are written without.
pub(super) fn needs_space(before: &str, after: &str) -> bool {
    match (before.chars().next_back(), after.chars().next()) {
        (Some(last), Some(first)) => !(spaceless(last) && spaceless(first)),
        _ => false,
    }
}

impl Body for Text {
    fn write(
        &self,
        units: &[Unit],
        texts: &[Tagged],
        to: Option<&str>,
    ) -> Result<Written, FormatError> {
        let text = self.0.write(units, texts, Options { to, ..Options::default() });
        Ok(encoding::encode(&text, self.0.encoding).into())
    }
}
