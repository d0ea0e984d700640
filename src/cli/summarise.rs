//! `dragoman summarise`: what documents say, as Markdown with footnotes that
//! quote them.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use indicatif::{ProgressBar, ProgressStyle};
use serde::{Deserialize, Serialize};

use super::record;
use super::translate::{language, write};
use crate::config::Config;
use crate::documents::format::Document;
use crate::documents::record::{Blob, Facts, Form, Role, Work, plain};
use crate::documents::source::{Source, line};
use crate::documents::summary::{
    MAX_STATEMENTS, NOTE, Request, Statement, Summarizer, Summary, Task,
};
use crate::engine::ModelKind;

/// Flags of `dragoman summarise`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Documents (text, Markdown, HTML, DOCX, SRT, XLIFF, PDF).
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// The language to write, as a tag: fr, pt-BR, zh. Without it that of the
    /// document.
    #[arg(long, value_name = "LANGUAGE")]
    pub to: Option<String>,
    /// What to look for.
    #[arg(long, value_enum, default_value_t = Looked::Points)]
    pub task: Looked,
    /// Statements at most.
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub statements: usize,
    /// What to look at above all, in your words.
    #[arg(long, value_name = "TEXT")]
    pub focus: Option<String>,
    /// The model: a name of the catalogue, a path, or a hub id. Without it the
    /// configuration's models.generation decides.
    #[arg(long, value_name = "NAME|PATH|HUB-ID")]
    pub model: Option<String>,
    /// Rank sentences by their words, and hold statements to their quotes without
    /// an embedding model; otherwise the first of models.embedding is loaded.
    #[arg(long)]
    pub no_embedding: bool,
    /// Write the summaries to a file.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Write a signed record of what made them beside the file: FILE.record.json.
    #[arg(long, requires = "out")]
    pub record: bool,
}

/// What is wanted of the documents, as a record has it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Asked {
    task: Looked,
    /// Two letters.
    to: Option<String>,
    statements: usize,
    focus: Option<String>,
}

/// [`Task`] as the command line has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Looked {
    /// What the document says.
    Points,
    /// Who has to do what, by when.
    Obligations,
    /// Which party holds what.
    Positions,
}

/// Runs the command.
///
/// # Errors
/// A file, language or model that cannot be used; Ctrl-C.
pub fn run(args: Args, config: &Config) -> anyhow::Result<()> {
    ensure!(
        (1..=MAX_STATEMENTS).contains(&args.statements),
        "--statements is {}; it must be 1 to {MAX_STATEMENTS}",
        args.statements
    );
    record::check_free(args.out.as_deref(), args.record)?;
    let to = args.to.as_deref().map(|to| language("--to", to)).transpose()?;
    // Everything that can be wrong with the files is found before a model is loaded.
    let mut sources = Vec::with_capacity(args.files.len());
    for path in &args.files {
        let (source, blob) = read(path)?;
        if to.is_none() && source.language().is_none() {
            bail!("{}: its language cannot be told; say with --to which to write", blob.name);
        }
        sources.push((source, blob));
    }
    let asked =
        Asked { task: args.task, to, statements: args.statements, focus: args.focus.clone() };
    super::load::cpu(&config.engine, None)?;
    let engine = super::load::writer(args.model.as_deref(), config, &[ModelKind::Generation])?;
    let embedder = (!args.no_embedding).then(|| super::load::embedder(config)).transpose()?;
    let summarizer = Summarizer { engine, embedder };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let show = args.out.is_none();
    let result = runtime.block_on(async {
        let mut text = String::new();
        for (source, blob) in &sources {
            let part = tokio::select! {
                part = part(&summarizer, &blob.name, source, &asked) => part?,
                _ = tokio::signal::ctrl_c() => bail!("stopped at {}", blob.name),
            };
            if show {
                print!("{part}");
            }
            text += &part;
        }
        Ok(text)
    });
    summarizer.engine.shutdown();
    if let Some(embedder) = &summarizer.embedder {
        embedder.shutdown();
    }
    let (text, Some(out)) = (result?, &args.out) else { return Ok(()) };
    write(out, text.as_bytes())?;
    if args.record {
        let mut models = vec![(Role::Writes, summarizer.engine)];
        models.extend(summarizer.embedder.map(|embedder| (Role::Embeds, embedder)));
        let input = sources.into_iter().map(|(_, blob)| blob).collect();
        let facts = Facts::new(Work::Summarize, Form::File, models);
        let facts = Facts { options: plain(&asked)?, input, ..facts };
        record::Recorder::new(config, facts).beside(out, text.as_bytes())?;
    }
    Ok(())
}

