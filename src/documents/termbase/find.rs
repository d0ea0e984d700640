//! Terms found in a text: the longest first, none inside of another.

use std::collections::HashMap;
use std::ops::Range;

use super::inflect::Inflection;
use super::words::{Word, fold, unspaced, words};

/// A term to be found.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'t> {
    pub text: &'t str,
    /// Letters are to be as they are written here.
    pub case_sensitive: bool,
}

/// A place of a term in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// Number of the term among those wanted.
    pub term: usize,
    /// In bytes.
    pub span: Range<usize>,
}

/// Looks for many terms of one language at once.
pub struct Finder {
    language: String,
    rules: Inflection,
    terms: Vec<Spaced>,
    /// Terms by the beginning of their first word.
    buckets: HashMap<String, Vec<usize>>,
    /// Terms of scripts without spaces, by their first character.
    parts: HashMap<char, Vec<(usize, String)>>,
}

/// A term of words.
struct Spaced {
    number: usize,
    words: Vec<Word>,
    text: String,
    case_sensitive: bool,
}

impl Finder {
    /// `language` by its two letters. Terms without a letter or digit are never
    /// found.
    pub fn new<'t>(language: &str, wanted: impl IntoIterator<Item = Wanted<'t>>) -> Self {
        let rules = Inflection::of(language);
        let mut finder = Self {
            language: language.to_owned(),
            rules,
            terms: Vec::new(),
            buckets: HashMap::new(),
            parts: HashMap::new(),
        };
        for (number, term) in wanted.into_iter().enumerate() {
            finder.add(number, term);
        }
        for list in finder.parts.values_mut() {
            list.sort_by_key(|(number, text)| (std::cmp::Reverse(text.len()), *number));
        }
        finder
    }

    fn add(&mut self, number: usize, term: Wanted<'_>) {
        if unspaced(term.text) {
            let folded = fold(term.text.trim(), &self.language);
            if let Some(first) = folded.chars().next() {
                self.parts.entry(first).or_default().push((number, folded));
            }
            return;
        }
        let words = words(term.text, &self.language);
        let Some(first) = words.first() else { return };
        let mut keys: Vec<String> =
            self.rules.readings(&first.folded).iter().map(|word| self.rules.bucket(word)).collect();
        keys.sort_unstable();
        keys.dedup();
        let index = self.terms.len();
        for key in keys {
            self.buckets.entry(key).or_default().push(index);
        }
        let (text, case_sensitive) = (term.text.to_owned(), term.case_sensitive);
        self.terms.push(Spaced { number, words, text, case_sensitive });
    }

    /// The terms of a text, by their place.
    pub fn find(&self, text: &str) -> Vec<Hit> {
        let mut hits = self.by_words(text);
        if !self.parts.is_empty() {
            hits.extend(self.by_parts(text));
        }
        // The longest first, of equals the earlier, of one place the first term.
        hits.sort_by_key(|hit| (std::cmp::Reverse(hit.span.len()), hit.span.start, hit.term));
        let mut taken: Vec<Hit> = Vec::new();
        for hit in hits {
            let free = taken
                .iter()
                .all(|other| hit.span.end <= other.span.start || other.span.end <= hit.span.start);
            if free {
                taken.push(hit);
            }
        }
        taken.sort_by_key(|hit| hit.span.start);
        taken
    }

    fn by_words(&self, text: &str) -> Vec<Hit> {
        let found = words(text, &self.language);
        let mut hits = Vec::new();
        for (at, first) in found.iter().enumerate() {
            let mut candidates: Vec<usize> = (self.rules.readings(&first.folded).iter())
                .flat_map(|word| self.rules.buckets(word))
                .filter_map(|bucket| self.buckets.get(&bucket))
                .flatten()
                .copied()
                .collect();
            candidates.sort_unstable();
            candidates.dedup();
            for term in candidates.into_iter().map(|index| &self.terms[index]) {
                let Some(here) = found.get(at..at + term.words.len()) else { continue };
                if self.matches(term, here, text) {
                    let span = here[0].span.start..here[here.len() - 1].span.end;
                    hits.push(Hit { term: term.number, span });
                }
            }
        }
        hits
    }

    fn matches(&self, term: &Spaced, here: &[Word], text: &str) -> bool {
        let near = |pair: &[Word]| {
            let between = &text[pair[0].span.end..pair[1].span.start];
            between.chars().all(|c| c.is_whitespace() || "-'’‐‑–.".contains(c))
        };
        let alike = |(own, found): (&Word, &Word)| {
            let (own_text, found_text) = (&term.text[own.span.clone()], &text[found.span.clone()]);
            // WHO is not who. With the plural's s it is still an abbreviation.
            let abbreviation = own.capitals && own.span.len() > 1;
            let capitals = found.capitals
                || found_text
                    .strip_suffix('s')
                    .is_some_and(|rest| !rest.chars().any(char::is_lowercase));
            if abbreviation && !capitals {
                return false;
            }
            let cased = !term.case_sensitive || same_case(own_text, found_text);
            cased && self.rules.same(&own.folded, &found.folded)
        };
        here.windows(2).all(near) && term.words.iter().zip(here).all(alike)
    }

    fn by_parts(&self, text: &str) -> Vec<Hit> {
        // Folding changes lengths, so the places are taken along.
        let mut folded = String::with_capacity(text.len());
        let mut places = Vec::with_capacity(text.len());
        for (at, c) in text.char_indices() {
            let piece = fold(c.encode_utf8(&mut [0; 4]), &self.language);
            places.extend(std::iter::repeat_n((at, at + c.len_utf8()), piece.len()));
            folded += &piece;
        }
        let mut hits = Vec::new();
        for (at, c) in folded.char_indices() {
            for (number, part) in self.parts.get(&c).into_iter().flatten() {
                if folded[at..].starts_with(part.as_str()) {
                    let span = places[at].0..places[at + part.len() - 1].1;
                    hits.push(Hit { term: *number, span });
                }
            }
        }
        hits
    }
}

