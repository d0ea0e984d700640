//! The plots of a report.

use super::svg::{Draw, Plot, Scale, Series};
use super::table::number;
use super::{Report, main, main_unit};
use crate::bench::figures::{concurrency, tokens_by_second};
use crate::bench::record::Record;
use crate::bench::run::{Endpoint, Pace, Run};
use crate::bench::stats::{percentile, sorted};

/// Points of a curve; more cannot be told apart.
const POINTS: usize = 300;

/// Which share of values is at most so large, for each latency of a run.
pub fn latencies(run: &Run) -> Vec<(&'static str, Plot)> {
    let done: Vec<&Record> = run.records.iter().filter(|r| r.is_complete()).collect();
    let list = |f: fn(&Record) -> Option<f64>| done.iter().filter_map(|r| f(r)).collect();
    let all: [(&str, Vec<f64>); 4] = [
        ("TTFT", list(Record::ttft)),
        ("TPOT", list(Record::tpot)),
        ("ITL", done.iter().flat_map(|r| r.gaps()).collect()),
        ("E2EL", list(|r| Some(r.e2el()))),
    ];
    all.into_iter()
        .filter(|(_, values)| values.len() > 1)
        .map(|(name, values)| (name, distribution(name, &values)))
        .collect()
}

fn distribution(name: &str, seconds: &[f64]) -> Plot {
    let values: Vec<f64> = sorted(seconds).iter().map(|s| s * 1000.0).collect();
    let at = |p: f64| percentile(&values, p).unwrap_or(0.0);
    // One in a thousand may lie far out and would flatten all the others.
    let points = (0..=POINTS).map(|i| 99.9 * i as f64 / POINTS as f64).map(|p| (at(p), p));
    let marks = [50.0, 90.0, 99.0].map(|p| (at(p), format!("p{p}")));
    let [p50, p90, p99] = [50.0, 90.0, 99.0].map(|p| number(at(p)));
    Plot {
        title: format!("{name}: p50 {p50} ms, p90 {p90} ms, p99 {p99} ms"),
        x: format!("{name} (ms)"),
        y: "share that took at most so long (%)".to_owned(),
        scale: Scale::Linear,
        series: vec![Series { name: name.to_owned(), draw: Draw::Area, points: points.collect() }],
        marks: marks.to_vec(),
    }
}

/// Tokens and unanswered requests over the time of a run.
pub fn timeline(run: &Run) -> Vec<Plot> {
    let done: Vec<&Record> = run.records.iter().filter(|r| r.is_complete()).collect();
    let mut plots = Vec::new();
    let seconds = match run.settings.endpoint {
        Endpoint::Embeddings => texts_by_second(&done),
        _ => tokens_by_second(&done),
    };
    if !seconds.is_empty() {
        // A second is drawn as a step.
        let steps = seconds.iter().enumerate().flat_map(|(second, amount)| {
            [(second as f64, *amount), ((second + 1) as f64, *amount)]
        });
        let unit = main_unit(run);
        plots.push(Plot {
            title: format!("{unit} over the run"),
            x: "time since the run began (s)".to_owned(),
            y: unit.to_owned(),
            scale: Scale::Linear,
            series: vec![Series {
                name: unit.to_owned(),
                draw: Draw::Area,
                points: steps.collect(),
            }],
            marks: Vec::new(),
        });
    }
    let mut before = 0.0;
    let running: Vec<(f64, f64)> = (concurrency(&run.records).into_iter())
        .flat_map(|(at, running)| {
            let step = [(at, before), (at, running as f64)];
            before = running as f64;
            step
        })
        .collect();
    let failed = run.records.iter().filter(|r| !r.is_complete());
    let marks = failed
        .take(20)
        .map(|r| (r.ended, r.failure.as_ref().map_or(String::new(), |f| f.kind.to_string())));
    plots.push(Plot {
        title: "requests without a whole answer over the run".to_owned(),
        x: "time since the run began (s)".to_owned(),
        y: "requests under way".to_owned(),
        scale: Scale::Linear,
        series: vec![Series { name: "requests".to_owned(), draw: Draw::Area, points: running }],
        marks: marks.collect(),
    });
    plots
}

fn texts_by_second(done: &[&Record]) -> Vec<f64> {
    let mut seconds: Vec<f64> = Vec::new();
    for record in done {
        let second = record.ended.max(0.0) as usize;
        seconds.resize(seconds.len().max(second + 1), 0.0);
        seconds[second] += record.inputs as f64;
    }
    seconds
}

/// Throughput and latencies over the load of a sweep.
pub fn sweep(report: &Report) -> Vec<Plot> {
    let runs = report.runs();
    let Some((first, _)) = runs.first() else { return Vec::new() };
    let by_rate = matches!(first.settings.pace, Pace::Rate(_));
    let load = if by_rate { "offered rate (requests/s)" } else { "requests at once" };
    let loads: Vec<f64> = runs.iter().map(|(run, _)| run.settings.load_number()).collect();
    let knee = report.knee().map(|k| (k.load, "knee".to_owned()));
    let series = |name: &str, values: Vec<Option<f64>>| Series {
        name: name.to_owned(),
        draw: Draw::Dots,
        points: loads.iter().zip(values).filter_map(|(x, y)| Some((*x, y?))).collect(),
    };
    let plot = |title: &str, y: &str, series: Vec<Series>| Plot {
        title: format!("{title} over {load}"),
        x: load.to_owned(),
        y: y.to_owned(),
        scale: Scale::Doubling(loads.clone()),
        series,
        marks: knee.iter().cloned().collect(),
    };
    let unit = main_unit(first);
    let ms = |s: Option<f64>| s.map(|s| s * 1000.0);
    let throughput = series(unit, runs.iter().map(|(r, f)| Some(main(r, f))).collect());
    let mut plots = vec![plot("throughput", unit, vec![throughput])];
    if first.settings.endpoint == Endpoint::Embeddings {
        let of = |f: fn(&crate::bench::stats::Summary) -> f64| {
            runs.iter().map(|(_, g)| ms(g.e2el.map(|s| f(&s)))).collect::<Vec<_>>()
        };
        let both = vec![series("E2EL p50", of(|s| s.median)), series("E2EL p99", of(|s| s.p99))];
        plots.push(plot("latency", "E2EL (ms)", both));
        return plots;
    }
    let ttft = |f: fn(&crate::bench::stats::Summary) -> f64| {
        runs.iter().map(|(_, g)| ms(g.ttft.map(|s| f(&s)))).collect::<Vec<_>>()
    };
    let both = vec![series("TTFT p50", ttft(|s| s.median)), series("TTFT p99", ttft(|s| s.p99))];
    plots.push(plot("time to first token", "TTFT (ms)", both));
    let tpot = runs.iter().map(|(_, f)| ms(f.tpot.map(|s| s.median))).collect();
    let itl = runs.iter().map(|(_, f)| ms(f.itl.map(|s| s.p99))).collect();
    let both = vec![series("TPOT p50", tpot), series("ITL p99", itl)];
    plots.push(plot("time per token", "time per token (ms)", both));
    plots
}
