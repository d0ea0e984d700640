//! The report for the terminal.

use super::notes::{notes, percent};
use super::table::{Align, Table, number};
use super::{Report, main, main_unit};
use crate::bench::figures::{DEFINITIONS, Figures};
use crate::bench::record::Failure;
use crate::bench::run::{Endpoint, KNEE, Limit, Run};
use crate::bench::stats::Summary;

/// All of a report as text.
pub fn render(report: &Report) -> String {
    let mut text = String::new();
    for (run, figures) in report.runs() {
        text += &format!("\n{}\n\n", title(run));
        for line in settings(run) {
            text += &format!("{line}\n");
        }
        text += &format!("\n{}\n{}", latencies(figures).text(), totals(run, figures).text_pairs());
        let failures = failures(run, figures);
        if !failures.is_empty() {
            text += &format!("\n{}", failures.text());
        }
        text += "\n";
        for note in notes(run, figures) {
            text += &format!("* {note}\n");
        }
    }
    if report.runs().len() > 1 {
        text += &format!("\nSweep\n\n{}\n{}\n", sweep(report).text(), knee(report));
    }
    for section in report.sections() {
        text += &format!("\n{}\n\n{}\n", section.title, section.text.trim_end());
    }
    text += "\nDefinitions\n";
    for (name, meaning) in DEFINITIONS {
        text += &format!("  {name}: {meaning}\n");
    }
    text
}

/// What was measured, in a line.
pub fn title(run: &Run) -> String {
    let settings = &run.settings;
    let label = settings.label.as_ref().map(|l| format!("{l}: ")).unwrap_or_default();
    let partial = if run.partial { " (PARTIAL)" } else { "" };
    format!("{label}{} of {}, {}{partial}", settings.model, settings.url, settings.load())
}

/// How it was measured.
pub fn settings(run: &Run) -> Vec<String> {
    let settings = &run.settings;
    let limit = match settings.limit {
        Limit::Requests(n) => format!("{n} requests"),
        Limit::Seconds(s) => format!("{s} s of requests"),
    };
    let mut lines = vec![
        format!(
            "{} {limit}, after {} for warm-up, on {}",
            settings.endpoint.path(),
            settings.warmup,
            run.began.strftime("%Y-%m-%d %H:%M:%S %Z")
        ),
        format!("workload: {}", settings.workload),
    ];
    if settings.ignore_eos {
        lines.push("ignore_eos: answers run to their full length".to_owned());
    }
    if settings.extra_body != "{}" {
        lines.push(format!("extra body: {}", settings.extra_body));
    }
    lines
}

/// Latencies in milliseconds.
pub fn latencies(figures: &Figures) -> Table {
    let mut table =
        Table::new(["ms", "mean", "median", "std", "p90", "p95", "p99", "max", "count"]);
    let all = [
        ("TTFT", figures.ttft),
        ("TPOT", figures.tpot),
        ("ITL", figures.itl),
        ("E2EL", figures.e2el),
    ];
    for (name, summary) in all {
        let Some(summary) = summary.map(|s: Summary| s.scaled(1000.0)) else { continue };
        let values = [
            summary.mean,
            summary.median,
            summary.std,
            summary.p90,
            summary.p95,
            summary.p99,
            summary.max,
        ];
        let mut cells = vec![name.to_owned()];
        cells.extend(values.map(number));
        cells.push(summary.count.to_string());
        table.row(cells);
    }
    table
}

/// Counts and rates.
pub fn totals(run: &Run, figures: &Figures) -> Table {
    let mut table = Table::new(["", ""]).align(1, Align::Right);
    let mut row = |name: &str, value: String| table.row([name.to_owned(), value]);
    row("completed requests", figures.completed.to_string());
    row("failed requests", figures.failed.to_string());
    if run.partial {
        row("interrupted requests", figures.interrupted.to_string());
    }
    row("duration (s)", number(figures.duration));
    row("input tokens", figures.input_tokens.to_string());
    if run.settings.endpoint == Endpoint::Embeddings {
        row("embedded texts", figures.inputs.to_string());
        row("input throughput (texts/s)", number(figures.input_throughput));
    } else {
        row("output tokens", figures.output_tokens.to_string());
        row("output throughput (tokens/s)", number(figures.output_throughput));
        row("peak output tokens/s", number(figures.peak_output));
    }
    row("total token throughput (tokens/s)", number(figures.total_throughput));
    row("request throughput (1/s)", number(figures.request_throughput));
    row("peak concurrency", figures.peak_concurrency.to_string());
    if let (Some(goodput), Some(slo)) = (figures.goodput, run.settings.slo) {
        let share = match run.records.len() {
            0 => 0.0,
            all => goodput * figures.duration / all as f64,
        };
        let name = format!("goodput (1/s) under {slo}: {} of all requests", percent(share));
        row(&name, number(goodput));
    }
    table
}

/// Failures by kind, with the first message of each.
pub fn failures(run: &Run, figures: &Figures) -> Table {
    let mut table = Table::new(["failure", "count", "meaning", "the first one said"])
        .align(2, Align::Left)
        .align(3, Align::Left);
    for (kind, count) in &figures.failures {
        let of_kind = |failure: &&Failure| failure.kind.to_string() == *kind;
        let first = run.records.iter().filter_map(|r| r.failure.as_ref()).find(of_kind);
        let (meaning, message) = match first {
            Some(failure) => (failure.kind.meaning(), failure.message.as_str()),
            None => ("", ""),
        };
        let message: String = message.lines().next().unwrap_or("").chars().take(80).collect();
        table.row([kind.clone(), count.to_string(), meaning.to_owned(), message]);
    }
    table
}

/// The points of a sweep beside each other.
pub fn sweep(report: &Report) -> Table {
    let unit = report.runs().first().map_or("tokens/s", |(run, _)| main_unit(run));
    let mut table = Table::new([
        "load",
        unit,
        "requests/s",
        "TTFT p50 (ms)",
        "TTFT p99",
        "TPOT p50",
        "ITL p99",
        "E2EL p50",
        "failed",
    ]);
    let ms = |s: Option<Summary>, of: fn(&Summary) -> f64| {
        s.map_or("-".to_owned(), |s| number(of(&s) * 1000.0))
    };
    let knee = report.knee().map(|k| k.index);
    for (index, (run, figures)) in report.runs().iter().enumerate() {
        let mark = if knee == Some(index) { " (knee)" } else { "" };
        table.row([
            format!("{}{mark}", run.settings.load()),
            number(main(run, figures)),
            number(figures.request_throughput),
            ms(figures.ttft, |s| s.median),
            ms(figures.ttft, |s| s.p99),
            ms(figures.tpot, |s| s.median),
            ms(figures.itl, |s| s.p99),
            ms(figures.e2el, |s| s.median),
            figures.failed.to_string(),
        ]);
    }
    table
}

/// Where the knee is, and what a knee is.
pub fn knee(report: &Report) -> String {
    let runs = report.runs();
    match report.knee() {
        Some(knee) => format!(
            "knee: {} ({} of the sweep's best, {} {}); {KNEE}",
            runs[knee.index].0.settings.load(),
            percent(knee.throughput / knee.best),
            number(knee.best),
            main_unit(&runs[knee.index].0),
        ),
        None => format!("there is no knee: the sweep has too few points; {KNEE}"),
    }
}
