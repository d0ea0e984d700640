//! Batches across the end of the server, orderly or not, and the end of their time.

use std::collections::BTreeSet;
use std::path::Path;

use dragoman::batches::{Status, Store};
use dragoman::engine::Engines;
use serde_json::{Value, json};

use super::{
    CHAT, COMPLETIONS, MODEL, completed, ended, get, ids, line, results, submit, texts, until,
};
use crate::process::{Process, Within};
use crate::support::{GENERATOR, model_files};

fn stored(folder: &Path, id: &str) -> u64 {
    let store = Store::open(&folder.join("data")).unwrap();
    let batch = store.batch(id).unwrap().unwrap();
    let lines = store.answered(&batch).unwrap().len() as u64;
    assert_eq!(lines, batch.completed + batch.failed);
    lines
}

/// Killed twice within some dozens of lines, a batch comes to its end with each
/// stored line answered once, and with the answers of one that ran through.
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_goes_on_where_it_was() {
    const LINES: usize = 48;
    if model_files(GENERATOR).is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    // Of different lengths, so that they do not end all at once.
    let body = |n: usize| {
        json!({"model": GENERATOR, "messages": [{"role": "user", "content": format!("{n}?")}],
            "max_tokens": 1 + n % 7, "temperature": 0, "ignore_eos": true})
    };
    let text: String = (0..LINES).map(|n| line(n, CHAT, &body(n))).collect();
    let mut server = Process::start(folder.path(), GENERATOR);
    let id = submit(&server.url, CHAT, &text).await;
    let mut kept = 0;
    for goal in [8, 24] {
        let seen = completed(&until(&server.url, &id, |batch| completed(batch) >= goal).await);
        server.kill();
        let found = stored(folder.path(), &id);
        println!("killed after {seen} of {LINES} lines were told of, {found} are stored");
        assert!(found >= seen && found > kept && found < LINES as u64, "{found} of {seen}");
        kept = found;
        server = Process::start(folder.path(), GENERATOR);
        let (_, batch) = get(&server.url, &format!("/v1/batches/{id}")).await;
        assert!(completed(&batch) >= kept && batch["status"] == "in_progress", "{batch}");
    }
    let batch = ended(&server.url, &id).await;
    assert_eq!(
        (&batch["status"], completed(&batch)),
        (&json!("completed"), LINES as u64),
        "{batch}"
    );
    // What was stored when it was killed was not asked for again.
    let written = server.written().await;
    println!("the last server answered {written} lines");
    assert_eq!(written, LINES as u64 - kept);
    let answers = results(&server.url, &batch, "output_file_id").await;
    let names: BTreeSet<&str> = ids(&answers).into_iter().collect();
    assert_eq!((answers.len(), names.len()), (LINES, LINES));

    let through = ended(&server.url, &submit(&server.url, CHAT, &text).await).await;
    assert_eq!(server.written().await, written + LINES as u64);
    let again = results(&server.url, &through, "output_file_id").await;
    let texts = |lines: &[Value]| -> Vec<Value> {
        let text = |line: &Value| line["response"]["body"]["choices"][0]["message"].clone();
        lines.iter().map(text).collect()
    };
    assert_eq!((ids(&answers), texts(&answers)), (ids(&again), texts(&again)));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_orderly_end_keeps_what_runs_and_time_ends_the_rest() {
    const LINES: u64 = 1500;
    let folder = tempfile::tempdir().unwrap();
    let open = || Store::open(folder.path());
    let engine = crate::translation::start("m2m", MODEL, crate::translation::exact());
    let engines = Engines::new(vec![engine]);
    let server = Within::start(&engines, folder.path()).await;
    let text = texts(LINES as usize);
    let (on, late) = (
        submit(&server.url, COMPLETIONS, &text).await,
        submit(&server.url, COMPLETIONS, &text).await,
    );
    for id in [&on, &late] {
        until(&server.url, id, |batch| completed(batch) > 0).await;
    }
    let waits = submit(&server.url, COMPLETIONS, &text).await;
    let store = server.stop(open).await;
    let kept = store.batch(&on).unwrap().unwrap();
    assert!(kept.status == Status::InProgress && kept.completed < LINES, "{kept:?}");
    assert_eq!((kept.failed, kept.tries), (0, 0));
    assert_eq!(store.answered(&kept).unwrap().len() as u64, kept.completed);
    // As if the others were of long ago.
    let done = store.batch(&late).unwrap().unwrap().completed;
    for id in [&late, &waits] {
        let aged = store.change_batch(id, |batch| {
            batch.expires = 1;
            true
        });
        assert!(aged.unwrap().unwrap().1);
    }
    drop(store);

    // Without its model a batch waits, and its time runs on.
    let none = Engines::new(Vec::new());
    let server = Within::start(&none, folder.path()).await;
    let batch = ended(&server.url, &late).await;
    assert_eq!((&batch["status"], completed(&batch)), (&json!("expired"), done), "{batch}");
    assert!(batch["expired_at"].is_number());
    let errors = results(&server.url, &batch, "error_file_id").await;
    assert_eq!(errors.len() as u64, LINES - done);
    assert!(errors.iter().all(|error| error["error"]["code"] == "batch_expired"));
    assert_eq!(results(&server.url, &batch, "output_file_id").await.len() as u64, done);
    let batch = ended(&server.url, &waits).await;
    assert_eq!((&batch["status"], &batch["output_file_id"]), (&json!("expired"), &Value::Null));
    let (_, batch) = get(&server.url, &format!("/v1/batches/{on}")).await;
    assert_eq!((&batch["status"], completed(&batch)), (&json!("in_progress"), kept.completed));
    drop(server.stop(open).await);

    let server = Within::start(&engines, folder.path()).await;
    let batch = ended(&server.url, &on).await;
    let counts = json!({"total": LINES, "completed": LINES, "failed": 0});
    assert_eq!((&batch["status"], &batch["request_counts"]), (&json!("completed"), &counts));
    let store = server.stop(open).await;
    // As if all had ended longer ago than it is kept.
    for id in [&on, &late] {
        store
            .change_batch(id, |batch| {
                batch.reached.values_mut().for_each(|at| *at = 1);
                true
            })
            .unwrap();
    }
    drop(store);
    let server = Within::start(&engines, folder.path()).await;
    for id in [&on, &late] {
        let path = format!("/v1/batches/{id}");
        while get(&server.url, &path).await.0 != 404 {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    }
    drop(server.stop(open).await);
}
