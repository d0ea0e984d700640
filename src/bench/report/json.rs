//! The report as JSON: the fields of `vllm bench serve` under their names and
//! in their units, so that its readers understand ours, and beside them under
//! `dragoman` what it has no place for.

use serde_json::{Map, Value, json};

use super::notes::notes;
use super::{Report, main_unit};
use crate::bench::figures::{DEFINITIONS, Figures, tokens_by_second};
use crate::bench::record::Record;
use crate::bench::run::{KNEE, Limit, Pace, Run};
use crate::bench::stats::Summary;

/// One run as one object; a sweep as an object with its `runs` and the `knee`.
pub fn render(report: &Report) -> Value {
    let mut runs: Vec<Value> =
        report.runs().iter().map(|(run, figures)| of_run(run, figures, report.details)).collect();
    let sections: Map<String, Value> = report.sections().iter().map(|s| s.json.clone()).collect();
    let mut value = match runs.len() {
        1 => runs.remove(0),
        _ => json!({
            "date": report.runs().first().map(|(run, _)| date(run)),
            "partial": report.is_partial(),
            "runs": runs,
            "knee": report.knee().map(|knee| json!({
                "load": knee.load,
                "run": knee.index,
                "throughput": knee.throughput,
                "best_throughput": knee.best,
                "unit": report.runs().first().map(|(run, _)| main_unit(run)),
                "definition": KNEE,
            })),
        }),
    };
    if let Some(object) = value.as_object_mut().filter(|_| !sections.is_empty()) {
        object.insert("sections".into(), sections.into());
    }
    value
}

fn date(run: &Run) -> String {
    run.began.strftime("%Y%m%d-%H%M%S").to_string()
}

fn of_run(run: &Run, figures: &Figures, details: bool) -> Value {
    let settings = &run.settings;
    let (rate, burstiness, cap) = match settings.pace {
        Pace::Concurrency(n) => (json!("inf"), 1.0, Some(n)),
        Pace::Rate(rate) => (json!(rate.per_second), rate.burstiness, rate.cap),
    };
    let prompts = match settings.limit {
        Limit::Requests(count) => count,
        Limit::Seconds(_) => run.records.len(),
    };
    let mut object = Map::new();
    let mut put = |key: &str, value: Value| {
        object.insert(key.to_owned(), value);
    };
    put("date", json!(date(run)));
    put("endpoint_type", json!(settings.endpoint.vllm_name()));
    put("backend", json!(settings.endpoint.vllm_name()));
    put("label", json!(settings.label));
    put("model_id", json!(settings.model));
    put("tokenizer_id", json!(settings.tokenizer));
    put("num_prompts", json!(prompts));
    put("request_rate", rate);
    put("burstiness", json!(burstiness));
    put("max_concurrency", json!(cap));
    put("duration", json!(figures.duration));
    put("completed", json!(figures.completed));
    put("failed", json!(figures.failed));
    put("total_input_tokens", json!(figures.input_tokens));
    put("total_output_tokens", json!(figures.output_tokens));
    put("request_throughput", json!(figures.request_throughput));
    put("request_goodput", json!(figures.goodput));
    put("output_throughput", json!(figures.output_throughput));
    put("total_token_throughput", json!(figures.total_throughput));
    put("max_output_tokens_per_s", json!(figures.peak_output));
    put("max_concurrent_requests", json!(figures.peak_concurrency));
    for (name, summary) in [
        ("ttft", figures.ttft),
        ("tpot", figures.tpot),
        ("itl", figures.itl),
        ("e2el", figures.e2el),
    ] {
        for (kind, value) in statistics(summary) {
            put(&format!("{kind}_{name}_ms"), json!(value));
        }
    }
    put("partial", json!(run.partial));
    put("dragoman", own(run, figures));
    if details {
        object.extend(requests(&run.records));
    }
    object.into()
}

