//! The command as people run it: its reports, and Ctrl-C.

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::mock::{End, GOOD, Mock, Script};

/// What `vllm bench serve` writes, by name.
const VLLM: [&str; 21] = [
    "date",
    "endpoint_type",
    "backend",
    "label",
    "model_id",
    "tokenizer_id",
    "num_prompts",
    "request_rate",
    "burstiness",
    "max_concurrency",
    "duration",
    "completed",
    "failed",
    "total_input_tokens",
    "total_output_tokens",
    "request_throughput",
    "request_goodput",
    "output_throughput",
    "total_token_throughput",
    "max_output_tokens_per_s",
    "max_concurrent_requests",
];
const STATISTICS: [&str; 6] = ["mean", "median", "std", "p90", "p95", "p99"];
const LATENCIES: [&str; 4] = ["ttft", "tpot", "itl", "e2el"];
const DETAILS: [&str; 7] =
    ["input_lens", "output_lens", "ttfts", "itls", "start_times", "generated_texts", "errors"];

fn bench(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dragoman"));
    command.arg("bench").args(args).env_remove("OPENAI_API_KEY");
    command
}

fn finished(mut command: Command) -> Output {
    command.output().unwrap()
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[test]
fn the_reports_have_everything() {
    let mock = Mock::start([GOOD, GOOD, GOOD, Script { status: 500, ..GOOD }]);
    let dir = tempfile::tempdir().unwrap();
    let (json, html) = (dir.path().join("a.json"), dir.path().join("a.html"));
    let output = finished(bench(&[
        "serve",
        "--url",
        &mock.url,
        "--requests",
        "12",
        "--concurrency",
        "2",
        "--warmup",
        "2",
        "--slo",
        "ttft=5s",
        "--ignore-eos",
        "--extra-body",
        "{\"temperature\": 0.5}",
        "--details",
        "--label",
        "ours",
        "--json",
        json.to_str().unwrap(),
        "--html",
        html.to_str().unwrap(),
    ]));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for part in
        ["TTFT", "goodput", "http_500", "Definitions", "lag of this tool", "time per output"]
    {
        assert!(text.to_lowercase().contains(&part.to_lowercase()), "{part} is not in:\n{text}");
    }

    let found = read(&json);
    let keys = found.as_object().unwrap();
    for key in VLLM.iter().chain(&DETAILS) {
        assert!(keys.contains_key(*key), "{key} is missing");
    }
    for latency in LATENCIES {
        for statistic in STATISTICS {
            let key = format!("{statistic}_{latency}_ms");
            assert!(keys.get(&key).is_some_and(Value::is_number), "{key} is missing");
        }
    }
    assert_eq!((&found["completed"], &found["failed"]), (&9.into(), &3.into()));
    assert_eq!((&found["request_rate"], &found["max_concurrency"]), (&"inf".into(), &2.into()));
    assert_eq!(found["label"], "ours");
    assert!(DETAILS.iter().all(|key| found[key].as_array().unwrap().len() == 12));

    let seen = mock.seen();
    assert_eq!(seen.len(), 14, "warm-up and run");
    assert!(seen.iter().all(|b| b["ignore_eos"] == true && b["min_tokens"] == b["max_tokens"]));
    assert!(
        seen.iter()
            .all(|b| b["temperature"] == 0.5 && b["stream_options"]["include_usage"] == true)
    );
    let mut prompts: Vec<String> = seen.iter().map(|b| b["messages"].to_string()).collect();
    prompts.sort();
    prompts.dedup();
    assert_eq!(prompts.len(), 14, "no prompt comes twice");

    let page = std::fs::read_to_string(&html).unwrap();
    assert!(page.contains("<svg") && page.contains("prefers-color-scheme: dark"));
    for outside in ["http://www", "https://", "<script", "<link", "@import", "url("] {
        assert!(!page.contains(outside), "{outside} is in the page");
    }
}

#[test]
fn a_sweep_finds_a_knee_and_can_be_compared() {
    let mock = Mock::start([GOOD]);
    let dir = tempfile::tempdir().unwrap();
    let json = dir.path().join("sweep.json");
    let output = finished(bench(&[
        "serve",
        "--url",
        &mock.url,
        "--sweep",
        "1,2,4",
        "--requests",
        "12",
        "--details",
        "--json",
        json.to_str().unwrap(),
        "--workload",
        "policy",
        "--output-tokens",
        "8",
    ]));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("(knee)") && text.contains("the knee is the smallest load"), "{text}");
    let found = read(&json);
    assert_eq!(found["runs"].as_array().unwrap().len(), 3);
    assert!(found["knee"]["load"].is_number() && found["knee"]["definition"].is_string());

    let path = json.to_str().unwrap();
    let output = finished(bench(&["compare", path, path]));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("### 4 at once") && text.contains("no clear difference"), "{text}");
}

/// Sends SIGINT.
fn interrupt(child: &Child) {
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
}

fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < Duration::from_secs(20), "{what} did not come about");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn ctrl_c_gives_the_partial_report() {
    let mock = Mock::start([GOOD, GOOD, GOOD, Script { end: End::Hang, ..GOOD }]);
    let dir = tempfile::tempdir().unwrap();
    let json = dir.path().join("partial.json");
    let mut command = bench(&[
        "serve",
        "--url",
        &mock.url,
        "--requests",
        "500",
        "--concurrency",
        "1",
        "--warmup",
        "0",
        "--json",
        json.to_str().unwrap(),
    ]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_until("the fourth request", || mock.sent().len() == 4);
    interrupt(&child);
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("PARTIAL"), "{text}");
    let found = read(&json);
    assert_eq!(found["partial"], true);
    assert_eq!((&found["completed"], &found["failed"]), (&3.into(), &0.into()));
    assert_eq!(found["dragoman"]["interrupted"], 1);
    assert_eq!(found["num_prompts"], 500);
}

#[test]
fn mistakes_are_told() {
    let mock = Mock::start([Script { status: 401, ..GOOD }]);
    let url = mock.url.as_str();
    for (args, part) in [
        (&["serve", "--url", url][..], "http_401"),
        (&["serve", "--url", url, "--requests", "4", "--concurrency", "9"], "raise --requests"),
        (&["serve", "--url", url, "--ramp", "5s"], "--ramp needs --rate"),
        (&["serve", "--url", url, "--batch", "5"], "--endpoint embeddings"),
        (&["serve", "--url", url, "--extra-body", "[]"], "--extra-body"),
        (&["serve", "--url", url, "--slo", "x=5ms"], "no figure"),
        (&["serve", "--url", url, "--languages", "en"], "--workload policy"),
        (&["serve", "--url", url, "--workload", "policy", "--languages", "xx"], "en, fr"),
        (&["serve", "--url", url, "--workload", "file"], "--file"),
        (&["serve", "--url", url, "--file", "/nowhere.jsonl"], "/nowhere.jsonl"),
        (&["serve", "--url", url, "--json", "/nowhere/a.json"], "/nowhere/a.json"),
        (&["compare", "Cargo.toml", "Cargo.toml"], "not JSON"),
    ] {
        let output = finished(bench(args));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains(part), "{args:?}: {said}");
    }
}
