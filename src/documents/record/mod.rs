//! Records: what made a result, signed, so that an archive can keep it beside the
//! result and anybody can check it later.
//!
//! A record is an in-toto statement about the result, by its SHA-256, in a DSSE
//! envelope; the predicate is [`Record`]. All of it is in RFC 8785's form of JSON.
//! It holds no text but what was asked for besides the documents.

mod canonical;
mod differences;
mod envelope;
mod facts;
mod key;
mod signer;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

pub use canonical::{Inexact, canonical, plain};
pub use differences::{Check, Outcome, differences};
pub use envelope::{Envelope, EnvelopeError, Signature};
pub use facts::Facts;
pub use key::{Key, KeyError, PublicKey};
pub use signer::{RecordError, Signer};

use super::memory::Unit;
use super::termbase::Termbase;

/// Version of [`Record`]; a reader refuses others.
pub const SCHEMA: u32 = 1;
/// What DSSE calls the payload's type.
const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";
const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";
const PREDICATE_TYPE: &str = "urn:dragoman:record:1";

/// What made a result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    pub schema: u32,
    pub work: Work,
    pub form: Form,
    /// In UTC, as RFC 3339 writes it.
    pub created: String,
    /// What was asked for, without the documents.
    pub options: Value,
    pub input: Vec<Blob>,
    pub result: Blob,
    pub models: Vec<Model>,
    /// How models write; none where none does.
    pub sampling: Option<Sampling>,
    /// SHA-256 of the texts that models are asked with, by what they are for.
    pub prompts: BTreeMap<String, String>,
    /// As they were.
    pub terms: Vec<Terms>,
    pub memories: Vec<Memory>,
    /// The server promised the same bytes for the same request.
    pub deterministic: bool,
    /// Why a second run may differ all the same.
    pub varies: Vec<String>,
    pub server: Server,
    pub key: KeyInfo,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Work {
    Translate,
    Summarize,
    Compare,
}

impl Work {
    pub fn name(self) -> &'static str {
        match self {
            Self::Translate => "translate",
            Self::Summarize => "summarize",
            Self::Compare => "compare",
        }
    }
}

/// What input and result are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// The request and the answer, in RFC 8785's form and both without `record`.
    Json,
    /// Files, as they are.
    File,
    /// A file that came with a request, as it is, and the answer as of [`Self::Json`].
    Upload,
}

impl Form {
    /// Whether the input is JSON, which is the same however it is written.
    pub fn takes_json(self) -> bool {
        self == Self::Json
    }

    /// Whether the result is.
    pub fn gives_json(self) -> bool {
        self != Self::File
    }
}

/// Bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blob {
    pub name: String,
    pub bytes: u64,
    pub sha256: String,
}

impl Blob {
    pub fn new(name: impl Into<String>, content: &[u8]) -> Self {
        let (name, bytes) = (name.into(), content.len() as u64);
        Self { name, bytes, sha256: hex(Sha256::digest(content)) }
    }
}

/// A model, its files and what of its settings can change what it does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Model {
    pub role: Role,
    pub id: String,
    pub architecture: String,
    /// How most weights are stored.
    pub quantization: String,
    /// What became of those that are not quantized: `models.quantize`.
    pub quantize: String,
    pub kv_cache_dtype: Option<String>,
    pub context_length: usize,
    pub device: String,
    /// The best that kernels use, on the CPU.
    pub instructions: Option<String>,
    pub files: Vec<ModelFile>,
    /// SHA-256 of the chat template, wherever it stands.
    pub chat_template: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    Writes,
    Embeds,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelFile {
    pub role: String,
    pub name: String,
    pub bytes: u64,
    pub sha256: String,
}

/// How a model chooses what it writes. Nothing is drawn, so there is no seed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sampling {
    /// "greedy" or "beams".
    pub method: String,
    pub num_beams: usize,
    pub temperature: f32,
    pub seed: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// Where it is stored under one.
    pub id: Option<String>,
    pub name: String,
    pub entries: usize,
    /// Of what it says, however its file says it.
    pub sha256: String,
}

