//! The charset of a file, and its bytes as text.
//!
//! What a file is in is told, in the order of the WHATWG's standard for HTML, by
//! its byte order mark, by whoever sent it, and by the file itself; what nobody
//! tells is UTF-8. Nothing is replaced: bytes that are not of the charset are an
//! error, and so is a file that says another charset than it is in.

mod prescan;

use std::fmt;

use encoding_rs::{DecoderResult, Encoding, REPLACEMENT, UTF_8, UTF_16BE, UTF_16LE};

pub use prescan::{in_content, xml_encoding};

/// How much of a page is looked at first, as browsers do.
const PRESCANNED: usize = 1024;

/// Where a file can say its charset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Declares {
    Nowhere,
    /// In its XML declaration.
    Xml,
    /// In a `meta` element, or in an XML declaration.
    Html,
}

/// Who said what a file is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    Nobody,
    Mark,
    Sender,
    File,
}

/// A file as text, without its byte order mark.
#[derive(Debug, PartialEq)]
pub struct Decoded {
    pub text: String,
    pub charset: &'static Encoding,
    pub said: Said,
}

/// Why bytes are no text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CharsetError {
    /// `offset` is in bytes from the start; lines are from 1.
    #[error(
        "not valid {charset}{said} at byte {offset}, line {line}; {}", mend(*.said, *.declares)
    )]
    Invalid { charset: &'static str, said: Said, declares: Declares, offset: usize, line: usize },
    #[error(
        "not valid UTF-8 at byte {offset}, line {line}, and the charset {label:?} that it declares \
         is not known; save it as UTF-8"
    )]
    Undecodable { label: String, offset: usize, line: usize },
    #[error("the charset {0:?} is not known; send one such as utf-8, windows-1252 or shift_jis")]
    Unknown(String),
    #[error("its bytes are UTF-8, and not {charset}{said}; correct the charset")]
    Contradicted { charset: &'static str, said: Said },
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nobody => "",
            Self::Mark => " (its byte order mark says so)",
            Self::Sender => " (its content type says so)",
            Self::File => " (it declares that)",
        })
    }
}

/// What to do about bytes that are not of their charset.
fn mend(said: Said, declares: Declares) -> &'static str {
    match (said, declares) {
        (Said::Nobody, Declares::Html) => {
            "save it as UTF-8, or declare its charset in a meta element"
        }
        (Said::Nobody, Declares::Xml) => {
            "save it as UTF-8, or declare its charset in the XML declaration"
        }
        (Said::Nobody, Declares::Nowhere) => {
            "save it as UTF-8, or as UTF-16 with a byte order mark"
        }
        (Said::Mark, _) => "save it as UTF-8",
        (Said::Sender | Said::File, _) => "correct the charset, or save it as UTF-8 and say so",
    }
}

/// The text of a file. `sent` is the label that came with it.
///
/// # Errors
/// The bytes are not of the charset, or that is not known.
pub fn decode(
    bytes: &[u8],
    declares: Declares,
    sent: Option<&str>,
) -> Result<Decoded, CharsetError> {
    let sent = sent.map(sender).transpose()?;
    if let Some((charset, mark)) = Encoding::for_bom(bytes) {
        return strict(bytes, mark, charset, (Said::Mark, declares));
    }
    if let Some(charset) = sent {
        return unmarked(bytes, charset, (Said::Sender, declares));
    }
    if let Some(charset) = prescan::utf16(bytes) {
        return strict(bytes, 0, charset, (Said::File, declares));
    }
    let start = &bytes[..bytes.len().min(PRESCANNED)];
    let mut declared = prescan::declared(start, declares);
    let utf8 = std::str::from_utf8(bytes);
    if declared.charset.is_none() && utf8.is_err() {
        // Browsers begin again when they find it later in the page.
        declared = prescan::declared(bytes, declares);
    }
    if let Some(charset) = declared.charset {
        return unmarked(bytes, charset, (Said::File, declares));
    }
    let decoded = strict(bytes, 0, UTF_8, (Said::Nobody, declares));
    match (decoded, declared.unknown) {
        (Err(CharsetError::Invalid { offset, line, .. }), Some(label)) => {
            Err(CharsetError::Undecodable { label, offset, line })
        }
        (decoded, _) => decoded,
    }
}

/// The charset that a file was sent with.
fn sender(label: &str) -> Result<&'static Encoding, CharsetError> {
    Encoding::for_label(label.as_bytes())
        .filter(|charset| *charset != REPLACEMENT)
        .ok_or_else(|| CharsetError::Unknown(label.chars().take(40).collect()))
}

/// The charset that a page declares where browsers look for it first.
pub fn declared(page: &[u8]) -> Option<&'static Encoding> {
    prescan::declared(&page[..page.len().min(PRESCANNED)], Declares::Html).charset
}

/// Whether bytes without words of one byte are UTF-16, by their mark, by their
/// sender or by how XML begins.
pub fn utf16(bytes: &[u8], sent: Option<&str>) -> Option<&'static Encoding> {
    let wide = |charset: &&'static Encoding| *charset == UTF_16LE || *charset == UTF_16BE;
    match (Encoding::for_bom(bytes), sent) {
        (Some((charset, _)), _) => Some(charset).filter(wide),
        (None, Some(label)) => Encoding::for_label(label.as_bytes()).filter(wide),
        (None, None) => prescan::utf16(bytes),
    }
}

/// Bytes without a mark, in a charset that somebody named.
fn unmarked(
    bytes: &[u8],
    charset: &'static Encoding,
    (said, declares): (Said, Declares),
) -> Result<Decoded, CharsetError> {
    // Letters of one byte are never by chance all what UTF-8 has of two and more.
    if charset.is_single_byte() && !bytes.is_ascii() && std::str::from_utf8(bytes).is_ok() {
        return Err(CharsetError::Contradicted { charset: charset.name(), said });
    }
    strict(bytes, 0, charset, (said, declares))
}

/// The text behind the `mark` bytes of a byte order mark.
fn strict(
    bytes: &[u8],
    mark: usize,
    charset: &'static Encoding,
    (said, declares): (Said, Declares),
) -> Result<Decoded, CharsetError> {
    let body = &bytes[mark..];
    let invalid = |at: usize, before: &str| CharsetError::Invalid {
        charset: charset.name(),
        said,
        declares,
        offset: mark + at,
        line: before.matches('\n').count() + 1,
    };
    if charset == UTF_8 {
        let text = std::str::from_utf8(body).map_err(|error| {
            let valid = &body[..error.valid_up_to()];
            invalid(valid.len(), std::str::from_utf8(valid).unwrap_or_default())
        })?;
        return Ok(Decoded { text: text.to_owned(), charset, said });
    }
    let mut decoder = charset.new_decoder_without_bom_handling();
    let mut text = String::new();
    let mut at = 0;
    loop {
        let rest = &body[at..];
        // Most of it in one go; what a character takes at the least otherwise.
        text.reserve(rest.len().max(16));
        let (result, read) = decoder.decode_to_string_without_replacement(rest, &mut text, true);
        at += read;
        match result {
            DecoderResult::InputEmpty => break,
            DecoderResult::OutputFull => {}
            DecoderResult::Malformed(bad, behind) => {
                return Err(invalid(at.saturating_sub(usize::from(bad + behind)), &text));
            }
        }
    }
    Ok(Decoded { text, charset, said })
}

#[cfg(test)]
mod tests;
