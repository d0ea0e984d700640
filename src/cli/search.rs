//! `dragoman search`: passages of documents that answer a query, whatever the
//! languages of both.

mod cache;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use self::cache::Cache;
use super::summarise::read;
use super::translate::within;
use crate::config::Config;
use crate::documents::search::{
    Cut, Hit, Index, MAX_QUERY, MAX_RESULTS, Mode, Passage, Query, RERANKED, by_length, cut, embed,
    embed_query, passages, rerank,
};
use crate::documents::source::{Source, line};
use crate::engine::Engine;

/// Tokens of a passage at most, where no model reads it.
const LIMIT: usize = 400;

/// Flags of `dragoman search`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A question or words, in any language.
    #[arg(value_name = "QUERY")]
    pub query: String,
    /// Documents (text, Markdown, HTML, DOCX, SRT, XLIFF, PDF) and folders.
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// Passages at most.
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub limit: usize,
    /// What passages are ranked by.
    #[arg(long, value_enum, default_value_t = By::Hybrid)]
    pub mode: By,
    /// Only passages in this language, as a tag: fr, pt, zh; may be repeated.
    #[arg(long = "language", value_name = "LANGUAGE")]
    pub languages: Vec<String>,
    /// A reranker, which has the last word on the order: it reads the query with
    /// each of the first 50 passages, or with as many as --limit wants. A name of
    /// the catalogue or the hub, a file or a folder; see `dragoman models --task
    /// rerank`.
    #[arg(long, value_name = "NAME")]
    pub rerank_model: Option<String>,
    /// Embed all documents again and keep nothing. Without it, embeddings are kept
    /// in the cache folder, up to 1 GiB, and documents that were searched before
    /// are not embedded again.
    #[arg(long)]
    pub no_cache: bool,
    /// Print JSON, an object a passage.
    #[arg(long)]
    pub json: bool,
}

/// [`Mode`] as the command line has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum By {
    /// Meaning and words.
    Hybrid,
    /// The embeddings of an embedding model, across languages.
    Semantic,
    /// The words of the query; needs no model.
    Lexical,
}

impl From<By> for Mode {
    fn from(by: By) -> Self {
        match by {
            By::Hybrid => Self::Hybrid,
            By::Semantic => Self::Semantic,
            By::Lexical => Self::Lexical,
        }
    }
}

/// A passage with what was found of it.
struct Found {
    hit: Hit,
    passage: Passage,
    /// What the reranker says of it.
    relevance: Option<f32>,
}

/// The models that a search asks.
#[derive(Default)]
struct Models {
    embedder: Option<Engine>,
    reranker: Option<Engine>,
}

