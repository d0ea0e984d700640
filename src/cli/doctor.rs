//! `dragoman doctor`: does a model work here? Its files, its tokenizer, its
//! results, the memory it takes and how fast it is.

mod finding;
mod parity;
mod speed;
mod texts;
mod tokenizer;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::bail;
use indicatif::ProgressBar;

pub use self::finding::{Finding, Report, Status};
use crate::bench::engine::target::{Loaded, TargetKind};
use crate::bench::engine::{Target, Watch};
use crate::config::Config;
use crate::engine::estimate::Estimate;
use crate::engine::{EngineOptions, ModelSource};
use crate::models::Network;
use crate::models::outline::{Outline, OutlineKind};
use crate::provision::{Manifest, ModelFiles, Provisioner, progress, size};

/// Flags of `dragoman doctor`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A name of the catalogue, a path, or a hub id.
    #[arg(value_name = "MODEL")]
    pub model: String,
    /// Leave out the measurement of its speed.
    #[arg(long)]
    pub quick: bool,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Runs the command.
///
/// # Errors
/// A check failed; what was found is printed before.
pub fn run(args: Args, config: &Config) -> anyhow::Result<()> {
    super::load::cpu(&config.engine, None)?;
    let provisioner = Provisioner::new(&config.provision, progress::for_stderr())?;
    let report = examine(&args, config, &provisioner)?;
    match args.json {
        true => println!("{}", serde_json::to_string_pretty(&report)?),
        false => print!("{}", report.text()),
    }
    match report.failures() {
        0 => Ok(()),
        1 => bail!("{}: one check failed", args.model),
        n => bail!("{}: {n} checks failed", args.model),
    }
}

/// Everything that is found of a model. What cannot be checked because
/// something before it failed is left out.
///
/// # Errors
/// The configuration cannot be used.
pub fn examine(args: &Args, config: &Config, provisioner: &Provisioner) -> anyhow::Result<Report> {
    let mut report = Report::new(&args.model);
    let files = match provisioner.resolve(&args.model) {
        Ok(files) => files,
        Err(e) => {
            report.add(Finding::failure("files", e.to_string()));
            return Ok(report);
        }
    };
    let hashes = hashes(&files, provisioner);
    report.add(found(&files, provisioner));
    let manifest = files.manifest.clone();
    let options = super::load::options(config)?;
    let source = super::load::source(files);
    let bar = ProgressBar::new(0).with_style(super::bench::engine::bar_style()?);
    let shown = bar.clone();
    let target = Target {
        quantize: super::load::quantize(&config.models, &source.id)?,
        id: source.id.clone(),
        kind: TargetKind::Files(Box::new(source.clone())),
        on_load: Arc::new(move |done, all| {
            shown.set_length(all as u64);
            shown.set_position(done as u64);
        }),
    };
    let text = match source.text() {
        Ok(text) => Some(text),
        Err(e) => {
            let fix = "take the tokenizer's files from the repository the weights come from";
            report.add(Finding::failure("tokenizer", e.to_string()).fix(fix));
            None
        }
    };
    let loaded = match load(&mut report, &target, &source, &options) {
        Some(loaded) => loaded,
        None => return Ok(report),
    };
    let generates = matches!(loaded.network, Network::Decoder(_));
    report.add(memory(&loaded, &source, &options));
    if let Some((tokenizer, template)) = &text {
        let vocabulary = match &loaded.network {
            Network::Decoder(m) => m.config.vocab_size,
            Network::Encoder(m) => m.config.vocab_size,
            Network::Seq2Seq(m) => m.config.source_vocab_size,
        };
        report.add(tokenizer::fits(tokenizer, vocabulary));
        report.add(tokenizer::round_trip(tokenizer, manifest.as_ref(), generates));
        report.extend(generates.then(|| template_finding(template.is_some(), manifest.as_ref())));
        report.add(parity::consistent(&loaded.network, tokenizer, &source, &options));
        report.add(parity::recorded(&loaded.network, tokenizer, &source, &options, &hashes));
    }
    if !args.quick && loaded.cost.is_none() {
        let message = "not measured for encoder-decoders; `dragoman bench serve` measures them";
        report.add(Finding::ok("speed", message.into()));
    } else if !args.quick {
        let on_progress = |done: usize, all: usize, what: &str| {
            bar.set_length(all as u64);
            bar.set_position(done as u64);
            bar.set_message(what.to_owned());
        };
        let watch = Watch { stop: &AtomicBool::new(false), on_progress: &on_progress };
        speed::measure(&mut report, &target, loaded, &options, watch);
    }
    bar.finish_and_clear();
    Ok(report)
}

