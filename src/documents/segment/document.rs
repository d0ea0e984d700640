//! The sentences of a whole document, and the document's texts from theirs.

use super::Segments;
use crate::documents::format::{Document, Kind};
use crate::documents::language;
use crate::documents::tagged::Tagged;

/// Characters of a document by which its language is told.
const SAMPLE: usize = 2000;

/// A document's units cut into sentences.
pub struct Cut {
    units: Vec<CutUnit>,
}

enum CutUnit {
    /// Stays as it is.
    Kept(Tagged),
    Cut(Segments),
}

impl Cut {
    /// Cuts the units that are to be translated. Where a unit does not say its
    /// language, it is `language`.
    pub fn of(document: &Document, language: Option<&str>) -> Self {
        let cut = |unit: &crate::documents::format::Unit| match unit.translatable {
            true => CutUnit::Cut(Segments::of(&unit.text, unit.language.as_deref().or(language))),
            false => CutUnit::Kept(unit.text.clone()),
        };
        Self { units: document.units().iter().map(cut).collect() }
    }

    /// Cuts a document whose language may not be known, and says which one its
    /// segments are in: the one that is given, or the one that XLIFF declares.
    /// Elsewhere it is found for each segment, and that of most of the text
    /// decides where sentences end.
    pub fn in_language(document: &Document, given: Option<&str>) -> (Self, Option<String>) {
        let declared = || {
            let own = document.units().iter().find_map(|unit| unit.language.as_deref());
            own.filter(|_| document.kind() == Kind::Xliff).and_then(crate::text::known)
        };
        let source = given.or_else(|| declared().map(|known| known.short)).map(str::to_owned);
        let main = source.clone().or_else(|| main_language(document));
        (Self::of(document, main.as_deref()), source)
    }

    /// The sentences of all units, one after another.
    pub fn sentences(&self) -> Vec<Tagged> {
        let texts = self.units.iter().map(|unit| match unit {
            CutUnit::Kept(_) => &[][..],
            CutUnit::Cut(segments) => segments.texts(),
        });
        texts.flatten().cloned().collect()
    }

    /// For each sentence the number of the unit that it belongs to.
    pub fn places(&self) -> Vec<usize> {
        let of = |(number, unit): (usize, &CutUnit)| match unit {
            CutUnit::Kept(_) => vec![],
            CutUnit::Cut(segments) => vec![number; segments.texts().len()],
        };
        self.units.iter().enumerate().flat_map(of).collect()
    }

    /// The units' texts, with these in the place of [`Self::sentences`].
    pub fn join(&self, sentences: &[Tagged]) -> Vec<Tagged> {
        let mut rest = sentences;
        let join = |unit: &CutUnit| match unit {
            CutUnit::Kept(text) => text.clone(),
            CutUnit::Cut(segments) => {
                let (own, others) = rest.split_at(segments.texts().len().min(rest.len()));
                rest = others;
                segments.join(own)
            }
        };
        self.units.iter().map(join).collect()
    }
}

fn main_language(document: &Document) -> Option<String> {
    let mut sample = String::new();
    for unit in document.units().iter().filter(|unit| unit.translatable) {
        sample.push_str(&unit.text.plain());
        sample.push('\n');
        if sample.len() > SAMPLE {
            break;
        }
    }
    language::detect(&sample).language.map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_find_their_units_again() {
        let page = b"<p>One. Two <b>and. More</b>.</p><p>12</p><p>Three.</p>";
        let document = Document::read(page, Some(Kind::Html), None).unwrap();
        let cut = Cut::of(&document, Some("en"));
        let sentences = cut.sentences();
        assert_eq!(cut.places(), [0, 0, 0, 2]);
        let changed: Vec<Tagged> =
            sentences.iter().map(|text| text.map_words(str::to_uppercase)).collect();
        let written = document.write(&cut.join(&changed), None).unwrap().bytes;
        let expected = "<p>ONE. TWO <b>AND. MORE</b>.</p><p>12</p><p>THREE.</p>";
        assert_eq!(String::from_utf8_lossy(&written), expected);
        assert_eq!(document.write(&cut.join(&sentences), None).unwrap().bytes, page);
    }
}
