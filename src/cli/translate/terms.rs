//! Termbases and translation memories from files.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};

use crate::documents::memory::{self, Index, Unit};
use crate::documents::termbase::{self, Format, Glossary, Termbase};

/// The termbases of files. `columns` are the languages of tables without a
/// header.
///
/// # Errors
/// A file that cannot be read, with the line.
pub(in crate::cli) fn termbases(
    files: &[PathBuf],
    columns: Option<&(String, String)>,
) -> anyhow::Result<Vec<(PathBuf, Termbase)>> {
    let mut all = Vec::with_capacity(files.len());
    for file in files {
        let extension = file.extension().and_then(|extension| extension.to_str());
        let format = match extension.map(str::to_ascii_lowercase).as_deref() {
            Some("csv") => Format::Csv(columns.cloned()),
            Some("tsv" | "txt") => Format::Tsv(columns.cloned()),
            Some("tbx" | "xml") => Format::Tbx,
            _ => bail!("{}: a termbase is a .csv, .tsv or .tbx file", file.display()),
        };
        let (termbase, notices) =
            Termbase::read(&bytes(file)?, &format).with_context(|| file.display().to_string())?;
        for notice in notices {
            tracing::warn!("{}, line {}: {}", file.display(), notice.line, notice.message);
        }
        all.push((file.clone(), termbase));
    }
    Ok(all)
}

/// The terms for `target`, by the language of the text they stand in.
///
/// # Errors
/// There are termbases, and none has such terms.
pub(super) fn glossaries(
    termbases: &[(PathBuf, Termbase)],
    source: Option<&str>,
    target: &str,
) -> anyhow::Result<Vec<Arc<Glossary>>> {
    let all = termbases.iter().map(|(_, termbase)| termbase);
    let glossaries = termbase::glossaries(all.clone(), source, target);
    if !termbases.is_empty() && glossaries.is_empty() {
        let from = source.unwrap_or("any language");
        let mut languages: Vec<&str> = all.flat_map(Termbase::languages).collect();
        languages.sort_unstable();
        languages.dedup();
        let languages = languages.join(", ");
        bail!("--termbase has no terms from {from} to {target}; it has {languages}");
    }
    Ok(glossaries)
}

/// Earlier translations.
///
/// # Errors
/// A file that cannot be read, with the line.
pub(in crate::cli) fn units(files: &[PathBuf]) -> anyhow::Result<Vec<(PathBuf, Vec<Unit>)>> {
    let mut all = Vec::with_capacity(files.len());
    for file in files {
        let (units, notices) =
            memory::read(&bytes(file)?).with_context(|| file.display().to_string())?;
        for (line, message) in notices {
            tracing::warn!("{}, line {line}: {message}", file.display());
        }
        all.push((file.clone(), units));
    }
    Ok(all)
}

/// Those to `target`, by the language of their sources.
///
/// # Errors
/// There are memories, and none has such texts.
pub(super) fn memories(
    files: &[(PathBuf, Vec<Unit>)],
    source: Option<&str>,
    target: &str,
) -> anyhow::Result<Vec<(String, Arc<Index>)>> {
    let indexes = indexes(files.iter().flat_map(|(_, units)| units), source, target);
    if !files.is_empty() && indexes.is_empty() {
        let from = source.unwrap_or("any language");
        let known = languages(files.iter().flat_map(|(_, units)| units)).join(", ");
        bail!("--memory has no texts from {from} to {target}; it has {known}");
    }
    Ok(indexes)
}

/// Units made ready for searching, by the language of their sources.
pub(in crate::cli) fn indexes<'u>(
    units: impl Iterator<Item = &'u Unit> + Clone,
    source: Option<&str>,
    target: &str,
) -> Vec<(String, Arc<Index>)> {
    (languages(units.clone()).into_iter())
        .filter(|language| *language != target && source.is_none_or(|source| source == *language))
        .map(|language| {
            (language.to_owned(), Arc::new(Index::new(units.clone(), language, target)))
        })
        .filter(|(_, index)| !index.is_empty())
        .collect()
}

fn languages<'u>(units: impl Iterator<Item = &'u Unit>) -> Vec<&'u str> {
    let mut languages: Vec<&str> =
        units.flat_map(|unit| &unit.texts).map(|text| &*text.language).collect();
    languages.sort_unstable();
    languages.dedup();
    languages
}

/// What a file is called, without its folder.
pub(in crate::cli) fn name(file: &Path) -> String {
    file.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn bytes(file: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(file).with_context(|| format!("{} cannot be read", file.display()))
}
