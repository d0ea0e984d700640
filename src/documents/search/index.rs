//! The passages of a collection in memory, ready to be searched.

use std::panic::resume_unwind;

use super::Mode;
use super::best::Best;
use super::fuse::{fuse, worth};
use super::lexical::{Lexicon, Match};
use super::passages::Passage;
use super::vectors::Vectors;

/// First places of each order that are fused.
const DEPTH: usize = 200;

/// Vectors of all passages end to end, and where their words stand.
#[derive(Debug, Default)]
pub struct Index {
    vectors: Vectors,
    lexicon: Lexicon,
    entries: Vec<Entry>,
    documents: Vec<Document>,
    /// By their numbers in entries.
    languages: Vec<Box<str>>,
}

#[derive(Debug)]
struct Entry {
    document: u32,
    /// Of the passage in its document.
    number: u32,
    language: Option<u16>,
}

/// A document that has passages in an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    pub id: String,
    pub name: String,
}

/// What is looked for.
#[derive(Debug, Clone, Default)]
pub struct Query<'a> {
    pub text: &'a str,
    /// Of length 1; not needed for [`Mode::Lexical`].
    pub vector: Option<&'a [f32]>,
    pub mode: Mode,
    /// Results at most.
    pub limit: usize,
    /// Only passages in these languages, by their two letters; empty for all.
    pub languages: &'a [String],
    /// Only passages of these documents, by their ids; empty for all.
    pub documents: &'a [String],
}

/// A passage that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Hit {
    pub document: Document,
    /// Number of the passage in its document, from 0.
    pub number: u64,
    /// Cosine of query and passage.
    pub cosine: Option<f32>,
    /// `None` where they have no word in common.
    pub bm25: Option<f32>,
    /// Of both orders; see [`super::fuse`].
    pub fused: Option<f32>,
}

impl Index {
    /// An index of vectors with so many numbers; 0 for one of words alone.
    pub fn new(width: usize) -> Self {
        Self { vectors: Vectors::new(width), ..Self::default() }
    }

    /// Makes room for so many more passages.
    pub fn reserve(&mut self, passages: usize) {
        self.vectors.reserve(passages);
        self.entries.reserve_exact(passages);
    }

    /// Adds a document with the vectors of its passages, end to end. Nothing is
    /// added, and false returned, where they are not as many as the passages.
    pub fn add(&mut self, id: &str, name: &str, passages: &[Passage], vectors: &[f32]) -> bool {
        if vectors.len() != passages.len() * self.vectors.width() {
            return false;
        }
        let document = u32::try_from(self.documents.len()).unwrap_or(u32::MAX);
        self.documents.push(Document { id: id.to_owned(), name: name.to_owned() });
        self.vectors.extend(vectors);
        for (number, passage) in passages.iter().enumerate() {
            match &passage.heading {
                Some(heading) => self.lexicon.add(&format!("{heading}\n{}", passage.text)),
                None => self.lexicon.add(&passage.text),
            }
            let number = u32::try_from(number).unwrap_or(u32::MAX);
            let language = passage.language.as_deref().and_then(|tag| self.language(tag));
            self.entries.push(Entry { document, number, language });
        }
        true
    }

    /// Takes a document out; false if it is not there.
    pub fn remove(&mut self, id: &str) -> bool {
        let Some(at) = self.documents.iter().position(|document| document.id == id) else {
            return false;
        };
        // Passages of a document stand together, and documents in their order.
        let number = at as u32;
        let start = self.entries.partition_point(|entry| entry.document < number);
        let end = self.entries.partition_point(|entry| entry.document <= number);
        self.documents.remove(at);
        self.entries.drain(start..end);
        self.entries[start..].iter_mut().for_each(|entry| entry.document -= 1);
        self.vectors.remove(start..end);
        self.lexicon.remove(start..end);
        true
    }

    /// The number of a language, by its two letters.
    fn language(&mut self, tag: &str) -> Option<u16> {
        let known = self.languages.iter().position(|known| **known == *tag);
        let at = known.unwrap_or_else(|| {
            self.languages.push(tag.into());
            self.languages.len() - 1
        });
        u16::try_from(at).ok()
    }

