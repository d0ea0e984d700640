//! `dragoman bench engine` as a user runs it: the built program, its JSON, and
//! Ctrl-C.

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{GENERATOR, fixture, model_files};

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dragoman"));
    command.args(["--offline", "bench", "engine", "--threads", "2"]).args(args);
    command
}

fn tiny(name: &str) -> String {
    fixture("tiny").join(name).display().to_string()
}

fn succeeds(output: &Output) -> String {
    let (out, err) = (&output.stdout, &output.stderr);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(err));
    String::from_utf8_lossy(out).into_owned()
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// The value at a path like `/models/0/rows`, which is not null.
fn at<'a>(report: &'a Value, path: &str) -> &'a Value {
    let found = report.pointer(path).filter(|v| !v.is_null());
    found.unwrap_or_else(|| panic!("{path} is missing in {report:#}"))
}

/// Every figure of a row that holds for all tests.
const ROW: [&str; 16] = [
    "test",
    "level",
    "n_prompt",
    "n_gen",
    "n_depth",
    "pp",
    "tg",
    "pl",
    "n_kv",
    "avg_ts",
    "stddev_ts",
    "median_ts",
    "samples_ts",
    "speed_pp",
    "read_before",
    "read_after",
];

#[test]
fn a_tiny_decoder_is_measured_from_end_to_end() {
    let folder = tempfile::tempdir().unwrap();
    let [json, html] = ["report.json", "report.html"].map(|name| folder.path().join(name));
    let output =
        command(&[&tiny("llama"), "--prompt", "8,16", "--batch", "1,3", "--depth", "0,40"])
            .args(["--generate", "8", "--repetitions", "2", "--json"])
            .arg(&json)
            .arg("--html")
            .arg(&html)
            .output()
            .unwrap();
    let text = succeeds(&output);
    for expected in ["speed_tg", "cold start", "share", "limit:"] {
        assert!(text.contains(expected), "{expected:?} is not in:\n{text}");
    }
    let page = std::fs::read_to_string(html).unwrap();
    // Two plots over batch, one each over depth and over the prompt.
    assert_eq!(page.matches("<svg").count(), 4);
    for expected in ["cold start", "n_kv", "share of the limit", "</html>"] {
        assert!(page.contains(expected), "{expected:?} is not in the page");
    }
    assert!(!page.contains("NaN") && !page.contains("src="));
    let report = read(&json);
    for path in [
        "/tool",
        "/version",
        "/date",
        "/command",
        "/machine/threads",
        "/machine/device",
        "/models/0/model/parameters",
        "/models/0/model/weight_bytes",
        "/models/0/model/load_s",
        "/models/0/cold_start/load_s",
        "/models/0/cold_start/first_token_s",
        "/models/0/cold_start/start_to_first_token_s",
        "/models/0/roofline/limits/read_bandwidth/median",
        "/models/0/roofline/limits/int8_ops/median",
        "/models/0/roofline/limits/int16_ops/median",
        "/models/0/roofline/limits/f32_ops/median",
        "/models/0/roofline/limits/barrier_ns/median",
        "/models/0/roofline/limits/hand_over_ns/median",
        "/models/0/roofline/model/step_bytes",
        "/models/0/roofline/shares/0/bound_by",
    ] {
        at(&report, path);
    }
    assert_eq!(report["partial"], false);
    assert_eq!(at(&report, "/models/0/cold_start/page_cache"), "as found");
    if cfg!(target_os = "linux") {
        assert!(at(&report, "/models/0/cold_start/peak_memory_bytes").as_u64() > Some(1 << 20));
    }
    let rows = at(&report, "/models/0/rows").as_array().unwrap();
    let sizes = |row: &Value| ["pp", "tg", "pl", "n_kv"].map(|f| row[f].as_u64().unwrap());
    let found: Vec<_> = rows.iter().map(|r| (r["test"].as_str().unwrap(), sizes(r))).collect();
    let expected = [
        ("prefill", [8, 0, 1, 8]),
        ("prefill", [16, 0, 1, 16]),
        ("decode", [0, 8, 1, 8]),
        ("decode", [0, 8, 3, 24]),
        ("decode", [40, 8, 1, 48]),
        ("decode", [40, 8, 3, 144]),
    ];
    assert_eq!(found, expected);
    for row in rows {
        let decodes = row["test"] == "decode";
        for field in ROW.iter().filter(|f| !(decodes && **f == "speed_pp" && row["pp"] == 0)) {
            assert!(!row[*field].is_null(), "{field} is missing in {row}");
        }
        assert_eq!(row["samples_ts"].as_array().unwrap().len(), 2);
        assert!(row["median_ts"].as_f64() > Some(0.0));
        assert_eq!(row["t_tg"].is_null(), !decodes, "{row}");
    }
    assert_eq!(at(&report, "/models/0/roofline/shares").as_array().unwrap().len(), rows.len());
}

