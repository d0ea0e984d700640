//! `dragoman bench serve`: load over HTTP on a server that is running.

mod args;
mod plan;
mod progress;

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail};
use tokio_util::sync::CancellationToken;

pub use args::Args;

use self::plan::Plan;
use crate::bench::count;
use crate::bench::load::{Driver, Live, Target};
use crate::bench::record::Record;
use crate::bench::report::{Report, html, json, text};
use crate::bench::run::{Run, Settings};
use crate::config::Config;

/// Measures and reports.
///
/// # Errors
/// The flags make no sense together, the server cannot be reached, nothing at
/// all was answered, or a report cannot be written.
pub fn run(args: Args, config: &Config) -> anyhow::Result<()> {
    // A run of an hour must not end at a path that cannot be written.
    for path in [&args.json, &args.html].into_iter().flatten() {
        let file = std::fs::File::options().create(true).append(true).open(path);
        file.with_context(|| format!("{} cannot be written", path.display()))?;
    }
    let plan = Plan::new(&args, config)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let runs = runtime.block_on(async move { tokio::spawn(measure(plan)).await })??;
    let mut report = Report::new(runs);
    report.details = args.details;
    print!("{}", text::render(&report));
    if let Some(path) = &args.json {
        write(path, &format!("{:#}\n", json::render(&report)))?;
    }
    if let Some(path) = &args.html {
        write(path, &html::render(&report))?;
    }
    if report.is_empty() {
        bail!("no request was answered; the failures above say why");
    }
    Ok(())
}

fn write(path: &Path, content: &str) -> anyhow::Result<()> {
    let place = path.display();
    std::fs::write(path, content).with_context(|| format!("{place} cannot be written"))?;
    eprintln!("written: {place}");
    Ok(())
}

/// All runs of a plan; fewer when they were stopped.
async fn measure(plan: Plan) -> anyhow::Result<Vec<Run>> {
    let cancel = CancellationToken::new();
    let signal = tokio::spawn(stop_on_signal(cancel.clone()));
    let connect = cancel.run_until_cancelled(Target::connect(plan.target.clone())).await;
    let target = Arc::new(connect.context("stopped before the first request")??);
    let mut runs = Vec::new();
    for (index, pace) in plan.paces.iter().enumerate() {
        let settings =
            Settings { pace: *pace, model: target.model().to_owned(), ..plan.settings.clone() };
        let driver = Driver {
            target: Arc::clone(&target),
            workload: Arc::clone(&plan.workload),
            live: Arc::new(Live::default()),
            cancel: cancel.clone(),
        };
        let run = one(&driver, settings, index as u64, &plan).await?;
        runs.push(run);
        if cancel.is_cancelled() {
            break;
        }
    }
    signal.abort();
    Ok(runs)
}

async fn one(driver: &Driver, settings: Settings, index: u64, plan: &Plan) -> anyhow::Result<Run> {
    if settings.warmup > 0 {
        let bar = progress::begin("warm-up", Some(settings.warmup), None, &driver.live);
        // Other prompts than those of the run, which a cache would remember.
        let records = driver.warm_up(&settings, 2 * index + 1).await;
        bar.end();
        refuse_if_all_failed(&records)?;
    }
    let driver = Driver { live: Arc::new(Live::default()), ..driver.clone() };
    let (count, seconds) = plan.size(&settings);
    let bar = progress::begin(&settings.load(), count, seconds, &driver.live);
    let mut run = driver.run(settings, 2 * index).await;
    bar.end();
    if let Some(tokenizer) = &plan.tokenizer {
        count::answers(&mut run.records, tokenizer);
    }
    Ok(run)
}

/// Load on a server that answers nothing would only repeat its first error.
fn refuse_if_all_failed(records: &[Record]) -> anyhow::Result<()> {
    let failures: Vec<_> = records.iter().filter_map(|r| r.failure.as_ref()).collect();
    match failures.first() {
        Some(first)
            if failures.len() == records.len() && !records.iter().all(Record::is_interrupted) =>
        {
            bail!(
                "every request for warm-up failed; the first: {} ({}): {}",
                first.kind,
                first.kind.meaning(),
                first.message
            )
        }
        _ => Ok(()),
    }
}

/// The first signal ends the run with a report, the second ends at once.
#[allow(clippy::disallowed_methods)] // The user asked twice; nothing half-written is open here.
async fn stop_on_signal(cancel: CancellationToken) {
    crate::cli::serve::interrupted().await;
    eprintln!(
        "stopping: the report of what was measured follows; press Ctrl-C again to end without it"
    );
    cancel.cancel();
    crate::cli::serve::interrupted().await;
    std::process::exit(130);
}
