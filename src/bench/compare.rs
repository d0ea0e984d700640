//! Measurements beside each other: ratios to the first, and how sure they are.
//!
//! Reads the JSON of `dragoman bench serve` and of `vllm bench serve`. An
//! interval needs the requests one by one (`--details`, or vLLM's
//! `--save-detailed`); without them there are plain ratios.

mod details;

use serde_json::Value;

use super::report::table::{Align, Table, number};
use super::stats::{Ratio, bootstrap_ratio, mean, median_unsorted, percentile, sorted};
use details::Details;

/// A file that was read.
#[derive(Debug, Clone)]
pub struct Measured {
    /// As it is called in the tables.
    pub name: String,
    pub json: Value,
}

/// What a figure is and how its interval is found.
struct Figure {
    /// Where it stands, as a JSON pointer.
    key: &'static str,
    name: &'static str,
    more_is_better: bool,
    draw: Draw,
}

/// What is drawn again for the interval.
#[derive(Clone, Copy)]
enum Draw {
    /// Nothing: a plain ratio.
    Nothing,
    /// Seconds of the run, by what they gave.
    Seconds(fn(&Details) -> Vec<f64>),
    /// Requests, each with its value; then this percentile of them.
    Requests(fn(&Details) -> Vec<f64>, f64),
    /// Requests, each with its gaps; then this percentile of all gaps.
    Gaps(f64),
}

const FIGURES: [Figure; 14] = [
    figure(
        "/output_throughput",
        "output throughput (tokens/s)",
        true,
        Draw::Seconds(Details::tokens_by_second),
    ),
    figure("/total_token_throughput", "total token throughput (tokens/s)", true, Draw::Nothing),
    figure(
        "/request_throughput",
        "request throughput (1/s)",
        true,
        Draw::Seconds(Details::ends_by_second),
    ),
    figure("/dragoman/input_throughput", "input throughput (texts/s)", true, Draw::Nothing),
    figure("/request_goodput", "goodput (1/s)", true, Draw::Nothing),
    figure("/median_ttft_ms", "TTFT median (ms)", false, Draw::Requests(Details::ttfts, 50.0)),
    figure("/p99_ttft_ms", "TTFT p99 (ms)", false, Draw::Requests(Details::ttfts, 99.0)),
    figure("/median_tpot_ms", "TPOT median (ms)", false, Draw::Requests(Details::tpots, 50.0)),
    figure("/p99_tpot_ms", "TPOT p99 (ms)", false, Draw::Requests(Details::tpots, 99.0)),
    figure("/median_itl_ms", "ITL median (ms)", false, Draw::Gaps(50.0)),
    figure("/p99_itl_ms", "ITL p99 (ms)", false, Draw::Gaps(99.0)),
    figure("/median_e2el_ms", "E2EL median (ms)", false, Draw::Requests(Details::e2els, 50.0)),
    figure("/p99_e2el_ms", "E2EL p99 (ms)", false, Draw::Requests(Details::e2els, 99.0)),
    figure("/failed", "failed requests", false, Draw::Nothing),
];

const fn figure(key: &'static str, name: &'static str, more_is_better: bool, draw: Draw) -> Figure {
    Figure { key, name, more_is_better, draw }
}

/// Fewer units on a side say too little for an interval.
const FEWEST: usize = 10;

/// How the tables are to be read.
const READING: &str = "Ratios are the other divided by the first. Intervals (95 %) are \
    percentile bootstraps with 1000 draws: of requests for latencies, of whole seconds of the run \
    for throughputs. \"no clear difference\" means that the interval holds 1. They tell what \
    chance within these runs can do, not what another day or machine would give.";

/// All comparisons as Markdown.
///
/// # Errors
/// A file is no measurement, or the files have no load in common.
pub fn render(files: &[Measured]) -> Result<String, String> {
    let Some((base, others)) = files.split_first() else {
        return Err("there is nothing to compare".to_owned());
    };
    let base_runs = runs(base)?;
    let mut text = format!("# Compared with {}\n", base.name);
    for other in others {
        let other_runs = runs(other)?;
        text += &format!("\n## {}\n", other.name);
        let mut found = false;
        for run in &base_runs {
            let alone = base_runs.len() == 1 && other_runs.len() == 1;
            let Some(same) = other_runs.iter().find(|o| alone || load(o) == load(run)) else {
                text += &format!("\n{} has no run at {}.\n", other.name, load(run));
                continue;
            };
            found = true;
            text += &pair((&base.name, run), (&other.name, same));
        }
        if !found {
            return Err(format!("{} and {} have no load in common", base.name, other.name));
        }
    }
    Ok(format!("{text}\n{READING}\n"))
}

