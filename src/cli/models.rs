//! `dragoman models`: what can be asked for by name, and what is here.

use anyhow::{Context, Result};

use crate::config::Config;
use crate::provision::{Listing, Manifest, Presence, Provisioner, Source, Task, progress, size};

/// Lists the catalogue and the cache, or tells all about one model.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Show everything known about this model.
    #[arg(value_name = "MODEL")]
    pub model: Option<String>,
}

const HEAD: [&str; 6] = ["MODEL", "TASK", "SIZE", "LICENCE", "STATE", "SOURCES"];

/// Runs the command.
pub fn run(args: Args, config: &Config) -> Result<()> {
    let provisioner = Provisioner::new(&config.provision, progress::for_stderr())?;
    let listing = provisioner.list();
    match args.model {
        None => print!("{}", table(&listing)),
        Some(name) => {
            let entry = listing.iter().find(|l| l.name.eq_ignore_ascii_case(&name));
            let entry = entry
                .with_context(|| format!("no model `{name}`; `dragoman models` lists them all"))?;
            print!("{}", details(&provisioner, entry));
        }
    }
    Ok(())
}

fn table(listing: &[Listing]) -> String {
    let mut rows = vec![HEAD.map(str::to_owned)];
    rows.extend(listing.iter().map(row));
    let width = |column: usize| rows.iter().map(|r| r[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..HEAD.len()).map(width).collect();
    let line = |row: &[String; 6]| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

fn row(entry: &Listing) -> [String; 6] {
    let manifest = entry.manifest.as_ref();
    [
        entry.name.clone(),
        manifest.map_or("-", |m| task(m.task)).to_owned(),
        model_size(entry),
        manifest.map_or("-", |m| &m.licence).to_owned(),
        state(&entry.presence),
        manifest.map_or_else(
            || "hub".to_owned(),
            |m| m.sources.iter().map(Source::kind).collect::<Vec<_>>().join(", "),
        ),
    ]
}

/// On disk when it is here; else what the first source that says so says.
fn model_size(entry: &Listing) -> String {
    let known = match &entry.presence {
        Presence::Present(receipt) => Some(receipt.files.iter().map(|f| f.bytes).sum()),
        _ => entry.manifest.as_ref().and_then(|m| m.sources.iter().find_map(Source::bytes)),
    };
    known.map_or_else(|| "?".to_owned(), size)
}

fn state(presence: &Presence) -> String {
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

fn task(task: Task) -> &'static str {
    match task {
        Task::Generation => "generation",
        Task::Embedding => "embedding",
    }
}

fn details(provisioner: &Provisioner, entry: &Listing) -> String {
    let mut lines = vec![("name", entry.name.clone())];
    if let Some(manifest) = &entry.manifest {
        lines.extend(about(manifest));
    }
    lines.push(("state", state(&entry.presence)));
    if let Presence::Present(receipt) = &entry.presence {
        lines.push(("came from", receipt.source.clone()));
        lines.push(("folder", provisioner.store().folder(&entry.name).display().to_string()));
        lines.extend(
            receipt
                .files
                .iter()
                .map(|f| ("file", format!("{} ({}, sha256 {})", f.path, size(f.bytes), f.sha256))),
        );
    }
    lines.iter().map(|(key, value)| format!("{key:<12} {value}\n")).collect()
}

fn about(manifest: &Manifest) -> Vec<(&'static str, String)> {
    let millions = manifest.parameters as f64 / 1e6;
    let mut lines = vec![
        ("title", manifest.title.clone()),
        ("task", task(manifest.task).to_owned()),
        ("architecture", manifest.architecture.clone()),
        ("parameters", format!("{millions:.0} million")),
        ("context", format!("{} tokens", manifest.context_length)),
        ("licence", manifest.licence.clone()),
        ("languages", manifest.languages.join(" ")),
    ];
    lines.extend(
        manifest.prompts.iter().map(|(name, prefix)| ("prompt", format!("{name}: {prefix:?}"))),
    );
    lines.extend(manifest.sources.iter().map(|source| {
        let bytes = source.bytes().map(|b| format!(", {}", size(b))).unwrap_or_default();
        ("source", format!("{}{bytes}", source.label()))
    }));
    if !manifest.notes.is_empty() {
        lines.push(("notes", manifest.notes.split_whitespace().collect::<Vec<_>>().join(" ")));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provision::{Catalogue, Receipt, Role, Stored};

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
        let text = table(&listing);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), listing.len() + 1);
        let column = lines[0].find("STATE").unwrap();
        assert!(lines[1][column..].starts_with("partial, 2 kB"), "{text}");
        let last = lines.last().unwrap();
        assert!(last[column..].starts_with("present, verified 2025-11-22"), "{text}");
        assert!(last.contains("1.5 MB"), "{text}");
    }
}
