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
use super::{Body, FormatError, Unit, Written, encoding};
use crate::documents::tagged::Tagged;

pub(super) struct Page(Spans);

/// Why a unit is kept.
const MISREAD: &str = "Markdown would not read it as it is meant";

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
    ) -> Result<Written, FormatError> {
        let changed: BTreeSet<usize> =
            (0..units.len()).filter(|index| texts[*index] != units[*index].text).collect();
        // Emphasis may not begin or end with a space.
        let snug = |(index, text): (usize, &Tagged)| match changed.contains(&index) {
            true => text.snug(),
            false => text.clone(),
        };
        let texts = texts.iter().enumerate().map(snug).collect();
        let writer = Writer { spans: &self.0, units, texts, to };
        let (careful, taken) = writer.taken(changed.clone());
        let kept = changed.difference(&taken);
        let bytes = encoding::encode(&writer.write(&careful, &taken).0, self.0.encoding);
        Ok(Written { bytes, kept: kept.map(|index| (*index, MISREAD.to_owned())).collect() })
    }
}

/// Writes a page, and reads it again.
struct Writer<'a> {
    spans: &'a Spans,
    units: &'a [Unit],
    texts: Vec<Tagged>,
    to: Option<&'a str>,
}

impl Writer<'_> {
    /// The page with the texts of the units `taken`, those of `careful` in the form
    /// that is never mistaken, and the units of which other words are read than
    /// were written.
    fn write(
        &self,
        careful: &BTreeSet<usize>,
        taken: &BTreeSet<usize>,
    ) -> (String, BTreeSet<usize>) {
        let text = |(index, text): (usize, &Tagged)| match taken.contains(&index) {
            true => text.clone(),
            false => self.units[index].text.clone(),
        };
        let texts: Vec<Tagged> = self.texts.iter().enumerate().map(text).collect();
        let options = Options { careful: careful.clone(), to: self.to, ..Options::default() };
        let written = self.spans.write(self.units, &texts, options);
        let misread = misread(&written, &texts);
        (written, misread)
    }

    /// Which units are written carefully, and which can be written at all.
    fn taken(&self, mut taken: BTreeSet<usize>) -> (BTreeSet<usize>, BTreeSet<usize>) {
        let mut careful = BTreeSet::new();
        loop {
            let misread = self.write(&careful, &taken).1;
            if misread.is_empty() {
                return (careful, taken);
            }
            let wrong: BTreeSet<usize> = misread.intersection(&taken).copied().collect();
            if wrong.is_empty() || misread.len() == self.texts.len() {
                // It is not told which of them it is.
                let units: Vec<usize> = taken.into_iter().collect();
                let mut good = BTreeSet::new();
                self.add(&units, &mut careful, &mut good);
                return (careful, good);
            }
            let more: Vec<usize> = wrong.difference(&careful).copied().collect();
            if more.is_empty() {
                taken = taken.difference(&wrong).copied().collect();
            }
            careful.extend(more);
        }
    }

    /// Adds to `good` those of `units` with which the page is read as it is meant.
    fn add(&self, units: &[usize], careful: &mut BTreeSet<usize>, good: &mut BTreeSet<usize>) {
        let all = good.iter().chain(units).copied().collect();
        if self.write(careful, &all).1.is_empty() {
            *good = all;
            return;
        }
        match units {
            [] => {}
            [unit] if careful.contains(unit) => {}
            [unit] => {
                careful.insert(*unit);
                self.add(units, careful, good);
            }
            _ => {
                let (first, second) = units.split_at(units.len() / 2);
                self.add(first, careful, good);
                self.add(second, careful, good);
            }
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
