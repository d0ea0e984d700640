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

/// Pages that are written at most to find what cannot be in them.
const MOST_WRITES: usize = 400;

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
    /// were written; `None` where there are more of them, or fewer.
    fn write(
        &self,
        careful: &BTreeSet<usize>,
        taken: &BTreeSet<usize>,
    ) -> (String, Option<BTreeSet<usize>>) {
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
            if misread.as_ref().is_some_and(BTreeSet::is_empty) {
                return (careful, taken);
            }
            let wrong: BTreeSet<usize> =
                misread.iter().flatten().copied().filter(|index| taken.contains(index)).collect();
            if wrong.is_empty() {
                // It is not told which of them it is.
                let units: Vec<usize> = taken.into_iter().collect();
                let mut found = Found { careful, good: BTreeSet::new(), left: MOST_WRITES };
                self.add(&units, &mut found);
                return (found.careful, found.good);
            }
            let more: Vec<usize> = wrong.difference(&careful).copied().collect();
            if more.is_empty() {
                taken = taken.difference(&wrong).copied().collect();
            }
            careful.extend(more);
        }
    }

    /// Adds those of `units` with which the page is read as it is meant.
    fn add(&self, units: &[usize], found: &mut Found) {
        let Some(left) = found.left.checked_sub(1) else { return };
        found.left = left;
        let all = found.good.iter().chain(units).copied().collect();
        if self.write(&found.careful, &all).1.is_some_and(|misread| misread.is_empty()) {
            found.good = all;
            return;
        }
        match units {
            [] => {}
            [unit] if found.careful.contains(unit) => {}
            [unit] => {
                found.careful.insert(*unit);
                self.add(units, found);
            }
            _ => {
                let (first, second) = units.split_at(units.len() / 2);
                self.add(first, found);
                self.add(second, found);
            }
        }
    }
}

/// What came of writing pages with some of the units.
struct Found {
    careful: BTreeSet<usize>,
    good: BTreeSet<usize>,
    /// Pages that may still be written; the units that are left keep their source.
    left: usize,
}

/// The texts whose words are not read again as they were written; `None` if as
/// many are not read.
fn misread(written: &str, texts: &[Tagged]) -> Option<BTreeSet<usize>> {
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
        return None;
    }
    let pairs = expected.into_iter().zip(found);
    let wrong = pairs.filter(|((_, words), found)| words != found);
    Some(wrong.map(|((index, _), _)| index).collect())
}
