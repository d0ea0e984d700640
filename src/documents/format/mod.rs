//! Files whose words can be replaced in place.
//!
//! A [`Document`] keeps the bytes that it was read from. Its units are what a
//! translator translates: a paragraph, a heading, a cell, a subtitle, an
//! attribute. Writing replaces the spans of the units whose text has changed
//! and copies everything else, so that a document of which nothing was changed
//! is written byte for byte as it was read. What was in another charset than UTF-8
//! or UTF-16 is written in UTF-8 where anything was changed, and says so.

mod archive;
mod docx;
mod encoding;
mod error;
mod flow;
mod html;
mod kind;
mod lines;
mod markdown;
mod pdf;
mod spans;
mod srt;
mod style;
mod xliff;
mod xml;

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::BTreeMap;

pub use error::FormatError;
pub use kind::Kind;

use super::tagged::Tagged;
use encoding::{Raw, Recoded};

/// A piece of a document that is translated as a whole.
#[derive(Clone, Debug, PartialEq)]
pub struct Unit {
    /// Unique in the document; says where the unit stands.
    pub id: String,
    pub text: Tagged,
    /// The language that the document declares for it, as a BCP 47 tag.
    pub language: Option<String>,
    /// False if the document forbids it (`translate="no"`), has a translation
    /// that is approved, or there is no word in it.
    pub translatable: bool,
}

/// A document that was read.
pub struct Document {
    kind: Kind,
    units: Vec<Unit>,
    body: Box<dyn Body>,
}

/// A document with other texts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Written {
    pub bytes: Vec<u8>,
    /// The units, by number, whose text could not be written so that it reads
    /// the same, and why. They are as they were.
    pub kept: BTreeMap<usize, String>,
}

impl Written {
    /// For sentences of these units, by their numbers, why they are as they were.
    pub fn reasons<'a>(&'a self, units: &'a [usize]) -> impl Iterator<Item = (usize, &'a str)> {
        let reason =
            |(sentence, unit): (usize, &usize)| Some((sentence, self.kept.get(unit)?.as_str()));
        units.iter().enumerate().filter_map(reason)
    }
}

impl From<Vec<u8>> for Written {
    fn from(bytes: Vec<u8>) -> Self {
        Self { bytes, kept: BTreeMap::new() }
    }
}

/// How a format writes its units. The texts are checked: one for each unit,
/// each with its unit's tags.
trait Body: Send + Sync {
    fn write(
        &self,
        units: &[Unit],
        texts: &[Tagged],
        to: Option<&str>,
    ) -> Result<Written, FormatError>;

    /// The language that the document asks to be translated to.
    fn target_language(&self) -> Option<&str> {
        None
    }
}

impl Document {
    /// Reads a file of the given kind, or of the kind that its content and name
    /// tell.
    ///
    /// # Errors
    ///
    /// When the kind is not known or not that of the content, the file is
    /// damaged, or larger than the limits against archives that expand without
    /// end.
    pub fn read(bytes: &[u8], kind: Option<Kind>, name: Option<&str>) -> Result<Self, FormatError> {
        Self::received(bytes, kind, name, None)
    }

