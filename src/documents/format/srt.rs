//! SubRip subtitles: a number, a line of times, lines of text, an empty line.
//!
//! A subtitle is a unit. Its line breaks are tags, as are `<i>` and its kin and
//! the positions that some players know (`{\an8}`).

use std::collections::BTreeMap;
use std::ops::Range;

use super::flow::{Edges, Flow, Item, Tag};
use super::spans::{Draft, Frag, Options, Spans};
use super::style::Style;
use super::{Body, FormatError, Kind, Unit, Written, encoding};
use crate::documents::tagged::{Piece, Tagged};

pub(super) struct Subtitles(Spans);

pub(super) fn read(bytes: &[u8]) -> Result<(Vec<Unit>, Subtitles), FormatError> {
    let (source, encoding) = encoding::decode(bytes, "the subtitles")?;
    let mut drafts = Vec::new();
    // The lines before the times, then those of the text.
    let mut number = String::new();
    let mut text: Option<Vec<Range<usize>>> = None;
    let mut times = false;
    let mut at = 0;
    for line in source.split_inclusive('\n').chain(["\n"]) {
        let words = line.trim_end_matches(['\r', '\n']);
        let range = at..at + words.len();
        at += line.len();
        if words.trim().is_empty() {
            if let Some(lines) = text.take().filter(|lines| !lines.is_empty()) {
                drafts.extend(subtitle(&source, &lines, &number));
            }
        } else if let Some(lines) = &mut text {
            lines.push(range);
        } else if is_times(words) {
            text = Some(Vec::new());
            times = true;
        } else {
            number = words.trim().to_owned();
        }
    }
    if !times && !source.trim().is_empty() {
        let found = "text without a line of times such as 00:00:01,000 --> 00:00:02,500".to_owned();
        return Err(FormatError::WrongKind { expected: Kind::Srt, found });
    }
    let (units, spans) = Spans::new(source, encoding, drafts);
    Ok((units, Subtitles(spans)))
}

fn is_times(line: &str) -> bool {
    let time = |text: Option<&str>| {
        let text = text.unwrap_or_default().trim();
        let start = text.split_whitespace().next().unwrap_or_default();
        start.contains(':')
            && start.chars().all(|c| c.is_ascii_digit() || matches!(c, ':' | ',' | '.'))
    };
    let mut sides = line.splitn(2, "-->");
    time(sides.next()) && time(sides.next())
}

fn subtitle(source: &str, lines: &[Range<usize>], number: &str) -> Option<Draft> {
    let mut flow = Flow::default();
    for (index, line) in lines.iter().enumerate() {
        if let Some(before) = index.checked_sub(1).and_then(|before| lines.get(before)) {
            flow.empty(before.end..line.start);
        }
        words(source, line.clone(), &mut flow);
    }
    let range = lines.first()?.start..lines.last()?.end;
    let edges = Edges { peel: true, collapse: true };
    let (range, text, tags) = flow.finish(source, range, edges)?;
    let mut draft = Draft::new(range, text, tags, Style::Line);
    draft.id = Some(format!("subtitle {number}"));
    Some(draft)
}

fn words(source: &str, line: Range<usize>, flow: &mut Flow) {
    let mut at = line.start;
    while at < line.end {
        let rest = &source[at..line.end];
        if let Some(length) = markup(rest) {
            let range = at..at + length;
            let frags = vec![Frag::Source(range.clone())];
            let name = rest[1..length - 1].trim_start_matches('/');
            let name = name.split_whitespace().next().unwrap_or_default().to_ascii_lowercase();
            flow.push(
                match rest.as_bytes()[1] {
                    _ if rest.starts_with('{') => Item::Empty(frags),
                    b'/' => Item::Close(name, frags),
                    _ => Item::Open(name, Tag { open: frags, ..Tag::default() }),
                },
                range,
            );
            at += length;
        } else {
            let next = rest.char_indices().skip(1).find(|(_, c)| matches!(c, '<' | '{'));
            let length = next.map_or(rest.len(), |(length, _)| length);
            flow.words(&rest[..length], at..at + length);
            at += length;
        }
    }
}

/// The length of the tag that `text` begins with.
fn markup(text: &str) -> Option<usize> {
    let tag = |end: char, valid: fn(&str) -> bool| {
        let length = text.find(end)? + 1;
        valid(&text[1..length - 1]).then_some(length)
    };
    match text.as_bytes().first()? {
        b'<' => tag('>', |within| {
            let name = within.trim_start_matches('/').split_whitespace().next().unwrap_or_default();
            ["b", "i", "u", "s", "font"].iter().any(|known| name.eq_ignore_ascii_case(known))
        }),
        b'{' => tag('}', |within| {
            within.starts_with('\\') || ["b", "i", "u", "/b", "/i", "/u"].contains(&within)
        }),
        _ => None,
    }
}

impl Subtitles {
    /// Whether a line would be empty, behind which nothing is read.
    fn breaks(&self, index: usize, text: &Tagged) -> bool {
        let Some(slot) = self.0.slots.get(index) else { return false };
        let mut lines = vec![false];
        for piece in text.pieces() {
            let filled = match piece {
                Piece::Words(words) => !words.trim().is_empty(),
                Piece::Open(number) | Piece::Close(number) | Piece::Empty(number) => {
                    let tag = slot.tags.get(number).and_then(|tag| tag.open.first());
                    let ends = matches!(tag, Some(Frag::Source(range))
                        if self.0.source[range.clone()].contains('\n'));
                    if ends {
                        lines.push(false);
                    }
                    !ends
                }
            };
            if let Some(last) = lines.last_mut() {
                *last |= filled;
            }
        }
        lines.contains(&false)
    }
}

impl Body for Subtitles {
    fn write(
        &self,
        units: &[Unit],
        texts: &[Tagged],
        to: Option<&str>,
    ) -> Result<Written, FormatError> {
        let mut texts = texts.to_vec();
        let mut kept = BTreeMap::new();
        for (index, (unit, text)) in units.iter().zip(&mut texts).enumerate() {
            if *text != unit.text && self.breaks(index, text) {
                *text = unit.text.clone();
                kept.insert(index, "a line without words would end the subtitle".to_owned());
            }
        }
        let text = self.0.write(units, &texts, Options { to, ..Options::default() });
        Ok(Written { bytes: encoding::encode(&text, self.0.encoding), kept })
    }
}
