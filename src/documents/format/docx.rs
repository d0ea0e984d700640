//! Word documents (WordprocessingML). Units are paragraphs, those of headers,
//! footers, notes, comments, tables and text boxes among them.
//!
//! Runs of the same properties are read as one. The properties of most of a
//! paragraph's words go without a tag; others, links and tracked insertions are
//! tags around their words. Everything else within a paragraph (tabs, breaks,
//! marks of notes, bookmarks, fields, pictures) is a tag without words. Only
//! parts that have changed are written anew.

mod atoms;
mod part;

use std::collections::{BTreeMap, BTreeSet};

use super::archive::Archive;
use super::spans::{Options, Spans};
use super::xml::{Node, Xml};
use super::{Body, FormatError, Kind, Unit, Written, encoding};
use crate::documents::charset::xml_encoding;
use crate::documents::tagged::Tagged;

/// Content types of the parts that hold paragraphs, by their ends.
const PARTS: &[&str] = &[
    "document.main+xml",
    "document.macroEnabled.main+xml",
    "template.main+xml",
    "wordprocessingml.header+xml",
    "wordprocessingml.footer+xml",
    "wordprocessingml.footnotes+xml",
    "wordprocessingml.endnotes+xml",
    "wordprocessingml.comments+xml",
];

/// Bytes of all parts that are read.
const MAX_TOTAL: usize = 128 << 20;

pub(super) struct Package {
    archive: Archive,
    /// Names, spans and the number of units of the parts that have any.
    parts: Vec<(String, Spans, usize)>,
}

pub(super) fn read(bytes: &[u8]) -> Result<(Vec<Unit>, Package), FormatError> {
    let archive = Archive::open(bytes)?;
    let mut all = Vec::new();
    let mut parts = Vec::new();
    let mut total = 0;
    for name in part_names(&archive)? {
        let Some(content) = archive.part(&name)? else { continue };
        total += content.len();
        if total > MAX_TOTAL {
            let limit = format!("{} MiB", MAX_TOTAL >> 20);
            return Err(FormatError::TooLarge { what: "the document's text".to_owned(), limit });
        }
        let (source, encoding) = encoding::decode(&content, &name)?;
        let drafts = part::collect(&source, &name)?;
        let (units, mut spans) = Spans::new(source, encoding, drafts);
        spans.declared.extend(xml_encoding(spans.source.as_bytes()));
        parts.push((name, spans, units.len()));
        all.extend(units);
    }
    Ok((all, Package { archive, parts }))
}

/// The parts that hold paragraphs, in the order of reading: the document first.
fn part_names(archive: &Archive) -> Result<Vec<String>, FormatError> {
    const TYPES: &str = "[Content_Types].xml";
    let other =
        |found: &str| FormatError::WrongKind { expected: Kind::Docx, found: found.to_owned() };
    let Some(types) = archive.part(TYPES)? else {
        return Err(other("a ZIP archive of something else"));
    };
    let (types, _) = encoding::decode(&types, TYPES)?;
    let mut xml = Xml::new(&types, TYPES);
    let mut names = Vec::new();
    loop {
        let tag = match xml.next()?.0 {
            Node::Start(tag) | Node::Empty(tag) => tag,
            Node::Eof => break,
            _ => continue,
        };
        let content = xml.attribute(&tag, "ContentType")?.unwrap_or_default();
        let rank = PARTS.iter().position(|part| content.ends_with(part));
        if let (Some(rank), Some(name)) = (rank, xml.attribute(&tag, "PartName")?) {
            names.push((rank, name.trim_start_matches('/').to_owned()));
        }
    }
    names.sort();
    if names.first().is_none_or(|(rank, _)| *rank > 2) {
        return Err(other("an office document of another kind, such as .xlsx or .pptx"));
    }
    let mut seen = BTreeSet::new();
    Ok(names.into_iter().map(|(_, name)| name).filter(|name| seen.insert(name.clone())).collect())
}

/// The properties of a run for these words, which are in the language `to`.
pub(super) fn properties(prefix: &str, inner: &str, words: &str, to: Option<&str>) -> String {
    let mut inner = inner.to_owned();
    let mut letters = words.chars().filter(|c| c.is_alphabetic());
    let right = match letters.next() {
        Some(first) => is_right_to_left_letter(first) || letters.any(is_right_to_left_letter),
        None => to.is_some_and(super::is_right_to_left),
    };
    if right {
        inner.push_str(&format!("<{prefix}rtl/>"));
    }
    if let Some(to) = to {
        let script = match to.split(['-', '_']).next() {
            _ if right => "bidi",
            Some("zh" | "ja" | "ko") => "eastAsia",
            _ => "val",
        };
        let to = quick_xml::escape::escape(to);
        inner.push_str(&format!("<{prefix}lang {prefix}{script}=\"{to}\"/>"));
    }
    if inner.is_empty() { inner } else { format!("<{prefix}rPr>{inner}</{prefix}rPr>") }
}

fn is_right_to_left_letter(character: char) -> bool {
    matches!(u32::from(character), 0x0590..=0x08ff | 0xfb1d..=0xfdff | 0xfe70..=0xfefc
        | 0x10800..=0x10fff | 0x1e800..=0x1efff)
}

impl Body for Package {
    fn write(
        &self,
        units: &[Unit],
        texts: &[Tagged],
        to: Option<&str>,
    ) -> Result<Written, FormatError> {
        let mut changed = BTreeMap::new();
        let mut first = 0;
        for (name, spans, count) in &self.parts {
            let range = first..first + count;
            first = range.end;
            let (units, texts) = (&units[range.clone()], &texts[range]);
            if units.iter().zip(texts).all(|(unit, text)| unit.text == *text) {
                continue;
            }
            let text = spans.write(units, texts, Options { to, ..Options::default() });
            changed.insert(name.clone(), encoding::encode(&text, spans.encoding));
        }
        Ok(self.archive.with(&changed)?.into())
    }
}
