//! The sentences of a whole document, and the document's texts from theirs.

use super::Segments;
use crate::documents::format::Document;
use crate::documents::tagged::Tagged;

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

    /// The sentences of all units, one after another.
    pub fn sentences(&self) -> Vec<Tagged> {
        let texts = self.units.iter().map(|unit| match unit {
            CutUnit::Kept(_) => &[][..],
            CutUnit::Cut(segments) => segments.texts(),
        });
        texts.flatten().cloned().collect()
    }

    /// The number of the unit that a sentence belongs to.
    pub fn unit_of(&self, sentence: usize) -> Option<usize> {
        let mut end = 0;
        self.units.iter().position(|unit| {
            end += match unit {
                CutUnit::Kept(_) => 0,
                CutUnit::Cut(segments) => segments.texts().len(),
            };
            sentence < end
        })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::documents::format::Kind;

    #[test]
    fn sentences_find_their_units_again() {
        let page = b"<p>One. Two <b>and. More</b>.</p><p>12</p><p>Three.</p>";
        let document = Document::read(page, Some(Kind::Html), None).unwrap();
        let cut = Cut::of(&document, Some("en"));
        let sentences = cut.sentences();
        let units: Vec<_> = (0..5).map(|sentence| cut.unit_of(sentence)).collect();
        assert_eq!(units, [Some(0), Some(0), Some(0), Some(2), None]);
        let changed: Vec<Tagged> =
            sentences.iter().map(|text| text.map_words(str::to_uppercase)).collect();
        let written = document.write(&cut.join(&changed), None).unwrap();
        let expected = "<p>ONE. TWO <b>AND. MORE</b>.</p><p>12</p><p>THREE.</p>";
        assert_eq!(String::from_utf8_lossy(&written), expected);
        assert_eq!(document.write(&cut.join(&sentences), None).unwrap(), page);
    }
}