#[test]
fn an_encoder_gives_inputs_a_second() {
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("report.json");
    let output = command(&[&tiny("bert"), "--prompt", "8,4096", "--batch", "1,4"])
        .args(["--repetitions", "2", "--no-roofline", "--json"])
        .arg(&json)
        .output()
        .unwrap();
    let text = succeeds(&output);
    assert!(text.contains("inputs/s") && text.contains("left out: embed pp 4096"), "{text}");
    let report = read(&json);
    let rows = at(&report, "/models/0/rows").as_array().unwrap();
    assert_eq!(rows.len(), 2);
    for row in rows {
        assert_eq!((&row["test"], &row["pp"]), (&"embed".into(), &8.into()));
        let ratio = row["speed_pp"].as_f64().unwrap() / row["inputs_per_s"].as_f64().unwrap();
        assert!((ratio - 8.0).abs() < 1e-9);
    }
    assert_eq!(at(&report, "/models/0/skipped").as_array().unwrap().len(), 2);
    assert!(report["models"][0]["roofline"].is_null());
}

#[test]
fn random_weights_say_what_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("report.json");
    let config = format!("{}/config.json", tiny("qwen3"));
    let output = command(&["--random-weights", &config, "--weights-type", "q8_0", "--layers", "1"])
        .args(["--prompt", "8", "--batch", "2", "--depth", "0", "--generate", "4"])
        .args(["--repetitions", "1", "--seed", "7", "--no-roofline", "--json"])
        .arg(&json)
        .output()
        .unwrap();
    let text = succeeds(&output);
    assert!(text.contains("random weights (seed 7), 1 of 3 layers"), "{text}");
    let report = read(&json);
    for (field, expected) in [("layers", 1), ("layers_in_config", 3), ("random_seed", 7)] {
        assert_eq!(at(&report, &format!("/models/0/model/{field}")), expected, "{field}");
    }
    assert_eq!(at(&report, "/models/0/model/quantization"), "Q8_0");
}

#[test]
fn both_levels_of_a_real_model_are_measured() {
    if model_files(GENERATOR).is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("report.json");
    let output = command(&[GENERATOR, "--level", "forward,engine", "--prompt", "16"])
        .args(["--batch", "1,2", "--depth", "0,32", "--generate", "4", "--repetitions", "1"])
        .args(["--no-roofline", "--no-cold-start", "--json"])
        .arg(&json)
        .output()
        .unwrap();
    succeeds(&output);
    let report = read(&json);
    let rows = at(&report, "/models/0/rows").as_array().unwrap();
    let key = |r: &Value| ["level", "test", "pp", "pl"].map(|f| r[f].to_string()).join(" ");
    let found: Vec<_> = rows.iter().map(key).collect();
    let mut expected = Vec::new();
    for level in ["forward", "engine"] {
        expected.push(format!("\"{level}\" \"prefill\" 16 1"));
        for (depth, batch) in [(0, 1), (0, 2), (32, 1), (32, 2)] {
            expected.push(format!("\"{level}\" \"decode\" {depth} {batch}"));
        }
    }
    assert_eq!(found, expected);
    assert!(rows.iter().all(|r| r["median_ts"].as_f64() > Some(0.0)));
}

#[test]
#[cfg(unix)]
fn ctrl_c_ends_with_what_there_is() {
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("report.json");
    let child = command(&[&tiny("llama"), "--prompt", "8", "--batch", "1", "--depth", "0"])
        .args(["--repetitions", "100000000", "--no-roofline", "--no-cold-start", "--json"])
        .arg(&json)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Long enough to have begun; the run itself would take days.
    std::thread::sleep(Duration::from_millis(1500));
    let id = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    let begun = Instant::now();
    let text = succeeds(&child.wait_with_output().unwrap());
    assert!(begun.elapsed() < Duration::from_secs(20));
    assert!(text.contains("partial"), "{text}");
    let report = read(&json);
    assert_eq!(report["partial"], true);
    assert_eq!(at(&report, "/models/0/rows").as_array().unwrap().len(), 1);
}

#[test]
fn a_mistake_is_named() {
    let (llama, config) = (tiny("llama"), format!("{}/config.json", tiny("llama")));
    let cases: [(&[&str], &str); 8] = [
        (&[], "MODEL"),
        (&[&llama, "--batch", "0"], "--batch has a 0"),
        (&[&llama, "--repetitions", "0"], "--repetitions is 0"),
        (&[&llama, "--layers", "1"], "--random-weights"),
        (&[&llama, "--level", "kernel"], "forward"),
        (&["--random-weights", &config, "--layers", "9"], "9 of a configuration with 3 layers"),
        (&["--random-weights", &config, "--weights-type", "q3"], "q4_k, q8_0"),
        (&["--random-weights", &config, "--level", "engine", "--no-cold-start"], "a tokenizer"),
    ];
    for (args, expected) in cases {
        let output = command(args).arg("--no-roofline").output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && error.contains(expected), "{args:?}: {error}");
    }
}