    /// As [`Self::read`] a file that came with the label of its charset, as in
    /// `text/html; charset=iso-8859-1`. The label goes before what the file
    /// declares, and says nothing about formats that are not text.
    ///
    /// # Errors
    ///
    /// As [`Self::read`], and when there is no such charset.
    pub fn received(
        bytes: &[u8],
        kind: Option<Kind>,
        name: Option<&str>,
        charset: Option<&str>,
    ) -> Result<Self, FormatError> {
        let raw = Raw { bytes, charset };
        let kind = Kind::of(raw, kind, name)?;
        let recoded = raw.recoded(kind)?;
        let bytes = recoded.as_ref().map_or(bytes, String::as_bytes);
        let (units, mut body): (Vec<Unit>, Box<dyn Body>) = match kind {
            Kind::Text => boxed(lines::read(bytes)?),
            Kind::Markdown => boxed(markdown::read(bytes)?),
            Kind::Html => boxed(html::read(bytes)?),
            Kind::Docx => boxed(docx::read(bytes)?),
            Kind::Srt => boxed(srt::read(bytes)?),
            Kind::Xliff => boxed(xliff::read(bytes)?),
            Kind::Pdf => boxed(pdf::read(bytes)?),
        };
        if let Some(text) = recoded {
            body = Box::new(Recoded { body, kind, text, original: raw.bytes.to_vec() });
        }
        Ok(Self { kind, units, body })
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// What [`Self::write`] writes: the kind that was read, Markdown for PDF.
    pub fn written_kind(&self) -> Kind {
        if self.kind == Kind::Pdf { Kind::Markdown } else { self.kind }
    }

    pub fn units(&self) -> &[Unit] {
        &self.units
    }

    /// The language to translate to that the document names, as XLIFF does.
    pub fn target_language(&self) -> Option<&str> {
        self.body.target_language()
    }

    /// The document with `texts` in place of its units' texts, in their order.
    /// `to` is the language of the texts as a BCP 47 tag; where the document
    /// says its language, it says this one then.
    ///
    /// # Errors
    ///
    /// When the number of texts or the tags of one are not those of the units,
    /// or the text of a unit that is not translatable is changed.
    pub fn write(&self, texts: &[Tagged], to: Option<&str>) -> Result<Written, FormatError> {
        if texts.len() != self.units.len() {
            return Err(FormatError::Count { expected: self.units.len(), found: texts.len() });
        }
        let mut kept = BTreeMap::new();
        for (index, (unit, text)) in self.units.iter().zip(texts).enumerate() {
            if let Some(fault) = text.faults(&unit.text).first() {
                return Err(FormatError::Tags { unit: unit.id.clone(), fault: *fault });
            }
            if !unit.translatable && *text != unit.text {
                return Err(FormatError::NotTranslatable { unit: unit.id.clone() });
            }
            let control = text.words().flat_map(str::chars).find(|c| forbidden(*c));
            if let Some(character) = control.filter(|_| *text != unit.text) {
                let code = u32::from(character);
                kept.insert(index, format!("it has the control character U+{code:04X}"));
            }
        }
        let texts = kept_as_they_are(&self.units, texts, &kept);
        let mut written = self.body.write(&self.units, &texts, to)?;
        written.kept.extend(kept);
        Ok(written)
    }
}

/// The texts, but for some units those of the document.
fn kept_as_they_are<'a>(
    units: &[Unit],
    texts: &'a [Tagged],
    kept: &BTreeMap<usize, String>,
) -> Cow<'a, [Tagged]> {
    let mut texts = Cow::Borrowed(texts);
    for index in kept.keys() {
        texts.to_mut()[*index] = units[*index].text.clone();
    }
    texts
}

fn boxed<B: Body + 'static>((units, body): (Vec<Unit>, B)) -> (Vec<Unit>, Box<dyn Body>) {
    (units, Box::new(body))
}

/// Characters that XML 1.0 cannot hold; no format has a use for them.
fn forbidden(character: char) -> bool {
    let control = character.is_control()
        && !matches!(character, '\t' | '\n' | '\r' | '\u{80}'..='\u{9f}' | '\u{7f}' | '\u{c}');
    control || matches!(character, '\u{fffe}' | '\u{ffff}')
}

/// Whether there is a word to translate: a letter outside addresses.
fn has_words(text: &str) -> bool {
    text.split_whitespace().any(|word| {
        let address = word.contains("://") || word.starts_with("www.") || is_mail(word);
        !address && word.chars().any(char::is_alphabetic)
    })
}

fn is_mail(word: &str) -> bool {
    let word = word.trim_matches(|c: char| !c.is_alphanumeric());
    word.split_once('@').is_some_and(|(name, host)| {
        let plain = |part: &str| {
            !part.is_empty()
                && part.chars().all(|c| c.is_ascii_alphanumeric() || "._-+".contains(c))
        };
        plain(name) && plain(host) && host.contains('.')
    })
}

/// Whether text in this language is written from right to left.
fn is_right_to_left(language: &str) -> bool {
    let mut parts = language.split(['-', '_']);
    let primary = parts.next().unwrap_or_default().to_ascii_lowercase();
    if let Some(script) = parts.find(|part| part.len() == 4) {
        let script = script.to_ascii_lowercase();
        return ["arab", "hebr", "thaa", "nkoo", "adlm", "syrc", "rohg"].contains(&script.as_str());
    }
    ["ar", "arc", "ckb", "dv", "fa", "he", "ks", "nqo", "ps", "sd", "syr", "ug", "ur", "yi"]
        .contains(&primary.as_str())
}