    /// Passages.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub fn has_document(&self, id: &str) -> bool {
        self.documents.iter().any(|document| document.id == id)
    }

    /// About how much memory it takes, in bytes.
    pub fn size(&self) -> usize {
        self.vectors.size() + self.lexicon.size() + size_of::<Entry>() * self.entries.len()
    }

    /// The passages that answer a query best, the best first. Takes as long as
    /// reading half of the vectors' bytes does, on several threads.
    pub fn search(&self, query: &Query<'_>) -> Vec<Hit> {
        let wanted = Wanted::of(self, query);
        let wanted = |at: usize| self.entries.get(at).is_some_and(|entry| wanted.has(entry));
        let depth = match query.mode {
            Mode::Hybrid => DEPTH.max(query.limit),
            Mode::Semantic | Mode::Lexical => query.limit,
        };
        let vector = query.vector.filter(|vector| {
            query.mode.embeds() && vector.len() == self.vectors.width() && !vector.is_empty()
        });
        let near = || vector.map(|vector| self.vectors.nearest(vector, depth, wanted));
        let words = || self.lexicon.matches(query.text);
        let (near, matches) = match query.mode {
            Mode::Semantic => (near(), Vec::new()),
            Mode::Lexical => (None, words()),
            Mode::Hybrid => std::thread::scope(|scope| {
                let beside = std::thread::Builder::new().spawn_scoped(scope, words);
                let near = near();
                let matches = match beside {
                    Ok(thread) => thread.join().unwrap_or_else(|panic| resume_unwind(panic)),
                    // The system gives no more threads.
                    Err(_) => words(),
                };
                (near, matches)
            }),
        };
        let near = near.unwrap_or_default().into_iter().map(|(at, _)| at);
        let worded = || {
            let mut best = Best::new(depth);
            for (at, found) in matches.iter().enumerate().filter(|(_, found)| found.bm25 > 0.0) {
                best.offer(at, found.bm25, || wanted(at));
            }
            best.in_order().into_iter().map(|(at, _)| at)
        };
        let order: Vec<(usize, Option<f32>)> = match query.mode {
            Mode::Semantic => near.map(|at| (at, None)).collect(),
            Mode::Lexical => worded().map(|at| (at, None)).collect(),
            Mode::Hybrid => {
                let worded: Vec<_> = worded().map(|at| (at, worth(matches[at].share))).collect();
                let near: Vec<usize> = near.collect();
                fuse(&near, &worded).into_iter().map(|(at, score)| (at, Some(score))).collect()
            }
        };
        let hit = |(at, fused): (usize, Option<f32>)| {
            let entry = self.entries.get(at)?;
            let bm25 = matches.get(at).map_or(0.0, |found: &Match| found.bm25);
            Some(Hit {
                document: self.documents.get(entry.document as usize)?.clone(),
                number: u64::from(entry.number),
                cosine: vector.and_then(|vector| self.vectors.cosine(at, vector)),
                bm25: Some(bm25).filter(|score| *score > 0.0),
                fused,
            })
        };
        order.into_iter().take(query.limit).filter_map(hit).collect()
    }
}

/// Which passages a query is about, by the numbers of their documents and
/// languages; `None` for all.
struct Wanted {
    documents: Option<Vec<bool>>,
    languages: Option<Vec<bool>>,
}

impl Wanted {
    fn of(index: &Index, query: &Query<'_>) -> Self {
        let documents = (!query.documents.is_empty())
            .then(|| index.documents.iter().map(|d| query.documents.contains(&d.id)).collect());
        let languages = (!query.languages.is_empty()).then(|| {
            index.languages.iter().map(|tag| query.languages.iter().any(|l| **l == **tag)).collect()
        });
        Self { documents, languages }
    }

