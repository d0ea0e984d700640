//! The passages of a collection in memory, ready to be searched.

use super::Mode;
use super::fuse::{fuse, worth};
use super::lexical::{Lexicon, Match};
use super::passages::Passage;

/// First places of each order that are fused.
const DEPTH: usize = 200;
/// Numbers that are multiplied side by side.
const LANES: usize = 16;

/// Vectors of all passages end to end, and where their words stand.
#[derive(Debug, Default)]
pub struct Index {
    width: usize,
    vectors: Vec<f32>,
    lexicon: Lexicon,
    entries: Vec<Entry>,
    documents: Vec<Document>,
}

#[derive(Debug)]
struct Entry {
    document: u32,
    /// Of the passage in its document.
    number: u32,
    language: Option<Box<str>>,
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
        Self { width, ..Self::default() }
    }

    /// Adds a document with the vectors of its passages, end to end. Nothing is
    /// added, and false returned, where they are not as many as the passages.
    pub fn add(&mut self, id: &str, name: &str, passages: &[Passage], vectors: &[f32]) -> bool {
        if vectors.len() != passages.len() * self.width {
            return false;
        }
        let document = u32::try_from(self.documents.len()).unwrap_or(u32::MAX);
        self.documents.push(Document { id: id.to_owned(), name: name.to_owned() });
        self.vectors.extend_from_slice(vectors);
        for (number, passage) in passages.iter().enumerate() {
            match &passage.heading {
                Some(heading) => self.lexicon.add(&format!("{heading}\n{}", passage.text)),
                None => self.lexicon.add(&passage.text),
            }
            let number = u32::try_from(number).unwrap_or(u32::MAX);
            let language = passage.language.as_deref().map(Box::from);
            self.entries.push(Entry { document, number, language });
        }
        true
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
        4 * self.vectors.len() + self.lexicon.size() + 32 * self.entries.len()
    }

    /// The passages that answer a query best, the best first. Takes some
    /// milliseconds for 10,000 passages.
    pub fn search(&self, query: &Query<'_>) -> Vec<Hit> {
        let wanted: Vec<bool> =
            self.documents.iter().map(|d| one_of(query.documents, Some(&d.id))).collect();
        let allowed = |at: usize| {
            let entry = &self.entries[at];
            wanted.get(entry.document as usize) == Some(&true)
                && one_of(query.languages, entry.language.as_deref())
        };
        let vector = query.vector.filter(|v| query.mode.embeds() && v.len() == self.width);
        let cosines: Vec<f32> = match vector {
            Some(vector) if self.width > 0 => {
                self.vectors.chunks_exact(self.width).map(|row| dot(row, vector)).collect()
            }
            _ => Vec::new(),
        };
        let matches = match query.mode {
            Mode::Semantic => Vec::new(),
            Mode::Hybrid | Mode::Lexical => self.lexicon.matches(query.text),
        };
        let depth = match query.mode {
            Mode::Hybrid => DEPTH.max(query.limit),
            Mode::Semantic | Mode::Lexical => query.limit,
        };
        let near = best((0..cosines.len()).filter(|at| allowed(*at)), depth, |at| cosines[at]);
        let bm25 = |at: usize| matches.get(at).map_or(0.0, |found: &Match| found.bm25);
        let worded = (0..matches.len()).filter(|at| bm25(*at) > 0.0 && allowed(*at));
        let worded = best(worded, depth, bm25);
        let order: Vec<(usize, Option<f32>)> = match query.mode {
            Mode::Semantic => near.into_iter().map(|at| (at, None)).collect(),
            Mode::Lexical => worded.into_iter().map(|at| (at, None)).collect(),
            Mode::Hybrid => {
                let worded: Vec<_> =
                    worded.into_iter().map(|at| (at, worth(matches[at].share))).collect();
                fuse(&near, &worded).into_iter().map(|(at, score)| (at, Some(score))).collect()
            }
        };
        let hit = |(at, fused): (usize, Option<f32>)| {
            let entry = self.entries.get(at)?;
            Some(Hit {
                document: self.documents.get(entry.document as usize)?.clone(),
                number: u64::from(entry.number),
                cosine: cosines.get(at).copied(),
                bm25: Some(bm25(at)).filter(|score| *score > 0.0),
                fused,
            })
        };
        order.into_iter().take(query.limit).filter_map(hit).collect()
    }
}

fn one_of(list: &[String], value: Option<&str>) -> bool {
    list.is_empty() || value.is_some_and(|value| list.iter().any(|one| one == value))
}

/// The places with the largest scores, the largest first, of equals the first.
fn best(
    places: impl Iterator<Item = usize>,
    count: usize,
    score: impl Fn(usize) -> f32,
) -> Vec<usize> {
    let mut places: Vec<usize> = places.collect();
    let order = |a: &usize, b: &usize| score(*b).total_cmp(&score(*a)).then(a.cmp(b));
    if count < places.len() {
        places.select_nth_unstable_by(count, order);
        places.truncate(count);
    }
    places.sort_unstable_by(order);
    places
}

/// Sums that are kept apart, so that the compiler may add them side by side.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let (a, b) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest: f32 = a.remainder().iter().zip(b.remainder()).map(|(x, y)| x * y).sum();
    let mut sums = [0f32; LANES];
    for (x, y) in a.zip(b) {
        sums.iter_mut().zip(x.iter().zip(y)).for_each(|(sum, (x, y))| *sum += x * y);
    }
    rest + sums.iter().sum::<f32>()
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

    #[test]
    fn products_are_those_of_the_plain_sum() {
        for length in [0, 1, 15, 16, 17, 384, 385] {
            let a: Vec<f32> = (0..length).map(|i| (i % 7) as f32 - 3.0).collect();
            let b: Vec<f32> = (0..length).map(|i| (i % 5) as f32 * 0.25).collect();
            let plain: f32 = a.iter().zip(&b).map(|(x, y)| x * y).sum();
            assert!((dot(&a, &b) - plain).abs() < 1e-3, "{length}");
        }
    }
}
