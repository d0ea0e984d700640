//! What is known when a result is there, put together to a record.

use std::sync::OnceLock;

use serde_json::Value;

use super::{
    Blob, Form, KeyInfo, Memory, Model, ModelFile, PublicKey, Record, RecordError, Role, SCHEMA,
    Sampling, Server, Terms, Work, hex,
};
use crate::documents::{summary, translate};
use crate::engine::provenance::hash_file;
use crate::engine::{Engine, ModelKind};

/// What made a result.
#[derive(Clone)]
pub struct Facts {
    pub work: Work,
    pub form: Form,
    pub options: Value,
    pub input: Vec<Blob>,
    pub models: Vec<(Role, Engine)>,
    pub terms: Vec<Terms>,
    pub memories: Vec<Memory>,
    pub deterministic: bool,
    /// Why a second run may differ, besides what the models say.
    pub varies: Vec<String>,
}

impl Facts {
    /// Those of a result that rests on nothing but these models.
    pub fn new(work: Work, form: Form, models: Vec<(Role, Engine)>) -> Self {
        Self {
            work,
            form,
            options: Value::Null,
            input: Vec::new(),
            models,
            terms: Vec::new(),
            memories: Vec::new(),
            deterministic: false,
            varies: Vec::new(),
        }
    }

    /// The record of a result. Reads the models' files the first time.
    ///
    /// # Errors
    /// A model's file cannot be read, or has changed since it was loaded.
    pub fn record(&self, result: Blob, key: &PublicKey) -> Result<Record, RecordError> {
        let mut varies = self.varies.clone();
        varies.extend(self.models.iter().filter_map(|(_, engine)| engine.repeats().err()));
        let writer = self.models.iter().find(|(role, _)| *role == Role::Writes);
        let prompts = match self.work {
            Work::Translate => Some(translate::PROMPTS),
            Work::Summarize => Some(summary::PROMPTS),
            Work::Compare => None,
        };
        let prompts = prompts.map(|text| (self.work.name().to_owned(), sha256(text.as_bytes())));
        Ok(Record {
            schema: SCHEMA,
            work: self.work,
            form: self.form,
            created: jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            options: self.options.clone(),
            input: self.input.clone(),
            result,
            models: self.models.iter().map(model).collect::<Result<_, _>>()?,
            sampling: writer.map(|(_, engine)| sampling(engine)),
            prompts: prompts.into_iter().collect(),
            terms: self.terms.clone(),
            memories: self.memories.clone(),
            deterministic: self.deterministic,
            varies,
            server: server(),
            key: KeyInfo { algorithm: "ed25519".to_owned(), id: key.id(), public_key: key.pem() },
        })
    }
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest;
    hex(sha2::Sha256::digest(bytes))
}

fn model((role, engine): &(Role, Engine)) -> Result<Model, RecordError> {
    let (info, found) = (engine.info(), engine.provenance()?);
    let file = |file: &crate::engine::FileHash| ModelFile {
        role: file.role.to_owned(),
        name: file.name.clone(),
        bytes: file.bytes,
        sha256: file.sha256.clone(),
    };
    Ok(Model {
        role: *role,
        id: info.id.clone(),
        architecture: info.architecture.clone(),
        quantization: info.quantization.clone(),
        quantize: found.quantize.clone(),
        kv_cache_dtype: found.kv_cache_dtype.map(str::to_owned),
        context_length: info.limits.context_length,
        device: info.device.clone(),
        instructions: found.instructions.map(str::to_owned),
        files: found.files.iter().map(file).collect(),
        chat_template: found.chat_template.clone(),
    })
}

fn sampling(engine: &Engine) -> Sampling {
    let info = engine.info();
    let beams = match (info.kind, &info.writing) {
        (ModelKind::Translation, Some(writing)) => {
            let most = info.limits.source.map_or(1, |limits| limits.beams);
            writing.beams.num_beams.min(most)
        }
        _ => 1,
    };
    Sampling {
        method: if beams > 1 { "beams" } else { "greedy" }.to_owned(),
        num_beams: beams,
        temperature: 0.0,
        seed: None,
    }
}

fn server() -> Server {
    static EXECUTABLE: OnceLock<Option<String>> = OnceLock::new();
    let hash = || hash_file(&std::env::current_exe().ok()?).ok();
    Server {
        name: env!("CARGO_PKG_NAME").to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        commit: option_env!("DRAGOMAN_COMMIT")
            .filter(|commit| !commit.is_empty())
            .map(str::to_owned),
        target: format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS),
        executable: EXECUTABLE.get_or_init(hash).clone(),
    }
}
