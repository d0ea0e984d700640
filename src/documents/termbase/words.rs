//! Words of a text as terms are compared by: folded, with their place.

use std::ops::Range;

use unicode_normalization::UnicodeNormalization;
use unicode_script::{Script, UnicodeScript};
use unicode_segmentation::UnicodeSegmentation;

/// A word of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// Where it stands, in bytes.
    pub span: Range<usize>,
    /// In lower case, compatibility forms and optional marks taken away.
    pub folded: String,
    /// It has letters, and all of them are capitals.
    pub capitals: bool,
}

/// The words of a text: those of Unicode (UAX #29), cut at apostrophes, so that
/// `l'accord` is two.
pub fn words(text: &str, language: &str) -> Vec<Word> {
    let mut found = Vec::new();
    for (start, word) in text.unicode_word_indices() {
        let mut at = start;
        for part in word.split_inclusive(['\'', '’', 'ʼ', '\u{55a}', '.']) {
            let bare = part.trim_end_matches(['\'', '’', 'ʼ', '\u{55a}', '.']);
            if !bare.is_empty() {
                found.push(word_of(bare, at, language));
            }
            at += part.len();
        }
    }
    found
}

fn word_of(word: &str, start: usize, language: &str) -> Word {
    let mut letters = word.chars().filter(|c| c.is_alphabetic()).peekable();
    let capitals = letters.peek().is_some() && letters.all(char::is_uppercase);
    Word { span: start..start + word.len(), folded: fold(word, language), capitals }
}

/// Lower case, without compatibility forms, and without the marks that Arabic
/// and Hebrew are written with or without. Turkish keeps its two kinds of i.
pub fn fold(text: &str, language: &str) -> String {
    let turkish = matches!(language, "tr" | "az");
    if text.is_ascii() && !turkish {
        return text.to_ascii_lowercase();
    }
    let mut folded = String::with_capacity(text.len());
    for c in text.nfkc() {
        match c {
            'İ' if turkish => folded.push('i'),
            'I' if turkish => folded.push('ı'),
            // Tatweel, short vowels, signs of the Quran; points of Hebrew.
            '\u{640}' | '\u{64b}'..='\u{65f}' | '\u{670}' | '\u{591}'..='\u{5c7}' => {}
            'أ' | 'إ' | 'آ' | 'ٱ' => folded.push('ا'),
            'ى' => folded.push('ي'),
            'ς' => folded.push('σ'),
            'ß' => folded.push_str("ss"),
            c => folded.extend(c.to_lowercase()),
        }
    }
    folded
}

/// Without accents: `länder` is `lander`. The vowel signs of Indic scripts stay.
pub fn bare(text: &str) -> String {
    text.nfd().filter(|c| !('\u{300}'..='\u{36f}').contains(c)).collect()
}

/// A text in a script that leaves no spaces between words, so that its terms
/// are found as parts of the text.
pub fn unspaced(text: &str) -> bool {
    text.chars().any(|c| {
        matches!(
            c.script(),
            Script::Han
                | Script::Hiragana
                | Script::Katakana
                | Script::Thai
                | Script::Lao
                | Script::Khmer
                | Script::Myanmar
                | Script::Tibetan
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_cut_where_terms_are() {
        let check = |language: &str, text: &str, expected: &[&str]| {
            let found = words(text, language);
            let folded: Vec<&str> = found.iter().map(|word| &*word.folded).collect();
            assert_eq!(folded, expected, "{text}");
            assert!(found.iter().all(|word| text.get(word.span.clone()).is_some()));
        };
        check("fr", "L’Assemblée générale", &["l", "assemblée", "générale"]);
        check("en", "The Secretary-General's note", &["the", "secretary", "general", "s", "note"]);
        check("de", "Straße", &["strasse"]);
        check("tr", "IŞIK İlke", &["ışık", "ilke"]);
        check("ar", "الأُمَم المتّحدة", &["الامم", "المتحدة"]);
        check("el", "ΛΌΓΟΣ λόγος", &["λόγοσ", "λόγοσ"]);
        check("en", "", &[]);
        assert!(words("the UN", "en")[1].capitals && !words("the Un", "en")[1].capitals);
        assert_eq!(bare("länder"), "lander");
    }
}
