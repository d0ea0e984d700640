//! What servers answer, held against the schemas of the document.

use dragoman::config::{self, Config};
use dragoman::engine::Engines;
use reqwest::{Client, Method};
use serde_json::{Value, json};

use super::document;
use super::schema::check;
use crate::batches;
use crate::support::{self, serve};

/// Sends a request, and checks body and status of the answer. `route` is the
/// path as the document has it, `id` what stands for its `{id}`.
async fn ask(url: &str, route: &str, id: &str, body: Value, expected: u16) -> Value {
    let (method, path) = route.split_once(' ').unwrap();
    let method: Method = method.parse().unwrap();
    let request = Client::new().request(method.clone(), format!("{url}{path}").replace("{id}", id));
    let request = if body.is_null() { request } else { request.json(&body) };
    let response = request.send().await.unwrap();
    let status = response.status().as_u16().to_string();
    let kind = response.headers().get("content-type").map(|kind| kind.to_str().unwrap().to_owned());
    let text = response.text().await.unwrap();
    assert_eq!(status, expected.to_string(), "{route}: {text}");
    let path = path.split('?').next().unwrap();
    let described =
        &document()["paths"][path][method.as_str().to_lowercase()]["responses"][&status];
    let shared = described["$ref"].as_str().and_then(|at| document().pointer(&at[1..]));
    let described = shared.unwrap_or(described);
    assert!(described.is_object(), "{route} does not say that it answers {status}");
    let Some(kind) = kind else { return Value::Null };
    let kind = kind.split(';').next().unwrap();
    let content = &described["content"][kind];
    assert!(content.is_object(), "{route} does not say that it answers {kind}");
    let bodies: Vec<Value> = match kind {
        "application/json" => vec![serde_json::from_str(&text).unwrap()],
        "text/event-stream" => (text.lines())
            .filter_map(|line| line.strip_prefix("data: "))
            .filter(|data| *data != "[DONE]")
            .map(|data| serde_json::from_str(data).unwrap())
            .collect(),
        _ => vec![Value::String(text)],
    };
    for body in &bodies {
        // Events of responses are open; all others say every field.
        let open = path == "/v1/responses" && kind == "text/event-stream";
        if !open && let Err(error) = check(document(), &content["schema"], body, route) {
            panic!("{error}\n{body:#}");
        }
    }
    bodies.into_iter().next_back().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_server_without_models() {
    let config = config::Server {
        data_dir: Some(tempfile::tempdir().unwrap().keep()),
        ..Config::default().server
    };
    let url = serve(Engines::new(Vec::new()), config);
    let none = Value::Null;
    let plain = [
        ("GET /health", 503),
        ("GET /health/live", 200),
        ("GET /health/ready", 503),
        ("GET /metrics", 200),
        ("GET /openapi.json", 200),
        ("GET /docs", 200),
        ("GET /v1/models", 200),
        ("GET /v1/models/{id}", 404),
        ("GET /v1/responses/{id}", 404),
        ("GET /v1/files/{id}", 404),
        ("GET /v1/batches/{id}", 404),
        ("GET /info", 404),
        ("GET /languages", 404),
        #[cfg(feature = "documents")]
        ("GET /v1/memories/{id}", 404),
        #[cfg(feature = "documents")]
        ("GET /v2/glossaries/{id}", 404),
        #[cfg(feature = "documents")]
        ("GET /v3/glossaries/{id}/entries?source_lang=fr", 400),
        #[cfg(feature = "documents")]
        ("GET /v1/jobs/{id}/record", 404),
        #[cfg(feature = "documents")]
        ("GET /v1/record-keys", 200),
        #[cfg(feature = "documents")]
        ("GET /v2/usage", 200),
    ];
    for (route, status) in plain {
        ask(&url, route, "x", none.clone(), status).await;
        if status == 404 {
            // No UTF-8.
            ask(&url, route, "%FF", none.clone(), status).await;
        }
    }
    for (route, status) in [
        ("POST /v1/chat/completions", 400),
        ("POST /v1/messages", 400),
        ("POST /embed", 422),
        ("POST /translate", 400),
    ] {
        ask(&url, route, "", json!({"zzz": 1}), status).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[cfg(feature = "documents")]
async fn of_the_desk() {
    let config = config::Server {
        data_dir: Some(tempfile::tempdir().unwrap().keep()),
        ..Config::default().server
    };
    let url = serve(Engines::new(Vec::new()), config);
    let none = Value::Null;
    let content = "fr,en,note\nloi,law,of a state\n";
    let body = json!({"name": "Law", "format": "csv", "content": content});
    let made = ask(&url, "POST /v1/termbases", "", body, 201).await;
    let id = made["id"].as_str().unwrap();
    ask(&url, "GET /v1/termbases", "", none.clone(), 200).await;
    ask(&url, "GET /v1/termbases/{id}", id, none.clone(), 200).await;
    ask(&url, "GET /v1/termbases/{id}/export", id, none.clone(), 200).await;
    ask(&url, "GET /v2/glossaries", "", none.clone(), 200).await;
    ask(&url, "GET /v2/glossaries/{id}", id, none.clone(), 200).await;
    let entries = "/v2/glossaries/{id}/entries";
    ask(&url, &format!("GET {entries}"), id, none.clone(), 200).await;
    let address = format!("{url}{}", entries.replace("{id}", id));
    let other = Client::new().get(address).header("accept", "application/json");
    let other = other.send().await.unwrap();
    assert_eq!(other.status(), 406);
    let described = &document()["paths"][entries]["get"]["responses"]["406"]["$ref"];
    let described = document().pointer(&described.as_str().unwrap()[1..]).unwrap();
    let schema = &described["content"]["application/json"]["schema"];
    check(document(), schema, &other.json().await.unwrap(), entries).unwrap();
    ask(&url, "GET /v3/glossaries", "", none.clone(), 200).await;
    let pair = "?source_lang=fr&target_lang=en";
    let entries = format!("GET /v3/glossaries/{{id}}/entries{pair}");
    ask(&url, &entries, id, none.clone(), 200).await;
    let dictionary = json!({"source_lang": "en", "target_lang": "fr", "entries": "law\tloi",
        "entries_format": "tsv"});
    ask(&url, "PUT /v3/glossaries/{id}/dictionaries", id, dictionary, 200).await;
    ask(&url, "PATCH /v3/glossaries/{id}", id, json!({"name": "Laws"}), 200).await;
    ask(&url, "DELETE /v1/termbases/{id}", id, none.clone(), 200).await;
    let made = ask(&url, "POST /v1/memories", "", json!({"name": "m"}), 201).await;
    let id = made["id"].as_str().unwrap();
    ask(&url, "GET /v1/memories", "", none.clone(), 200).await;
    ask(&url, "GET /v1/memories/{id}/export", id, none.clone(), 200).await;
    ask(&url, "DELETE /v1/memories/{id}", id, none, 200).await;
}

/// Holds the lines of a file against a type that the document names for them;
/// how many there are.
fn lines_are(content: &Value, name: &str) -> usize {
    let at = "/paths/~1v1~1files~1{id}~1content/get/responses/200/content/\
              application~1octet-stream/schema/x-lines";
    let reference = format!("#/components/schemas/{name}");
    let named = document().pointer(at).unwrap()["anyOf"].as_array().unwrap();
    let named = named.iter().find(|one| one["$ref"] == reference).unwrap();
    let lines = content.as_str().unwrap().lines();
    let checked = lines.map(|line| {
        let line: Value = serde_json::from_str(line).unwrap();
        check(document(), named, &line, name).unwrap_or_else(|error| panic!("{error}"));
    });
    checked.count()
}

#[tokio::test(flavor = "multi_thread")]
async fn of_batches() {
    let url = &batches::server().url;
    let none = Value::Null;
    let file = batches::upload(url, &batches::texts(2)).await;
    ask(url, "GET /v1/files", "", none.clone(), 200).await;
    ask(url, "GET /v1/files/{id}", &file, none.clone(), 200).await;
    let wanted = batches::wanted(&file, batches::COMPLETIONS);
    let made = ask(url, "POST /v1/batches", "", wanted, 200).await;
    let id = made["id"].as_str().unwrap();
    batches::ended(url, id).await;
    ask(url, "GET /v1/batches", "", none.clone(), 200).await;
    let done = ask(url, "GET /v1/batches/{id}", id, none.clone(), 200).await;
    let answers = done["output_file_id"].as_str().unwrap();
    let content = ask(url, "GET /v1/files/{id}/content", answers, none.clone(), 200).await;
    assert_eq!(lines_are(&content, "BatchAnswerLine"), 2);
    let content = ask(url, "GET /v1/files/{id}/content", &file, none.clone(), 200).await;
    assert_eq!(lines_are(&content, "BatchRequestLine"), 2);
    let refused = batches::texts(1).replace("\"max_tokens\":8", "\"max_tokens\":0");
    let refused = batches::submit(url, batches::COMPLETIONS, &refused).await;
    let refused = batches::ended(url, &refused).await;
    let errors = refused["error_file_id"].as_str().unwrap();
    let content = ask(url, "GET /v1/files/{id}/content", errors, none.clone(), 200).await;
    assert_eq!(lines_are(&content, "BatchAnswerLine"), 1);
    ask(url, "POST /v1/batches/{id}/cancel", id, none.clone(), 409).await;
    ask(url, "POST /v1/batches", "", json!({"input_file_id": "x"}), 400).await;
    let failed = batches::submit(url, batches::COMPLETIONS, "nonsense").await;
    batches::ended(url, &failed).await;
    ask(url, "GET /v1/batches/{id}", &failed, none.clone(), 200).await;
    ask(url, "DELETE /v1/files/{id}", answers, none.clone(), 200).await;
    ask(url, "GET /v1/files/{id}/content", answers, none, 404).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_encoders() {
    let url = &crate::tei::tiny().url;
    for (route, body) in [
        ("GET /v1/models", Value::Null),
        ("GET /info", Value::Null),
        ("POST /v1/embeddings", json!({"model": "embedder", "input": ["w5", "w6"]})),
        (
            "POST /v1/embeddings",
            json!({"model": "embedder", "input": "w5", "encoding_format": "base64"}),
        ),
        (
            "POST /v1/rerank",
            json!({"model": "reranker", "query": "w5", "documents": ["w6", {"text": "w7"}],
            "return_documents": true}),
        ),
        ("POST /embed", json!({"inputs": "w5"})),
        ("POST /embed_all", json!({"inputs": "w5"})),
        ("POST /embed_sparse", json!({"inputs": "w5"})),
        ("POST /similarity", json!({"inputs": {"source_sentence": "w5", "sentences": ["w6"]}})),
        ("POST /predict", json!({"inputs": "w5", "model": "classifier"})),
        ("POST /predict", json!({"inputs": [["w5"], ["w6", "w7"]], "model": "classifier"})),
        ("POST /rerank", json!({"query": "w5", "texts": ["w6"], "return_text": true})),
        ("POST /tokenize", json!({"inputs": "w5 w6"})),
        ("POST /decode", json!({"ids": [5, 6]})),
    ] {
        ask(url, route, "", body, 200).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[cfg(feature = "documents")]
async fn of_searches() {
    let url = &crate::tei::tiny().url;
    let none = Value::Null;
    let made = ask(url, "POST /v1/collections", "", json!({"name": "Law"}), 201).await;
    let id = made["id"].as_str().unwrap();
    let documents = "POST /v1/collections/{id}/documents";
    let body =
        json!({"paragraphs": ["Article 5", {"id": "p", "text": "w5 and the law of the sea"}]});
    ask(url, documents, id, body, 201).await;
    ask(url, documents, id, json!({"text": "x", "format": "docx"}), 415).await;
    ask(url, "GET /v1/collections/{id}/documents", id, none.clone(), 200).await;
    ask(url, "GET /v1/collections", "", none.clone(), 200).await;
    ask(url, "GET /v1/collections/{id}", id, none.clone(), 200).await;
    for own in [json!({"mode": "lexical"}), json!({"rerank": true}), json!({"mode": "semantic"})] {
        let mut body = json!({"collection": id, "query": "law"});
        body.as_object_mut().unwrap().extend(own.as_object().unwrap().clone());
        let found = ask(url, "POST /v1/search", "", body, 200).await;
        assert_eq!(found["results"].as_array().unwrap().len(), 1, "{found}");
    }
    ask(url, "POST /v1/search", "", json!({"collection": id, "query": ""}), 400).await;
    ask(url, "DELETE /v1/collections/{id}", id, none.clone(), 200).await;
    ask(url, "GET /v1/collections/{id}", id, none, 404).await;
}

#[tokio::test(flavor = "multi_thread")]
#[cfg(feature = "documents")]
async fn of_summaries() {
    let Some(server) = support::server() else { return };
    let url = &server.base_url;
    let body = |name: &str| {
        let text = "The Council of the Union met twice in May.";
        json!({"text": text, "target": "en", "statements": 1, name: true})
    };
    ask(url, "POST /v1/summarize", "", body("record"), 200).await;
    ask(url, "POST /v1/summarize", "", body("stream"), 200).await;
    let job = ask(url, "POST /v1/summarize", "", body("background"), 202).await;
    let id = job["id"].as_str().unwrap();
    ask(url, "GET /v1/jobs/{id}", id, Value::Null, 200).await;
    ask(url, "GET /v1/jobs/{id}/report", id, Value::Null, 404).await;
    ask(url, "GET /v1/jobs", "", Value::Null, 200).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_generator() {
    let Some(server) = support::server() else { return };
    let url = &server.base_url;
    let model = &server.generator;
    let messages = json!([{"role": "user", "content": "Say a word."}]);
    for (route, own) in [
        (
            "POST /v1/chat/completions",
            json!({"messages": messages, "logprobs": true, "top_logprobs": 1}),
        ),
        (
            "POST /v1/chat/completions",
            json!({"messages": messages, "stream": true,
            "stream_options": {"include_usage": true}}),
        ),
        ("POST /v1/completions", json!({"prompt": "A", "logprobs": 1})),
        ("POST /v1/completions", json!({"prompt": "A", "stream": true})),
        ("POST /v1/messages", json!({"messages": messages})),
        ("POST /v1/messages", json!({"messages": messages, "stream": true})),
        ("POST /v1/messages/count_tokens", json!({"messages": messages})),
        (
            "POST /v1/responses",
            json!({"input": "Say a word.", "stream": true, "max_output_tokens": 2}),
        ),
        ("POST /tokenize", json!({"messages": messages})),
        ("POST /detokenize", json!({"tokens": [5]})),
    ] {
        let mut body = own.clone();
        body["model"] = model.as_str().into();
        if own["messages"].is_array() && !route.ends_with("tokenize") || own["prompt"].is_string() {
            body["max_tokens"] = 2.into();
        }
        ask(url, route, "", body, 200).await;
    }
    let body = json!({"model": model, "input": "Say a word.", "max_output_tokens": 2,
        "text": {"format": {"type": "text"}}});
    let made = ask(url, "POST /v1/responses", "", body, 200).await;
    let id = made["id"].as_str().unwrap();
    ask(url, "GET /v1/responses/{id}", id, Value::Null, 200).await;
    ask(url, "DELETE /v1/responses/{id}", id, Value::Null, 200).await;
}