fn pair((base_name, base): (&str, &Value), (other_name, other): (&str, &Value)) -> String {
    let mut text = match load(base) == load(other) {
        true => format!("\n### {}\n\n", load(base)),
        false => format!("\n### {} against {} (different load)\n\n", load(base), load(other)),
    };
    for (name, run) in [(base_name, base), (other_name, other)] {
        if run.get("partial") == Some(&Value::Bool(true)) {
            text += &format!("{name} is the report of a run that was stopped.\n\n");
        }
    }
    let details = Details::of(base).zip(Details::of(other));
    if details.is_none() {
        text += "Without the requests one by one (--details) on both sides, these are plain \
                 ratios without intervals.\n\n";
    }
    let mut table =
        Table::new(["figure", base_name, other_name, "ratio", "95 % interval", "reading"])
            .align(5, Align::Left);
    for figure in &FIGURES {
        let value = |run: &Value| run.pointer(figure.key).and_then(Value::as_f64);
        let (Some(before), Some(after)) = (value(base), value(other)) else { continue };
        let embeds = |run: &Value| {
            run.get("endpoint_type").and_then(Value::as_str).is_some_and(|e| e.contains("embed"))
        };
        let only_embeds = figure.key.ends_with("input_throughput");
        if before == 0.0 && after == 0.0 || only_embeds && !embeds(base) {
            continue;
        }
        let interval = details.as_ref().and_then(|(a, b)| interval(figure.draw, a, b));
        let ratio = (before != 0.0).then(|| after / before);
        table.row([
            figure.name.to_owned(),
            shown(figure, before),
            shown(figure, after),
            ratio.map_or("-".to_owned(), |r| format!("{r:.3}")),
            interval.map_or("-".to_owned(), |i| format!("{:.3} to {:.3}", i.low, i.high)),
            reading(figure, interval).to_owned(),
        ]);
    }
    text + &table.markdown()
}

/// Failures are counted, all else is measured.
fn shown(figure: &Figure, value: f64) -> String {
    if figure.key == "/failed" { format!("{value}") } else { number(value) }
}

fn reading(figure: &Figure, interval: Option<Ratio>) -> &'static str {
    match interval {
        None => "",
        Some(interval) if !interval.is_clear() => "no clear difference",
        Some(interval) if (interval.low > 1.0) == figure.more_is_better => "better",
        Some(_) => "worse",
    }
}

fn interval(draw: Draw, base: &Details, other: &Details) -> Option<Ratio> {
    let enough = |a: usize, b: usize| a.min(b) >= FEWEST;
    match draw {
        Draw::Nothing => None,
        Draw::Seconds(of) => {
            let (a, b) = (of(base), of(other));
            let statistic = |v: &[&f64]| mean(&v.iter().map(|v| **v).collect::<Vec<_>>());
            enough(a.len(), b.len()).then(|| bootstrap_ratio(&a, &b, statistic)).flatten()
        }
        Draw::Requests(of, p) => {
            let (a, b) = (of(base), of(other));
            let statistic = |v: &[&f64]| at(v.iter().map(|v| **v).collect(), p);
            enough(a.len(), b.len()).then(|| bootstrap_ratio(&a, &b, statistic)).flatten()
        }
        Draw::Gaps(p) => {
            let (a, b) = (base.gaps(), other.gaps());
            let statistic =
                |v: &[&&[f64]]| at(v.iter().flat_map(|g| g.iter().copied()).collect(), p);
            enough(a.len(), b.len()).then(|| bootstrap_ratio(&a, &b, statistic)).flatten()
        }
    }
}

fn at(mut values: Vec<f64>, p: f64) -> Option<f64> {
    if p == 50.0 { median_unsorted(&mut values) } else { percentile(&sorted(&values), p) }
}

