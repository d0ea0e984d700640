//! A document as passages that an encoder reads whole and a reader can be sent to.

use std::collections::HashSet;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::documents::language;
use crate::documents::segment::spans;
use crate::documents::source::{Paragraph, Source};
use crate::documents::vectors::halves;
use crate::engine::SubmitError;

/// Longest passage, in tokens, where the encoder would read more: a longer one
/// is about too many things to be found by one of them.
const MAX_TOKENS: usize = 400;
/// Longest heading, in characters.
const MAX_HEADING: usize = 80;
/// Letters of one that says too little to be found alone, where a character of
/// Chinese counts twice: 第十一条.
const FEW_LETTERS: usize = 16;
/// Ends a sentence, or a part of one, which no heading does.
const FINAL: [char; 18] = [
    '.', '。', '．', '!', '！', '?', '？', '؟', '।', '۔', '…', ';', '；', '؛', ',', '，', '،', '、',
];
/// Paragraphs that a heading may stand over.
const REACH: usize = 12;
/// Bytes of a token at most, so that long texts are not tokenised only to be cut.
const TOKEN_BYTES: usize = 64;
/// From which confidence on a paragraph is in another language than its document.
const SURE: f32 = 0.8;

/// A paragraph, or some sentences of one that is long.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Passage {
    /// Number of the paragraph, from 0.
    pub paragraph: usize,
    /// The paragraph's name, by its format or the caller.
    pub id: String,
    /// The first and the last sentence of the paragraph that it has part of, from 0.
    pub sentences: (usize, usize),
    /// In characters of the paragraph's text.
    pub start: usize,
    pub end: usize,
    pub text: String,
    /// What stands over it and says too little to be found alone: "Article 5".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heading: Option<String>,
    /// Two letters, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
}

/// A passage, and the tokens by which it is embedded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    pub passage: Passage,
    pub tokens: Vec<u32>,
}

/// Cuts a document. `tokens` says what a text is to the encoder, and `limit` how
/// many of them it reads; `language` is that of the whole document, if it is
/// given. Every word of the document is in a passage, or in the heading of one.
///
/// # Errors
/// As `tokens`, and for a limit that not even a character fits in.
pub fn passages(
    source: &Source,
    language: Option<&str>,
    limit: usize,
    tokens: impl Fn(&str) -> Result<Vec<u32>, SubmitError>,
) -> Result<Vec<Cut>, SubmitError> {
    let says: HashSet<usize> =
        source.sentences().iter().filter(|s| s.citable).map(|s| s.paragraph).collect();
    let limit = limit.min(MAX_TOKENS);
    let mut cutter = Cutter { source, language, limit, tokens, done: Vec::new() };
    let mut waiting: Option<usize> = None;
    let mut heading: Option<(&str, usize)> = None;
    for (number, paragraph) in source.paragraphs().iter().enumerate() {
        let text = paragraph.text.trim();
        if !text.chars().any(char::is_alphanumeric) {
            continue;
        }
        let title = text.chars().count() <= MAX_HEADING && !text.ends_with(FINAL);
        let little = !says.contains(&number) || (title && letters(text) < FEW_LETTERS);
        if little && text.chars().count() <= MAX_HEADING {
            if let Some(alone) = waiting.replace(number) {
                cutter.cut(alone, None)?;
            }
            continue;
        }
        if let Some(over) = waiting.take() {
            heading = Some((source.paragraphs()[over].text.trim(), 0));
        } else if title {
            // Something else begins, and says so itself.
            heading = None;
        }
        cutter.cut(number, heading.map(|heading| heading.0))?;
        heading = heading.map(|(text, over)| (text, over + 1)).filter(|h| h.1 < REACH);
    }
    if let Some(alone) = waiting {
        cutter.cut(alone, None)?;
    }
    Ok(cutter.done)
}

fn letters(text: &str) -> usize {
    let wide = |c: char| u32::from(c) >= 0x2e80;
    text.chars().filter(|c| c.is_alphabetic()).map(|c| 1 + usize::from(wide(c))).sum()
}

/// Stands in for tokens where no encoder is: about four letters make one.
///
/// # Errors
/// None.
pub fn by_length(text: &str) -> Result<Vec<u32>, SubmitError> {
    Ok(vec![0; text.chars().count().div_ceil(4)])
}

struct Cutter<'a, T> {
    source: &'a Source,
    language: Option<&'a str>,
    limit: usize,
    tokens: T,
    done: Vec<Cut>,
}

