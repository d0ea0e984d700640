//! The record of a job: what is known when it is taken up, signed when it is done.

use serde_json::Value;

use super::Jobs;
use super::job::{Options, StoredJob};
use crate::documents::format::Kind;
use crate::documents::record::{Blob, Facts, Form, RecordError, Role, Terms, Work, plain};
use crate::documents::termbase::Termbase;
use crate::engine::Engine;
use crate::storage::StoreError;

/// What will have made the result, as far as it is known at the start.
///
/// # Errors
/// The store fails.
pub(super) fn facts(
    jobs: &Jobs,
    job: &StoredJob,
    models: Vec<(Role, Engine)>,
    (document, terms): (&[u8], &[Termbase]),
) -> Result<Facts, RecordError> {
    let options = &job.options;
    let mut facts = Facts::new(Work::Translate, Form::File, models);
    facts.options = options.recorded(job.kind, job.charset.as_deref())?;
    facts.input = vec![Blob::new(&*job.name, document)];
    for (at, termbase) in terms.iter().enumerate() {
        let named = options.termbases.get(at);
        let id = named.map(|(id, _)| &**id);
        let name = named.map_or("", |(_, name)| name);
        facts.terms.push(Terms::new(id, name, termbase)?);
    }
    if let Some(id) = &options.memory {
        let failed = |error: StoreError| RecordError::Unreadable(error.to_string());
        let memory = jobs.store().recorded_memory(id).map_err(failed)?;
        if let Some(memory) = &memory
            && options.learn
        {
            facts.varies.push(format!("the memory {} has learnt of it", memory.name));
        }
        facts.memories.extend(memory);
    }
    facts.deterministic = options.deterministic;
    Ok(facts)
}

impl Options {
    /// What a record says of them and of the document's format, and of the charset
    /// that came with it.
    ///
    /// # Errors
    /// They cannot be written as JSON.
    pub fn recorded(&self, format: Kind, charset: Option<&str>) -> serde_json::Result<Value> {
        let mut options = plain(self)?;
        if let Value::Object(fields) = &mut options {
            // Said elsewhere in a record.
            for name in ["record", "deterministic", "termbases"] {
                fields.remove(name);
            }
            fields.insert("format".to_owned(), plain(&format)?);
            if let Some(charset) = charset {
                fields.insert("charset".to_owned(), charset.into());
            }
        }
        Ok(options)
    }

    /// What a record says, with the document's format and the charset that came
    /// with it.
    ///
    /// # Errors
    /// They are of another version.
    pub fn from_recorded(options: &Value) -> serde_json::Result<(Self, Kind, Option<String>)> {
        let format = serde_json::from_value(options["format"].clone())?;
        let charset = options["charset"].as_str().map(str::to_owned);
        Ok((serde_json::from_value(options.clone())?, format, charset))
    }
}

/// The record of a job that is done, as it is stored.
///
/// # Errors
/// A model's file is gone, or there is no key to sign with.
pub(super) fn record(
    jobs: &Jobs,
    facts: &Facts,
    name: String,
    result: &[u8],
) -> Result<Vec<u8>, RecordError> {
    let sealed = jobs.settings.signer.sign(facts, Blob::new(name, result))?;
    Ok(serde_json::to_vec(&sealed)?)
}
