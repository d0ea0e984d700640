//! A document as paragraphs and sentences that can be cited.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::documents::format::Document;
use crate::documents::language;
use crate::documents::segment::spans;

/// Letters of a sentence that says something; shorter ones, such as "Article 5",
/// are read but not cited.
const FEWEST_LETTERS: usize = 12;
/// Characters of a document by which its language is told.
const SAMPLE: usize = 4000;

/// A paragraph, a heading, a cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paragraph {
    /// As the document's format names it, or as the caller does.
    pub id: String,
    pub text: String,
}

/// A sentence and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sentence {
    pub paragraph: usize,
    /// In bytes of the paragraph's text.
    pub span: Range<usize>,
    /// In one line, without white space that says nothing.
    pub line: String,
    /// It says something.
    pub citable: bool,
}

/// A sentence that is quoted, word for word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Citation {
    /// Number of the paragraph, from 0.
    pub paragraph: usize,
    /// In bytes of the paragraph's text.
    pub span: Range<usize>,
}

impl Sentence {
    pub fn citation(&self) -> Citation {
        Citation { paragraph: self.paragraph, span: self.span.clone() }
    }
}

/// A document to be read.
#[derive(Debug, Clone)]
pub struct Source {
    paragraphs: Vec<Paragraph>,
    sentences: Vec<Sentence>,
    language: Option<&'static str>,
}

impl Source {
    pub fn new(paragraphs: Vec<Paragraph>) -> Self {
        let mut sample = String::new();
        for paragraph in &paragraphs {
            sample.push_str(&paragraph.text);
            sample.push('\n');
            if sample.len() > SAMPLE {
                break;
            }
        }
        let language = language::detect(&sample).language;
        let mut sentences = Vec::new();
        for (number, paragraph) in paragraphs.iter().enumerate() {
            // A line that ends within a paragraph ends no sentence. Places stay.
            let flat = paragraph.text.replace(['\n', '\r', '\t'], " ");
            for span in spans(&flat, language) {
                let line = line(&paragraph.text[span.clone()]);
                let letters = line.chars().filter(|c| c.is_alphabetic()).count();
                // A character of Chinese or Japanese says as much as several letters.
                let wide = line.chars().filter(|c| u32::from(*c) >= 0x2e80).count();
                let citable = letters + 2 * wide >= FEWEST_LETTERS;
                if letters > 0 {
                    sentences.push(Sentence { paragraph: number, span, line, citable });
                }
            }
        }
        Self { paragraphs, sentences, language }
    }

    /// The units of a document, one paragraph each.
    pub fn of(document: &Document) -> Self {
        let paragraph = |unit: &crate::documents::format::Unit| Paragraph {
            id: unit.id.clone(),
            text: unit.text.plain(),
        };
        Self::new(document.units().iter().map(paragraph).collect())
    }

    pub fn paragraphs(&self) -> &[Paragraph] {
        &self.paragraphs
    }

    /// Two letters: the language of its beginning, where it is known.
    pub fn language(&self) -> Option<&'static str> {
        self.language
    }

    pub fn sentences(&self) -> &[Sentence] {
        &self.sentences
    }

    /// The words that a citation stands for.
    pub fn quote(&self, citation: &Citation) -> &str {
        let paragraph = self.paragraphs.get(citation.paragraph);
        paragraph.and_then(|paragraph| paragraph.text.get(citation.span.clone())).unwrap_or("")
    }
}

/// A text in one line, without what would end a quote or be none of its words.
pub fn line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_know_where_they_stand() {
        let texts =
            ["Article 5", "  All are\n equal. Nobody is above the law. ", "5.1", "人人生而自由。"];
        let paragraph =
            |(at, text): (usize, &&str)| Paragraph { id: format!("p{at}"), text: (*text).into() };
        let source = Source::new(texts.iter().enumerate().map(paragraph).collect());
        let found: Vec<_> =
            (source.sentences().iter()).map(|s| (s.paragraph, &*s.line, s.citable)).collect();
        assert_eq!(
            found,
            [
                (0, "Article 5", false),
                (1, "All are equal.", false),
                (1, "Nobody is above the law.", true),
                (3, "人人生而自由。", true)
            ]
        );
        let span = source.sentences()[1].span.clone();
        assert_eq!(source.quote(&Citation { paragraph: 1, span }), "All are\n equal.");
        assert_eq!(source.quote(&Citation { paragraph: 9, span: 0..4 }), "");
    }
}