impl<T: Fn(&str) -> Result<Vec<u32>, SubmitError>> Cutter<'_, T> {
    /// Cuts a paragraph.
    fn cut(&mut self, number: usize, heading: Option<&str>) -> Result<(), SubmitError> {
        let Some(paragraph) = self.source.paragraphs().get(number) else { return Ok(()) };
        let language = self.language_of(&paragraph.text);
        // A line that ends within a paragraph ends no sentence. Places stay.
        let flat = paragraph.text.replace(['\n', '\r', '\t'], " ");
        let sentences = spans(&flat, language.as_deref());
        let place = Place { number, paragraph, heading, language };
        let mut first = 0;
        while first < sentences.len() {
            let mut fitting = None;
            for last in first..sentences.len() {
                let span = sentences[first].start..sentences[last].end;
                match self.fits(&paragraph.text[span.clone()], heading)? {
                    Some(tokens) => fitting = Some((last, span, tokens)),
                    None => break,
                }
            }
            match fitting {
                Some((last, span, tokens)) => {
                    self.done.push(place.passage((first, last), span, tokens));
                    first = last + 1;
                }
                None => {
                    self.split(&place, first, sentences[first].clone())?;
                    first += 1;
                }
            }
        }
        Ok(())
    }

    /// Cuts a sentence that is too long between words, or within them.
    fn split(
        &mut self,
        place: &Place<'_>,
        sentence: usize,
        span: Range<usize>,
    ) -> Result<(), SubmitError> {
        let mut left = vec![span];
        while let Some(span) = left.pop() {
            let text = &place.paragraph.text[span.clone()];
            if let Some(tokens) = self.fits(text, place.heading)? {
                if text.chars().any(char::is_alphanumeric) {
                    self.done.push(place.passage(
                        (sentence, sentence),
                        trimmed(text, &span),
                        tokens,
                    ));
                }
                continue;
            }
            let Some((half, _)) = halves(text) else {
                let limit = self.limit;
                let message = format!("the model reads {limit} tokens, too few for any text");
                return Err(SubmitError::Failed(message));
            };
            let middle = span.start + half.len();
            left.extend([middle..span.end, span.start..middle]);
        }
        Ok(())
    }

    /// The tokens of a text under its heading, or of the text alone where they
    /// are too many together; `None` where it is too long itself.
    fn fits(&self, text: &str, heading: Option<&str>) -> Result<Option<Vec<u32>>, SubmitError> {
        if text.len() > self.limit.saturating_mul(TOKEN_BYTES) {
            return Ok(None);
        }
        if let Some(heading) = heading {
            let tokens = (self.tokens)(&format!("{heading}\n{text}"))?;
            if tokens.len() <= self.limit {
                return Ok(Some(tokens));
            }
        }
        Ok(Some((self.tokens)(text)?).filter(|tokens| tokens.len() <= self.limit))
    }

    fn language_of(&self, text: &str) -> Option<String> {
        let own = || {
            let found = language::detect(text);
            found.language.filter(|_| found.confidence >= SURE)
        };
        self.language.or_else(own).or(self.source.language()).map(str::to_owned)
    }
}

/// Without white space around it.
fn trimmed(text: &str, span: &Range<usize>) -> Range<usize> {
    let start = span.start + text.len() - text.trim_start().len();
    start..start + text.trim().len()
}

/// Where passages are cut from.
struct Place<'a> {
    number: usize,
    paragraph: &'a Paragraph,
    heading: Option<&'a str>,
    language: Option<String>,
}

