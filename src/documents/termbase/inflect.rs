//! Whether two words are forms of one, by rules for a language.
//!
//! The rules are light: they know endings, not dictionaries. Forms that change
//! their stem (*woman*, *women*) are two words to them, and a few words that
//! look like forms of each other are one.

use std::borrow::Cow;

use rust_stemmers::{Algorithm, Stemmer};

use super::words::bare;

/// The rules of one language.
pub struct Inflection {
    kind: Kind,
    stemmer: Option<Stemmer>,
    /// Longest ending that forms may differ by, in characters.
    ending: usize,
    /// Letters that words begin with and that are words of their own.
    proclitics: &'static [&'static str],
    portuguese: bool,
    /// Endings that make another word, and that the stemmer takes for those of
    /// forms: *nationalité* is not *nationale*.
    making: &'static [&'static str],
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Only the endings of English nouns and verbs.
    English,
    /// Words are as they are.
    None,
    Endings,
}

/// Longest first. What is left must be a word of three letters or more.
const ARABIC: [&str; 16] = [
    "وبال", "وال", "بال", "فال", "كال", "ولل", "فلل", "لل", "ال", "وب", "ول", "و", "ف", "ب", "ل",
    "ك",
];
const HEBREW: [&str; 11] = ["וה", "שה", "מה", "כש", "ו", "ה", "ב", "ל", "מ", "כ", "ש"];

impl Inflection {
    /// For a language by its two letters.
    pub fn of(language: &str) -> Self {
        use Algorithm::*;
        let (stemmer, ending) = match language {
            "da" => (Some(Danish), 4),
            "nl" => (Some(Dutch), 3),
            "fi" => (Some(Finnish), 7),
            "fr" => (Some(French), 3),
            "de" => (Some(German), 3),
            "el" => (Some(Greek), 4),
            "hu" => (Some(Hungarian), 7),
            "it" => (Some(Italian), 3),
            "nb" | "nn" => (Some(Norwegian), 4),
            "pt" => (Some(Portuguese), 3),
            "ro" => (Some(Romanian), 4),
            "ru" => (Some(Russian), 3),
            "es" => (Some(Spanish), 3),
            "sv" => (Some(Swedish), 4),
            "ta" => (Some(Tamil), 6),
            "tr" => (Some(Turkish), 8),
            "et" | "lt" | "lv" | "ka" | "hy" | "te" | "kn" | "ml" => (None, 4),
            "eu" | "kk" | "az" | "uz" | "ky" => (None, 6),
            "he" => (None, 2),
            _ => (None, 3),
        };
        let kind = match language {
            "en" => Kind::English,
            "zh" | "zt" | "ja" | "ko" | "th" | "lo" | "km" | "my" | "vi" => Kind::None,
            _ => Kind::Endings,
        };
        let proclitics: &[&str] = match language {
            "ar" => &ARABIC,
            "he" => &HEBREW,
            _ => &[],
        };
        let portuguese = language == "pt";
        let making: &[&str] = match language {
            "fr" => &["ité", "ités"],
            "it" => &["ità"],
            _ => &[],
        };
        let stemmer = stemmer.map(Stemmer::create);
        Self { kind, stemmer, ending, proclitics, portuguese, making }
    }

    /// What every form of a word begins with, after its proclitics.
    pub fn bucket(&self, word: &str) -> String {
        match self.kind {
            Kind::None => word.to_owned(),
            _ => bare(word).chars().take(3).collect(),
        }
    }

    /// Where the terms are that a word of a text may be a form of.
    pub fn buckets(&self, word: &str) -> Vec<String> {
        let bucket = self.bucket(word);
        let short: String = bucket.chars().take(2).collect();
        match self.kind == Kind::None || short == bucket {
            true => vec![bucket],
            false => vec![bucket, short],
        }
    }

