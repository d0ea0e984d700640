//! What is asked for wrongly, twice, too often, or no longer.

use dragoman::config::{self, Config};
use dragoman::engine::Engines;
use reqwest::Method;
use serde_json::{Value, json};

use super::{
    CHAT, COMPLETIONS, MODEL, call, completed, create, ended, get, ids, results, send, server,
    submit, texts, until, upload, wanted,
};
use crate::support::{data_dir, serve};

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_kept_is_refused_by_name() {
    let url = &server().url;
    let batch = ("purpose", "batch");
    for (bytes, fields, status, param, says) in [
        (b"{}".as_slice(), &[("purpose", "fine-tune")][..], 400, "purpose", "send \"batch\""),
        (b"{}", &[], 400, "purpose", "required"),
        (b"", &[batch], 400, "file", "empty"),
        (
            b"{}",
            &[batch, ("expires_after[seconds]", "60")],
            400,
            "expires_after.anchor",
            "created_at",
        ),
        (
            b"{}",
            &[batch, ("expires_after[anchor]", "created_at"), ("expires_after[seconds]", "60")],
            400,
            "expires_after.seconds",
            "3600 to 2592000",
        ),
        (
            b"{}",
            &[batch, ("expires_after[anchor]", "created_at")],
            400,
            "expires_after.seconds",
            "required",
        ),
        (b"{}", &[batch, ("name", "x")], 400, "name", "unknown field"),
    ] {
        let (found, answer) = send(url, bytes, fields).await;
        let error = &answer["error"];
        assert_eq!((found, &error["param"]), (status, &json!(param)), "{fields:?}: {answer}");
        assert!(error["message"].as_str().unwrap().contains(says), "{answer}");
    }
    let (status, answer) = send(url, &vec![b' '; 1 << 21], &[batch]).await;
    assert_eq!((status, &answer["error"]["code"]), (413, &json!("body_too_large")), "{answer}");
    assert!(answer["error"]["message"].as_str().unwrap().contains("server.max_file_bytes"));
    for query in ["order=up", "limit=0", "limit=10001", "first=1", "after=none"] {
        let (status, answer) = get(url, &format!("/v1/files?{query}")).await;
        let expected = if query == "after=none" { 404 } else { 400 };
        assert_eq!(status, expected, "{answer}");
        assert_eq!(answer["error"]["param"].as_str(), query.split('=').next(), "{answer}");
    }
    for path in ["/v1/files/none", "/v1/files/none/content", "/v1/files/%FF", "/v1/batches/none"] {
        assert_eq!(get(url, path).await.0, 404, "{path}");
    }
    assert_eq!(call(url, Method::DELETE, "/v1/files/none").await.0, 404);
    assert_eq!(call(url, Method::POST, "/v1/batches/none/cancel").await.0, 404);
    assert_eq!(get(url, "/v1/batches?limit=101").await.1["error"]["param"], "limit");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_a_batch_is_refused_by_name() {
    let url = &server().url;
    let file = upload(url, &texts(1)).await;
    let labels: Value = (0..17).map(|n| (format!("l{n}"), json!("x"))).collect();
    for (field, value, status, param, says) in [
        ("endpoint", json!("/v1/moderations"), 400, "endpoint", "/v1/rerank"),
        ("endpoint", Value::Null, 400, "endpoint", "required"),
        ("completion_window", json!("1d"), 400, "completion_window", "24h"),
        ("input_file_id", json!("file-none"), 404, "input_file_id", "no file"),
        ("metadata", labels, 400, "metadata", "at most 16"),
        ("metadata", json!({"a": 1}), 400, "metadata.a", "string"),
        (
            "output_expires_after",
            json!({"anchor": "now", "seconds": 3600}),
            400,
            "output_expires_after.anchor",
            "created_at",
        ),
        (
            "output_expires_after",
            json!({"anchor": "created_at", "seconds": 1}),
            400,
            "output_expires_after.seconds",
            "3600",
        ),
        ("priority", json!(1), 400, "priority", "unknown field"),
    ] {
        let mut body = wanted(&file, COMPLETIONS);
        body[field] = value;
        let (found, answer) = create(url, &body, None).await;
        let error = &answer["error"];
        assert_eq!((found, &error["param"]), (status, &json!(param)), "{body}: {answer}");
        assert!(error["message"].as_str().unwrap().contains(says), "{answer}");
    }
    // A file of answers is no file of requests.
    let batch = ended(url, &submit(url, COMPLETIONS, &texts(1)).await).await;
    let answers = batch["output_file_id"].as_str().unwrap();
    let (status, answer) = create(url, &wanted(answers, COMPLETIONS), None).await;
    assert_eq!((status, &answer["error"]["param"]), (400, &json!("input_file_id")), "{answer}");
    // The model is of another kind.
    let batch = ended(url, &submit(url, CHAT, &texts(1).replace(COMPLETIONS, CHAT)).await).await;
    assert_eq!(batch["errors"]["data"][0]["code"], "wrong_model_kind", "{batch}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_sent_again_makes_no_second_batch() {
    let url = &server().url;
    let file = upload(url, &texts(2)).await;
    let mut body = wanted(&file, COMPLETIONS);
    body["metadata"] = json!({"of": "a test"});
    let (status, first) = create(url, &body, Some("b-1")).await;
    assert_eq!((status, &first["metadata"]), (200, &body["metadata"]));
    let id = first["id"].as_str().unwrap();
    ended(url, id).await;
    let (status, again) = create(url, &body, Some("b-1")).await;
    assert_eq!((status, &again["id"], &again["status"]), (200, &first["id"], &json!("completed")));
    body["metadata"] = json!({"of": "another"});
    let (status, other) = create(url, &body, Some("b-1")).await;
    assert_eq!((status, &other["error"]["param"]), (422, &json!("Idempotency-Key")), "{other}");
    let (status, answer) = create(url, &body, Some(&"k".repeat(300))).await;
    assert_eq!((status, &answer["error"]["param"]), (400, &json!("Idempotency-Key")));
    let (_, new) = create(url, &body, Some("b-2")).await;
    assert_ne!(new["id"], first["id"]);
    ended(url, new["id"].as_str().unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_batch_keeps_what_is_answered() {
    const LINES: usize = 2000;
    let (url, engine) = (&server().url, &server().engine);
    let id = submit(url, COMPLETIONS, &texts(LINES)).await;
    let running = until(url, &id, |batch| completed(batch) > 0).await;
    // Its file is needed.
    let input = format!("/v1/files/{}", running["input_file_id"].as_str().unwrap());
    let (status, answer) = call(url, Method::DELETE, &input).await;
    assert_eq!((status, &answer["error"]["code"]), (409, &json!("file_in_use")), "{answer}");
    let cancel = format!("/v1/batches/{id}/cancel");
    let (status, batch) = call(url, Method::POST, &cancel).await;
    let known = ["cancelling", "cancelled"].contains(&batch["status"].as_str().unwrap());
    assert!(status == 200 && known && batch["cancelling_at"].is_number(), "{batch}");
    let batch = ended(url, &id).await;
    assert_eq!(batch["status"], "cancelled", "{batch}");
    let done = completed(&batch) as usize;
    assert!((1..LINES).contains(&done), "{batch}");
    crate::support::at_rest(engine).await;
    // Each line is in one of the two files.
    let answers = results(url, &batch, "output_file_id").await;
    let errors = results(url, &batch, "error_file_id").await;
    assert_eq!((answers.len(), answers.len() + errors.len()), (done, LINES));
    for error in &errors {
        assert!(error["response"].is_null(), "{error}");
        assert_eq!(error["error"]["code"], "batch_cancelled", "{error}");
    }
    let mut all = [ids(&answers), ids(&errors)].concat();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), LINES);
    // Again it is the same; one that is done stays done.
    assert_eq!(call(url, Method::POST, &cancel).await, (200, batch));
    let done = ended(url, &submit(url, COMPLETIONS, &texts(1)).await).await;
    let path = format!("/v1/batches/{}/cancel", done["id"].as_str().unwrap());
    let (status, answer) = call(url, Method::POST, &path).await;
    assert_eq!((status, &answer["error"]["code"]), (409, &json!("batch_ended")), "{answer}");
    assert_eq!(call(url, Method::DELETE, &input).await.1["deleted"], true);
    assert_eq!(get(url, &input).await.0, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_so_many_batches_and_bytes_are_kept() {
    let engine = crate::translation::start("m2m", MODEL, crate::translation::exact());
    let config = config::Server {
        data_dir: Some(data_dir()),
        max_batches: 3,
        files_mib: 1,
        ..Config::default().server
    };
    let url = &serve(Engines::new(vec![engine]), config);
    let (file, short) = (upload(url, &texts(2000)).await, upload(url, &texts(1)).await);
    let mut made = Vec::new();
    for _ in 0..3 {
        let (status, batch) = create(url, &wanted(&file, COMPLETIONS), None).await;
        assert_eq!(status, 200, "{batch}");
        made.push(batch["id"].as_str().unwrap().to_owned());
    }
    let (status, answer) = create(url, &wanted(&short, COMPLETIONS), None).await;
    assert_eq!((status, &answer["error"]["code"]), (429, &json!("too_many_batches")), "{answer}");
    // The newest first, page by page; one that waits is cancelled at once.
    let (_, page) = get(url, "/v1/batches?limit=2").await;
    assert_eq!((&page["first_id"], &page["last_id"]), (&json!(made[2]), &json!(made[1])));
    assert_eq!(page["has_more"], true);
    let (_, page) = get(url, &format!("/v1/batches?limit=2&after={}", made[1])).await;
    assert_eq!((&page["first_id"], &page["has_more"]), (&json!(made[0]), &json!(false)));
    for id in made.iter().rev() {
        let (_, batch) = call(url, Method::POST, &format!("/v1/batches/{id}/cancel")).await;
        if *id == made[2] {
            assert_eq!(batch["status"], "cancelled", "{batch}");
        }
        assert_eq!(ended(url, id).await["status"], "cancelled");
    }
    let (status, answer) = send(url, &vec![b' '; 1 << 20], &[("purpose", "batch")]).await;
    assert_eq!((status, &answer["error"]["code"]), (413, &json!("files_full")), "{answer}");
    assert!(answer["error"]["message"].as_str().unwrap().contains("server.files_mib"));
    // Files by purpose and order, and as long as they are to be kept.
    let (_, page) = get(url, "/v1/files?purpose=batch&order=asc").await;
    let found: Vec<&Value> = page["data"].as_array().unwrap().iter().map(|f| &f["id"]).collect();
    assert_eq!(found, [&json!(file), &json!(short)]);
    let (_, page) = get(url, "/v1/files?purpose=batch_output&limit=1").await;
    assert_eq!((page["data"].as_array().unwrap().len(), &page["has_more"]), (1, &json!(true)));
    call(url, Method::DELETE, &format!("/v1/files/{file}")).await;
    let keep = [
        ("purpose", "batch"),
        ("expires_after[anchor]", "created_at"),
        ("expires_after[seconds]", "7200"),
    ];
    let (_, kept) = send(url, b"{}", &keep).await;
    let seconds = kept["expires_at"].as_i64().unwrap() - kept["created_at"].as_i64().unwrap();
    assert_eq!(seconds, 7200, "{kept}");
    let mut body = wanted(&short, COMPLETIONS);
    body["output_expires_after"] = json!({"anchor": "created_at", "seconds": 3600});
    let (_, batch) = create(url, &body, None).await;
    let batch = ended(url, batch["id"].as_str().unwrap()).await;
    let path = format!("/v1/files/{}", batch["output_file_id"].as_str().unwrap());
    let (_, file) = get(url, &path).await;
    let seconds = file["expires_at"].as_i64().unwrap() - file["created_at"].as_i64().unwrap();
    assert_eq!(seconds, 3600, "{file}");
}