impl Place<'_> {
    fn passage(&self, sentences: (usize, usize), span: Range<usize>, tokens: Vec<u32>) -> Cut {
        let text = &self.paragraph.text[span.clone()];
        let start = self.paragraph.text[..span.start].chars().count();
        let passage = Passage {
            paragraph: self.number,
            id: self.paragraph.id.clone(),
            sentences,
            start,
            end: start + text.chars().count(),
            text: text.to_owned(),
            heading: self.heading.map(str::to_owned),
            language: self.language.clone(),
        };
        Cut { passage, tokens }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(texts: &[&str]) -> Source {
        let paragraph =
            |(at, text): (usize, &&str)| Paragraph { id: format!("p{at}"), text: (*text).into() };
        Source::new(texts.iter().enumerate().map(paragraph).collect())
    }

    /// A word is a token, and so is a character of one that is long.
    fn words(text: &str) -> Result<Vec<u32>, SubmitError> {
        let count = |word: &str| word.chars().count().div_ceil(16);
        Ok(vec![0; text.split_whitespace().map(count).sum()])
    }

    fn cut(texts: &[&str], limit: usize) -> Vec<Cut> {
        let source = source(texts);
        let found = passages(&source, None, limit, words).unwrap();
        for cut in &found {
            let Passage { paragraph, start, end, text, .. } = &cut.passage;
            let whole: Vec<char> = source.paragraphs()[*paragraph].text.chars().collect();
            assert_eq!(whole[*start..*end].iter().collect::<String>(), *text);
            assert!((1..=limit).contains(&cut.tokens.len()), "{cut:?}");
        }
        found
    }

    #[test]
    fn headings_stand_over_what_follows() {
        let found = cut(
            &[
                "Article 5",
                "1. Nobody shall be held in slavery.",
                "* * *",
                "2. The slave trade shall be prohibited.",
                "Yes",
                "12.5 %",
                "Everyone has the right to leave any country.",
                "The end",
            ],
            50,
        );
        let show: Vec<_> = (found.iter().map(|cut| &cut.passage))
            .map(|p| (p.paragraph, p.heading.as_deref(), &*p.text))
            .collect();
        assert_eq!(
            show,
            [
                (1, Some("Article 5"), "1. Nobody shall be held in slavery."),
                (3, Some("Article 5"), "2. The slave trade shall be prohibited."),
                (4, None, "Yes"),
                (6, Some("12.5 %"), "Everyone has the right to leave any country."),
                (7, None, "The end"),
            ]
        );
        assert!(found.iter().all(|cut| cut.passage.language.as_deref() == Some("en")));
        assert_eq!((found[0].tokens.len(), &*found[0].passage.id), (9, "p1"));
        let found = cut(
            &[
                "Article 5",
                "Nobody shall be held in slavery.",
                "Chapter II: Final provisions",
                "No reservation may be made to this Treaty.",
                "第十一条",
                "人人有权享有生命、自由和人身安全。",
            ],
            50,
        );
        let over: Vec<_> = found
            .iter()
            .map(|cut| (cut.passage.paragraph, cut.passage.heading.as_deref()))
            .collect();
        let chinese = Some("第十一条");
        assert_eq!(over, [(1, Some("Article 5")), (2, None), (3, None), (5, chinese)]);
        let far = ["Article 5"].into_iter().chain([" All persons are equal before it."; 14]);
        let headed = cut(&far.collect::<Vec<_>>(), 50);
        assert_eq!(headed.iter().filter(|cut| cut.passage.heading.is_some()).count(), REACH);
    }

    #[test]
    fn long_paragraphs_are_cut_between_sentences() {
        let text = "One two three four. Five six\nseven eight. Nine ten eleven twelve. Thirteen.";
        let found = cut(&[text], 8);
        let show: Vec<_> =
            found.iter().map(|cut| (cut.passage.sentences, &*cut.passage.text)).collect();
        assert_eq!(
            show,
            [
                ((0, 1), "One two three four. Five six\nseven eight."),
                ((2, 3), "Nine ten eleven twelve. Thirteen."),
            ]
        );
        // With a heading that leaves no room for it, the text goes alone.
        let found = cut(&["Art. 1", "One two three four five six seven eight nine."], 9);
        assert_eq!((found.len(), found[0].tokens.len()), (1, 9));
    }

    #[test]
    fn long_sentences_are_cut_between_words() {
        let long = "word ".repeat(1000) + &"x".repeat(300) + " “é” end.";
        let found = cut(&["Some words before it. ", &long], 20);
        assert!(found.len() > 50);
        let kept: String = found.iter().skip(1).map(|cut| cut.passage.text.as_str()).collect();
        let bare = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
        assert_eq!(bare(&kept), bare(&long), "nothing is lost");
        assert!(found.iter().skip(1).all(|cut| cut.passage.sentences == (0, 0)));
        let none = passages(&source(&["Some words."]), None, 0, words);
        assert!(matches!(none, Err(SubmitError::Failed(_))));
        assert!(cut(&["", " \n", "…"], 5).is_empty());
    }

    #[test]
    fn passages_have_their_own_language() {
        let texts = [
            "All human beings are born free and equal in dignity and rights.",
            "Tous les êtres humains naissent libres et égaux en dignité et en droits.",
            "人人生而自由，在尊严和权利上一律平等。",
        ];
        let found = cut(&texts, 50);
        let languages: Vec<_> =
            found.iter().map(|cut| cut.passage.language.as_deref().unwrap()).collect();
        assert_eq!(languages, ["en", "fr", "zh"]);
        let given = passages(&source(&texts), Some("so"), 50, words).unwrap();
        assert!(given.iter().all(|cut| cut.passage.language.as_deref() == Some("so")));
    }
}