    fn has(&self, entry: &Entry) -> bool {
        let document = |list: &Vec<bool>| list.get(entry.document as usize) == Some(&true);
        let language = |list: &Vec<bool>| {
            entry.language.and_then(|at| list.get(usize::from(at))) == Some(&true)
        };
        self.documents.as_ref().is_none_or(document) && self.languages.as_ref().is_none_or(language)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passage(text: &str, language: &str) -> Passage {
        Passage {
            paragraph: 0,
            id: String::new(),
            sentences: (0, 0),
            start: 0,
            end: text.chars().count(),
            text: text.to_owned(),
            heading: Some("Article 9".to_owned()).filter(|_| language == "fr"),
            language: Some(language.to_owned()),
        }
    }

    fn index() -> Index {
        let mut index = Index::new(2);
        let english = [passage("water law", "en"), passage("sea of law", "en")];
        assert!(index.add("a", "A", &english, &[1.0, 0.0, 0.6, 0.8]));
        assert!(index.add("b", "B", &[passage("loi de la mer", "fr")], &[0.0, 1.0]));
        assert!(!index.add("c", "C", &english, &[1.0]), "a vector is missing");
        assert_eq!((index.len(), index.is_empty(), index.has_document("c")), (3, false, false));
        index
    }

    fn found(query: Query<'_>) -> Vec<(String, u64)> {
        let hits = index().search(&Query { limit: 9, vector: Some(&[0.0, 1.0]), ..query });
        hits.into_iter().map(|hit| (hit.document.id, hit.number)).collect()
    }

    #[test]
    fn each_mode_has_its_order() {
        let show = |list: &[(&str, u64)]| -> Vec<(String, u64)> {
            list.iter().map(|(id, number)| ((*id).to_owned(), *number)).collect()
        };
        let text = "water law";
        let of = |mode| found(Query { text, mode, ..Query::default() });
        assert_eq!(of(Mode::Semantic), show(&[("b", 0), ("a", 1), ("a", 0)]));
        assert_eq!(of(Mode::Lexical), show(&[("a", 0), ("a", 1)]));
        assert_eq!(of(Mode::Hybrid), show(&[("a", 0), ("a", 1), ("b", 0)]));
        let headed = Query { text: "article 9", mode: Mode::Lexical, ..Query::default() };
        assert_eq!(found(headed), show(&[("b", 0)]));
        let (french, a) = (["fr".to_owned()], ["a".to_owned()]);
        assert_eq!(
            found(Query { text, languages: &french, ..Query::default() }),
            show(&[("b", 0)])
        );
        let both = Query { text, languages: &french, documents: &a, ..Query::default() };
        assert_eq!(found(both), []);
        let in_a = Query { text, documents: &a, mode: Mode::Semantic, ..Query::default() };
        assert_eq!(found(in_a), show(&[("a", 1), ("a", 0)]));
    }

    #[test]
    fn scores_are_told() {
        let query = Query { text: "sea", vector: Some(&[0.0, 1.0]), limit: 1, ..Query::default() };
        let hits = index().search(&query);
        assert_eq!(hits.len(), 1);
        assert!((hits[0].cosine.unwrap() - 0.8).abs() < 1e-6, "{hits:?}");
        assert!(hits[0].bm25.unwrap() > 0.0 && hits[0].fused.unwrap() > 1.0 / 62.0);
        assert_eq!(hits[0].document, Document { id: "a".into(), name: "A".into() });
        assert_eq!(Index::new(2).search(&query), []);
        let words = Query { mode: Mode::Lexical, vector: None, ..query };
        assert_eq!(index().search(&words)[0].cosine, None);
    }

    /// An index from which a document was taken finds what one finds that never had
    /// it, whichever it was.
    #[test]
    fn what_is_removed_is_not_found() {
        let names = ["a", "b", "c", "d"];
        let vectors = [
            [1.0, 0.0, 0.6, 0.8],
            [0.0, 1.0, 0.8, 0.6],
            [0.6, 0.8, 0.0, 1.0],
            [0.8, 0.6, 1.0, 0.0],
        ];
        let with = |names: &[&str]| {
            let mut index = Index::new(2);
            for name in names {
                let at = usize::from(name.as_bytes()[0] - b'a');
                let texts =
                    [passage(&format!("law {name} of water"), "en"), passage("la mer, law", "fr")];
                assert!(index.add(name, name, &texts, &vectors[at]));
            }
            index
        };
        for removed in names {
            let mut index = with(&names);
            assert!(index.remove(removed) && !index.remove(removed));
            let left: Vec<&str> = names.into_iter().filter(|name| *name != removed).collect();
            let expected = with(&left);
            assert_eq!((index.len(), index.size()), (expected.len(), expected.size()));
            for text in ["water law", "mer a", "b", "d of"] {
                for mode in [Mode::Hybrid, Mode::Semantic, Mode::Lexical] {
                    let vector = Some(&[0.6, 0.8][..]);
                    let query = Query { text, vector, mode, limit: 9, ..Query::default() };
                    assert_eq!(index.search(&query), expected.search(&query), "{removed} {text}");
                }
            }
        }
        let mut index = with(&["a"]);
        assert!(index.remove("a"));
        assert_eq!((index.len(), index.size()), (0, 0));
    }
}
