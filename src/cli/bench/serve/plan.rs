//! From flags to what is to be measured.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use serde_json::{Map, Value};

use super::args::{Args, WorkloadKind};
use crate::bench::load::TargetSettings;
use crate::bench::run::{Endpoint, Limit, Pace, Rate, Settings};
use crate::bench::workload::file::{FileSettings, FromFile};
use crate::bench::workload::lengths::Lengths;
use crate::bench::workload::policy::Policy;
use crate::bench::workload::random::{Random, RandomSettings};
use crate::bench::workload::{Counted, Workload};
use crate::config::Config;
use crate::provision::{Provisioner, progress};
use crate::text::Tokenizer;

/// Requests of a run where nobody says.
const REQUESTS: usize = 100;
/// Requests at once where nobody says.
const CONCURRENCY: usize = 8;

/// What is to be measured.
pub struct Plan {
    pub target: TargetSettings,
    pub workload: Arc<dyn Workload>,
    pub tokenizer: Option<Arc<Tokenizer>>,
    /// One a run.
    pub paces: Vec<Pace>,
    /// The pace and the model are filled in for each run.
    pub settings: Settings,
}

impl Plan {
    pub fn new(args: &Args, config: &Config) -> anyhow::Result<Self> {
        let endpoint = Endpoint::from(args.endpoint);
        let extra: Map<String, Value> = serde_json::from_str(&args.extra_body)
            .context("--extra-body is no JSON object; write {\"top_k\": 1}")?;
        ensure!(
            args.batch == 1 || endpoint == Endpoint::Embeddings,
            "--batch is for --endpoint embeddings; others take one prompt a request"
        );
        let paces = paces(args)?;
        let tokenizer = match &args.tokenizer {
            Some(name) => Some(Arc::new(tokenizer(name, config)?)),
            None => None,
        };
        let (mut workload, in_file) = workload(args, endpoint, tokenizer.clone())?;
        if let Some(tokenizer) = &tokenizer {
            workload = Arc::new(Counted { inner: workload, tokenizer: Arc::clone(tokenizer) });
        }
        let limit = match args.duration {
            Some(seconds) => Limit::Seconds(seconds),
            None => Limit::Requests(args.requests.or(in_file).unwrap_or(REQUESTS)),
        };
        if let Limit::Requests(count) = limit {
            for pace in &paces {
                if let Pace::Concurrency(n) = pace
                    && count < *n
                {
                    bail!("{count} requests cannot fill {n} places at once; raise --requests");
                }
            }
        }
        let most = paces.iter().map(|pace| match pace {
            Pace::Concurrency(n) => *n,
            Pace::Rate(_) => 1,
        });
        Ok(Self {
            target: TargetSettings {
                url: args.url.clone(),
                model: args.model.clone(),
                api_key: args.api_key.clone().filter(|key| !key.is_empty()),
                endpoint,
                timeout: Duration::from_secs_f64(args.timeout),
                ignore_eos: args.ignore_eos,
                extra: extra.clone(),
            },
            settings: Settings {
                url: args.url.clone(),
                endpoint,
                model: String::new(),
                tokenizer: args.tokenizer.clone(),
                label: args.label.clone(),
                workload: workload.describe(),
                pace: paces[0],
                limit,
                warmup: args.warmup.unwrap_or_else(|| most.max().unwrap_or(1)),
                slo: args.slo,
                seed: args.seed,
                ignore_eos: args.ignore_eos,
                extra_body: Value::Object(extra).to_string(),
            },
            workload,
            tokenizer,
            paces,
        })
    }

    /// How many requests or seconds a run has, for the progress bar.
    pub fn size(&self, settings: &Settings) -> (Option<usize>, Option<f64>) {
        match settings.limit {
            Limit::Requests(count) => (Some(count), None),
            Limit::Seconds(seconds) => (None, Some(seconds)),
        }
    }
}

