//! What was given with a record: documents, termbases, memories.

use std::path::{Path, PathBuf};

use anyhow::Context;

use super::{Args, content, of_blob};
use crate::cli::translate::terms;
use crate::documents::memory::Unit;
use crate::documents::record::{Blob, Check, Memory, Record, Terms};
use crate::documents::termbase::Termbase;

/// Each in the place of what was recorded, as far as it was given.
pub(super) struct Given {
    pub inputs: Vec<Option<(Blob, Vec<u8>)>>,
    pub termbases: Vec<Option<(PathBuf, Termbase)>>,
    pub memories: Vec<Option<(PathBuf, Vec<Unit>)>>,
}

impl Given {
    /// # Errors
    /// A file that cannot be read, or that the record has no place for.
    pub fn read(args: &Args, record: &Record) -> anyhow::Result<Self> {
        let mut inputs = Vec::new();
        for path in &args.inputs {
            inputs.push(content(record.form.takes_json(), path)?);
        }
        let language = |name: &str| record.options[name].as_str().map(str::to_owned);
        let columns = language("source").zip(language("target"));
        let termbases = terms::termbases(&args.termbases, columns.as_ref())?;
        let memories = terms::units(&args.memories)?;
        let hash = |blob: &Blob| blob.sha256.clone();
        let of_terms = |terms: &Terms| terms.sha256.clone();
        // Those of the request itself are in the input.
        let stored: Vec<Terms> = stored(record).cloned().collect();
        Ok(Self {
            inputs: placed(&record.input, hash, inputs, |(blob, _)| Ok(hash(blob)))
                .context("--input")?,
            termbases: placed(&stored, of_terms, termbases, |(path, termbase)| {
                Ok(Terms::new(None, &terms::name(path), termbase)?.sha256)
            })
            .context("--termbase")?,
            memories: placed(
                &record.memories,
                |memory| memory.sha256.clone(),
                memories,
                |(path, units)| Ok(Memory::new(None, &terms::name(path), units)?.sha256),
            )
            .context("--memory")?,
        })
    }

    /// Whether they are what was recorded.
    ///
    /// # Errors
    /// A text that cannot be hashed.
    pub fn checks(&self, record: &Record) -> anyhow::Result<Vec<Check>> {
        let mut checks = Vec::new();
        for (recorded, given) in record.input.iter().zip(&self.inputs) {
            checks.push(of_blob("input", recorded, given.as_ref().map(|(blob, _)| blob)));
        }
        for (recorded, given) in stored(record).zip(&self.termbases) {
            let found = given.as_ref().map(|(path, termbase)| {
                let found = Terms::new(None, &path.display().to_string(), termbase)?;
                anyhow::Ok(bytes(&found.name, found.entries as u64, &found.sha256))
            });
            let recorded = bytes(&recorded.name, recorded.entries as u64, &recorded.sha256);
            checks.push(counted("termbase", "entries", &recorded, found.transpose()?));
        }
        for (recorded, given) in record.memories.iter().zip(&self.memories) {
            let found = given.as_ref().map(|(path, units)| {
                let found = Memory::new(None, &path.display().to_string(), units)?;
                anyhow::Ok(bytes(&found.name, found.units, &found.sha256))
            });
            let recorded = bytes(&recorded.name, recorded.units, &recorded.sha256);
            checks.push(counted("memory", "units", &recorded, found.transpose()?));
        }
        Ok(checks)
    }
}

/// Termbases that are files, or stored under an id; for JSON those of the request
/// are in it.
pub(super) fn stored(record: &Record) -> impl Iterator<Item = &Terms> {
    let of_request = record.form.takes_json();
    record.terms.iter().filter(move |terms| !of_request || terms.id.is_some())
}

fn bytes(name: &str, count: u64, sha256: &str) -> Blob {
    Blob { name: name.to_owned(), bytes: count, sha256: sha256.to_owned() }
}

fn counted(name: &str, of: &str, recorded: &Blob, given: Option<Blob>) -> Check {
    let check = of_blob(name, recorded, given.as_ref());
    Check { detail: check.detail.replace(" bytes,", &format!(" {of},")), ..check }
}

/// Puts what was given to what was recorded: by its content, and what is left in
/// its order.
fn placed<R, G>(
    recorded: &[R],
    hash: impl Fn(&R) -> String,
    given: Vec<G>,
    of: impl Fn(&G) -> anyhow::Result<String>,
) -> anyhow::Result<Vec<Option<G>>> {
    anyhow::ensure!(
        given.len() <= recorded.len(),
        "{} were given, and the record has {}",
        given.len(),
        recorded.len()
    );
    let mut places: Vec<Option<G>> = recorded.iter().map(|_| None).collect();
    let mut left = Vec::new();
    for one in given {
        let found = of(&one)?;
        let free =
            (0..places.len()).find(|&at| places[at].is_none() && hash(&recorded[at]) == found);
        match free {
            Some(at) => places[at] = Some(one),
            None => left.push(one),
        }
    }
    for one in left {
        if let Some(place) = places.iter_mut().find(|place| place.is_none()) {
            *place = Some(one);
        }
    }
    Ok(places)
}

/// What has to be there to make a result again.
///
/// # Errors
/// Something of it was not given.
pub(super) fn all<G>(places: Vec<Option<G>>, flag: &str, names: &[&str]) -> anyhow::Result<Vec<G>> {
    let mut found = Vec::with_capacity(places.len());
    for (place, name) in places.into_iter().zip(names) {
        found.push(place.with_context(|| {
            format!("to make the result again, {name:?} has to be given with {flag}")
        })?);
    }
    Ok(found)
}

/// What a file of the user's is called in a document's place.
pub(super) fn file_name(name: &str) -> Option<&str> {
    Path::new(name).file_name().and_then(|name| name.to_str())
}
