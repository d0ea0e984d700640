//! Kinds of files, told by content first and by name second.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::FormatError;
use super::encoding::Raw;

/// Bytes at the start of a file that are looked at.
const LOOKED_AT: usize = 4096;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Text,
    Markdown,
    Html,
    Docx,
    Srt,
    Xliff,
    Pdf,
}

impl Kind {
    /// All of them, for messages.
    pub const NAMES: &str = "text, markdown, html, docx, srt, xliff, pdf";

    /// The kind of this name, as [`fmt::Display`] writes it.
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "text" => Self::Text,
            "markdown" => Self::Markdown,
            "html" => Self::Html,
            "docx" => Self::Docx,
            "srt" => Self::Srt,
            "xliff" => Self::Xliff,
            "pdf" => Self::Pdf,
            _ => return None,
        })
    }

    /// The kind that a file's extension tells.
    pub fn from_extension(name: &str) -> Option<Self> {
        let (_, extension) = name.rsplit_once('.')?;
        Some(match extension.to_ascii_lowercase().as_str() {
            "txt" | "text" => Self::Text,
            "md" | "markdown" => Self::Markdown,
            "html" | "htm" | "xhtml" => Self::Html,
            "docx" => Self::Docx,
            "srt" => Self::Srt,
            "xlf" | "xliff" | "sdlxliff" | "mxliff" | "mqxliff" => Self::Xliff,
            "pdf" => Self::Pdf,
            _ => return None,
        })
    }

    pub fn extension(self) -> &'static str {
        match self {
            Self::Text => "txt",
            Self::Markdown => "md",
            Self::Html => "html",
            Self::Docx => "docx",
            Self::Srt => "srt",
            Self::Xliff => "xlf",
            Self::Pdf => "pdf",
        }
    }

    /// What a translation of this kind is called: `report.docx` becomes
    /// `report.fr.docx`.
    pub fn translated_name(self, name: &str, to: &str) -> String {
        match name.rsplit_once('.') {
            Some((stem, extension)) if Self::from_extension(name) == Some(self) => {
                format!("{stem}.{to}.{extension}")
            }
            Some((stem, _)) if !stem.is_empty() && Self::from_extension(name).is_some() => {
                format!("{stem}.{to}.{}", self.extension())
            }
            _ => format!("{name}.{to}.{}", self.extension()),
        }
    }

    /// The media type, as in `Content-Type`.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; charset=utf-8",
            Self::Markdown => "text/markdown; charset=utf-8",
            Self::Html => "text/html; charset=utf-8",
            Self::Docx => "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
            Self::Srt => "application/x-subrip; charset=utf-8",
            Self::Xliff => "application/xliff+xml",
            Self::Pdf => "application/pdf",
        }
    }

    /// The kind of a file: the one that is asked for if the content allows it,
    /// else the one that the content shows, else the one of the name, else text.
    pub(super) fn of(
        raw: Raw<'_>,
        asked: Option<Self>,
        name: Option<&str>,
    ) -> Result<Self, FormatError> {
        let bytes = raw.bytes;
        let named = asked.or_else(|| name.and_then(Self::from_extension));
        let expected = |found: &str| {
            Err(named.map_or(FormatError::UnknownKind, |expected| FormatError::WrongKind {
                expected,
                found: found.to_owned(),
            }))
        };
        let shown = if bytes.starts_with(b"%PDF-") {
            Self::Pdf
        } else if bytes.starts_with(b"PK\x03\x04") || bytes.starts_with(b"PK\x05\x06") {
            Self::Docx
        } else if bytes.starts_with(b"\xD0\xCF\x11\xE0") {
            return expected(
                "a document of Word before 2007 or an encrypted one; save it as .docx",
            );
        } else {
            let start = Raw { bytes: &bytes[..bytes.len().min(LOOKED_AT)], ..raw };
            let Some(start) = start.glimpse() else { return expected("a binary file") };
            match (by_text(&start), named) {
                (_, Some(Self::Docx | Self::Pdf)) => return expected("text"),
                (Some(Self::Xliff), Some(Self::Html)) => return expected("an XLIFF file"),
                (Some(Self::Html), Some(Self::Xliff)) => return expected("an HTML page"),
                (_, Some(named)) => return Ok(named),
                (Some(shown), None) => return Ok(shown),
                // A name that is not known could be of anything.
                (None, None) if name.is_some_and(|name| name.contains('.')) => {
                    return Err(FormatError::UnknownKind);
                }
                (None, None) => return Ok(Self::Text),
            }
        };
        match named {
            Some(named) if named != shown => expected(if shown == Self::Pdf {
                "a PDF file"
            } else {
                "a ZIP archive, as .docx files are"
            }),
            _ => Ok(shown),
        }
    }
}

fn by_text(start: &str) -> Option<Kind> {
    let lower = start.trim_start_matches('\u{feff}').trim_start().to_ascii_lowercase();
    if lower.starts_with("<?xml") || lower.starts_with("<xliff") {
        if lower.contains("<xliff") {
            return Some(Kind::Xliff);
        }
        return lower.contains("<html").then_some(Kind::Html);
    }
    (lower.starts_with("<!doctype html") || lower.starts_with("<html")).then_some(Kind::Html)
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "text",
            Self::Markdown => "markdown",
            Self::Html => "html",
            Self::Docx => "docx",
            Self::Srt => "srt",
            Self::Xliff => "xliff",
            Self::Pdf => "pdf",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn translations_have_names_of_their_kind() {
        for (kind, name, expected) in [
            (Kind::Docx, "report.docx", "report.fr.docx"),
            (Kind::Text, "Y.v2.TXT", "Y.v2.fr.TXT"),
            (Kind::Markdown, "page.pdf", "page.fr.md"),
            (Kind::Xliff, "a.sdlxliff", "a.fr.sdlxliff"),
            (Kind::Text, "LICENSE", "LICENSE.fr.txt"),
            (Kind::Text, "notes.2024", "notes.2024.fr.txt"),
        ] {
            assert_eq!(kind.translated_name(name, "fr"), expected);
        }
    }
}