impl Terms {
    /// # Errors
    /// It cannot be written as JSON, which no termbase that was read is.
    pub fn new(id: Option<&str>, name: &str, termbase: &Termbase) -> Result<Self, RecordError> {
        let mut hasher = Sha256::new();
        for concept in &termbase.concepts {
            let said = json!({"note": concept.note, "terms": plain(&concept.terms)?});
            hasher.update(canonical(&said)?);
            hasher.update("\n");
        }
        let (id, name) = (id.map(str::to_owned), name.to_owned());
        Ok(Self { id, name, entries: termbase.concepts.len(), sha256: hex(hasher.finalize()) })
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    pub id: Option<String>,
    pub name: String,
    pub units: u64,
    /// Of its units in the order in which they came.
    pub sha256: String,
}

impl Memory {
    /// # Errors
    /// As [`Terms::new`].
    pub fn new(id: Option<&str>, name: &str, units: &[Unit]) -> Result<Self, RecordError> {
        let mut hasher = Sha256::new();
        for unit in units {
            hasher.update(canonical(&plain(unit)?)?);
            hasher.update("\n");
        }
        let (id, name) = (id.map(str::to_owned), name.to_owned());
        Ok(Self { id, name, units: units.len() as u64, sha256: hex(hasher.finalize()) })
    }
}

/// The program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Server {
    pub name: String,
    pub version: String,
    /// As `DRAGOMAN_COMMIT` had it when the program was built.
    pub commit: Option<String>,
    /// Architecture and operating system.
    pub target: String,
    /// SHA-256 of the program's file.
    pub executable: Option<String>,
}

/// The key that signs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyInfo {
    pub algorithm: String,
    pub id: String,
    /// In PEM. It proves nothing by itself: who reads a record has to know it.
    pub public_key: String,
}

impl Record {
    /// What is signed.
    ///
    /// # Errors
    /// The options have a number that cannot be written.
    fn statement(&self) -> Result<String, RecordError> {
        let digest = json!({"sha256": self.result.sha256});
        let statement = json!({
            "_type": STATEMENT_TYPE,
            "subject": [{"name": self.result.name, "digest": digest}],
            "predicateType": PREDICATE_TYPE,
            "predicate": plain(self)?,
        });
        Ok(canonical(&statement)?)
    }

    /// From what was signed.
    ///
    /// # Errors
    /// It is no record, or one of another version.
    pub fn read(payload: &[u8]) -> Result<Self, RecordError> {
        let other = |why: String| RecordError::Unreadable(why);
        let mut statement: Value =
            serde_json::from_slice(payload).map_err(|error| other(error.to_string()))?;
        let field = |name: &str| statement[name].as_str().unwrap_or_default().to_owned();
        let (kind, predicate) = (field("_type"), field("predicateType"));
        if kind != STATEMENT_TYPE || predicate != PREDICATE_TYPE {
            return Err(other(format!("it is a {predicate:?} in a {kind:?}")));
        }
        let digest = statement.pointer("/subject/0/digest/sha256").cloned();
        let record: Self = serde_json::from_value(statement["predicate"].take())
            .map_err(|error| other(error.to_string()))?;
        if record.schema != SCHEMA {
            let schema = record.schema;
            return Err(other(format!("its version is {schema}, and this program reads {SCHEMA}")));
        }
        if digest != Some(Value::from(&*record.result.sha256)) {
            return Err(other("its subject and its result are not the same".to_owned()));
        }
        Ok(record)
    }
}

/// A JSON text as records hash it: in RFC 8785's form, without `record`.
///
/// # Errors
/// It is no JSON object, or has a number that cannot be written.
pub fn without_record(json: &[u8]) -> Result<(Value, String), RecordError> {
    let unreadable = |error: String| RecordError::Unreadable(error);
    let mut value: Value =
        serde_json::from_slice(json).map_err(|error| unreadable(error.to_string()))?;
    let fields = value.as_object_mut();
    fields.ok_or_else(|| unreadable("it is no JSON object".to_owned()))?.remove("record");
    let text = canonical(&value)?;
    Ok((value, text))
}

fn hex(digest: impl AsRef<[u8]>) -> String {
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
