//! What is refused, and how it is told.

use dragoman::config::{self, Config};
use dragoman::engine::Engines;
use reqwest::Method;
use serde_json::{Value, json};

use super::{add, call, collection, post, search, tiny, upload};
use crate::support::{data_dir, serve};

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_are_named() {
    let url = tiny();
    let id = collection(url).await;
    let documents = format!("/v1/collections/{id}/documents");
    add(url, &id, json!({"text": "w5 w6"})).await;
    let long = "w5 ".repeat(80);
    let words = "w ".repeat(5001);
    let search = |body: Value| {
        let mut whole = json!({"collection": id, "query": "w5"});
        whole.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
        ("/v1/search", whole)
    };
    let none = "/v1/collections/none/documents";
    for ((path, body), status, param, says) in [
        (("/v1/collections", json!({"name": " "})), 400, "name", "empty"),
        (("/v1/collections", json!({"name": "x", "model": "no"})), 404, "model", "`no`"),
        (("/v1/collections", json!({"name": "x", "model": "reranker"})), 400, "model", "reranks"),
        ((none, json!({"text": "w5"})), 404, "collection", "none"),
        ((&*documents, json!({})), 400, "text", "send one of text and paragraphs"),
        ((&*documents, json!({"text": "x", "paragraphs": []})), 400, "text", "send one of"),
        ((&*documents, json!({"text": " \n…"})), 400, "text", "no words"),
        ((&*documents, json!({"paragraphs": []})), 400, "paragraphs", "no words"),
        ((&*documents, json!({"text": "x", "format": "odt"})), 400, "format", "docx"),
        ((&*documents, json!({"text": "x", "format": "docx"})), 415, "text", "not docx"),
        ((&*documents, json!({"paragraphs": ["x"], "format": "text"})), 400, "format", "leave"),
        ((&*documents, json!({"text": "x", "language": "xx"})), 400, "language", "xx"),
        ((&*documents, json!({"file": "x"})), 400, "file", "multipart/form-data"),
        (search(json!({"collection": "none"})), 404, "collection", "none"),
        (search(json!({"query": ""})), 400, "query", "no words"),
        (search(json!({"query": long})), 400, "query", "reads 64"),
        (search(json!({"query": words, "mode": "lexical"})), 400, "query", "at most 10000"),
        (search(json!({"limit": 0})), 400, "limit", "1 to 100"),
        (search(json!({"limit": 101})), 400, "limit", "1 to 100"),
        (search(json!({"mode": "fuzzy"})), 400, "mode", "fuzzy"),
        (search(json!({"languages": ["fr", "xx"]})), 400, "languages[1]", "xx"),
        (search(json!({"documents": ["none"]})), 404, "documents[0]", "none"),
        (search(json!({"rerank_model": "embedder"})), 400, "rerank_model", "cannot rerank"),
        (
            search(json!({"rerank_model": "reranker", "rerank": false})),
            400,
            "rerank_model",
            "does not go",
        ),
        (search(json!({"model": "embedder"})), 400, "model", "leave it out"),
        (search(json!({"top_k": 3})), 400, "top_k", "unknown field"),
    ] {
        let (found, answer) = post(url, path, body).await;
        let error = &answer["error"];
        assert_eq!((found, &error["param"]), (status, &json!(param)), "{answer}");
        assert!(error["message"].as_str().unwrap().contains(says), "{answer}");
    }
    for (name, bytes, status) in
        [("a.odt", &b"w5"[..], 415), ("a.docx", b"w5", 415), ("a.md", b"\xff\xfe\xfd", 400)]
    {
        let (found, answer) = upload(url, &id, name, bytes.to_vec()).await;
        assert_eq!((found, &answer["error"]["param"]), (status, &json!("file")), "{answer}");
    }
    for path in [format!("{documents}/none"), "/v1/collections/none".to_owned()] {
        assert_eq!(call(url, Method::DELETE, &path).await.0, 404, "{path}");
    }
    let about = super::get(url, &format!("/v1/collections/{id}")).await.1;
    assert_eq!(about["documents"], 1, "nothing that was refused is there");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_full_names_its_setting() {
    let config = config::Server {
        data_dir: Some(data_dir()),
        max_collections: 1,
        max_passages: 3,
        ..Config::default().server
    };
    let url = &serve(crate::tei::tiny().engines.clone(), config);
    let id = collection(url).await;
    let documents = format!("/v1/collections/{id}/documents");
    add(url, &id, json!({"paragraphs": ["w5 w6 w7 w8.", "w6 w7 w8 w9."]})).await;
    let two = json!({"paragraphs": ["w7 w8 w9 w5.", "w8 w9 w5 w6."]});
    for (path, body, status, code, setting) in [
        ("/v1/collections", json!({"name": "x"}), 409, "too_many_collections", "max_collections"),
        (&*documents, two, 413, "collection_full", "max_passages"),
    ] {
        let (found, answer) = post(url, path, body).await;
        let error = &answer["error"];
        assert_eq!((found, &error["code"]), (status, &json!(code)), "{answer}");
        assert!(error["message"].as_str().unwrap().contains(&format!("server.{setting}")));
    }
    let about = super::get(url, &format!("/v1/collections/{id}")).await.1;
    assert_eq!((&about["documents"], &about["passages"]), (&json!(1), &json!(2)));
    add(url, &id, json!({"paragraphs": ["w9 w8 w7 w6."]})).await;
    assert_eq!(call(url, Method::DELETE, &format!("/v1/collections/{id}")).await.0, 200);
    collection(url).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn queries_too_long_with_a_passage_are_not_cut_for_a_reranker() {
    let url = tiny();
    let id = collection(url).await;
    add(url, &id, json!({"paragraphs": ["w5 ".repeat(40)]})).await;
    let query = "w5 ".repeat(40);
    let body = json!({"collection": id, "query": query, "rerank": true});
    let (status, answer) = post(url, "/v1/search", body).await;
    assert_eq!((status, &answer["error"]["param"]), (400, &json!("query")), "{answer}");
    let without = json!({"collection": id, "query": query});
    assert_eq!(search(url, without).await["results"].as_array().unwrap().len(), 1);
}

/// A collection keeps to its model: one that is not loaded is named, and so is
/// one whose files have changed under the name.
#[tokio::test(flavor = "multi_thread")]
async fn another_model_is_told() {
    let folder = data_dir();
    let engines = &crate::tei::tiny().engines;
    let only = |id: &str| Engines::new(vec![engines.get(id).unwrap().clone()]);
    let at = |engines: Engines| {
        super::restart::within(engines, folder.clone(), Config::default().server)
    };
    let server = at(only("embedder")).await;
    let id = collection(&server.url).await;
    add(&server.url, &id, json!({"text": "w5 w6"})).await;
    server.stop().await;

    let server = at(only("reranker")).await;
    let asked = json!({"collection": id, "query": "w5"});
    let added = json!({"text": "w7 w8"});
    let documents = format!("/v1/collections/{id}/documents");
    for (path, body) in [("/v1/search", asked.clone()), (&*documents, added.clone())] {
        let (status, answer) = post(&server.url, path, body).await;
        assert_eq!((status, &answer["error"]["code"]), (409, &json!("model_not_loaded")));
        let message = answer["error"]["message"].as_str().unwrap();
        assert!(message.contains("`embedder`") && message.contains("--model"), "{message}");
    }
    let words = json!({"collection": id, "query": "w5", "mode": "lexical"});
    assert_eq!(search(&server.url, words).await["results"].as_array().unwrap().len(), 1);
    let reranked = json!({"collection": id, "query": "w5", "mode": "lexical", "rerank": true});
    let (status, answer) = post(&server.url, "/v1/search", reranked).await;
    assert_eq!(status, 200, "{answer}");
    server.stop().await;

    let server = at(Engines::new(vec![crate::tei::start("xlm-roberta", "embedder")])).await;
    for (path, body) in [("/v1/search", asked), (&*documents, added)] {
        let (status, answer) = post(&server.url, path, body).await;
        assert_eq!((status, &answer["error"]["code"]), (409, &json!("model_changed")), "{answer}");
        let message = answer["error"]["message"].as_str().unwrap();
        assert!(message.contains("`embedder`") && message.contains("new collection"), "{message}");
    }
    server.stop().await;
    let without = serve(Engines::new(Vec::new()), Config::default().server);
    let (status, answer) = post(&without, "/v1/collections", json!({"name": "x"})).await;
    assert_eq!(status, 404, "{answer}");
}
