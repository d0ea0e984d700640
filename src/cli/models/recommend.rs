//! Which model to take for a language.
//!
//! Of those that fit and are more than weak at it, the ones whose licence lets
//! a business use them go first, then the better grade. Of equals, for writing
//! the largest that computes a token quickly enough, since larger ones write
//! better; for vectors and scores the smallest, since whole archives pass
//! through them.

use std::cmp::Reverse;
use std::fmt::Write as _;

use super::Wanted;
use super::entry::Entry;
use crate::provision::{CommercialUse, Grade, Manifest, Task, languages, size};

/// Bytes of weights that a token passes through, at most, of a model that is
/// recommended for writing: with 25 GB/s of memory, four tokens a second.
const QUICK: u64 = 5_500_000_000;

/// The advice for one task.
pub struct Advice<'a> {
    pub task: Wanted,
    /// The model to take, and how well it does.
    pub best: Option<(&'a Entry, Grade)>,
    /// The smallest that does better and does not fit.
    pub larger: Option<(&'a Entry, Grade)>,
}

/// What to take for `task` in the language of `tag`.
pub fn advise<'a>(entries: &'a [Entry], task: Wanted, tag: &str) -> Advice<'a> {
    let able = || {
        let graded = entries.iter().filter_map(move |e| Some((e, e.manifest()?, e.grade(tag)?)));
        graded.filter(move |(_, m, _)| task.takes(m.task))
    };
    // Where memory is not known, everything may fit.
    let fitting = able().filter(|(e, ..)| e.fits != Some(false));
    let best = fitting.min_by_key(|(e, m, grade)| {
        let restricted = m.commercial_use == CommercialUse::No;
        (*grade == Grade::Weak, restricted, Reverse(*grade), preference(e, m))
    });
    let best = best.map(|(entry, _, grade)| (entry, grade));
    let reached = best.map(|(_, grade)| grade);
    let larger = able()
        .filter(|(e, _, grade)| e.fits == Some(false) && reached.is_none_or(|r| *grade > r))
        .min_by_key(|(e, ..)| e.need.map_or(u64::MAX, |need| need.total()));
    Advice { task, best, larger: larger.map(|(entry, _, grade)| (entry, grade)) }
}

/// Smaller is preferred.
fn preference(entry: &Entry, manifest: &Manifest) -> (bool, Reverse<u64>, u64) {
    let weights = entry.need.map_or(0, |need| need.weights);
    let active = manifest.active_parameters.unwrap_or(manifest.parameters);
    let read = (weights as f64 * active as f64 / manifest.parameters.max(1) as f64) as u64;
    match manifest.task {
        Task::Generation | Task::Translation if read <= QUICK => {
            (false, Reverse(manifest.parameters), 0)
        }
        Task::Generation | Task::Translation => (true, Reverse(0), read),
        Task::Embedding | Task::Reranking => (false, Reverse(0), weights),
    }
}

/// The advice in words.
pub fn text(advice: &[Advice<'_>], tag: &str) -> String {
    let language = languages::name(tag).unwrap_or(tag);
    let mut text = format!("\nFor {language} on this machine:\n");
    for Advice { task, best, larger } in advice {
        let name = task.name();
        let _ = match best {
            Some((entry, Grade::Good)) => writeln!(text, "  {name:<10} {}", entry.name()),
            Some((entry, grade)) => writeln!(
                text,
                "  {name:<10} {}, which is {} at it: have somebody check what it gives",
                entry.name(),
                grade.name()
            ),
            None => writeln!(text, "  {name:<10} no model of the catalogue that fits"),
        };
        if let Some((entry, grade)) = larger {
            let need = entry.need.map_or_else(String::new, |need| size(need.total()));
            let _ = writeln!(
                text,
                "  {:<10} ({} is {} at it and needs {need})",
                "",
                entry.name(),
                grade.name()
            );
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::entry::Machine;
    use super::*;
    use crate::provision::{Catalogue, Listing, Presence};

    fn entries(gigabytes: u64) -> Vec<Entry> {
        let machine =
            Machine { left: Some(gigabytes * 1_000_000_000), ..Machine::unknown().unwrap() };
        let catalogue = Catalogue::built_in().unwrap();
        let listing = catalogue.iter().map(|m| Listing {
            name: m.name.clone(),
            manifest: Some(m.clone()),
            presence: Presence::Absent,
        });
        listing.map(|l| Entry::new(l, &machine).unwrap()).collect()
    }

    #[test]
    fn advice_follows_memory_and_language() {
        let check = |gigabytes: u64, task: Wanted, tag: &str, expected: Option<(&str, Grade)>| {
            let entries = entries(gigabytes);
            let best = advise(&entries, task, tag).best.map(|(e, grade)| (e.name(), grade));
            assert_eq!(best, expected, "{gigabytes} GB, {task:?} {tag}");
        };
        check(64, Wanted::Generate, "fr", Some(("qwen3-30b-a3b", Grade::Good)));
        check(64, Wanted::Translate, "sw", Some(("gemma-3-27b-it", Grade::Good)));
        check(5, Wanted::Generate, "fr", Some(("qwen3-4b", Grade::Good)));
        check(5, Wanted::Generate, "sw", Some(("qwen3-4b", Grade::Weak)));
        check(8, Wanted::Embed, "hi", Some(("multilingual-e5-small", Grade::Good)));
        check(8, Wanted::Embed, "en", Some(("all-minilm-l6-v2", Grade::Good)));
        check(8, Wanted::Rerank, "ar", Some(("mmarco-mminilmv2-l12-h384-v1", Grade::Good)));
        check(0, Wanted::Embed, "en", None);
    }

    #[test]
    fn what_does_better_and_does_not_fit_is_named() {
        let entries = entries(8);
        let advice = [advise(&entries, Wanted::Translate, "sw")];
        let text = text(&advice, "sw");
        assert!(text.contains("For Swahili"), "{text}");
        assert!(text.contains("have somebody check"), "{text}");
        let larger = advice[0].larger.map(|(e, grade)| (e.name(), grade));
        assert_eq!(larger, Some(("gemma-3-27b-it", Grade::Good)), "{text}");
    }
}
