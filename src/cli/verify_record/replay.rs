//! Making a recorded result again.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, bail, ensure};

use super::given::{Given, all, file_name, stored};
use super::{Args, of_blob};
use crate::api::{self, AppState};
use crate::cli::translate::terms;
use crate::cli::{compare, load, summarise};
use crate::config::Config;
use crate::documents::format::Document;
use crate::documents::jobs::Options;
use crate::documents::memory::Unit;
use crate::documents::record::{
    Blob, Check, Facts, Form, Key, Memory, Record, Role, Terms, Work, differences,
};
use crate::documents::segment::Cut;
use crate::documents::store::{StoredMemory, StoredTermbase};
use crate::documents::summary::Summarizer;
use crate::documents::termbase::{Termbase, glossaries};
use crate::documents::translate::Translator;
use crate::engine::{Engine, Engines};
use crate::telemetry::metrics;

/// Loads the models as they were set, makes the result again, and holds all of it
/// against the record.
///
/// # Errors
/// Something is missing, cannot be loaded, or fails.
pub(super) fn replay(
    args: &Args,
    config: &Config,
    record: &Record,
    given: Given,
) -> anyhow::Result<Vec<Check>> {
    let names: Vec<&str> = record.input.iter().map(|blob| &*blob.name).collect();
    let inputs = all(given.inputs, "--input", &names)?;
    let names: Vec<&str> = stored(record).map(|terms| &*terms.name).collect();
    let termbases = all(given.termbases, "--termbase", &names)?;
    let names: Vec<&str> = record.memories.iter().map(|memory| &*memory.name).collect();
    let memories = all(given.memories, "--memory", &names)?;
    load::cpu(&config.engine, None)?;
    let mut models = Vec::new();
    for model in &record.models {
        let other = match model.role {
            Role::Writes => &args.model,
            Role::Embeds => &args.embedding_model,
        };
        let name = other.as_deref().unwrap_or(&model.id);
        models.push((model.role, load::as_recorded(name, config, model)?));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let work = Again { record, models, inputs, termbases, memories };
    let again = runtime.block_on(async {
        tokio::select! {
            again = work.run(config) => again,
            _ = tokio::signal::ctrl_c() => bail!("stopped"),
        }
    });
    work.models.iter().for_each(|(_, engine)| engine.shutdown());
    let again = again?;
    let mut checks = differences(record, &again)?;
    checks.push(of_blob("result made again", &record.result, Some(&again.result)));
    Ok(checks)
}

struct Again<'a> {
    record: &'a Record,
    models: Vec<(Role, Engine)>,
    inputs: Vec<(Blob, Vec<u8>)>,
    termbases: Vec<(PathBuf, Termbase)>,
    memories: Vec<(PathBuf, Vec<Unit>)>,
}

