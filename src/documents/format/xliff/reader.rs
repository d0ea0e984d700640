//! Walks through an XLIFF file.

use std::ops::Range;

use quick_xml::events::BytesStart;

use super::unit::{Content, Unit};
use crate::documents::format::spans::Draft;
use crate::documents::format::xml::{Node, Xml, local};
use crate::documents::format::{FormatError, Kind};

const PART: &str = "the XLIFF file";

#[derive(Default)]
pub(super) struct Found {
    pub drafts: Vec<Draft>,
    /// Start tags that name the target language, by this attribute.
    pub languages: Vec<(Range<usize>, &'static str)>,
    pub target_language: Option<String>,
}

/// An element that is open, and what it passes on to those within.
#[derive(Clone)]
struct Element {
    name: String,
    translate: bool,
    /// Ids from the file down, for those elements that have one.
    path: String,
}

struct Reader<'a> {
    xml: Xml<'a>,
    source: &'a str,
    second: bool,
    language: Option<String>,
    open: Vec<Element>,
    unit: Option<Unit>,
    found: Found,
}

pub(super) fn read(source: &str) -> Result<Found, FormatError> {
    let mut reader = Reader {
        xml: Xml::new(source, PART),
        source,
        second: false,
        language: None,
        open: Vec::new(),
        unit: None,
        found: Found::default(),
    };
    let mut root = false;
    loop {
        let (node, range) = reader.xml.next()?;
        match node {
            Node::Start(ref tag) | Node::Empty(ref tag) => {
                if !std::mem::replace(&mut root, true) && local(tag.name().as_ref()) != "xliff" {
                    return Err(not_xliff(local(tag.name().as_ref())));
                }
                reader.start(tag, range, matches!(node, Node::Empty(_)))?;
            }
            Node::End(name) => {
                reader.open.pop();
                reader.end(&name);
            }
            Node::Text(_) | Node::Other => {}
            Node::Eof if !root => return Err(not_xliff("no XML element")),
            Node::Eof if !reader.open.is_empty() => {
                let what = "the file ends within an element".to_owned();
                return Err(reader.xml.fault(range.end as u64, what));
            }
            Node::Eof => return Ok(reader.found),
        }
    }
}

fn not_xliff(found: &str) -> FormatError {
    let found = format!("XML whose root is {found}, not xliff");
    FormatError::WrongKind { expected: Kind::Xliff, found }
}

impl Reader<'_> {
    fn start(
        &mut self,
        tag: &BytesStart<'_>,
        range: Range<usize>,
        empty: bool,
    ) -> Result<(), FormatError> {
        let full = tag.name().as_ref().to_owned();
        let name = local(&full).to_owned();
        let id = self.xml.attribute(tag, "id")?;
        let mut element = self.open.last().cloned().unwrap_or(Element {
            name: String::new(),
            translate: true,
            path: String::new(),
        });
        if let Some(translate) = self.xml.attribute(tag, "translate")? {
            element.translate = translate != "no";
        }
        let file = if name == "file" { self.xml.attribute(tag, "original")? } else { None };
        if let Some(id) = id.clone().or(file) {
            let slash = if element.path.is_empty() { "" } else { "/" };
            element.path = format!("{}{slash}{id}", element.path);
        }
        element.name = name.clone();
        match name.as_str() {
            "xliff" => {
                self.second =
                    self.xml.attribute(tag, "version")?.is_some_and(|v| v.starts_with('2'));
                if self.second {
                    self.languages(tag, ("srcLang", "trgLang"), range.clone())?;
                }
            }
            "file" if !self.second => {
                self.languages(tag, ("source-language", "target-language"), range.clone())?;
            }
            "trans-unit" | "segment" => {
                let mut unit = Unit::new(element.path.clone(), self.second, range.clone());
                let done = if self.second {
                    self.xml.attribute(tag, "state")?.is_some_and(|state| state == "final")
                } else {
                    self.xml.attribute(tag, "approved")?.is_some_and(|approved| approved == "yes")
                };
                unit.translatable = element.translate && !done;
                self.unit = Some(unit);
            }
            "source" | "seg-source" if self.in_unit() => {
                let content = if empty { Content::default() } else { self.content(range.end)? };
                let end = content.end.unwrap_or(range.end);
                if let Some(unit) = &mut self.unit {
                    unit.source = Some(content);
                    unit.prefix = full[..full.len() - name.len()].to_owned();
                    unit.place = end;
                    unit.indent = indentation(self.source, range.start);
                }
                return Ok(());
            }
            "target" if self.in_unit() => {
                let state = self.xml.attribute(tag, "state")?;
                let end = if empty {
                    range.end
                } else {
                    self.content(range.end)?.end.unwrap_or(range.end)
                };
                if let Some(unit) = &mut self.unit {
                    unit.target = Some((range.clone(), range.start..end));
                    unit.translatable &= state.as_deref() != Some("final");
                }
                return Ok(());
            }
            _ => {}
        }
        if !empty {
            self.open.push(element);
        } else if name == "trans-unit" || name == "segment" {
            self.unit = None;
        }
        Ok(())
    }

    /// Whether the element that begins belongs to the unit itself, not to a
    /// proposal or a part of another module within.
    fn in_unit(&self) -> bool {
        self.unit.is_some()
            && self.open.last().is_some_and(|e| matches!(e.name.as_str(), "trans-unit" | "segment"))
    }

    fn end(&mut self, name: &str) {
        if !matches!(name, "trans-unit" | "segment") {
            return;
        }
        let Some(unit) = self.unit.take() else { return };
        if let Some(mut draft) = unit.draft(self.source) {
            draft.language = self.language.clone();
            self.found.drafts.push(draft);
        }
    }

    fn languages(
        &mut self,
        tag: &BytesStart<'_>,
        (source, target): (&'static str, &'static str),
        range: Range<usize>,
    ) -> Result<(), FormatError> {
        self.language = self.xml.attribute(tag, source)?;
        let language = self.xml.attribute(tag, target)?;
        self.found.target_language = self.found.target_language.take().or(language);
        self.found.languages.push((range, target));
        Ok(())
    }

    /// Reads to the end of the element that begins at `start`.
    fn content(&mut self, start: usize) -> Result<Content, FormatError> {
        Content::read(&mut self.xml, start)
    }
}

/// The line break and white space before `at`, to begin another line like it.
fn indentation(source: &str, at: usize) -> String {
    let before = &source[..at];
    let line = before.trim_end_matches([' ', '\t']).len();
    if !before[..line].ends_with('\n') {
        return String::new();
    }
    let newline = if before[..line].ends_with("\r\n") { "\r\n" } else { "\n" };
    format!("{newline}{}", &before[line..])
}
