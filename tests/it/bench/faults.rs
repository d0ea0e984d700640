//! Every failure is counted under its own name and none is dropped.

use std::time::Duration;

use dragoman::bench::load::{Target, TargetError, TargetSettings};
use dragoman::bench::report::{Report, json};
use dragoman::bench::run::{Endpoint, Limit};
use tokio_util::sync::CancellationToken;

use super::Load;
use super::mock::{End, GOOD, Mock, Script};

fn ending(end: End) -> Script {
    Script { end, ..GOOD }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_failure_has_its_name() {
    let cases: [(Script, &str); 8] = [
        (Script { status: 429, ..GOOD }, "http_429"),
        (Script { status: 500, ..GOOD }, "http_500"),
        (ending(End::Silent), "cut_off"),
        (ending(End::Broken), "cut_off"),
        (ending(End::Error), "error_event"),
        (ending(End::Nonsense), "malformed"),
        (ending(End::Hang), "timeout"),
        (ending(End::NoDone), ""),
    ];
    for (script, name) in cases {
        let mock = Mock::start([script, GOOD]);
        let load = Load { timeout: Duration::from_millis(500), ..Load::new(&mock.url, 1, 4) };
        let (run, figures) = load.run().await;
        if name.is_empty() {
            assert_eq!((figures.completed, figures.failed), (4, 0), "{script:?}");
            continue;
        }
        assert_eq!((figures.completed, figures.failed), (2, 2), "{script:?}");
        assert_eq!(figures.failures.get(name), Some(&2), "{script:?}: {:?}", figures.failures);
        assert_eq!(figures.failures.len(), 1, "{:?}", figures.failures);
        assert_eq!(figures.output_tokens, 16, "only of completed requests");
        // What was said and how far it came are kept.
        let report = json::render(&Report::new(vec![run]));
        let kept = report["dragoman"]["failures"].as_array().unwrap();
        assert_eq!(kept.len(), 2);
        assert!(kept.iter().all(|f| f["kind"] == name && f["message"] != ""), "{kept:?}");
        // A connection that breaks may take the last pieces with it.
        let least = match (script.status, script.end) {
            (200, End::Broken) => 6,
            (200, _) => 8,
            _ => 0,
        };
        let pieces = |f: &serde_json::Value| f["pieces"].as_u64().unwrap();
        assert!(kept.iter().all(|f| (least..=8).contains(&pieces(f))), "{name}: {kept:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_server_says_is_kept() {
    let mock = Mock::start([Script { status: 503, ..GOOD }, ending(End::Error)]);
    let (run, _) = Load::new(&mock.url, 1, 2).run().await;
    let said: Vec<&str> =
        run.records.iter().map(|r| r.failure.as_ref().unwrap().message.as_str()).collect();
    assert_eq!(said, ["as it was told", "out of memory"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_dies_half_way() {
    let mock = Mock::start([GOOD, GOOD, ending(End::Die)]);
    let (run, figures) = Load::new(&mock.url, 1, 10).run().await;
    assert_eq!(figures.completed, 2);
    assert_eq!(figures.failed, 8, "every request is accounted for: {:?}", figures.failures);
    assert_eq!(figures.failures.get("cut_off"), Some(&1), "{:?}", figures.failures);
    // Those at once after may still meet the dying process.
    let after = |name: &str| figures.failures.get(name).copied().unwrap_or(0);
    assert_eq!(after("connection_refused") + after("connection_closed"), 7);
    assert!(after("connection_refused") >= 1, "{:?}", figures.failures);
    assert_eq!(run.records.len(), 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_there_and_somebody_who_hangs_up() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    // Takes every call and hangs up at once; each request asks twice.
    let hang_up = std::thread::Builder::new();
    let hang_up = hang_up.spawn(move || listener.incoming().take(6).for_each(drop)).unwrap();
    let (_, figures) = Load::new(&url, 1, 3).run().await;
    assert_eq!(figures.failures.get("connection_closed"), Some(&3), "{:?}", figures.failures);
    hang_up.join().unwrap();

    let (_, figures) = Load::new(&url, 1, 3).run().await;
    assert_eq!(figures.failures.get("connection_refused"), Some(&3), "{:?}", figures.failures);
    // A dead server is not counted a million times in a run of a given time.
    let load = Load { limit: Limit::Seconds(0.35), ..Load::new(&url, 1, 1) };
    assert!((1..=5).contains(&load.run().await.1.failed));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_run_keeps_what_was_seen() {
    let mock = Mock::start([GOOD, ending(End::Hang)]);
    let cancel = CancellationToken::new();
    let stop = cancel.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(1500)).await;
        stop.cancel();
    });
    let (run, figures) = Load::new(&mock.url, 1, 10).run_until(cancel).await;
    assert!(run.partial);
    assert_eq!((figures.completed, figures.failed, figures.interrupted), (1, 0, 1));
    assert!(run.duration >= 1.4 && run.duration < 6.0, "{}", run.duration);
    assert_eq!(run.records[1].pieces.len(), 8, "what came before the end is kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_cannot_be_used_says_why() {
    let connect = |url: &str, model: Option<&str>| {
        Target::connect(TargetSettings {
            url: url.to_owned(),
            model: model.map(str::to_owned),
            api_key: None,
            endpoint: Endpoint::Chat,
            timeout: Duration::from_secs(5),
            ignore_eos: false,
            extra: Default::default(),
        })
    };
    let mock = Mock::start([GOOD]);
    assert_eq!(connect(&mock.url, None).await.ok().unwrap().model(), "mock");
    assert_eq!(connect(&format!("{}/v1/", mock.url), None).await.ok().unwrap().model(), "mock");
    for url in ["127.0.0.1:8080", "ftp://x", ""] {
        assert!(matches!(connect(url, None).await, Err(TargetError::Url(..))), "{url:?}");
    }
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = connect(&format!("http://{nobody}"), None).await.err().unwrap().to_string();
    assert!(error.contains("is the server running?"), "{error}");
}