/// Runs the command. Unless words decide alone, passages are embedded by the
/// first model of models.embedding.
///
/// # Errors
/// A file, query or model that cannot be used; Ctrl-C.
pub fn run(args: &Args, config: &Config) -> anyhow::Result<()> {
    ensure!(
        (1..=MAX_RESULTS).contains(&args.limit),
        "--limit is {}; it must be 1 to {MAX_RESULTS}",
        args.limit
    );
    let length = args.query.chars().count();
    ensure!(length <= MAX_QUERY, "the query has {length} characters; at most {MAX_QUERY} do");
    ensure!(args.query.chars().any(char::is_alphanumeric), "the query has no words in it");
    let languages: Vec<String> = (args.languages.iter())
        .map(|tag| super::translate::language("--language", tag))
        .collect::<anyhow::Result<_>>()?;
    let documents = documents(&args.files)?;
    let mode = Mode::from(args.mode);
    super::load::cpu(&config.engine, None)?;
    // The one that is named goes first, as it may be none.
    let reranker = args.rerank_model.as_deref().map(|name| super::load::reranker(name, config));
    let models = Models {
        reranker: reranker.transpose()?,
        embedder: mode.embeds().then(|| super::load::embedder(config)).transpose()?,
    };
    let kept = config.provision.cache_folder().filter(|_| !args.no_cache);
    let kept = kept.map(|folder| folder.join("embeddings"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let result = runtime.block_on(async {
        tokio::select! {
            found = find(args, documents, (&models, kept.as_deref()), (mode, &languages)) => found,
            _ = tokio::signal::ctrl_c() => bail!("stopped"),
        }
    });
    models.embedder.iter().chain(&models.reranker).for_each(Engine::shutdown);
    let found = result?;
    for (rank, found) in (1..).zip(&found) {
        match args.json {
            true => println!("{}", object(rank, found)),
            false => print!("{}", shown(rank, found)),
        }
    }
    if found.is_empty() && !args.json {
        println!("Nothing was found.");
    }
    Ok(())
}

/// All documents, read.
fn documents(given: &[PathBuf]) -> anyhow::Result<Vec<(PathBuf, Source)>> {
    let mut paths = Vec::new();
    for path in given {
        match path.is_dir() {
            false => paths.push(path.clone()),
            true => {
                let found = within(path)?;
                ensure!(!found.is_empty(), "{}: no document is in this folder", path.display());
                paths.extend(found);
            }
        }
    }
    paths.sort();
    paths.dedup();
    let read = |path: PathBuf| {
        let (source, _) = read(&path).with_context(|| path.display().to_string())?;
        Ok((path, source))
    };
    paths.into_iter().map(read).collect()
}

async fn find(
    args: &Args,
    documents: Vec<(PathBuf, Source)>,
    (models, kept): (&Models, Option<&Path>),
    (mode, languages): (Mode, &[String]),
) -> anyhow::Result<Vec<Found>> {
    let engine = models.embedder.as_ref();
    let vector = match engine {
        Some(engine) => Some(embed_query(engine, &args.query).await?),
        None => None,
    };
    let mut cache = match (engine, kept) {
        (Some(engine), Some(kept)) => Some(Cache::of(engine, kept).await?),
        _ => None,
    };
    let mut all: Vec<(PathBuf, Vec<Cut>)> = Vec::with_capacity(documents.len());
    for (path, source) in documents {
        let done = match engine {
            Some(engine) => cut(engine, source, None).await,
            None => passages(&source, None, LIMIT, by_length),
        };
        let done = done.with_context(|| path.display().to_string())?;
        all.push((path, done));
    }
    let total: usize = all.iter().map(|(_, cut)| cut.len()).sum();
    let style = "embedding {wide_bar} {pos}/{len} passages, {eta} left";
    let bar = ProgressBar::new(total as u64).with_style(ProgressStyle::with_template(style)?);
    let mut index = Index::new(vector.as_ref().map_or(0, Vec::len));
    let (mut texts, mut before) = (Vec::with_capacity(all.len()), 0);
    for (number, (path, cut)) in all.into_iter().enumerate() {
        let known = cache.as_ref().and_then(|cache| cache.get(&cut));
        let vectors = match (engine, known) {
            (_, Some(known)) => known,
            (None, None) => Vec::new(),
            (Some(engine), None) => {
                let told = |done| bar.set_position((before + done) as u64);
                let vectors = embed(engine, &cut, told).await;
                let vectors = vectors.with_context(|| path.display().to_string())?;
                // Searching goes on without it.
                if let Some(Err(error)) = cache.as_ref().map(|cache| cache.put(&cut, &vectors)) {
                    tracing::warn!("{error:#}");
                    cache = None;
                }
                vectors
            }
        };
        before += cut.len();
        bar.set_position(before as u64);
        let own: Vec<Passage> = cut.into_iter().map(|cut| cut.passage).collect();
        ensure!(
            index.add(&number.to_string(), &path.display().to_string(), &own, &vectors),
            "{}: embeddings are missing",
            path.display()
        );
        texts.push(own);
    }
    bar.finish_and_clear();
    if let Some(cache) = cache {
        cache.make_room();
    }
    let hits = index.search(&Query {
        text: &args.query,
        vector: vector.as_deref(),
        mode,
        limit: if models.reranker.is_some() { args.limit.max(RERANKED) } else { args.limit },
        languages,
        documents: &[],
    });
    let with_text = |hit: Hit| {
        let document: usize = hit.document.id.parse().ok()?;
        let passage = texts.get(document)?.get(usize::try_from(hit.number).ok()?)?.clone();
        Some(Found { hit, passage, relevance: None })
    };
    let found: Vec<Found> = hits.into_iter().filter_map(with_text).collect();
    match &models.reranker {
        Some(engine) => reranked(engine, args, found).await,
        None => Ok(found),
    }
}

/// The first passages in the reranker's order.
async fn reranked(engine: &Engine, args: &Args, found: Vec<Found>) -> anyhow::Result<Vec<Found>> {
    let texts: Vec<String> = found.iter().map(|found| found.passage.text.clone()).collect();
    let mut found: Vec<Option<Found>> = found.into_iter().map(Some).collect();
    let order = rerank(engine, &args.query, &texts).await?.into_iter();
    let take = |(at, score): (usize, f32)| {
        let found = found.get_mut(at).and_then(Option::take)?;
        Some(Found { relevance: Some(score), ..found })
    };
    Ok(order.filter_map(take).take(args.limit).collect())
}

/// A passage with its place and its scores.
fn shown(rank: usize, Found { hit, passage, relevance }: &Found) -> String {
    let mut text = format!("{rank}. {}, paragraph {}", hit.document.name, passage.paragraph + 1);
    // Writing to a string does not fail.
    if let Some(heading) = &passage.heading {
        let _ = write!(text, ", under \u{201c}{}\u{201d}", line(heading));
    }
    let _ = write!(text, " [{}]", passage.language.as_deref().unwrap_or("?"));
    let scores = [("relevance", *relevance), ("cosine", hit.cosine), ("bm25", hit.bm25)];
    for (name, score) in scores {
        if let Some(score) = score {
            let _ = write!(text, " {name} {score:.3}");
        }
    }
    text + "\n   " + &line(&passage.text) + "\n\n"
}

fn object(rank: usize, Found { hit, passage, relevance }: &Found) -> Value {
    let mut scores = json!({"cosine": hit.cosine, "bm25": hit.bm25, "fused": hit.fused});
    if let Some(relevance) = relevance {
        scores["relevance"] = json!(relevance);
    }
    json!({
        "rank": rank,
        "scores": scores,
        "text": passage.text,
        "heading": passage.heading,
        "language": passage.language,
        "citation": {
            "document": hit.document.name,
            "paragraph": passage.paragraph + 1,
            "id": passage.id,
            "first_sentence": passage.sentences.0 + 1,
            "last_sentence": passage.sentences.1 + 1,
            "start": passage.start,
            "end": passage.end,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn folders_are_searched_by_words() {
        let folder = tempfile::tempdir().unwrap();
        let write =
            |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("a.md", "# Article 7\n\nThe depositary is the Secretary-General.\n");
        write("b.txt", "Nobody is above the law of the sea.\n");
        write("c.rs", "fn depositary() {}");
        let args = Args {
            query: "depositary of article 7".to_owned(),
            files: vec![folder.path().to_owned(), folder.path().join("b.txt")],
            limit: 5,
            mode: By::Lexical,
            languages: Vec::new(),
            rerank_model: None,
            no_cache: true,
            json: false,
        };
        let read = documents(&args.files).unwrap();
        assert_eq!(read.len(), 2, "b.txt is there once, c.rs is no document");
        let models = (&Models::default(), None);
        let found = find(&args, read, models, (Mode::Lexical, &[])).await.unwrap();
        let name = folder.path().join("a.md").display().to_string();
        let first = shown(1, &found[0]);
        let start = format!("1. {name}, paragraph 2, under \u{201c}Article 7\u{201d} [en] bm25 ");
        assert!(first.starts_with(&start), "{first}");
        assert!(first.ends_with("\n   The depositary is the Secretary-General.\n\n"), "{first}");
        let object = object(1, &found[0]);
        assert_eq!(object["citation"]["paragraph"], 2);
        assert_eq!(object["scores"]["cosine"], Value::Null);
        assert!(documents(&[folder.path().join("none.txt")]).is_err());
    }
}
