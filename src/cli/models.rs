//! `dragoman models`: what can be asked for by name, what is here, what fits
//! this machine, and what is good at a language.

mod details;
mod entry;
mod json;
pub mod markdown;
mod recommend;
mod table;

use anyhow::{Context, Result, bail};

use self::entry::{Entry, Machine};
use crate::config::{Config, edit_distance};
use crate::provision::{Provisioner, Task, languages, progress};

/// Lists the catalogue and the cache, or tells all about one model.
#[derive(Debug, Default, clap::Args)]
pub struct Args {
    /// Show everything known about this model.
    #[arg(value_name = "MODEL", conflicts_with_all = ["task", "language", "fits", "markdown"])]
    pub model: Option<String>,
    /// Only models for this: generate, embed, rerank, or translate (models made
    /// for it, and those that generate, which translate when they are told to).
    #[arg(long)]
    pub task: Option<Wanted>,
    /// Only models that know this language, how well, and which to take: a tag
    /// (fr, sw, zh) or its name in English.
    #[arg(long, value_name = "LANGUAGE")]
    pub language: Option<String>,
    /// Only models that fit the memory that is free now, or engine.memory_mib.
    #[arg(long)]
    pub fits: bool,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
    /// Print the catalogue as a page in Markdown, which is docs/models.md.
    #[arg(long, conflicts_with_all = ["task", "language", "fits", "json"])]
    pub markdown: bool,
}

/// What somebody needs a model for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Wanted {
    Generate,
    Embed,
    Rerank,
    Translate,
}

impl Wanted {
    const ALL: [Self; 4] = [Self::Generate, Self::Embed, Self::Rerank, Self::Translate];

    /// As it is written after `--task`.
    fn name(self) -> &'static str {
        match self {
            Self::Generate => "generate",
            Self::Embed => "embed",
            Self::Rerank => "rerank",
            Self::Translate => "translate",
        }
    }

    /// Whether a model of this task can do it.
    fn takes(self, task: Task) -> bool {
        match self {
            Self::Generate => task == Task::Generation,
            Self::Embed => task == Task::Embedding,
            Self::Rerank => task == Task::Reranking,
            Self::Translate => matches!(task, Task::Translation | Task::Generation),
        }
    }
}

/// Runs the command.
///
/// # Errors
/// A model or language that is not known; the message says which are.
pub fn run(args: Args, config: &Config) -> Result<()> {
    if args.markdown {
        print!("{}", markdown::page()?);
        return Ok(());
    }
    let provisioner = Provisioner::new(&config.provision, progress::for_stderr())?;
    print!("{}", answer(&args, config, &provisioner)?);
    Ok(())
}

/// What the command prints.
///
/// # Errors
/// As [`run`].
pub fn answer(args: &Args, config: &Config, provisioner: &Provisioner) -> Result<String> {
    let machine = Machine::here(config)?;
    anyhow::ensure!(
        !args.fits || machine.left.is_some(),
        "--fits: how much memory is free is not known here; set engine.memory_mib"
    );
    let language = args.language.as_deref().map(|text| language(text, provisioner)).transpose()?;
    let all = provisioner.list().into_iter().map(|listing| Entry::new(listing, &machine));
    let all = all.collect::<Result<Vec<Entry>>>()?;
    let place = (&machine, provisioner.store());
    if let Some(name) = &args.model {
        let entry = all.iter().find(|e| e.name().eq_ignore_ascii_case(name));
        let entry = entry.with_context(|| match provisioner.catalogue().nearest(name) {
            Some(near) => format!("no model `{name}`; did you mean `{near}`?"),
            None => format!("no model `{name}`; `dragoman models` lists them all"),
        })?;
        return match args.json {
            true => json::models(&[entry], place, None, &[]),
            false => Ok(details::text(provisioner, entry)),
        };
    }
    let shown: Vec<&Entry> = all
        .iter()
        .filter(|e| args.task.is_none_or(|task| e.task().is_some_and(|t| task.takes(t))))
        .filter(|e| language.is_none_or(|tag| e.grade(tag).is_some()))
        .filter(|e| !args.fits || e.fits == Some(true))
        .collect();
    let tasks = args.task.map_or_else(|| Wanted::ALL.to_vec(), |task| vec![task]);
    let advice: Vec<recommend::Advice<'_>> = match language {
        Some(tag) => tasks.iter().map(|task| recommend::advise(&all, *task, tag)).collect(),
        None => Vec::new(),
    };
    if args.json {
        return json::models(&shown, place, language, &advice);
    }
    let mut text = table::text(&shown, &machine, language);
    if let Some(tag) = language {
        text += &recommend::text(&advice, tag);
    }
    Ok(text)
}

/// The tag of a language that some model of the catalogue names.
fn language(text: &str, provisioner: &Provisioner) -> Result<&'static str> {
    let mut known: Vec<&'static str> = languages::tags().collect();
    known.retain(|tag| provisioner.catalogue().iter().any(|m| m.languages.grade(tag).is_some()));
    if let Some(tag) = languages::named(text).filter(|tag| known.contains(tag)) {
        return Ok(tag);
    }
    let named = known.iter().filter_map(|tag| Some((*tag, languages::name(tag)?)));
    let wanted = text.to_lowercase();
    let near = named.clone().find(|(_, name)| {
        wanted.chars().count() > 3 && edit_distance(&wanted, &name.to_lowercase()) <= 2
    });
    let near = near.map(|(tag, name)| format!("; did you mean {name} ({tag})?"));
    let list: Vec<String> = named.map(|(tag, name)| format!("{tag} {name}")).collect();
    bail!(
        "--language {text:?} is a language that no model of the catalogue names{}\n\
         Use a tag or a name of these: {}",
        near.unwrap_or_default(),
        list.join(", ")
    )
}
