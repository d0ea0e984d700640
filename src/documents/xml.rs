//! XML of exchange files as a tree, without what XML can do to its reader:
//! entities of its own, and other files.

use roxmltree::{Document, ParsingOptions};

/// What is wrong with a file, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct XmlError {
    /// From 1.
    pub line: usize,
    pub message: String,
}

/// Most nodes of a file.
const MAX_NODES: u32 = 20_000_000;

/// Parses a file. A document type may be named, as TMX does, but defines
/// nothing.
///
/// # Errors
/// The place of the mistake.
pub fn parse(text: &str) -> Result<Document<'_>, XmlError> {
    if let Some(at) = text.find("<!ENTITY") {
        let line = text[..at].matches('\n').count() + 1;
        let message = "the file defines XML entities; leave them out".to_owned();
        return Err(XmlError { line, message });
    }
    let options =
        ParsingOptions { allow_dtd: true, nodes_limit: MAX_NODES, ..ParsingOptions::default() };
    Document::parse_with_options(text, options).map_err(|error| XmlError {
        line: error.pos().row as usize,
        message: format!("the file is not well-formed XML: {error}"),
    })
}

/// Text as it stands in XML, between tags or in an attribute. Characters that
/// XML cannot hold are left out.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            '\t' | '\n' => escaped.push(c),
            '\r' => escaped += "&#13;",
            c if c.is_control() && c < '\u{20}' => {}
            '\u{fffe}' | '\u{ffff}' => {}
            c => escaped.push(c),
        }
    }
    escaped
}
