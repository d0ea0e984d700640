//! Markdown as GitHub writes it. Units are paragraphs, headings, cells and the
//! lines of lists; emphasis, links and pictures are tags around their words;
//! code, footnote marks and line breaks are tags without.
//!
//! Front matter, code and addresses stay. HTML between paragraphs is read as
//! HTML. What is written is read again: where words would be taken for markup,
//! or markup for words, the unit is written in a form that cannot be mistaken.

pub(super) mod escape;
mod reader;

use std::collections::BTreeSet;

use super::spans::{Options, Spans};
use super::{Body, FormatError, Unit, encoding};
use crate::documents::tagged::Tagged;

pub(super) struct Page(Spans);

pub(super) fn read(bytes: &[u8]) -> Result<(Vec<Unit>, Page), FormatError> {
    let (source, encoding) = encoding::decode(bytes, "the text")?;
    let drafts = reader::collect(&source);
    let (units, spans) = Spans::new(source, encoding, drafts);
    Ok((units, Page(spans)))
}

/// A document of this text.
pub(super) fn from_text(source: String) -> (Vec<Unit>, Page) {
    let drafts = reader::collect(&source);
    let (units, spans) = Spans::new(source, encoding::Encoding::Utf8 { mark: false }, drafts);
    (units, Page(spans))
}

impl Body for Page {
    fn write(
        &self,
        units: &[Unit],
        texts: &[Tagged],
        to: Option<&str>,
    ) -> Result<Vec<u8>, FormatError> {
        let changed: BTreeSet<usize> =
            (0..units.len()).filter(|index| texts[*index] != units[*index].text).collect();
        // Emphasis may not begin or end with a space.
        let snug = |(index, text): (usize, &Tagged)| match changed.contains(&index) {
            true => text.snug(),
            false => text.clone(),
        };
        let texts: &[Tagged] = &texts.iter().enumerate().map(snug).collect::<Vec<_>>();
        let mut careful = BTreeSet::new();
        loop {
            let options = Options { careful: careful.clone(), to, ..Options::default() };
            let written = self.0.write(units, texts, options);
            let misread = misread(&written, texts);
            let wrong = misread.intersection(&changed);
            let more: Vec<usize> =
                wrong.copied().filter(|index| !careful.contains(index)).collect();
            if more.is_empty() {
                return match misread.first() {
                    None => Ok(encoding::encode(&written, self.0.encoding)),
                    Some(index) => Err(FormatError::Unwritable {
                        unit: units[*index].id.clone(),
                        why: "Markdown would not read it as it is meant".to_owned(),
                    }),
                };
            }
            careful.extend(more);
        }
    }
}

/// The texts whose words are not read again as they were written.
fn misread(written: &str, texts: &[Tagged]) -> BTreeSet<usize> {
    let words = |text: &Tagged| text.plain().split_whitespace().collect::<Vec<_>>().join(" ");
    let drafts = Spans::new(
        written.to_owned(),
        encoding::Encoding::Utf8 { mark: false },
        reader::collect(written),
    );
    // A text of which no word is left has no unit any more.
    let expected: Vec<(usize, String)> =
        texts.iter().map(words).enumerate().filter(|(_, words)| !words.is_empty()).collect();
    let found: Vec<String> = drafts.0.iter().map(|unit| words(&unit.text)).collect();
    if found.len() != expected.len() {
        return (0..texts.len()).collect();
    }
    let pairs = expected.into_iter().zip(found);
    pairs.filter(|((_, words), found)| words != found).map(|((index, _), _)| index).collect()
}
