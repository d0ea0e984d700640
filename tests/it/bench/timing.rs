//! Known delays are reported as they are.

use std::time::Duration;

use dragoman::bench::figures::Figures;
use dragoman::bench::record::{Record, Usage};
use dragoman::bench::run::{Endpoint, Limit, Pace, Rate};
use dragoman::bench::stats;

use super::Load;
use super::mock::{End, GOOD, Mock, Script};

/// How much later than it was sent a piece may be read, in the middle of all,
/// on a machine that runs other tests beside this one.
const LATE: f64 = 0.04;

/// What the tool measured, against what the mock did, not against what it was
/// told: a busy machine delays both.
#[tokio::test(flavor = "multi_thread")]
async fn delays_are_reported_right() {
    let script = Script {
        first: Duration::from_millis(200),
        gap: Duration::from_millis(60),
        pieces: 10,
        usage: Some(10),
        ..GOOD
    };
    let mock = Mock::start([script]);
    let (run, figures) = Load::new(&mock.url, 2, 8).run().await;
    assert_eq!((figures.completed, figures.failed, figures.output_tokens), (8, 0, 80));
    assert_eq!(figures.input_tokens, 96, "by the server's usage");

    let sent = mock.sent();
    let firsts: Vec<f64> = sent.iter().map(|s| s[0].as_secs_f64()).collect();
    let gaps: Vec<f64> =
        sent.iter().flat_map(|s| s.windows(2).map(|w| (w[1] - w[0]).as_secs_f64())).collect();
    let whole: Vec<f64> = sent.iter().map(|s| s.last().unwrap().as_secs_f64()).collect();
    let close = |name: &str, found: f64, expected: &[f64]| {
        let expected = stats::median(expected).unwrap();
        assert!((found - expected).abs() < LATE, "{name}: {found} against {expected}");
    };
    let (ttft, itl, e2el) = (figures.ttft.unwrap(), figures.itl.unwrap(), figures.e2el.unwrap());
    close("TTFT", ttft.median, &firsts);
    close("ITL", itl.median, &gaps);
    close("E2EL", e2el.median, &whole);
    assert!(ttft.min >= 0.198 && itl.median >= 0.058, "{ttft:?} {itl:?}");
    assert_eq!(itl.count, 8 * 9);
    let tpot = figures.tpot.unwrap();
    let expected = (e2el.mean - ttft.mean) / 9.0;
    assert!((tpot.mean - expected).abs() < 1e-9, "{tpot:?}");
    assert_eq!(figures.peak_concurrency, 2);
    let throughput = 80.0 / run.duration;
    assert!((figures.output_throughput - throughput).abs() < 1e-9);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_does_not_wait_for_answers() {
    let script = Script { first: Duration::from_millis(300), ..GOOD };
    let mock = Mock::start([script]);
    let rate = Rate { per_second: 100.0, burstiness: 1.0, ramp: 0.0, cap: None };
    let load = Load { pace: Pace::Rate(rate), ..Load::new(&mock.url, 1, 40) };
    let (run, figures) = load.run().await;
    assert_eq!(figures.completed, 40);
    assert!(figures.peak_concurrency > 10, "{}", figures.peak_concurrency);
    // 40 gaps of 10 ms in the mean, and the last answer.
    let last = run.records.iter().map(|r| r.due).fold(0.0, f64::max);
    assert!((0.2..0.8).contains(&last), "{last}");
    let median = stats::median(&run.lag.sending).unwrap();
    assert!(median < LATE, "sending was late by {median} s");

    let rate = Rate { cap: Some(3), ..rate };
    let load = Load { pace: Pace::Rate(rate), ..Load::new(&mock.url, 1, 8) };
    assert_eq!(load.run().await.1.peak_concurrency, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_of_a_given_time_ends_and_waits_for_answers() {
    let script = Script { first: Duration::from_millis(50), ..GOOD };
    let mock = Mock::start([script]);
    let load = Load { limit: Limit::Seconds(0.4), ..Load::new(&mock.url, 2, 1) };
    let (run, figures) = load.run().await;
    assert!(figures.completed >= 2 && figures.failed == 0, "{figures:?}");
    assert!(run.records.iter().all(|r| r.sent < 0.4 + LATE));
    assert!(run.duration >= 0.35 && !run.partial, "{}", run.duration);
}

#[tokio::test(flavor = "multi_thread")]
async fn goodput_counts_what_keeps_the_limits() {
    let slow = Script { first: Duration::from_millis(400), ..GOOD };
    let mock = Mock::start([GOOD, slow]);
    let load = Load { slo: Some("ttft=250ms"), ..Load::new(&mock.url, 1, 4) };
    let (run, figures) = load.run().await;
    assert_eq!(figures.completed, 4);
    assert!((figures.goodput.unwrap() - 2.0 / run.duration).abs() < 1e-9, "{figures:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_without_usage_and_with_wrong_usage() {
    let none = Script { usage: None, ..GOOD };
    let few = Script { usage: Some(3), ..GOOD };
    let many = Script { usage: Some(16), ..GOOD };
    let mock = Mock::start([none, few, many, GOOD]);
    let (_, figures) = Load::new(&mock.url, 1, 4).run().await;
    assert_eq!(figures.output_tokens, 8 + 3 + 16 + 8);
    let check = &figures.check;
    assert_eq!((check.with_usage, check.guessed, check.fewer_than_pieces), (3, 1, 1));
}

/// A chat template only adds to a prompt.
#[test]
fn a_prompt_that_was_cut_is_noticed() {
    let record = |own: usize, usage: usize| Record {
        own_prompt: Some(own),
        usage: Usage { prompt: Some(usage), completion: Some(1) },
        ended: 1.0,
        ..Record::default()
    };
    let rt = tokio::runtime::Runtime::new().unwrap();
    let mock = Mock::start([GOOD]);
    let (mut run, _) = rt.block_on(Load::new(&mock.url, 1, 1).run());
    run.records = vec![record(100, 130), record(100, 97), record(100, 60)];
    assert_eq!(Figures::of(&run).check.prompts_cut, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_in_one_piece_is_said_to_be_one() {
    let mock = Mock::start([Script { stream: false, ..GOOD }]);
    let (_, figures) = Load::new(&mock.url, 1, 2).run().await;
    assert_eq!((figures.completed, figures.not_streamed, figures.output_tokens), (2, 2, 6));
    assert_eq!(figures.ttft.unwrap().median, figures.e2el.unwrap().median);
}

#[tokio::test(flavor = "multi_thread")]
async fn embeddings_are_counted_by_text() {
    let mock = Mock::start([GOOD]);
    let load = Load { endpoint: Endpoint::Embeddings, batch: 4, ..Load::new(&mock.url, 2, 6) };
    let (run, figures) = load.run().await;
    assert_eq!((figures.completed, figures.inputs, figures.input_tokens), (6, 24, 240));
    assert!((figures.input_throughput - 24.0 / run.duration).abs() < 1e-9);
    assert!(figures.e2el.unwrap().min >= 0.009 && figures.ttft.is_none());

    let mock = Mock::start([Script { end: End::Silent, ..GOOD }]);
    let load = Load { endpoint: Endpoint::Embeddings, ..Load::new(&mock.url, 1, 1) };
    assert_eq!(load.run().await.1.failures["malformed"], 1);
}
