//! XML as events with the places they stand at. Document type definitions are
//! refused, and with them every entity but the five that XML has: entities can
//! grow without end and read other files.

use std::ops::Range;

use quick_xml::Reader;
use quick_xml::events::{BytesRef, BytesStart, Event};

use super::FormatError;

pub(super) struct Xml<'a> {
    reader: Reader<&'a [u8]>,
    part: &'a str,
}

/// What the readers of formats need of an event.
pub(super) enum Node<'a> {
    Start(BytesStart<'a>),
    /// An element without content; no end follows.
    Empty(BytesStart<'a>),
    End(String),
    Text(String),
    /// Comments, processing instructions, the declaration.
    Other,
    Eof,
}

impl<'a> Xml<'a> {
    /// `part` names the file in errors.
    pub fn new(source: &'a str, part: &'a str) -> Self {
        let mut reader = Reader::from_str(source);
        reader.config_mut().check_end_names = true;
        Self { reader, part }
    }

    pub fn next(&mut self) -> Result<(Node<'a>, Range<usize>), FormatError> {
        let start = self.reader.buffer_position();
        let event = match self.reader.read_event() {
            Ok(event) => event,
            Err(error) => {
                return Err(self.fault(self.reader.error_position(), error.to_string()));
            }
        };
        let node = match event {
            Event::Start(tag) => Node::Start(tag),
            Event::Empty(tag) => Node::Empty(tag),
            Event::End(tag) => Node::End(local(tag.name().as_ref()).to_owned()),
            Event::Text(text) => Node::Text(text.xml10_content().into_owned()),
            Event::CData(text) => Node::Text(text.xml10_content().into_owned()),
            Event::GeneralRef(reference) => Node::Text(self.reference(start, &reference)?),
            Event::DocType(_) => return Err(FormatError::Dtd { part: self.part.to_owned() }),
            Event::Comment(_) | Event::PI(_) | Event::Decl(_) => Node::Other,
            Event::Eof => Node::Eof,
        };
        Ok((node, to_usize(start)..to_usize(self.reader.buffer_position())))
    }

    fn reference(&self, at: u64, reference: &BytesRef<'_>) -> Result<String, FormatError> {
        let name = reference.xml10_content();
        let text = format!("&{name};");
        match quick_xml::escape::unescape(&text) {
            Ok(character) => Ok(character.into_owned()),
            Err(_) => Err(self.fault(at, format!("the entity {text} is not one of XML's own"))),
        }
    }

    pub fn fault(&self, offset: u64, what: String) -> FormatError {
        FormatError::Xml { part: self.part.to_owned(), offset, what }
    }

    /// The value of an attribute, by its name with the prefix that is usual.
    pub fn attribute(
        &self,
        tag: &BytesStart<'_>,
        name: &str,
    ) -> Result<Option<String>, FormatError> {
        let at = self.reader.buffer_position();
        match tag.try_get_attribute(name) {
            Ok(None) => Ok(None),
            Ok(Some(attribute)) => match quick_xml::escape::unescape(&attribute.value) {
                Ok(value) => Ok(Some(value.into_owned())),
                Err(error) => Err(self.fault(at, error.to_string())),
            },
            Err(error) => Err(self.fault(at, error.to_string())),
        }
    }
}

fn to_usize(position: u64) -> usize {
    usize::try_from(position).unwrap_or(usize::MAX)
}

/// A name without its prefix.
pub(super) fn local(name: &str) -> &str {
    name.rsplit_once(':').map_or(name, |(_, local)| local)
}

/// The prefix of a name with its colon, or nothing.
pub(super) fn prefix(name: &str) -> &str {
    &name[..name.len() - local(name).len()]
}

/// A start tag with an attribute set; `tag` is its source.
pub(super) fn with_attribute(tag: &str, name: &str, value: &str) -> String {
    let value = quick_xml::escape::escape(value);
    if let Some(range) = attribute_value(tag, name) {
        return format!("{}{value}{}", &tag[..range.start], &tag[range.end..]);
    }
    let end = tag.trim_end_matches('>').trim_end_matches('/').trim_end().len();
    format!("{} {name}=\"{value}\"{}", &tag[..end], &tag[end..])
}

/// Where the value of an attribute stands in the source of a start tag.
fn attribute_value(tag: &str, name: &str) -> Option<Range<usize>> {
    let mut at = tag.find(|c: char| c.is_ascii_whitespace())?;
    loop {
        let equals = at + tag[at..].find('=')?;
        let quote = equals + tag[equals..].find(['"', '\''])?;
        let mark = tag[quote..].chars().next()?;
        let end = quote + 1 + tag[quote + 1..].find(mark)?;
        if tag[at..equals].trim() == name {
            return Some(quote + 1..end);
        }
        at = end + 1;
    }
}
