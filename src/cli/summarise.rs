//! `dragoman summarise`: what documents say, as Markdown with footnotes that
//! quote them.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use indicatif::{ProgressBar, ProgressStyle};

use super::translate::language;
use crate::config::Config;
use crate::documents::format::Document;
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
}

/// [`Task`] as the command line has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
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
    let target = args.to.as_deref().map(|to| language("--to", to)).transpose()?;
    // Everything that can be wrong with the files is found before a model is loaded.
    let mut sources = Vec::with_capacity(args.files.len());
    for path in &args.files {
        let source = read(path).with_context(|| path.display().to_string())?;
        let to = target.clone().or_else(|| source.language().map(str::to_owned));
        let Some(to) = to else {
            bail!("{}: its language cannot be told; say with --to which to write", path.display());
        };
        sources.push((path, source, to));
    }
    super::load::cpu(&config.engine, None)?;
    let engine = super::load::writer(args.model.as_deref(), config, &[ModelKind::Generation])?;
    let embedder = (!args.no_embedding).then(|| super::load::embedder(config)).transpose()?;
    let summarizer = Summarizer { engine, embedder };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let result = runtime.block_on(async {
        for (path, source, target) in sources {
            let request = Request {
                task: args.task.into(),
                target,
                statements: args.statements,
                focus: args.focus.clone(),
                title: None,
                priority: 0,
            };
            let summary = tokio::select! {
                summary = one(&summarizer, path, &source, &request) => summary?,
                _ = tokio::signal::ctrl_c() => bail!("stopped at {}", path.display()),
            };
            print!("{}", markdown(path, &source, &summary));
        }
        Ok(())
    });
    summarizer.engine.shutdown();
    if let Some(embedder) = &summarizer.embedder {
        embedder.shutdown();
    }
    result
}

/// A document to be read.
///
/// # Errors
/// The file cannot be read, or is no document.
pub(super) fn read(path: &Path) -> anyhow::Result<Source> {
    let bytes = std::fs::read(path)?;
    let name = path.file_name().and_then(|name| name.to_str());
    Ok(Source::of(&Document::read(&bytes, None, name)?))
}

async fn one(
    summarizer: &Summarizer,
    path: &Path,
    source: &Source,
    request: &Request,
) -> anyhow::Result<Summary> {
    let style = "{prefix} {wide_bar} {pos}/{len} passages, {eta} left";
    let bar = ProgressBar::new(0)
        .with_style(ProgressStyle::with_template(style)?)
        .with_prefix(path.display().to_string());
    let shown = bar.clone();
    let summary = summarizer.summarise(source, request, move |progress| {
        shown.set_length(progress.total as u64);
        shown.set_position(progress.done as u64);
    });
    let summary = summary.await.with_context(|| path.display().to_string())?;
    bar.finish_and_clear();
    Ok(summary)
}

/// Statements with footnotes.
fn markdown(path: &Path, source: &Source, summary: &Summary) -> String {
    let mut text = format!("# {}\n\n", path.display());
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
