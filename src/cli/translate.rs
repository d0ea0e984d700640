//! `dragoman translate`: documents and folders of them into another language.
//!
//! Everything that can be wrong with the files is found before a model is
//! loaded. A translation is written beside its place and renamed, so there is
//! either all of it or nothing.

mod files;
mod run;
pub(super) mod terms;

use std::path::PathBuf;

use anyhow::{bail, ensure};

pub(super) use self::files::{within, write};
use super::record::Recorder;
use crate::config::Config;
use crate::documents::jobs::Options;
use crate::documents::record::{Facts, Form, Memory, Role, Terms, Work};
use crate::documents::translate::{Context, Translator, goes_back};
use crate::engine::{Engine, ModelKind};
use crate::text::known;

/// Flags of `dragoman translate`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Documents (text, Markdown, HTML, DOCX, SRT, XLIFF, PDF) and folders.
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// The language to translate to, as a tag: fr, pt-BR, zh.
    #[arg(long, value_name = "LANGUAGE")]
    pub to: String,
    /// The language of the documents; without it, it is found sentence by
    /// sentence.
    #[arg(long, value_name = "LANGUAGE")]
    pub from: Option<String>,
    /// The model: a name of the catalogue, a path, or a hub id. Without it the
    /// configuration's models.generation decides.
    #[arg(long, value_name = "NAME|PATH|HUB-ID")]
    pub model: Option<String>,
    /// Terms to use, as CSV, TSV or TBX; may be repeated.
    #[arg(long = "termbase", value_name = "FILE")]
    pub termbases: Vec<PathBuf>,
    /// Earlier translations as TMX; may be repeated.
    #[arg(long = "memory", value_name = "FILE")]
    pub memories: Vec<PathBuf>,
    /// What the documents are about, for the model.
    #[arg(long)]
    pub subject: Option<String>,
    /// Where the translations go; without it, beside the documents.
    #[arg(long, value_name = "FOLDER")]
    pub out: Option<PathBuf>,
    /// Translate each sentence back with the same model, and show those that come
    /// back least alike.
    #[arg(long)]
    pub back_translation: bool,
    /// Replace translations that are there already.
    #[arg(long)]
    pub force: bool,
    /// Write a signed record of what made it beside each translation:
    /// NAME.record.json.
    #[arg(long)]
    pub record: bool,
}

/// Runs the command.
///
/// # Errors
/// A file, language or model that cannot be used; segments that could not be
/// translated; Ctrl-C.
pub fn run(args: Args, config: &Config) -> anyhow::Result<()> {
    let target = language("--to", &args.to)?;
    let source = args.from.as_deref().map(|from| language("--from", from)).transpose()?;
    let documents = files::documents(&args)?;
    // A table without a header holds terms of both languages of the call.
    let columns = source.clone().map(|source| (source, target.clone()));
    let termbases = terms::termbases(&args.termbases, columns.as_ref())?;
    let glossaries = terms::glossaries(&termbases, source.as_deref(), &target)?;
    let units = terms::units(&args.memories)?;
    let memories = terms::memories(&units, source.as_deref(), &target)?;
    super::load::cpu(&config.engine, None)?;
    let kinds = [ModelKind::Generation, ModelKind::Translation];
    let engine = super::load::writer(args.model.as_deref(), config, &kinds)?;
    has_languages(&engine, &[("--to", Some(&*target)), ("--from", source.as_deref())])?;
    let context = Context { subject: args.subject.clone(), ..Context::default() };
    ensure!(
        context.subject.is_none() || engine.info().kind == ModelKind::Generation,
        "--subject is nothing that {} is told; leave it out",
        engine.info().id
    );
    if args.back_translation {
        goes_back(&engine).map_err(|why| anyhow::anyhow!("--back-translation: {why}"))?;
    }
    let back_translation = args.back_translation;
    let options = Options {
        context,
        back_translation,
        ..Options::new(source.clone(), target, args.to.clone())
    };
    let job = options.job(Vec::new(), source, glossaries, memories);
    let recorder = match args.record {
        true => {
            let models = vec![(Role::Writes, engine.clone())];
            let mut facts = Facts::new(Work::Translate, Form::File, models);
            for (file, termbase) in &termbases {
                facts.terms.push(Terms::new(None, &terms::name(file), termbase)?);
            }
            for (file, units) in &units {
                facts.memories.push(Memory::new(None, &terms::name(file), units)?);
            }
            Some((Recorder::new(config, facts), options))
        }
        false => None,
    };
    let translator = Translator { engine: engine.clone(), embedder: None };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let result =
        runtime.block_on(run::all(&documents, &translator, &job, (&args.to, recorder.as_ref())));
    engine.shutdown();
    result
}

/// Two letters of a language tag.
///
/// # Errors
/// The tag is of no language that is known.
pub(super) fn language(flag: &str, tag: &str) -> anyhow::Result<String> {
    match known(tag) {
        Some(known) => Ok(known.short.to_owned()),
        None => bail!(
            "{flag} is {tag:?}, which is no language that is known; give a tag such as fr or pt-BR"
        ),
    }
}

/// Models that translate alone have a list of languages.
fn has_languages(engine: &Engine, wanted: &[(&str, Option<&str>)]) -> anyhow::Result<()> {
    let languages = engine.languages();
    for (flag, tag) in wanted {
        let Some(tag) = tag.filter(|_| !languages.list().is_empty()) else { continue };
        ensure!(
            languages.find(tag).is_some(),
            "{flag} is {tag:?}, which {} does not have; take another --model",
            engine.info().id
        );
    }
    Ok(())
}
