//! The flags of `dragoman bench serve`.

use std::path::PathBuf;

use clap::ValueEnum;

use crate::bench::run::Endpoint;
use crate::bench::slo::{Slo, seconds};
use crate::bench::workload::lengths::Lengths;

/// Flags of `dragoman bench serve`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Address of the server, such as http://127.0.0.1:8080.
    #[arg(long)]
    pub url: String,
    /// Model to ask for; without it the only one of /v1/models.
    #[arg(long)]
    pub model: Option<String>,
    /// Key that is sent as `Authorization: Bearer KEY`.
    #[arg(long, env = "OPENAI_API_KEY", hide_env_values = true)]
    pub api_key: Option<String>,
    #[arg(long, value_enum, default_value_t)]
    pub endpoint: Kind,

    /// Requests at once, each answer followed by the next request [default: 8].
    /// With --rate: the most at once; those beyond wait before they are sent.
    #[arg(long, value_name = "N", value_parser = at_least_one, help_heading = "Load")]
    pub concurrency: Option<usize>,
    /// Requests a second, whether answers come or not.
    #[arg(long, value_name = "R", value_parser = above_zero, help_heading = "Load")]
    pub rate: Option<f64>,
    /// Shape of the gamma distribution of gaps between requests: 1 is a
    /// Poisson process, less comes in bursts, more comes evenly.
    #[arg(long, value_name = "K", default_value = "1", value_parser = above_zero, help_heading = "Load")]
    pub burstiness: f64,
    /// Let the rate climb from 0 in a straight line for so long (30s, 2m).
    #[arg(long, value_name = "TIME", value_parser = seconds, help_heading = "Load")]
    pub ramp: Option<f64>,
    /// Requests to send, in a sweep at each point [default: 100, or every prompt of --file].
    #[arg(long, value_name = "N", value_parser = at_least_one, conflicts_with = "duration", help_heading = "Load")]
    pub requests: Option<usize>,
    /// Send requests for so long (60s, 5m); those under way are waited for.
    #[arg(long, value_name = "TIME", value_parser = seconds, help_heading = "Load")]
    pub duration: Option<f64>,
    /// Requests before the run that are in no figure [default: one for each
    /// place of --concurrency, else 1].
    #[arg(long, value_name = "N", help_heading = "Load")]
    pub warmup: Option<usize>,
    /// Runs at several concurrencies, such as 1,2,4,8,16; finds the knee.
    #[arg(long, value_name = "N,N,…", value_delimiter = ',', value_parser = at_least_one,
          conflicts_with_all = ["concurrency", "rate", "sweep_rates"], help_heading = "Load")]
    pub sweep: Vec<usize>,
    /// Runs at several rates, such as 0.5,1,2,4; finds the knee.
    #[arg(long, value_name = "R,R,…", value_delimiter = ',', value_parser = above_zero,
          conflicts_with = "rate", help_heading = "Load")]
    pub sweep_rates: Vec<f64>,
    /// Seconds to wait for a whole answer.
    #[arg(long, value_name = "TIME", default_value = "600s", value_parser = seconds, help_heading = "Load")]
    pub timeout: f64,

    /// What is sent [default: file where --file is given, else random].
    #[arg(long, value_enum, help_heading = "Workload")]
    pub workload: Option<WorkloadKind>,
    /// Length of random prompts: 256, uniform:100..300, normal:256,64 (mean,
    /// deviation) or lognormal:256,0.5 (median, sigma).
    #[arg(long, value_name = "LENGTH", default_value = "256", help_heading = "Workload")]
    pub prompt_tokens: Lengths,
    /// Most tokens of an answer, in the same form [default: 128; policy: 256].
    #[arg(long, value_name = "LENGTH", help_heading = "Workload")]
    pub output_tokens: Option<Lengths>,
    /// Share of every random prompt that is the same for all, 0.0 to 1.0.
    #[arg(long, value_name = "SHARE", default_value = "0", value_parser = share, help_heading = "Workload")]
    pub shared_prefix: f64,
    /// Languages of the policy texts, such as en,ar [default: all].
    #[arg(long, value_name = "CODE,…", value_delimiter = ',', help_heading = "Workload")]
    pub languages: Vec<String>,
    /// JSONL with `prompt` or `messages` (and `max_tokens`), or ShareGPT JSON.
    #[arg(long, value_name = "FILE", help_heading = "Workload")]
    pub file: Option<PathBuf>,
    /// Texts in each embedding request.
    #[arg(long, value_name = "N", default_value = "1", value_parser = at_least_one, help_heading = "Workload")]
    pub batch: usize,
    /// Tokenizer for true lengths and for checking the server's counts: a
    /// tokenizer.json, or a model as in `dragoman serve --model`.
    #[arg(long, value_name = "FILE|MODEL", help_heading = "Workload")]
    pub tokenizer: Option<String>,
    /// The same seed gives the same prompts and the same moments.
    #[arg(long, value_name = "N", default_value = "0", help_heading = "Workload")]
    pub seed: u64,
    /// Let every answer run to its full length: sends ignore_eos and
    /// min_tokens, which Dragoman, vLLM and llama.cpp understand.
    #[arg(long, help_heading = "Workload")]
    pub ignore_eos: bool,
    /// Fields for every request, over those that are sent anyway.
    #[arg(long, value_name = "JSON", default_value = "{}", help_heading = "Workload")]
    pub extra_body: String,

    /// Limits of a good request, such as ttft=500ms,tpot=50ms,itl=50ms,e2el=10s.
    #[arg(long, value_name = "LIMITS", help_heading = "Report")]
    pub slo: Option<Slo>,
    /// Write the figures as JSON, with the fields of `vllm bench serve`.
    #[arg(long, value_name = "FILE", help_heading = "Report")]
    pub json: Option<PathBuf>,
    /// Put every request into the JSON; `bench compare` needs it for intervals.
    #[arg(long, requires = "json", help_heading = "Report")]
    pub details: bool,
    /// Write a page with plots.
    #[arg(long, value_name = "FILE", help_heading = "Report")]
    pub html: Option<PathBuf>,
    /// A name for this measurement.
    #[arg(long, help_heading = "Report")]
    pub label: Option<String>,
}

/// What is asked of the server.
#[derive(Debug, Clone, Copy, Default, ValueEnum)]
pub enum Kind {
    #[default]
    Chat,
    Completions,
    Embeddings,
}

impl From<Kind> for Endpoint {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Chat => Self::Chat,
            Kind::Completions => Self::Completions,
            Kind::Embeddings => Self::Embeddings,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum WorkloadKind {
    /// Random words with lengths as asked for.
    Random,
    /// Policy texts in eight languages, to translate and to summarise.
    Policy,
    /// Prompts of --file.
    File,
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.trim().parse() {
        Ok(number @ 1..=1_000_000) => Ok(number),
        _ => Err("give a whole number from 1 to 1000000".to_owned()),
    }
}

fn above_zero(text: &str) -> Result<f64, String> {
    match text.trim().parse::<f64>() {
        Ok(number) if number > 0.0 && number <= 1e6 => Ok(number),
        _ => Err("give a number above 0".to_owned()),
    }
}

fn share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if (0.0..=1.0).contains(&number) => Ok(number),
        _ => Err("give a share from 0.0 to 1.0".to_owned()),
    }
}