/// What the files are.
fn found(files: &ModelFiles, provisioner: &Provisioner) -> Finding {
    let bytes = files.weights.iter().filter_map(|p| p.metadata().ok()).map(|m| m.len()).sum();
    let from = match provisioner.store().receipt(&files.name) {
        Some(receipt) => format!("from {}", receipt.source),
        None => "local".to_owned(),
    };
    let (count, place) = (files.weights.len(), files.dir.display());
    let plural = if count == 1 { "file" } else { "files" };
    Finding::ok(
        "files",
        format!("{count} {plural} of weights, {}, {from}, in {place}", size(bytes)),
    )
}

/// SHA-256 of the weights, where they are in the cache.
fn hashes(files: &ModelFiles, provisioner: &Provisioner) -> Vec<String> {
    let receipt = provisioner.store().receipt(&files.name);
    receipt.into_iter().flat_map(|r| r.files).map(|f| f.sha256).collect()
}

/// Loads the model as the server would.
fn load(
    report: &mut Report,
    target: &Target,
    source: &ModelSource,
    options: &EngineOptions,
) -> Option<Loaded> {
    let files: u64 =
        source.paths.weights.iter().filter_map(|p| p.metadata().ok()).map(|m| m.len()).sum();
    if let Err(e) = options.memory.check(&source.id, &[("weights", files)]) {
        report.add(Finding::failure("memory", e.to_string()));
        return None;
    }
    match target.load(options) {
        Ok(loaded) => {
            let facts = &loaded.facts;
            report.add(Finding::ok(
                "load",
                format!(
                    "{}, {:.1} million weights, {}, in {:.1} s",
                    facts.architecture,
                    facts.parameters as f64 / 1e6,
                    facts.quantization,
                    facts.load_s
                ),
            ));
            Some(loaded)
        }
        Err(e) => {
            let fix = format!(
                "`dragoman verify {0}` finds damage to a model of the cache, `dragoman remove {0}` \
                 and `dragoman pull {0}` fetch it again; what is not supported needs another file",
                source.id
            );
            report.add(Finding::failure("load", e.to_string()).fix(fix));
            None
        }
    }
}

/// What it takes, against what is free.
fn memory(loaded: &Loaded, source: &ModelSource, options: &EngineOptions) -> Finding {
    let weights = loaded.facts.weight_bytes;
    let of = |kind| {
        Estimate::new(
            &Outline { kind, products: 0, lookups: 0, float8: false },
            weights,
            false,
            options,
        )
    };
    let estimate = match &loaded.network {
        Network::Decoder(m) => of(OutlineKind::Decoder(Box::new(m.config.clone()))),
        Network::Encoder(m) => of(OutlineKind::Encoder(Box::new(m.config.clone()))),
        Network::Seq2Seq(m) => of(OutlineKind::Seq2Seq(Box::new(m.config.clone()))),
    };
    let estimate = match estimate {
        Ok(estimate) => estimate,
        Err(e) => return Finding::failure("memory", e.to_string()),
    };
    // Its weights are in memory by now and were counted as free before.
    if let Err(e) = options.memory.check(&source.id, &estimate.parts()) {
        return Finding::failure("memory", e.to_string());
    }
    let cache = match estimate.cache_tokens {
        Some(tokens) => format!(", a cache of {} for {tokens} tokens", size(estimate.cache)),
        None => String::new(),
    };
    let free = options.memory.left().map(|free| format!(" of {}", size(free)));
    let message = format!(
        "at most {}{}: weights {}{cache}, one step {}",
        size(estimate.total()),
        free.unwrap_or_default(),
        size(estimate.weights),
        size(estimate.step)
    );
    let context = loaded.facts.context_length;
    match estimate.cache_tokens {
        Some(held) if held < context => {
            Finding::warning("memory", format!("{message}; a text may have {context}"))
                .fix("raise engine.kv_cache_mib for texts longer than the cache")
        }
        _ => Finding::ok("memory", message),
    }
}

/// Whether it can chat.
fn template_finding(there: bool, manifest: Option<&Manifest>) -> Finding {
    match there {
        true => Finding::ok("template", "it has a chat template".to_owned()),
        false => Finding::warning(
            "template",
            "it has no chat template, so it continues texts and cannot chat".to_owned(),
        )
        .fix(match manifest {
            Some(_) => "use /v1/completions, or an instruct model of the catalogue",
            None => "use /v1/completions, or put the model's chat_template.jinja beside its files",
        }),
    }
}