/// The part of one document, as Markdown.
///
/// # Errors
/// A document without words or a language, or as the engine has them.
pub(super) async fn part(
    summarizer: &Summarizer,
    name: &str,
    source: &Source,
    asked: &Asked,
) -> anyhow::Result<String> {
    let target = asked.to.clone().or_else(|| source.language().map(str::to_owned));
    let request = Request {
        task: asked.task.into(),
        target: target.with_context(|| format!("{name}: its language cannot be told"))?,
        statements: asked.statements,
        focus: asked.focus.clone(),
        title: None,
        priority: 0,
    };
    let summary = one(summarizer, name, source, &request).await?;
    Ok(markdown(name, source, &summary))
}

/// A document to be read, and its file for a record.
///
/// # Errors
/// The file cannot be read, or is no document.
pub(super) fn read(path: &Path) -> anyhow::Result<(Source, Blob)> {
    let shown = path.display().to_string();
    let bytes = std::fs::read(path).with_context(|| shown.clone())?;
    let source = source(&bytes, &shown)?;
    Ok((source, Blob::new(shown, &bytes)))
}

/// The document of a file with this name.
///
/// # Errors
/// It is no document.
pub(super) fn source(bytes: &[u8], name: &str) -> anyhow::Result<Source> {
    let last = Path::new(name).file_name().and_then(|name| name.to_str());
    let document = Document::read(bytes, None, last).with_context(|| name.to_owned())?;
    Ok(Source::of(&document))
}

async fn one(
    summarizer: &Summarizer,
    name: &str,
    source: &Source,
    request: &Request,
) -> anyhow::Result<Summary> {
    let style = "{prefix} {wide_bar} {pos}/{len} passages, {eta} left";
    let bar = ProgressBar::new(0)
        .with_style(ProgressStyle::with_template(style)?)
        .with_prefix(name.to_owned());
    let shown = bar.clone();
    let summary = summarizer.summarise(source, request, move |progress| {
        shown.set_length(progress.total as u64);
        shown.set_position(progress.done as u64);
    });
    let summary = summary.await.with_context(|| name.to_owned())?;
    bar.finish_and_clear();
    Ok(summary)
}

/// Statements with footnotes.
fn markdown(name: &str, source: &Source, summary: &Summary) -> String {
    let mut text = format!("# {name}\n\n");
    let mut notes = String::new();
    for (at, statement) in summary.statements.iter().enumerate() {
        let (number, said) = (at + 1, statement.said());
        let quote = line(source.quote(&statement.citation));
        let paragraph = statement.citation.paragraph + 1;
        // Writing to a string does not fail.
        let _ = writeln!(text, "- {said}[^{number}]{}", look(statement));
        let _ = writeln!(notes, "[^{number}]: paragraph {paragraph}: \u{201c}{quote}\u{201d}");
    }
    if summary.statements.is_empty() {
        text += "Nothing of that kind was found.\n";
    }
    if summary.broken > 0 {
        let _ = writeln!(
            text,
            "\n{} answers did not come to an end and could not be read; statements may be missing.",
            summary.broken
        );
    }
    format!("{text}\n{notes}\n{NOTE}\n\n")
}

fn look(statement: &Statement) -> String {
    match statement.notes.is_empty() {
        true => String::new(),
        false => format!(" (look at it: {})", statement.notes.join("; ")),
    }
}

impl From<Looked> for Task {
    fn from(looked: Looked) -> Self {
        match looked {
            Looked::Points => Self::Points,
            Looked::Obligations => Self::Obligations,
            Looked::Positions => Self::Positions,
        }
    }
}
