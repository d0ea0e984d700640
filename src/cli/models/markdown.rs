//! The catalogue as a page: docs/models.md.

use std::fmt::Write as _;

use anyhow::Result;

use super::entry::{Entry, Machine};
use super::table::{approximate, licence};
use crate::provision::{
    Catalogue, CommercialUse, Listing, Manifest, Presence, Source, Task, languages, size,
};

const HEAD: &str = "\
# The catalogue

Models that `dragoman pull` and `dragoman serve --model` know by name. This page is generated: `dragoman models --markdown > docs/models.md`. `dragoman models` says the same of your machine: what fits, what is here; `--language sw` says what to take for a language. A model that is not here loads from a path or a hub id as well.

**Size** is what is fetched from the first source. With ~ it is computed, the number of weights times their bits: nobody has stated it here. **Memory** is at most what the server takes with the default configuration: the weights as they are kept (bfloat16 and f32 as 16-bit integers), for models that write a cache of up to 1.1 GB, and the largest step. **Cached** is how many tokens that cache holds, over all requests.

**Languages**: *good* is fit for work, *fair* is to be checked by somebody who knows the language, *weak* is not to be relied on. What is not named is not to be expected. Unless a model's notes say otherwise the grades are estimates, by the languages its authors name and its size: small models are weak in languages with less text to learn from, Hindi, Arabic and Swahili among them. Try your own texts before you trust one.

† marks models whose list of files nobody has compared with the hub's repository yet. Where it does not fit, what the repository holds is taken, or you are asked to choose.
";

/// The page.
///
/// # Errors
/// A manifest of the catalogue is broken.
pub fn page() -> Result<String> {
    let (catalogue, machine) = (Catalogue::built_in()?, Machine::unknown()?);
    let mut entries = Vec::new();
    for manifest in catalogue.iter() {
        let (name, presence) = (manifest.name.clone(), Presence::Absent);
        let listing = Listing { name, manifest: Some(manifest.clone()), presence };
        entries.push(Entry::new(listing, &machine)?);
    }
    let mut page = HEAD.to_owned();
    for (title, task) in [
        ("Writing", Task::Generation),
        ("Translating alone", Task::Translation),
        ("Embedding", Task::Embedding),
        ("Reranking", Task::Reranking),
    ] {
        let of: Vec<(&Entry, &Manifest)> = entries
            .iter()
            .filter_map(|entry| Some((entry, entry.manifest()?)))
            .filter(|(_, manifest)| manifest.task == task)
            .collect();
        if !of.is_empty() {
            section(&mut page, title, &of);
        }
    }
    Ok(page)
}

fn section(page: &mut String, title: &str, entries: &[(&Entry, &Manifest)]) {
    let cached = entries.iter().any(|(e, _)| e.need.is_some_and(|n| n.cache_tokens.is_some()));
    let (head, rule) = if cached { (" Cached |", "---|") } else { ("", "") };
    let _ = write!(
        page,
        "\n## {title}\n\n| Model | Weights | Size | Memory |{head} Context | Licence | Good | Fair | Weak |\n\
         |---|---|---|---|{rule}---|---|---|---|---|\n"
    );
    for (entry, m) in entries {
        let unverified = m.sources.iter().all(|s| matches!(s, Source::Hub(hub) if !hub.verified));
        let mark = if unverified { " †" } else { "" };
        let bytes = entry.size.map_or_else(|| "?".to_owned(), approximate);
        let memory = entry.need.map_or_else(|| "?".to_owned(), |need| size(need.total()));
        let tokens = entry.need.and_then(|need| need.cache_tokens);
        let tokens = match cached {
            true => format!(" {} |", tokens.map_or_else(String::new, thousands)),
            false => String::new(),
        };
        let _ = writeln!(
            page,
            "| `{}`{mark} | {} | {bytes} | {memory} |{tokens} {} | {} | {} | {} | {} |",
            m.name,
            count(m),
            thousands(m.context_length),
            licence(m),
            m.languages.good.join(" "),
            m.languages.fair.join(" "),
            m.languages.weak.join(" "),
        );
    }
    page.push('\n');
    entries.iter().for_each(|(_, manifest)| notes(page, manifest));
}

fn notes(page: &mut String, m: &Manifest) {
    let text = m.notes.split_whitespace().collect::<Vec<_>>().join(" ");
    let sources: Vec<String> = m.sources.iter().map(Source::label).collect();
    let _ = write!(page, "- **{}** (`{}`, from {}). {text}", m.title, m.name, sources.join(", "));
    if m.languages.basis != languages::Basis::Estimate {
        let _ = write!(page, " Grades: {}.", m.languages.basis.meaning());
    }
    if m.commercial_use != CommercialUse::Yes {
        let _ = write!(page, " **Licence**: {}", m.licence_note);
    }
    page.push('\n');
}

/// `8.2 B`, `596 M`; of a mixture also what a token passes through.
fn count(m: &Manifest) -> String {
    let short = |n: u64| match n {
        n if n >= 999_500_000 => format!("{:.1} B", n as f64 / 1e9),
        n => format!("{:.0} M", n as f64 / 1e6),
    };
    match m.active_parameters {
        Some(active) => format!("{} ({} active)", short(m.parameters), short(active)),
        None => short(m.parameters),
    }
}

/// `131,072`
fn thousands(n: usize) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        for (n, expected) in [(0, "0"), (512, "512"), (8192, "8,192"), (1_048_576, "1,048,576")] {
            assert_eq!(thousands(n), expected);
        }
    }
}
