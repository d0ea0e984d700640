//! `dragoman bench engine`: the engine without HTTP.

mod cold;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};

use crate::backend::device;
use crate::bench::engine::target::TargetKind;
use crate::bench::engine::{self, Level, ModelReport, Plan, Report, Target, Watch};
use crate::bench::roofline::Memory;
use crate::bench::roofline::machine::Machine;
use crate::config::Config;
use crate::models::Quantize;
use crate::models::random::{RandomModel, WeightsType};
use crate::provision::{Provisioner, progress};

/// Flags of `dragoman bench engine`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Models to measure, one after the other: names of the catalogue, paths,
    /// or hub ids.
    #[arg(value_name = "MODEL", required_unless_present = "random_weights")]
    models: Vec<String>,
    /// Measure a model made up from its config.json alone, with random
    /// weights. Repeat it for several.
    #[arg(long, value_name = "CONFIG.json")]
    random_weights: Vec<PathBuf>,
    /// How random weights are stored: q4_k, q8_0, q4_0, f16, bf16 or f32.
    #[arg(long, value_name = "TYPE", default_value = "q4_k")]
    weights_type: WeightsType,
    /// Make only the first so many layers of random weights.
    #[arg(long, value_name = "N", requires = "random_weights")]
    layers: Option<usize>,
    /// Seed of random weights.
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Tokens of the prompts that are read; of the inputs of an embedding model.
    #[arg(long, value_name = "N,N", value_delimiter = ',', default_value = "128,512,2048")]
    prompt: Vec<usize>,
    /// Sequences at once.
    #[arg(long, value_name = "N,N", value_delimiter = ',', default_value = "1,2,4,8,16,32")]
    batch: Vec<usize>,
    /// Tokens that each sequence has before the first that it writes.
    #[arg(long, value_name = "N,N", value_delimiter = ',', default_value = "0,1024,4096")]
    depth: Vec<usize>,
    /// Tokens that each sequence writes; 0 leaves decode out.
    #[arg(long, value_name = "N", default_value_t = 128)]
    generate: usize,
    /// How often each measurement is made, after one that warms up.
    #[arg(long, value_name = "N", default_value_t = 5)]
    repetitions: usize,
    /// forward: the model alone. engine: through the engine's loop. Both may
    /// be given, with a comma.
    #[arg(long, value_delimiter = ',', default_value = "forward")]
    level: Vec<LevelName>,
    /// Threads of the pool; without it the configuration's, or one a core.
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// What becomes of weights that are not quantized in their file: none, int16, bf16, bf16x2,
    /// q8_0, q4_k and so on; without it what the configuration says.
    #[arg(long, value_name = "TYPE")]
    quantize: Option<Quantize>,
    /// auto, cpu, cuda, cuda:N or metal; without it the configuration's.
    #[arg(long)]
    device: Option<String>,
    /// Leave out the measurement of the machine's limits.
    #[arg(long)]
    no_roofline: bool,
    /// Leave out the start of a fresh process.
    #[arg(long)]
    no_cold_start: bool,
    /// Write the report as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the report as one HTML page with plots.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Only load the one model, compute a token and print what it took: what a
    /// cold start's process runs.
    #[arg(long, hide = true)]
    cold_start_here: bool,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum LevelName {
    Forward,
    Engine,
}

/// Runs the command.
///
/// # Errors
/// A model cannot be had or loaded, a step fails, or a file cannot be written.
pub fn run(args: Args, config: &Config) -> anyhow::Result<()> {
    let mut config = config.clone();
    if let Some(device) = &args.device {
        config.models.device.clone_from(device);
    }
    let plan = plan(&args, &config)?;
    let described = device::describe(&device::open(plan.options.device)?.device);
    let bar = bar()?;
    if args.cold_start_here {
        let targets = targets(&args, &config, &ProgressBar::hidden())?;
        return cold::here(targets.first().context("no model was named")?, &plan.options);
    }
    let targets = targets(&args, &config, &bar)?;
    if plan.levels.contains(&Level::Engine) {
        // What can be wrong quickly is found before anything is measured.
        targets.iter().try_for_each(|target| target.source().map(drop))?;
    }
    let stop = Arc::new(AtomicBool::new(false));
    stop_on_interrupt(stop.clone())?;
    let mut report = Report {
        tool: "dragoman bench engine",
        version: env!("CARGO_PKG_VERSION"),
        date: jiff::Timestamp::now().to_string(),
        command: std::env::args().collect::<Vec<_>>().join(" "),
        machine: Machine::here(plan.threads, described.clone()),
        partial: false,
        models: Vec::new(),
    };
    // Processes first: this one takes memory and caches files.
    let mut cold_starts = Vec::new();
    for (i, target) in targets.iter().enumerate() {
        bar.set_message(format!("{}: cold start", target.id));
        let found = match args.no_cold_start || stop.load(Ordering::Relaxed) {
            true => None,
            false => Some(cold::in_child(&args, target, args.models.get(i), plan.threads)),
        };
        cold_starts.push(match found.transpose() {
            // Ctrl-C reaches that process too.
            Err(_) if interrupted(&stop) => None,
            found => found?,
        });
    }
    // Only the CPU's limits can be measured.
    let mut memory = (described == "cpu" && !args.no_roofline).then(|| {
        bar.set_message("measuring the machine");
        Memory::new(plan.threads)
    });
    let limits = memory.as_mut().map(Memory::limits);
    for (target, cold_start) in targets.iter().zip(cold_starts) {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let on_progress = |done: usize, all: usize, what: &str| {
            bar.set_length(all as u64);
            bar.set_position(done as u64);
            bar.set_message(format!("{}: {what}", target.id));
        };
        let watch = Watch { stop: &stop, on_progress: &on_progress };
        let measured = engine::run(target, &plan, watch, memory.as_mut().zip(limits.as_ref()));
        let measured = measured.with_context(|| format!("{} could not be measured", target.id))?;
        report.models.push(ModelReport { cold_start, ..measured });
    }
    bar.finish_and_clear();
    report.partial = stop.load(Ordering::Relaxed);
    print!("{}", engine::text(&report));
    if let Some(path) = &args.json {
        write(path, &(serde_json::to_string_pretty(&report)? + "\n"))?;
    }
    if let Some(path) = &args.html {
        write(path, &engine::html::render(&report))?;
    }
    Ok(())
}

