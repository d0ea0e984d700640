//! Jobs across the end of the server, orderly or not, and the end of their time.

use std::path::Path;

use dragoman::documents::store::Store;
use dragoman::engine::Engines;
use reqwest::Client;

use super::{ended, form, get, long, model, submit, until};
use crate::process::{Process, Within};

fn stored(folder: &Path, id: &str) -> usize {
    let store = Store::open(&folder.join("data")).unwrap();
    store.job_segments(id).unwrap().len()
}

/// Killed twice in the middle of 300 segments, a job comes to its end with each
/// stored segment translated once, and to the same document as one that ran
/// through.
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_goes_on_where_it_was() {
    const SEGMENTS: u64 = 300;
    let folder = tempfile::tempdir().unwrap();
    let text = long(SEGMENTS as usize);
    let model = model(folder.path()).to_str().unwrap().to_owned();
    let mut server = Process::start(folder.path(), &model);
    let path = submit(&server.url, form("a.txt", text.as_bytes(), &[])).await;
    let id = path.rsplit('/').next().unwrap().to_owned();
    let mut kept = 0;
    for _ in 0..2 {
        // On a busy machine many are done between two looks.
        let goal = kept + 30;
        let enough = |job: &serde_json::Value| job["progress"]["done"].as_u64() >= Some(goal);
        let seen = until(&server.url, &path, enough).await["progress"]["done"].as_u64().unwrap();
        server.kill();
        let found = stored(folder.path(), &id) as u64;
        println!("killed after {seen} of {SEGMENTS} segments were told of, {found} are stored");
        assert!(found >= seen && found > kept && found < SEGMENTS, "{found} of {seen}");
        kept = found;
        server = Process::start(folder.path(), &model);
        let (_, job) = get(&server.url, &path).await;
        assert!(job["progress"]["done"].as_u64() >= Some(kept), "{job}");
    }
    let job = ended(&server.url, &path).await;
    assert_eq!(
        (&job["status"], job["progress"]["done"].as_u64()),
        (&"done".into(), Some(SEGMENTS))
    );
    // What was stored when it was killed was not translated again.
    let written = server.written().await;
    println!("the last server translated {written} segments");
    assert_eq!(written, SEGMENTS - kept);
    let (_, report) = get(&server.url, &format!("{path}/report")).await;
    let mut numbers: Vec<u64> = (report["segments"].as_array().unwrap().iter())
        .map(|segment| segment["segment"].as_u64().unwrap())
        .collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..SEGMENTS).collect::<Vec<_>>());

    let through = submit(&server.url, form("a.txt", text.as_bytes(), &[])).await;
    ended(&server.url, &through).await;
    assert_eq!(server.written().await, written + SEGMENTS);
    let mut results = Vec::new();
    for path in [&path, &through] {
        let url = format!("{}{path}/result", server.url);
        results.push(Client::new().get(url).send().await.unwrap().text().await.unwrap());
    }
    assert!(!results[0].is_empty() && results[0] == results[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_orderly_end_keeps_what_runs_and_time_takes_what_is_old() {
    let folder = tempfile::tempdir().unwrap();
    let engine = crate::translation::start("m2m", "m2m-restart", crate::translation::exact());
    let engines = Engines::new(vec![engine]);
    let server = Within::start(&engines, folder.path()).await;
    let url = &server.url;
    let old = submit(url, form("old.txt", b"w5", &[])).await;
    let new = submit(url, form("new.txt", b"w5", &[])).await;
    for path in [&old, &new] {
        assert_eq!(ended(url, path).await["status"], "done");
    }
    let running = submit(url, form("a.txt", long(400).as_bytes(), &[])).await;
    until(url, &running, |job| job["progress"]["done"].as_u64() > Some(0)).await;
    let store = server.stop(|| Store::open(folder.path())).await;
    let id = |path: &str| path.rsplit('/').next().unwrap().to_owned();
    let kept = store.job(&id(&running)).unwrap().unwrap();
    assert_eq!(kept.state.name(), "queued");
    let segments = store.job_segments(&id(&running)).unwrap().len();
    assert!(segments == kept.done && segments < 400, "{segments}");
    // As if it had been done longer ago than jobs are kept.
    let week = 7 * 24 * 3600 * 1_000_000;
    let aged = store.change_job(&id(&old), |job| {
        job.finished = job.finished.map(|at| at - week);
        true
    });
    assert!(aged.unwrap().unwrap().1);
    drop(store);

    let server = Within::start(&engines, folder.path()).await;
    let url = &server.url;
    let job = ended(url, &running).await;
    assert_eq!((&job["status"], job["progress"]["done"].as_u64()), (&"done".into(), Some(400)));
    assert_eq!(get(url, &old).await.0, 404);
    assert_eq!(get(url, &new).await.0, 200);
    assert_eq!(get(url, &format!("{new}/result")).await.0, 200);
    drop(server.stop(|| Store::open(folder.path())).await);
}
