//! TMX 1.4: units with their variants, inline elements turned to tags.
//!
//! `bpt` and `ept` become a pair, `hi` is a pair, `ph`, `it` and `ut` a tag
//! alone. Tags are numbered by `x` where the file has it, so that those of a
//! source and its translation are the same, and otherwise in order.

use roxmltree::{Document, Node};

use super::{MAX_TEXT, Unit, Variant};
use crate::documents::charset::Declares;
use crate::documents::decode;
use crate::documents::tagged::{Piece, Tagged};
use crate::documents::xml;

const XML: &str = "http://www.w3.org/XML/1998/namespace";

/// A file that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct TmxError {
    /// From 1.
    pub line: usize,
    pub message: String,
}

/// What of a file was left out and why, with its line.
pub type LeftOut = (usize, String);

/// The units of a file, and what of it was left out and why, with its line.
///
/// # Errors
/// What is wrong with the file, and in which line.
pub fn read(bytes: &[u8]) -> Result<(Vec<Unit>, Vec<LeftOut>), TmxError> {
    parse(&decode::decode(bytes, Declares::Xml).map_err(unreadable)?)
}

/// As [`read`] what a file says, whatever charset it declares.
///
/// # Errors
/// As [`read`].
pub fn parse(text: &str) -> Result<(Vec<Unit>, Vec<LeftOut>), TmxError> {
    let text = decode::text(text).map_err(unreadable)?;
    let document =
        xml::parse(text).map_err(|error| TmxError { line: error.line, message: error.message })?;
    let root = document.root_element();
    if root.tag_name().name() != "tmx" {
        let message = format!("the root is <{}>; TMX has <tmx>", root.tag_name().name());
        return Err(TmxError { line: 1, message });
    }
    let (mut units, mut left_out) = (Vec::new(), Vec::new());
    for node in root.descendants().filter(|node| node.has_tag_name("tu")) {
        let unit = unit(&document, node, &mut left_out)?;
        match unit.texts.len() {
            0 | 1 => {
                left_out.push((line(&document, &node), "the unit has fewer than two texts".into()))
            }
            _ => units.push(unit),
        }
    }
    match units.is_empty() {
        true => Err(TmxError { line: 1, message: "the file has no units with two texts".into() }),
        false => Ok((units, left_out)),
    }
}

fn unreadable(why: String) -> TmxError {
    TmxError { line: 1, message: format!("the file cannot be read: {why}") }
}

fn line(document: &Document<'_>, node: &Node<'_, '_>) -> usize {
    document.text_pos_at(node.range().start).row as usize
}

fn unit(
    document: &Document<'_>,
    node: Node<'_, '_>,
    left_out: &mut Vec<LeftOut>,
) -> Result<Unit, TmxError> {
    let mut unit = Unit { changed: changed(node), ..Unit::default() };
    unit.note = (node.children().find(|child| child.has_tag_name("note")))
        .and_then(|note| note.text().map(|text| text.trim().to_owned()))
        .filter(|note| !note.is_empty());
    for variant in node.children().filter(|child| child.has_tag_name("tuv")) {
        let at = line(document, &variant);
        let error = |message: String| TmxError { line: at, message };
        let tag = variant.attribute((XML, "lang")).or_else(|| variant.attribute("lang"));
        let tag = tag.ok_or_else(|| error("<tuv> has no xml:lang".into()))?;
        let language = crate::text::known(tag)
            .map_or_else(|| tag.to_ascii_lowercase(), |known| known.short.to_owned());
        let segment = variant.children().find(|child| child.has_tag_name("seg"));
        let segment = segment.ok_or_else(|| error("<tuv> has no <seg>".into()))?;
        let mut pieces = Vec::new();
        Reader::default().read(segment, &mut pieces);
        let text = match Tagged::new(pieces) {
            Ok(tagged) => tagged.marked(),
            Err(fault) => {
                left_out.push((at, format!("the text's inline elements do not fit: {fault}")));
                continue;
            }
        };
        let length = text.chars().count();
        if length > MAX_TEXT {
            left_out
                .push((at, format!("the text has {length} characters; the limit is {MAX_TEXT}")));
        } else if unit.texts.iter().any(|text| text.language == language) {
            left_out.push((at, format!("the unit has a text in {language:?} already")));
        } else if !text.trim().is_empty() {
            unit.texts.push(Variant { language, text });
        }
        unit.changed = unit.changed.max(changed(variant));
    }
    Ok(unit)
}

/// `changedate`, or `creationdate`: `20260131T235959Z`.
fn changed(node: Node<'_, '_>) -> u64 {
    let date = node.attribute("changedate").or_else(|| node.attribute("creationdate"));
    date.and_then(seconds).unwrap_or(0)
}

fn seconds(date: &str) -> Option<u64> {
    let at = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", date.trim()).ok()?;
    let at = at.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    u64::try_from(at.timestamp().as_second()).ok()
}

/// Numbers the tags of a segment.
#[derive(Default)]
struct Reader {
    /// Of the tags so far.
    taken: Vec<u32>,
    /// What `i` of a `bpt` was numbered.
    open: Vec<(String, u32)>,
}

impl Reader {
    fn read(&mut self, node: Node<'_, '_>, pieces: &mut Vec<Piece>) {
        for child in node.children() {
            if let Some(text) = child.text().filter(|_| child.is_text()) {
                pieces.push(Piece::Words(text.to_owned()));
            }
            let key = child.attribute("i").unwrap_or_default().to_owned();
            // What is in a code is not words; `sub` in it is rare and goes with it.
            match child.tag_name().name() {
                "bpt" => {
                    let number = self.number(child);
                    self.open.push((key, number));
                    pieces.push(Piece::Open(number));
                }
                "ept" => {
                    let place = self.open.iter().rposition(|(open, _)| *open == key);
                    match place.map(|place| self.open.remove(place).1) {
                        Some(number) => pieces.push(Piece::Close(number)),
                        None => pieces.push(Piece::Empty(self.number(child))),
                    }
                }
                "hi" => {
                    let number = self.number(child);
                    pieces.push(Piece::Open(number));
                    self.read(child, pieces);
                    pieces.push(Piece::Close(number));
                }
                "ph" | "it" | "ut" => pieces.push(Piece::Empty(self.number(child))),
                _ => {}
            }
        }
    }

    /// `x` where it is a number that is free, or the next.
    fn number(&mut self, node: Node<'_, '_>) -> u32 {
        let given = node.attribute("x").and_then(|x| x.parse::<u32>().ok());
        let given = given.filter(|n| (1..=999_999).contains(n) && !self.taken.contains(n));
        let number = given.unwrap_or_else(|| self.taken.iter().max().map_or(1, |last| last + 1));
        self.taken.push(number);
        number
    }
}

#[cfg(test)]
mod tests {
    use super::seconds;

    #[test]
    fn dates_are_counted_from_1970() {
        assert_eq!(seconds("19700101T000000Z"), Some(0));
        assert_eq!(seconds("20000229T120000Z"), Some(951_825_600));
        assert_eq!(seconds("20261127T133015Z"), Some(1_795_786_215));
        assert_eq!(seconds("2026"), None);
        assert_eq!(seconds("20é61127T133015Z"), None);
    }
}