/// At least one.
fn paces(args: &Args) -> anyhow::Result<Vec<Pace>> {
    let rate = |per_second: f64| {
        Pace::Rate(Rate {
            per_second,
            burstiness: args.burstiness,
            ramp: args.ramp.unwrap_or(0.0),
            cap: args.concurrency,
        })
    };
    let paces: Vec<Pace> = if !args.sweep.is_empty() {
        args.sweep.iter().map(|n| Pace::Concurrency(*n)).collect()
    } else if !args.sweep_rates.is_empty() {
        args.sweep_rates.iter().map(|r| rate(*r)).collect()
    } else if let Some(per_second) = args.rate {
        vec![rate(per_second)]
    } else {
        vec![Pace::Concurrency(args.concurrency.unwrap_or(CONCURRENCY))]
    };
    let by_rate = matches!(paces[0], Pace::Rate(_));
    ensure!(by_rate || args.ramp.is_none(), "--ramp needs --rate: it is the rate that climbs");
    ensure!(by_rate || args.burstiness == 1.0, "--burstiness needs --rate");
    Ok(paces)
}

/// The workload, and how many prompts a file has.
fn workload(
    args: &Args,
    endpoint: Endpoint,
    tokenizer: Option<Arc<Tokenizer>>,
) -> anyhow::Result<(Arc<dyn Workload>, Option<usize>)> {
    let by_default = if args.file.is_some() { WorkloadKind::File } else { WorkloadKind::Random };
    let kind = args.workload.unwrap_or(by_default);
    ensure!(
        (kind == WorkloadKind::File) == args.file.is_some(),
        "--workload file and --file FILE belong together"
    );
    ensure!(
        kind == WorkloadKind::Policy || args.languages.is_empty(),
        "--languages needs --workload policy"
    );
    let chat = endpoint == Endpoint::Chat;
    let one_length = |default: usize| match args.output_tokens {
        None => Ok(default),
        Some(Lengths::Fixed(length)) => Ok(length),
        Some(other) => bail!("--output-tokens {other} needs --workload random; give one number"),
    };
    let wrong = anyhow::Error::msg;
    Ok(match (kind, &args.file) {
        (WorkloadKind::Policy, _) => {
            let policy =
                Policy::new(&args.languages, one_length(256)?, args.seed).map_err(wrong)?;
            let policy = match endpoint {
                Endpoint::Chat => policy,
                Endpoint::Completions => policy.plain(),
                Endpoint::Embeddings => policy.inputs(args.batch),
            };
            (Arc::new(policy), None)
        }
        (WorkloadKind::File, Some(path)) => {
            ensure!(args.batch == 1, "--batch cannot be used with --file");
            let place = path.display().to_string();
            let content = std::fs::read_to_string(path)
                .with_context(|| format!("--file {place} cannot be read"))?;
            let settings =
                FileSettings { name: place.clone(), max_tokens: one_length(128)?, chat, tokenizer };
            let file = FromFile::parse(&content, settings)
                .map_err(|why| anyhow::anyhow!("--file {place}: {why}"))?;
            let len = file.len();
            (Arc::new(file), Some(len))
        }
        (WorkloadKind::Random | WorkloadKind::File, _) => {
            let settings = RandomSettings {
                prompt_tokens: args.prompt_tokens,
                output_tokens: args.output_tokens.unwrap_or(Lengths::Fixed(128)),
                shared_prefix: args.shared_prefix,
                batch: args.batch,
                chat,
                seed: args.seed,
            };
            let random = Random::new(settings, tokenizer)
                .map_err(|why| anyhow::anyhow!("--tokenizer: {why}"))?;
            (Arc::new(random), None)
        }
    })
}

/// A tokenizer file, or the tokenizer of a model.
fn tokenizer(name: &str, config: &Config) -> anyhow::Result<Tokenizer> {
    let path = Path::new(name);
    if path.is_file() && path.extension().is_some_and(|e| e == "json") {
        return Ok(Tokenizer::from_json_file(path, None)?);
    }
    let provisioner = Provisioner::new(&config.provision, progress::for_stderr())?;
    let files = provisioner.resolve(name).with_context(|| format!("--tokenizer {name}"))?;
    let (tokenizer, _) = crate::cli::load::source(files).text()?;
    Ok(tokenizer)
}