pub(super) fn write(path: &Path, content: &str) -> anyhow::Result<()> {
    std::fs::write(path, content).with_context(|| format!("{} cannot be written", path.display()))
}

/// What to measure, with everything that can be wrong quickly checked.
fn plan(args: &Args, config: &Config) -> anyhow::Result<Plan> {
    for (flag, values) in [("--prompt", &args.prompt), ("--batch", &args.batch)] {
        anyhow::ensure!(!values.contains(&0), "{flag} has a 0; give numbers from 1 on");
    }
    anyhow::ensure!(args.repetitions > 0, "--repetitions is 0; give at least 1");
    anyhow::ensure!(args.threads != Some(0), "--threads is 0; give at least 1");
    crate::cli::load::cpu(&config.engine, args.threads)?;
    let decodes = args.generate > 0;
    Ok(Plan {
        prompts: args.prompt.clone(),
        batches: args.batch.clone(),
        depths: args.depth.iter().copied().filter(|_| decodes).collect(),
        generate: args.generate,
        repetitions: args.repetitions,
        levels: (args.level.iter())
            .map(|level| match level {
                LevelName::Forward => Level::Forward,
                LevelName::Engine => Level::Engine,
            })
            .collect(),
        options: crate::cli::load::options(config)?,
        threads: rayon::current_num_threads(),
    })
}

fn targets(args: &Args, config: &Config, bar: &ProgressBar) -> anyhow::Result<Vec<Target>> {
    let target = |id: String, kind| -> anyhow::Result<Target> {
        let quantize = match args.quantize {
            Some(quantize) => quantize,
            None => crate::cli::load::quantize(&config.models, &id)?,
        };
        let (bar, name) = (bar.clone(), id.clone());
        let on_load = move |done: usize, all: usize| {
            bar.set_length(all as u64);
            bar.set_position(done as u64);
            bar.set_message(format!("{name}: loading"));
        };
        Ok(Target { id, kind, quantize, on_load: Arc::new(on_load) })
    };
    let mut targets = Vec::new();
    if !args.models.is_empty() {
        let provisioner = Provisioner::new(&config.provision, progress::for_stderr())?;
        for name in &args.models {
            let source = crate::cli::load::source(provisioner.resolve(name)?);
            targets.push(target(source.id.clone(), TargetKind::Files(Box::new(source)))?);
        }
    }
    for config in &args.random_weights {
        let random = RandomModel {
            config: config.clone(),
            weights: args.weights_type,
            layers: args.layers,
            seed: args.seed,
        };
        targets.push(target(config.display().to_string(), TargetKind::Random(random))?);
    }
    Ok(targets)
}

/// Whether Ctrl-C was pressed; it may be a moment until that is known here.
fn interrupted(stop: &AtomicBool) -> bool {
    std::thread::sleep(std::time::Duration::from_millis(100));
    stop.load(Ordering::Relaxed)
}

fn bar() -> anyhow::Result<ProgressBar> {
    Ok(ProgressBar::new(0).with_style(bar_style()?))
}

pub(in crate::cli) fn bar_style() -> anyhow::Result<ProgressStyle> {
    Ok(ProgressStyle::with_template("{wide_msg} {bar:20} {pos}/{len} {elapsed}")?)
}

/// The first Ctrl-C ends the run with what there is, the second at once.
#[allow(clippy::disallowed_methods)] // The user asked twice; nothing half-written is open here.
fn stop_on_interrupt(stop: Arc<AtomicBool>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let wait = move || {
        while runtime.block_on(tokio::signal::ctrl_c()).is_ok() {
            if stop.swap(true, Ordering::Relaxed) {
                std::process::exit(130);
            }
            eprintln!("stopping with what there is; press Ctrl-C again to stop at once");
        }
    };
    std::thread::Builder::new().name("interrupt".into()).spawn(wait)?;
    Ok(())
}