/// As far as the two go together, their letters are in the same case.
fn same_case(a: &str, b: &str) -> bool {
    let mut pairs =
        a.chars().zip(b.chars()).take_while(|(x, y)| x.to_lowercase().eq(y.to_lowercase()));
    pairs.all(|(x, y)| x == y)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_are_found_in_their_forms() {
        let check = |language: &str, terms: &[&str], text: &str, expected: &[(&str, &str)]| {
            let wanted = terms.iter().map(|text| Wanted { text, case_sensitive: false });
            let found: Vec<_> = (Finder::new(language, wanted).find(text).into_iter())
                .map(|hit| (terms[hit.term], &text[hit.span]))
                .collect();
            assert_eq!(found, expected, "{language}: {text}");
        };
        check(
            "en",
            &["Security Council", "Council", "resolution"],
            "The Security Council's resolutions, and the council's.",
            &[
                ("Security Council", "Security Council"),
                ("resolution", "resolutions"),
                ("Council", "council"),
            ],
        );
        check("en", &["WHO"], "those who ask the WHO", &[("WHO", "WHO")]);
        check("en", &["NGO"], "two NGOs", &[("NGO", "NGOs")]);
        check(
            "en",
            &["Member State"],
            "all member-states and Member, State",
            &[("Member State", "member-states")],
        );
        check(
            "fr",
            &["Assemblée générale"],
            "de l’ASSEMBLÉE GÉNÉRALE",
            &[("Assemblée générale", "ASSEMBLÉE GÉNÉRALE")],
        );
        check(
            "fr",
            &["droits de l'homme"],
            "les droits de l’homme",
            &[("droits de l'homme", "droits de l’homme")],
        );
        check(
            "ru",
            &["Совет Безопасности"],
            "решения Совета Безопасности",
            &[("Совет Безопасности", "Совета Безопасности")],
        );
        check(
            "ar",
            &["الأمم المتحدة"],
            "ميثاق للأمم المتحدة وقراراتها",
            &[("الأمم المتحدة", "للأمم المتحدة")],
        );
        check(
            "zh",
            &["安全理事会", "安全"],
            "联合国安全理事会的安全",
            &[("安全理事会", "安全理事会"), ("安全", "安全")],
        );
        check("th", &["สหประชาชาติ"], "กฎบัตรสหประชาชาติฉบับนี้", &[("สหประชาชาติ", "สหประชาชาติ")]);
        check("ja", &["UN憲章"], "ＵＮ憲章により", &[("UN憲章", "ＵＮ憲章")]);
        check("de", &["Land"], "Die Länder und Landwirte", &[("Land", "Länder")]);
        check("en", &["…", ""], "… nothing", &[]);
    }

    #[test]
    fn case_counts_where_it_is_asked_for() {
        let check = |text: &str, expected: usize| {
            let wanted = [Wanted { text: "Council", case_sensitive: true }];
            assert_eq!(Finder::new("en", wanted).find(text).len(), expected, "{text}");
        };
        check("the Council", 1);
        check("both Councils", 1);
        check("a council", 0);
        check("THE COUNCIL", 0);
    }

    #[test]
    fn no_text_is_cut_inside_a_character() {
        let wanted =
            ["İstanbul", "ﬁne", "가나", "ß"].map(|text| Wanted { text, case_sensitive: false });
        for language in ["tr", "en", "ko", "ar", "he", "xx", ""] {
            let finder = Finder::new(language, wanted);
            for text in ["İİİ", "ﬁﬁ 가나다 ß", "x\u{301}\u{301}'’.", "\u{200d}👩‍👩‍👧", "ال ו"]
            {
                for hit in finder.find(text) {
                    assert!(text.get(hit.span).is_some());
                }
            }
        }
    }
}