/// vLLM says 0 where there is nothing.
fn statistics(summary: Option<Summary>) -> [(&'static str, f64); 6] {
    let of = |f: fn(&Summary) -> f64| summary.map_or(0.0, |s| f(&s) * 1000.0);
    [
        ("mean", of(|s| s.mean)),
        ("median", of(|s| s.median)),
        ("std", of(|s| s.std)),
        ("p90", of(|s| s.p90)),
        ("p95", of(|s| s.p95)),
        ("p99", of(|s| s.p99)),
    ]
}

fn own(run: &Run, figures: &Figures) -> Value {
    let settings = &run.settings;
    let check = &figures.check;
    let lag = run.lag.summary(run.duration);
    let late = |s: Option<Summary>| s.map(|s| json!({"p50": s.median, "p99": s.p99, "max": s.max}));
    let done: Vec<&Record> = run.records.iter().filter(|r| r.is_complete()).collect();
    let failures: Vec<Value> = (run.records.iter().filter_map(|r| Some((r, r.failure.as_ref()?))))
        .map(|(record, failure)| {
            json!({
                "request": record.number,
                "kind": failure.kind.to_string(),
                "message": failure.message,
                "sent_s": record.sent,
                "ended_s": record.ended,
                "pieces": record.pieces.len(),
            })
        })
        .collect();
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "url": settings.url,
        "load": settings.load(),
        "ramp_s": match settings.pace { Pace::Rate(rate) => rate.ramp, Pace::Concurrency(_) => 0.0 },
        "duration_limit_s": match settings.limit { Limit::Seconds(s) => Some(s), Limit::Requests(_) => None },
        "warmup": settings.warmup,
        "workload": settings.workload,
        "seed": settings.seed,
        "ignore_eos": settings.ignore_eos,
        "extra_body": serde_json::from_str::<Value>(&settings.extra_body).unwrap_or_default(),
        "slo": settings.slo.map(|slo| slo.to_string()),
        "interrupted": figures.interrupted,
        "failures_by_kind": figures.failures,
        "failures": failures,
        "embedded_texts": figures.inputs,
        "input_throughput": figures.input_throughput,
        "empty_answers": figures.empty,
        "not_streamed": figures.not_streamed,
        "token_check": {
            "with_usage": check.with_usage,
            "checked": check.checked,
            "disagree": check.disagree,
            "own_total": check.own_total,
            "usage_total": check.usage_total,
            "fewer_than_pieces": check.fewer_than_pieces,
            "prompts_cut": check.prompts_cut,
            "guessed": check.guessed,
        },
        "lag_s": {
            "sending": late(lag.sending),
            "event_loop": late(lag.event_loop),
            "processor_share": lag.processor,
            "may_be_the_bottleneck": lag.suspicious,
        },
        "tokens_by_second": tokens_by_second(&done),
        "notes": notes(run, figures),
        "definitions": DEFINITIONS.iter().map(|(k, v)| ((*k).to_owned(), json!(v))).collect::<Map<_, _>>(),
    })
}

/// The requests one by one, in the order in which they were sent, failed ones
/// too: their entry in `errors` is not empty.
fn requests(records: &[Record]) -> Map<String, Value> {
    let list = |f: &dyn Fn(&Record) -> Value| Value::Array(records.iter().map(f).collect());
    let error = |r: &Record| {
        r.failure.as_ref().map_or(String::new(), |f| format!("{}: {}", f.kind, f.message))
    };
    let mut object = Map::new();
    object.insert("input_lens".into(), list(&|r| json!(r.input_tokens())));
    object.insert("output_lens".into(), list(&|r| json!(r.output_tokens())));
    object.insert("ttfts".into(), list(&|r| json!(r.ttft().unwrap_or(0.0))));
    object.insert("itls".into(), list(&|r| json!(r.gaps())));
    object.insert("e2els".into(), list(&|r| json!(r.e2el())));
    object.insert("start_times".into(), list(&|r| json!(r.sent)));
    object.insert("generated_texts".into(), list(&|r| json!(r.text)));
    object.insert("errors".into(), list(&|r| json!(error(r))));
    object
}
