//! What can be wrong with a file, and what to do about it.

use super::Kind;
use crate::documents::charset::CharsetError;
use crate::documents::tagged::TagFault;

/// Why a file was not read, or its translation not written.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum FormatError {
    #[error(
        "cannot tell what kind of file this is; give its name or its kind: one of {}",
        Kind::NAMES
    )]
    UnknownKind,
    #[error("this is not {expected}, but {found}")]
    WrongKind { expected: Kind, found: String },
    #[error("{part}: {fault}")]
    Charset { part: String, fault: CharsetError },
    #[error("{part}: not well-formed at byte {offset}: {what}; repair the file or save it again")]
    Xml { part: String, offset: u64, what: String },
    #[error("{part}: has a document type definition (<!DOCTYPE…>), which is not read; remove it")]
    Dtd { part: String },
    #[error("the archive cannot be read: {0}; the file may be incomplete, save or upload it again")]
    Archive(String),
    #[error("{what} is larger than the {limit} that are read; split the document")]
    TooLarge { what: String, limit: String },
    #[error("the PDF cannot be read: {0}; save it as PDF again, or give its text")]
    Pdf(String),
    #[error("{found} texts were given for {expected} units")]
    Count { expected: usize, found: usize },
    #[error("unit {unit}: {fault}")]
    Tags { unit: String, fault: TagFault },
    #[error("unit {unit} is not to be translated, and its text was changed")]
    NotTranslatable { unit: String },
}
