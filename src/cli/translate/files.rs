//! Which documents are translated, and where the translations go.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use super::Args;
use crate::cli::record::beside;
use crate::documents::format::{Document, Kind};
use crate::documents::record::Blob;

/// A document that was read, and where its translation goes.
pub(super) struct Input {
    pub path: PathBuf,
    pub document: Document,
    pub output: PathBuf,
    /// The file as it was, for a record.
    pub blob: Blob,
}

/// Reads all documents.
///
/// # Errors
/// All that is wrong with any of them, and translations that are there already.
pub(super) fn documents(args: &Args) -> anyhow::Result<Vec<Input>> {
    let mut inputs = Vec::new();
    let mut faults = Vec::new();
    let mut taken: BTreeMap<PathBuf, PathBuf> = BTreeMap::new();
    for given in &args.files {
        let found = if given.is_dir() {
            let found = within(given)?;
            if found.is_empty() {
                faults.push(format!("{}: no document is in this folder", given.display()));
            }
            found
        } else {
            vec![given.clone()]
        };
        for path in found {
            // Within a folder, documents keep their place.
            let root =
                if given.is_dir() { given.as_path() } else { given.parent().unwrap_or(given) };
            match read(&path, root, args) {
                Ok(input) => {
                    if let Some(other) = taken.insert(input.output.clone(), path.clone()) {
                        let (path, other) = (path.display(), other.display());
                        let output = input.output.display();
                        faults.push(format!("{path} and {other} would both become {output}"));
                    }
                    inputs.push(input);
                }
                Err(error) => faults.push(format!("{}: {error:#}", path.display())),
            }
        }
    }
    if !faults.is_empty() {
        bail!("nothing was translated:\n  {}", faults.join("\n  "));
    }
    Ok(inputs)
}

/// The documents of a folder and of those within it, by their extensions;
/// hidden ones are left out.
///
/// # Errors
/// A folder cannot be read.
pub(in crate::cli) fn within(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let failed = || format!("{} cannot be read", folder.display());
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).with_context(failed)? {
        let entry = entry.with_context(failed)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        // Links are not followed: they may lead back to where they are.
        let kind = entry.file_type().with_context(failed)?;
        if name.starts_with('.') {
            continue;
        }
        if kind.is_dir() {
            found.extend(within(&entry.path())?);
        } else if kind.is_file() && Kind::from_extension(&name).is_some() {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

fn read(path: &Path, root: &Path, args: &Args) -> anyhow::Result<Input> {
    let bytes = fs::read(path)?;
    let name = path.file_name().context("is no file")?.to_string_lossy().into_owned();
    let document = Document::read(&bytes, None, Some(&name))?;
    let output =
        output(path, root, &document.written_kind().translated_name(&name, &args.to), args);
    if output.exists() && !args.force {
        bail!("{} is there already; move it or add --force", output.display());
    }
    let record = beside(&output);
    if args.record && record.exists() && !args.force {
        bail!("{} is there already; move it or add --force", record.display());
    }
    let blob = Blob::new(name, &bytes);
    Ok(Input { path: path.to_owned(), document, output, blob })
}

/// The translation's place: beside the document, or in the folder for
/// translations.
fn output(path: &Path, root: &Path, name: &str, args: &Args) -> PathBuf {
    match &args.out {
        None => path.with_file_name(name),
        Some(out) => {
            let folder = path.parent().and_then(|folder| folder.strip_prefix(root).ok());
            out.join(folder.unwrap_or(Path::new(""))).join(name)
        }
    }
}

/// Writes a file as a whole or not at all.
pub(in crate::cli) fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let failed = || format!("{} cannot be written", path.display());
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(failed)?;
    }
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    let written = fs::write(&part, bytes).and_then(|()| fs::rename(&part, path));
    if written.is_err() {
        // What is left of it, if anything.
        let _ = fs::remove_file(&part);
    }
    written.with_context(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(files: Vec<PathBuf>, out: Option<PathBuf>) -> Args {
        Args {
            files,
            to: "fr".to_owned(),
            from: None,
            model: None,
            termbases: Vec::new(),
            memories: Vec::new(),
            subject: None,
            out,
            back_translation: false,
            force: false,
            record: false,
        }
    }

    #[test]
    fn translations_have_their_places() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::create_dir_all(root.join("a/b")).unwrap();
        for (name, text) in
            [("a/x.md", "# X"), ("a/b/y.TXT", "y"), ("a/.z.md", "z"), ("a/w.rs", "w")]
        {
            fs::write(root.join(name), text).unwrap();
        }
        let outputs = |args: &Args| -> anyhow::Result<Vec<String>> {
            let of = |input: Input| {
                input.output.strip_prefix(root).unwrap().to_string_lossy().into_owned()
            };
            Ok(documents(args)?.into_iter().map(of).collect())
        };
        let all = args(vec![root.join("a")], Some(root.join("out")));
        assert_eq!(outputs(&all).unwrap(), ["out/b/y.fr.TXT", "out/x.fr.md"]);
        let beside = args(vec![root.join("a/x.md")], None);
        assert_eq!(outputs(&beside).unwrap(), ["a/x.fr.md"]);

        write(&root.join("a/x.fr.md"), b"# X").unwrap();
        let error = outputs(&beside).unwrap_err().to_string();
        assert!(error.contains("x.fr.md is there already"), "{error}");
        assert_eq!(outputs(&Args { force: true, ..beside }).unwrap(), ["a/x.fr.md"]);
        let twice = args(vec![root.join("a/b/y.TXT"), root.join("a/b")], Some(root.join("out")));
        let error = outputs(&twice).unwrap_err().to_string();
        assert!(error.contains("would both become"), "{error}");
        let wrong = args(vec![root.join("a/w.rs"), root.join("none.md")], None);
        let error = outputs(&wrong).unwrap_err().to_string();
        assert!(
            error.contains("w.rs: cannot tell what kind") && error.contains("none.md: "),
            "{error}"
        );
    }
}