    /// The word itself, and what is left of it without proclitics.
    pub fn readings<'w>(&self, word: &'w str) -> Vec<&'w str> {
        let rest = self.proclitics.iter().filter_map(|p| word.strip_prefix(p));
        let long = rest.filter(|rest| rest.chars().count() >= 3);
        std::iter::once(word).chain(long).collect()
    }

    /// Two folded words, the second of a text, are forms of one.
    pub fn same(&self, term: &str, found: &str) -> bool {
        if term == found {
            return true;
        }
        match self.kind {
            Kind::None => false,
            Kind::English => english(term, found),
            Kind::Endings => self.readings(found).iter().any(|found| {
                self.readings(term).iter().any(|term| term == found || self.endings(term, found))
            }),
        }
    }

    /// Portuguese plurals that change their vowel: *nações* is *nação*.
    fn singular<'w>(&self, word: &'w str) -> Cow<'w, str> {
        let stem = word.strip_suffix("ões").or_else(|| word.strip_suffix("ães"));
        match stem.filter(|_| self.portuguese) {
            Some(stem) => format!("{stem}ão").into(),
            None => word.into(),
        }
    }

    /// They begin alike and differ by short endings, which the language's
    /// stemmer, where there is one, takes for endings too.
    fn endings(&self, a: &str, b: &str) -> bool {
        let (a, b) = (&*self.singular(a), &*self.singular(b));
        if a == b {
            return true;
        }
        let (a_bare, b_bare) = (bare(a), bare(b));
        let (common, left, right) = parting(&a_bare, &b_bare);
        if common < 3 || left > self.ending || right > self.ending {
            return false;
        }
        let made = |word: &str| self.making.iter().any(|ending| word.ends_with(ending));
        if made(a) != made(b) {
            return false;
        }
        match &self.stemmer {
            Some(stemmer) => {
                let (a, b) = (stemmer.stem(a), stemmer.stem(b));
                // Finnish and its like change the stem's end too.
                let long = self.ending > 4 && common >= 6 && left.min(right) <= 1;
                a == b || bare(&a) == bare(&b) || long
            }
            // An ending is a smaller part of the word than its stem.
            None => common > left.max(right) && (left.min(right) < 2 || common >= 6),
        }
    }
}

/// Characters that two words begin with together, and what each has after.
fn parting(a: &str, b: &str) -> (usize, usize, usize) {
    let common = a.chars().zip(b.chars()).take_while(|(x, y)| x == y).count();
    (common, a.chars().count() - common, b.chars().count() - common)
}

/// Plurals, possessives, and forms of regular verbs.
fn english(a: &str, b: &str) -> bool {
    let (common, _, _) = parting(a, b);
    let rest = |word: &str| word.chars().skip(common).collect::<String>();
    let (left, right) = (rest(a), rest(b));
    if common < 2 {
        return false;
    }
    let one = |x: &str, y: &str| match (x, y) {
        ("", "s") => true,
        ("", "es" | "ed" | "ing" | "d")
        | ("s" | "es" | "ed" | "e", "ing")
        | ("s", "d")
        | ("es", "ed")
        | ("is", "es")
        | ("y", "ies" | "ied")
        | ("ying", "ied" | "ies") => common >= 3,
        _ => false,
    };
    one(&left, &right) || one(&right, &left)
}

#[cfg(test)]
mod tests {
    use super::super::words::fold;
    use super::*;

    #[test]
    fn forms_of_a_word_are_one() {
        let check = |language: &str, term: &str, found: &str, expected: bool| {
            let rules = Inflection::of(language);
            let same = rules.same(&fold(term, language), &fold(found, language));
            assert_eq!(same, expected, "{language}: {term}, {found}");
        };
        check("en", "resolution", "resolutions", true);
        check("en", "resolution", "resolute", false);
        check("en", "party", "parties", true);
        check("en", "adopt", "adopted", true);
        check("en", "agree", "agreed", true);
        check("en", "agree", "agreement", false);
        check("en", "state", "stating", true);
        check("en", "arm", "army", false);
        check("en", "crisis", "crises", true);
        check("en", "law", "laws", true);
        check("fr", "résolution", "résolutions", true);
        check("fr", "résolution", "résolu", false);
        check("fr", "national", "nationaux", true);
        check("fr", "générale", "général", true);
        check("fr", "nationalité", "nationales", false);
        check("fr", "nationalité", "nationalités", true);
        check("it", "nazionalità", "nazionale", false);
        check("fr", "droit", "droits", true);
        check("fr", "état", "été", false);
        check("es", "acuerdo", "acuerdos", true);
        check("es", "nación", "naciones", true);
        check("it", "trattato", "trattati", true);
        check("pt", "nação", "nações", true);
        check("de", "Land", "Länder", true);
        check("de", "Vertrag", "Vertrages", true);
        check("de", "Vertrag", "Verträge", true);
        check("de", "Vertrag", "Vertrauen", false);
        check("nl", "verdrag", "verdragen", true);
        check("ru", "договор", "договорами", true);
        check("ru", "резолюция", "резолюции", true);
        check("ru", "совет", "советский", false);
        check("pl", "traktat", "traktatu", true);
        check("pl", "traktat", "traktor", false);
        check("uk", "договір", "договір", true);
        check("fi", "sopimus", "sopimuksen", true);
        check("hu", "szerződés", "szerződésben", true);
        check("tr", "anlaşma", "anlaşmalar", true);
        check("sw", "mkataba", "mkataba", true);
        check("ar", "قرار", "والقرار", true);
        check("ar", "الأمم", "للأمم", true);
        check("ar", "معاهدة", "المعاهدات", true);
        check("ar", "كتاب", "باب", false);
        check("he", "אמנה", "האמנה", true);
        check("zh", "条约", "条约", true);
        check("hi", "संधि", "संधियों", true);
    }
}
