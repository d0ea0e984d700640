//! What `/metrics` says of batches. Tests of one process share the counters, so
//! that they are at least what one test made them.

use reqwest::Method;

use super::{COMPLETIONS, call, completed, ended, server, submit, texts, until};

/// The value of a metric; `None` if it is not there.
async fn value(url: &str, name: &str) -> Option<f64> {
    let text = reqwest::get(format!("{url}/metrics")).await.unwrap().text().await.unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.map(|value| value.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_are_counted() {
    let url = &server().url;
    let done = "dragoman_batch_requests_total{outcome=\"completed\"}";
    let unanswered = "dragoman_batch_requests_total{outcome=\"unanswered\"}";
    let cancelled = "dragoman_batches_ended_total{status=\"cancelled\"}";
    let running = "dragoman_batches{status=\"in_progress\"}";
    for name in [
        running,
        "dragoman_batches{status=\"validating\"}",
        "dragoman_batches_ended_total{status=\"failed\"}",
        "dragoman_batch_requests_total{outcome=\"failed\"}",
        "dragoman_batch_requests_waiting",
    ] {
        assert!(value(url, name).await.is_some(), "{name} is missing");
    }
    let mut before = Vec::new();
    for name in [done, unanswered, cancelled] {
        before.push(value(url, name).await.unwrap());
    }

    let id = submit(url, COMPLETIONS, &texts(2000)).await;
    until(url, &id, |batch| completed(batch) > 0).await;
    assert!(value(url, running).await.unwrap() >= 1.0);
    assert!(value(url, "dragoman_batch_requests_waiting").await.unwrap() >= 1.0);

    assert_eq!(call(url, Method::POST, &format!("/v1/batches/{id}/cancel")).await.0, 200);
    let batch = ended(url, &id).await;
    let left = 2000 - completed(&batch);
    assert!(batch["status"] == "cancelled" && left > 0, "{batch}");
    for (at, (name, more)) in
        [(done, completed(&batch)), (unanswered, left), (cancelled, 1)].into_iter().enumerate()
    {
        let after = value(url, name).await.unwrap();
        assert!(after >= before[at] + more as f64, "{name}: {} and {after}", before[at]);
    }
}