/// The runs of a file: one, or those of a sweep.
fn runs(file: &Measured) -> Result<Vec<&Value>, String> {
    let all: Vec<&Value> = match file.json.get("runs").and_then(Value::as_array) {
        Some(runs) => runs.iter().collect(),
        None => vec![&file.json],
    };
    let is_run = |run: &&Value| run.get("duration").is_some() && run.get("completed").is_some();
    if all.is_empty() || !all.iter().all(is_run) {
        return Err(format!("{} is no measurement of a server", file.name));
    }
    Ok(all)
}

/// How hard the server was pressed, from the fields that vLLM has too.
fn load(run: &Value) -> String {
    let most = run.get("max_concurrency").and_then(Value::as_u64);
    match (run.get("request_rate").and_then(Value::as_f64), most) {
        (Some(rate), None) => format!("{rate} requests/s"),
        (Some(rate), Some(most)) => format!("{rate} requests/s, at most {most} at once"),
        (None, Some(most)) => format!("{most} at once"),
        (None, None) => "all at once".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A run whose every latency is `factor` times as long.
    fn measured(name: &str, factor: f64, details: bool) -> Measured {
        let count = 40;
        let ttft = |i: usize| factor * (0.1 + 0.001 * (i % 7) as f64);
        let gaps: Vec<f64> = (0..9).map(|i| factor * (0.01 + 0.0005 * f64::from(i % 3))).collect();
        let mut json = json!({
            "duration": 20.0 * factor, "completed": count, "failed": 0, "request_rate": "inf",
            "max_concurrency": 4, "output_throughput": 20.0 / factor,
            "median_ttft_ms": 103.0 * factor, "median_itl_ms": 10.5 * factor,
        });
        if details {
            json["ttfts"] = (0..count).map(ttft).collect();
            json["itls"] = (0..count).map(|_| json!(gaps)).collect();
            json["output_lens"] = (0..count).map(|_| 10).collect();
            json["start_times"] = (0..count).map(|i| 7000.0 + factor * 0.5 * i as f64).collect();
            json["errors"] = (0..count).map(|_| "").collect();
        }
        Measured { name: name.to_owned(), json }
    }

    #[test]
    fn ratios_and_intervals() {
        let text = render(&[measured("a", 1.0, true), measured("b", 2.0, true)]).unwrap();
        let row =
            |name: &str| text.lines().find(|l| l.contains(name)).unwrap_or_default().to_owned();
        for name in ["TTFT median", "ITL median"] {
            assert!(row(name).contains("2.000") && row(name).contains("worse"), "{}", row(name));
        }
        assert!(row("output throughput").contains("0.500"), "{}", row("output throughput"));
        let same = render(&[measured("a", 1.0, true), measured("b", 1.0, true)]).unwrap();
        assert!(same.contains("no clear difference") && !same.contains("worse"), "{same}");
    }

    #[test]
    fn without_details_it_says_so() {
        let text = render(&[measured("a", 1.0, false), measured("b", 2.0, true)]).unwrap();
        assert!(text.contains("plain ratios") && text.contains("2.000"), "{text}");
    }

    #[test]
    fn sweeps_are_paired_by_load() {
        let sweep = |loads: &[u64]| {
            let runs: Vec<Value> = loads
                .iter()
                .map(|load| {
                    let mut run = measured("", 1.0, false).json;
                    run["max_concurrency"] = json!(load);
                    run
                })
                .collect();
            json!({"runs": runs})
        };
        let a = Measured { name: "a".into(), json: sweep(&[1, 2, 8]) };
        let b = Measured { name: "b".into(), json: sweep(&[2, 8]) };
        let text = render(&[a.clone(), b]).unwrap();
        assert!(text.contains("b has no run at 1 at once"), "{text}");
        assert!(text.contains("### 2 at once") && text.contains("### 8 at once"), "{text}");
        let c = Measured { name: "c".into(), json: sweep(&[64]) };
        assert!(render(&[a, c]).unwrap_err().contains("no load in common"));
    }

    #[test]
    fn other_files_are_refused() {
        let other = Measured { name: "x.json".into(), json: json!({"a": 1}) };
        assert!(render(&[other.clone(), other]).unwrap_err().contains("x.json"));
    }
}
