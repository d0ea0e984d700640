//! The listing as a table for people.

use super::entry::{Entry, Machine};
use crate::provision::{CommercialUse, Manifest, Presence, languages, size};

const HEAD: [&str; 8] =
    ["MODEL", "TASK", "SIZE", "MEMORY", "FITS", "LANGUAGES", "LICENCE", "STATE"];

/// The table and a legend. With a language, how good each model is at it
/// stands in place of how many it knows.
pub fn text(entries: &[&Entry], machine: &Machine, language: Option<&str>) -> String {
    let mut head = HEAD.map(str::to_owned);
    if let Some(name) = language.and_then(languages::name) {
        head[5] = name.to_uppercase();
    }
    let mut rows = vec![head];
    rows.extend(entries.iter().map(|entry| row(entry, language)));
    let width = |column: usize| rows.iter().map(|r| r[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..HEAD.len()).map(width).collect();
    let line = |row: &[String; 8]| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    let mut text: String = rows.iter().map(line).collect();
    if entries.is_empty() {
        text += "(no model is like that; leave out a filter)\n";
    }
    text + &legend(machine, language)
}

fn legend(machine: &Machine, language: Option<&str>) -> String {
    let left = match machine.left {
        Some(bytes) => format!("{} are free", size(bytes)),
        None => "how much is free is not known here".to_owned(),
    };
    let cache = size((machine.options.kv_cache_mib as u64) << 20);
    let advice = match language {
        Some(_) => "",
        None => {
            "Small models are weak in languages with less text to learn from, Hindi, Arabic and \
             Swahili among\nthem: --language hi shows how each model does and which to take.\n"
        }
    };
    format!(
        "\nSIZE to fetch or on disk; ~ is computed from the number of weights. MEMORY at most: \
         weights, a cache\nof {cache} (engine.kv_cache_mib) where there is one, the largest step; \
         {left}.\n{advice}"
    )
}

fn row(entry: &Entry, language: Option<&str>) -> [String; 8] {
    let manifest = entry.manifest();
    let unknown = || "?".to_owned();
    let known = match language {
        Some(tag) => entry.grade(tag).map(|grade| grade.name().to_owned()),
        None => manifest.map(counted),
    };
    [
        entry.name().to_owned(),
        manifest.map_or("-", |m| m.task.name()).to_owned(),
        entry.size.map_or_else(unknown, approximate),
        entry.need.map_or_else(unknown, |need| size(need.total())),
        match entry.fits {
            Some(true) => "yes".to_owned(),
            Some(false) => "no".to_owned(),
            None => unknown(),
        },
        known.unwrap_or_else(|| "-".to_owned()),
        manifest.map_or_else(|| "-".to_owned(), licence),
        state(&entry.listing.presence),
    ]
}

/// A size, with a mark where nobody has stated it.
pub fn approximate((bytes, computed): (u64, bool)) -> String {
    let mark = if computed { "~" } else { "" };
    format!("{mark}{}", size(bytes))
}

/// The licence, and a word where it restricts commercial use.
pub fn licence(manifest: &Manifest) -> String {
    let restriction = match manifest.commercial_use {
        CommercialUse::Yes => "",
        CommercialUse::Conditions => " (conditions)",
        CommercialUse::No => " (not commercial)",
    };
    format!("{}{restriction}", manifest.licence)
}

/// How many languages of which grade.
fn counted(manifest: &Manifest) -> String {
    let known = &manifest.languages;
    let of = [("good", &known.good), ("fair", &known.fair), ("weak", &known.weak)];
    let each =
        of.iter().filter(|(_, tags)| !tags.is_empty()).map(|(grade, tags)| match tags.as_slice() {
            [one] => format!("{grade} {one}"),
            several => format!("{grade} {}", several.len()),
        });
    each.collect::<Vec<_>>().join(", ")
}

/// Whether it is in the cache.
pub fn state(presence: &Presence) -> String {
    match presence {
        Presence::Absent => "-".to_owned(),
        Presence::Partial(bytes) => format!("partial, {}", size(*bytes)),
        Presence::Present(receipt) => format!("present, verified {}", date(receipt.verified)),
    }
}

/// Unix seconds as a day; times of day would only widen the table.
fn date(seconds: u64) -> String {
    let time = i64::try_from(seconds).ok().and_then(|s| jiff::Timestamp::from_second(s).ok());
    time.map_or_else(|| "?".to_owned(), |t| t.strftime("%Y-%m-%d").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provision::{Catalogue, Listing, Receipt, Role, Stored};

    #[test]
    fn columns_stand_below_each_other() {
        let catalogue = Catalogue::built_in().unwrap();
        let receipt = |name: &str| Receipt {
            name: name.to_owned(),
            source: "hub o/n".to_owned(),
            verified: 1_763_817_600,
            files: vec![Stored {
                path: "x.gguf".to_owned(),
                role: Role::Weights,
                bytes: 1_500_000,
                sha256: String::new(),
            }],
        };
        let mut listing: Vec<Listing> = catalogue
            .iter()
            .map(|m| Listing {
                name: m.name.clone(),
                manifest: Some(m.clone()),
                presence: Presence::Partial(2_000),
            })
            .collect();
        listing.push(Listing {
            name: "o/n:Q8_0".to_owned(),
            manifest: None,
            presence: Presence::Present(receipt("o/n:Q8_0")),
        });
        let machine = Machine { left: Some(8 << 30), ..Machine::unknown().unwrap() };
        let entries = listing.into_iter().map(|l| Entry::new(l, &machine));
        let entries: Vec<Entry> = entries.collect::<Result<_, _>>().unwrap();
        let text = text(&entries.iter().collect::<Vec<_>>(), &machine, None);
        let lines: Vec<&str> = text.lines().collect();
        let column = lines[0].find("STATE").unwrap();
        assert!(lines[1][column..].starts_with("partial, 2 kB"), "{text}");
        let last = lines[entries.len()];
        assert!(last[column..].starts_with("present, verified 2025-11-22"), "{text}");
        assert!(last.contains("1.5 MB"), "{text}");
        let fits = lines[0].find("FITS").unwrap();
        let of = |name: &str| lines.iter().find(|l| l.starts_with(name)).unwrap();
        assert!(of("qwen3-4b")[fits..].starts_with("yes"), "{text}");
        assert!(of("llama-3.3-70b")[fits..].starts_with("no"), "{text}");
        assert!(of("aya-expanse-8b").contains("CC-BY-NC-4.0 (not commercial)"), "{text}");
    }
}