impl Again<'_> {
    async fn run(&self, config: &Config) -> anyhow::Result<Record> {
        if self.record.form != Form::File {
            return self.answer(config).await;
        }
        let result = match self.record.work {
            Work::Translate => self.translation().await?,
            Work::Summarize => self.summaries().await?.into_bytes(),
            Work::Compare => self.comparison().await?.into_bytes(),
        };
        let facts = Facts {
            options: self.record.options.clone(),
            input: self.inputs.iter().map(|(blob, _)| blob.clone()).collect(),
            terms: (stored(self.record).zip(&self.termbases))
                .map(|(was, (_, termbase))| Terms::new(was.id.as_deref(), &was.name, termbase))
                .collect::<Result<_, _>>()?,
            memories: (self.record.memories.iter().zip(&self.memories))
                .map(|(was, (_, units))| Memory::new(was.id.as_deref(), &was.name, units))
                .collect::<Result<_, _>>()?,
            ..Facts::new(self.record.work, self.record.form, self.models.clone())
        };
        let result = Blob::new(&*self.record.result.name, &result);
        Ok(facts.record(result, &Key::generate()?.public())?)
    }

    fn model(&self, role: Role) -> Option<Engine> {
        self.models.iter().find(|(has, _)| *has == role).map(|(_, engine)| engine.clone())
    }

    fn writer(&self) -> anyhow::Result<Engine> {
        self.model(Role::Writes).context("the record has no model that writes")
    }

    async fn translation(&self) -> anyhow::Result<Vec<u8>> {
        let (options, format, charset) = Options::from_recorded(&self.record.options)?;
        let Some(((_, bytes), recorded)) = self.inputs.first().zip(self.record.input.first())
        else {
            bail!("the record has no document")
        };
        let name = file_name(&recorded.name);
        let document = Document::received(bytes, Some(format), name, charset.as_deref())?;
        let (cut, source) = Cut::in_language(&document, options.source.as_deref());
        let termbases = self.termbases.iter().map(|(_, termbase)| termbase);
        let glossaries = glossaries(termbases, source.as_deref(), &options.target);
        let units = self.memories.iter().flat_map(|(_, units)| units);
        let memories = terms::indexes(units, source.as_deref(), &options.target);
        // What embeddings and back-translations say is in the report, not in the
        // document.
        let options = Options { back_translation: false, ..options };
        let job = options.job(cut.sentences(), source, glossaries, memories);
        let translator = Translator { engine: self.writer()?, embedder: None };
        let done = translator.translate_all(job).await?;
        let texts: Vec<_> = done.into_iter().map(|translated| translated.target).collect();
        Ok(document.write(&cut.join(&texts), Some(&options.to))?.bytes)
    }

    async fn summaries(&self) -> anyhow::Result<String> {
        let asked = serde_json::from_value(self.record.options.clone())?;
        let summarizer = Summarizer { engine: self.writer()?, embedder: self.model(Role::Embeds) };
        let mut text = String::new();
        for ((_, bytes), recorded) in self.inputs.iter().zip(&self.record.input) {
            let source = summarise::source(bytes, &recorded.name)?;
            text += &summarise::part(&summarizer, &recorded.name, &source, &asked).await?;
        }
        Ok(text)
    }

    async fn comparison(&self) -> anyhow::Result<String> {
        let names = &self.record.input;
        let ([(_, a), (_, b)], [of_a, of_b]) = (&self.inputs[..], &names[..]) else {
            bail!("the record does not have two documents")
        };
        let sources = (summarise::source(a, &of_a.name)?, summarise::source(b, &of_b.name)?);
        let (a, b) = ((&sources.0, &*of_a.name), (&sources.1, &*of_b.name));
        compare::report(a, b, self.model(Role::Embeds).as_ref()).await
    }

    /// Asks the desk once more, with a store that has what was stored then.
    async fn answer(&self, config: &Config) -> anyhow::Result<Record> {
        let ([(_, input)], [recorded]) = (&self.inputs[..], &self.record.input[..]) else {
            bail!("the record has no request")
        };
        let folder =
            Folder(std::env::temp_dir().join(format!("dragoman-{}", uuid::Uuid::new_v4())));
        let mut server = config.server.clone();
        server.data_dir = Some(folder.0.clone());
        server.record_key = Some(folder.0.join("record-key"));
        let engines = Engines::new(self.models.iter().map(|(_, engine)| engine.clone()).collect());
        let state = AppState { engines, config: Arc::new(server), metrics: metrics::install() };
        let termbases = (stored(self.record).zip(&self.termbases))
            .map(|(recorded, (_, termbase))| StoredTermbase {
                id: recorded.id.clone().unwrap_or_default(),
                name: recorded.name.clone(),
                created: 0,
                termbase: termbase.clone(),
                notices: Vec::new(),
            })
            .collect();
        let memories = (self.record.memories.iter().zip(&self.memories))
            .map(|(recorded, (_, units))| {
                let memory = StoredMemory {
                    id: recorded.id.clone().unwrap_or_default(),
                    name: recorded.name.clone(),
                    created: 0,
                    units: 0,
                    languages: Vec::new(),
                };
                (memory, units.clone())
            })
            .collect();
        let input = input.clone().into();
        let asked = match self.record.form {
            Form::Upload => api::Replayed::Upload {
                name: recorded.name.clone(),
                bytes: input,
                options: self.record.options.clone(),
            },
            Form::Json | Form::File => api::Replayed::Request(input),
        };
        let again = api::replay(state, self.record.work, asked, termbases, memories).await;
        let again = again.map_err(|error| anyhow::anyhow!("the request: {}", error.message))?;
        ensure!(again.form == self.record.form, "the request was answered otherwise");
        Ok(again)
    }
}

/// Removed with what is in it.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        // It is only there where something was stored.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
