//! Termbases and translation memories from files.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};

use crate::documents::memory::{self, Index};
use crate::documents::termbase::{self, Format, Glossary, Termbase};

/// The terms for `target`, by the language of the text they stand in.
///
/// # Errors
/// A file that cannot be read, with the line.
pub(super) fn glossaries(
    files: &[PathBuf],
    source: Option<&str>,
    target: &str,
) -> anyhow::Result<Vec<Arc<Glossary>>> {
    let mut all = Termbase::default();
    for file in files {
        let extension = file.extension().and_then(|extension| extension.to_str());
        // A table without a header holds terms of both languages of the call.
        let columns = source.map(|source| (source.to_owned(), target.to_owned()));
        let format = match extension.map(str::to_ascii_lowercase).as_deref() {
            Some("csv") => Format::Csv(columns),
            Some("tsv" | "txt") => Format::Tsv(columns),
            Some("tbx" | "xml") => Format::Tbx,
            _ => bail!("{}: a termbase is a .csv, .tsv or .tbx file", file.display()),
        };
        let (termbase, notices) =
            Termbase::read(&bytes(file)?, &format).with_context(|| file.display().to_string())?;
        for notice in notices {
            tracing::warn!("{}, line {}: {}", file.display(), notice.line, notice.message);
        }
        all.concepts.extend(termbase.concepts);
    }
    let glossaries = termbase::glossaries([&all], source, target);
    if !files.is_empty() && glossaries.is_empty() {
        let from = source.unwrap_or("any language");
        bail!(
            "--termbase has no terms from {from} to {target}; it has {}",
            all.languages().join(", ")
        );
    }
    Ok(glossaries)
}

/// Earlier translations to `target`, by the language of their sources.
///
/// # Errors
/// A file that cannot be read, with the line.
pub(super) fn memories(
    files: &[PathBuf],
    source: Option<&str>,
    target: &str,
) -> anyhow::Result<Vec<(String, Arc<Index>)>> {
    let mut all = Vec::new();
    for file in files {
        let (units, notices) =
            memory::read(&bytes(file)?).with_context(|| file.display().to_string())?;
        for (line, message) in notices {
            tracing::warn!("{}, line {line}: {message}", file.display());
        }
        all.extend(units);
    }
    let texts = all.iter().flat_map(|unit| &unit.texts);
    let mut languages: Vec<&str> = texts.map(|text| &*text.language).collect();
    languages.sort_unstable();
    languages.dedup();
    let known = languages.join(", ");
    let indexes: Vec<_> = (languages.into_iter())
        .filter(|language| *language != target && source.is_none_or(|source| source == *language))
        .map(|language| (language.to_owned(), Arc::new(Index::new(&all, language, target))))
        .filter(|(_, index)| !index.is_empty())
        .collect();
    if !files.is_empty() && indexes.is_empty() {
        let from = source.unwrap_or("any language");
        bail!("--memory has no texts from {from} to {target}; it has {known}");
    }
    Ok(indexes)
}

fn bytes(file: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(file).with_context(|| format!("{} cannot be read", file.display()))
}
