//! Bytes to text and back: UTF-8, with or without a byte order mark, and UTF-16
//! with one. What is in another charset is made UTF-8 before it is read, see
//! [`Recoded`].

use super::{Body, FormatError, Kind, Unit, Written};
use crate::documents::charset::{self, Declares, Said};
use crate::documents::tagged::Tagged;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Utf8 { mark: bool },
    Utf16Le,
    Utf16Be,
}

const UTF8_MARK: &[u8] = b"\xEF\xBB\xBF";

/// The text without its byte order mark. `part` names the file in errors.
pub(super) fn decode(bytes: &[u8], part: &str) -> Result<(String, Encoding), FormatError> {
    let decoded = charset::decode(bytes, Declares::Nowhere, None)
        .map_err(|fault| FormatError::Charset { part: part.to_owned(), fault })?;
    let encoding = match decoded.charset.name() {
        "UTF-16LE" => Encoding::Utf16Le,
        "UTF-16BE" => Encoding::Utf16Be,
        _ => Encoding::Utf8 { mark: decoded.said == Said::Mark },
    };
    Ok((decoded.text, encoding))
}

pub(super) fn encode(text: &str, encoding: Encoding) -> Vec<u8> {
    let utf16 = |mark: [u8; 2], bytes: fn(u16) -> [u8; 2]| {
        mark.into_iter().chain(text.encode_utf16().flat_map(bytes)).collect()
    };
    match encoding {
        Encoding::Utf8 { mark: false } => text.as_bytes().to_vec(),
        Encoding::Utf8 { mark: true } => [UTF8_MARK, text.as_bytes()].concat(),
        Encoding::Utf16Le => utf16([0xff, 0xfe], u16::to_le_bytes),
        Encoding::Utf16Be => utf16([0xfe, 0xff], u16::to_be_bytes),
    }
}

impl Encoding {
    /// What a file that is written so declares.
    pub fn label(self) -> &'static str {
        match self {
            Self::Utf8 { .. } => "utf-8",
            Self::Utf16Le | Self::Utf16Be => "utf-16",
        }
    }

    /// Whether this label says what a file is that is written so.
    pub fn is(self, label: &str) -> bool {
        let declared = encoding_rs::Encoding::for_label(label.as_bytes());
        declared.is_some_and(|found| found.name().to_ascii_lowercase().starts_with(self.label()))
    }
}

/// A file as it came.
#[derive(Clone, Copy)]
pub(super) struct Raw<'a> {
    pub bytes: &'a [u8],
    /// The label of the charset that came with it.
    pub charset: Option<&'a str>,
}

impl Raw<'_> {
    /// The beginning of the file as far as it is text, to tell its kind; `None`
    /// if it is binary.
    pub fn glimpse(self) -> Option<String> {
        match charset::utf16(self.bytes, self.charset) {
            Some(charset) => Some(charset.decode(self.bytes).0.into_owned()),
            None if self.bytes.contains(&0) => None,
            None => Some(String::from_utf8_lossy(self.bytes).into_owned()),
        }
    }

    /// The file in UTF-8, if it is in a charset that [`decode`] does not read.
    ///
    /// # Errors
    /// Its bytes are not what they are said to be.
    pub fn recoded(self, kind: Kind) -> Result<Option<String>, FormatError> {
        let (declares, part) = match kind {
            Kind::Text | Kind::Markdown => (Declares::Nowhere, "the text"),
            Kind::Srt => (Declares::Nowhere, "the subtitles"),
            Kind::Html => (Declares::Html, "the page"),
            Kind::Xliff => (Declares::Xml, "the XLIFF file"),
            Kind::Docx | Kind::Pdf => return Ok(None),
        };
        let decoded = charset::decode(self.bytes, declares, self.charset)
            .map_err(|fault| FormatError::Charset { part: part.to_owned(), fault })?;
        let read = decoded.said == Said::Mark || decoded.charset.name() == "UTF-8";
        Ok((!read).then_some(decoded.text))
    }
}

/// A file that was made UTF-8 to be read. Where anything is changed it is written
/// in UTF-8, else as it was.
pub(super) struct Recoded {
    pub body: Box<dyn Body>,
    pub kind: Kind,
    pub text: String,
    pub original: Vec<u8>,
}

impl Body for Recoded {
    fn write(
        &self,
        units: &[Unit],
        texts: &[Tagged],
        to: Option<&str>,
    ) -> Result<Written, FormatError> {
        let Written { bytes, kept } = self.body.write(units, texts, to)?;
        if to.is_none() && bytes == self.text.as_bytes() {
            return Ok(Written { bytes: self.original.clone(), kept });
        }
        // A page that does not say so would be taken for what it was.
        let told = || charset::declared(&bytes).is_some_and(|told| told.name() == "UTF-8");
        let silent = self.kind == Kind::Html && !bytes.starts_with(UTF8_MARK) && !told();
        let bytes = if silent { [UTF8_MARK, &bytes].concat() } else { bytes };
        Ok(Written { bytes, kept })
    }

    fn target_language(&self) -> Option<&str> {
        self.body.target_language()
    }
}
