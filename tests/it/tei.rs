//! Embedding, reranking and classifying over HTTP, in the shapes of
//! text-embeddings-inference and of Cohere and Jina, on tiny random models.

use std::sync::OnceLock;

use dragoman::config::Config;
use dragoman::engine::{Engine, EngineOptions, Engines, ModelKind, ModelSource, PredictionRequest};
use reqwest::Client;
use serde_json::{Value, json};

use crate::support::{post, post_ok, relative_error, serve, tiny_source};

/// Words `w4` to `w95` stand for their number; BERT's tokens go around them.
pub fn tokenizer() -> Value {
    let special = ["[PAD]", "[CLS]", "[SEP]", "[UNK]"].map(str::to_owned);
    let words = special.into_iter().chain((4..96).map(|i| format!("w{i}")));
    let vocab: serde_json::Map<_, _> = words.enumerate().map(|(i, w)| (w, json!(i))).collect();
    let added: Vec<_> = ["[PAD]", "[CLS]", "[SEP]", "[UNK]"]
        .iter()
        .enumerate()
        .map(|(id, content)| {
            json!({"id": id, "content": content, "special": true, "single_word": false,
                "lstrip": false, "rstrip": false, "normalized": false})
        })
        .collect();
    json!({
        "version": "1.0",
        "added_tokens": added,
        "pre_tokenizer": {"type": "Whitespace"},
        "post_processor": {"type": "BertProcessing", "sep": ["[SEP]", 2], "cls": ["[CLS]", 1]},
        "model": {"type": "WordLevel", "vocab": vocab, "unk_token": "[UNK]"},
    })
}

pub struct Tiny {
    pub url: String,
    pub engines: Engines,
}

/// A server with an embedder, a reranker, a classifier and a model for sparse
/// vectors. All but the last take 64 tokens.
pub fn tiny() -> &'static Tiny {
    static TINY: OnceLock<Tiny> = OnceLock::new();
    TINY.get_or_init(|| {
        let engines = Engines::new(vec![
            start("bert", "embedder"),
            start("roberta", "reranker"),
            start("bert-classifier", "classifier"),
            start("bert-mlm", "sparse"),
        ]);
        let url = serve(engines.clone(), Config::default().server);
        Tiny { url, engines }
    })
}

/// A tiny model under a name; `sparse` makes sparse vectors.
pub fn start(name: &str, id: &str) -> Engine {
    let (source, folder) = tiny_source((name, id), &tokenizer());
    let modules = folder.join("modules.json");
    let splade = json!([{"path": "1_SpladePooling", "type": "x.SpladePooling"}]);
    std::fs::write(&modules, splade.to_string()).unwrap();
    std::fs::create_dir(folder.join("1_SpladePooling")).unwrap();
    let how = json!({"pooling_strategy": "max"}).to_string();
    std::fs::write(folder.join("1_SpladePooling/config.json"), how).unwrap();
    let source = ModelSource {
        modules_config: (id == "sparse").then_some(modules),
        prompts: [("query".to_owned(), "w9 ".to_owned())].into(),
        ..source
    };
    Engine::start(source, EngineOptions::default(), |_, _| {}).unwrap()
}

impl Tiny {
    /// What the model says of pairs, by the engine's handle.
    async fn logits(&self, model: &str, pairs: &[(&str, Option<&str>)]) -> Vec<Vec<f32>> {
        let engine = self.engines.get(model).unwrap();
        let mut inputs = Vec::new();
        for (first, second) in pairs {
            let second = second.map(str::to_owned);
            inputs.push(engine.encode_text((*first).to_owned(), second, None).await.unwrap());
        }
        engine.predict(PredictionRequest { inputs }).await.unwrap().scores
    }
}

fn floats(value: &Value) -> Vec<f32> {
    serde_json::from_value(value.clone()).unwrap()
}

fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

const TEXTS: [&str; 4] = ["w10 w11 w12", "w20", "w30 w31", "w40 w41 w42 w43"];

#[tokio::test(flavor = "multi_thread")]
async fn kinds_are_known_by_their_files() {
    let tiny = tiny();
    let kind = |id: &str| tiny.engines.get(id).unwrap().info().kind;
    assert_eq!(kind("embedder"), ModelKind::Embedding);
    assert_eq!(kind("reranker"), ModelKind::Reranking);
    assert_eq!(kind("classifier"), ModelKind::Classification);
    let models = Client::new().get(format!("{}/v1/models", tiny.url)).send().await.unwrap();
    let models: Value = models.json().await.unwrap();
    assert_eq!(models["data"][1]["task"], "reranking");
    assert_eq!(models["data"][2]["labels"], json!(["neutral", "for", "against"]));
    let info = Client::new().get(format!("{}/info", tiny.url)).send().await.unwrap();
    let info: Value = info.json().await.unwrap();
    assert_eq!(info["model_type"], json!({"embedding": {"pooling": "mean"}}));
    assert_eq!((&info["max_input_length"], &info["auto_truncate"]), (&json!(64), &json!(false)));
}

#[tokio::test(flavor = "multi_thread")]
async fn reranking_sorts_by_what_the_model_says() {
    let tiny = tiny();
    let pairs: Vec<_> = TEXTS.iter().map(|text| ("w5 w6", Some(*text))).collect();
    let together: Vec<f32> = tiny.logits("reranker", &pairs).await.concat();
    for (pair, packed) in pairs.iter().zip(&together) {
        let alone = tiny.logits("reranker", std::slice::from_ref(pair)).await;
        assert!((alone[0][0] - packed).abs() < 1e-5, "batched equals single");
    }
    let mut best: Vec<usize> = (0..4).collect();
    best.sort_by(|&a, &b| together[b].total_cmp(&together[a]));

    let body = json!({"query": "w5 w6", "texts": TEXTS});
    let ranks = post_ok(&tiny.url, "/rerank", body).await;
    let raw = json!({"query": "w5 w6", "texts": TEXTS, "raw_scores": true, "return_text": true});
    let raw = post_ok(&tiny.url, "/rerank", raw).await;
    let request = json!({"model": "reranker", "query": "w5 w6", "documents": TEXTS});
    let all = post_ok(&tiny.url, "/v1/rerank", request.clone()).await;
    for (place, &index) in best.iter().enumerate() {
        assert_eq!(ranks[place]["index"], index);
        assert!(ranks[place].get("text").is_none());
        let close = |value: &Value, expected: f32| {
            let value = value.as_f64().unwrap() as f32;
            assert!((value - expected).abs() < 1e-5, "{value}, not {expected}");
        };
        close(&ranks[place]["score"], sigmoid(together[index]));
        close(&raw[place]["score"], together[index]);
        assert_eq!(raw[place]["text"], TEXTS[index]);
        assert_eq!(all["results"][place]["index"], index);
        close(&all["results"][place]["relevance_score"], sigmoid(together[index]));
        assert!(all["results"][place].get("document").is_none());
    }
    // Two words of the query, three special tokens, the text's own.
    let tokens: usize = TEXTS.iter().map(|text| 5 + text.split(' ').count()).sum();
    assert_eq!(all["usage"], json!({"prompt_tokens": tokens, "total_tokens": tokens}));
    assert_eq!((&all["object"], &all["model"]), (&json!("list"), &json!("reranker")));

    let mut some = request;
    some["top_n"] = json!(2);
    some["return_documents"] = json!(true);
    some["documents"][0] = json!({"text": TEXTS[0]});
    for path in ["/v1/rerank", "/v2/rerank"] {
        let some = post_ok(&tiny.url, path, some.clone()).await;
        assert_eq!(some["results"].as_array().map(Vec::len), Some(2));
        assert_eq!(some["results"][1]["document"]["text"], TEXTS[best[1]]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn predictions_have_labels() {
    let tiny = tiny();
    let one = post_ok(&tiny.url, "/predict", json!({"inputs": "w10 w11"})).await;
    let scores: Vec<f64> =
        one.as_array().unwrap().iter().map(|p| p["score"].as_f64().unwrap()).collect();
    assert!((scores.iter().sum::<f64>() - 1.0).abs() < 1e-5, "{one}");
    assert!(scores.is_sorted_by(|a, b| a >= b), "{one}");

    // A pair is not a text of the same words: it has types and a separator.
    let logits = tiny.logits("classifier", &[("w10", Some("w11")), ("w10 w11", None)]).await;
    assert_ne!(logits[0], logits[1]);
    let batch = json!({"inputs": [["w10", "w11"], ["w10 w11"]], "raw_scores": true});
    let batch = post_ok(&tiny.url, "/predict", batch).await;
    for (found, expected) in batch.as_array().unwrap().iter().zip(&logits) {
        for prediction in found.as_array().unwrap() {
            let names = ["neutral", "for", "against"];
            let label = names.iter().position(|n| prediction["label"] == *n).unwrap();
            let score = prediction["score"].as_f64().unwrap() as f32;
            assert!((score - expected[label]).abs() < 1e-5, "{batch}");
        }
    }
    let pair = json!({"inputs": ["w10", "w11"], "raw_scores": true});
    assert_eq!(post_ok(&tiny.url, "/predict", pair).await, batch[0]);
    let relevance = json!({"model": "reranker", "inputs": ["w10", "w11"]});
    let relevance = post_ok(&tiny.url, "/predict", relevance).await;
    assert_eq!(relevance.as_array().map(Vec::len), Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn embeddings_in_their_forms() {
    let tiny = tiny();
    let length = |v: &[f32]| v.iter().map(|x| x * x).sum::<f32>().sqrt();
    let unit = post_ok(&tiny.url, "/embed", json!({"inputs": "w10 w11"})).await;
    let unit = floats(&unit[0]);
    assert!((length(&unit) - 1.0).abs() < 1e-5);
    let asked = json!({"inputs": ["w10 w11", "w20"], "normalize": false});
    let long = post_ok(&tiny.url, "/embed", asked).await;
    assert_eq!(long.as_array().map(Vec::len), Some(2));
    let long = floats(&long[0]);
    assert!((length(&long) - 1.0).abs() > 0.1);
    let scaled: Vec<f32> = long.iter().map(|x| x / length(&long)).collect();
    assert!(relative_error(&scaled, &unit) < 1e-4);

    // All tokens: their mean is the text's vector.
    let all = post_ok(&tiny.url, "/embed_all", json!({"inputs": "w10 w11"})).await;
    let tokens: Vec<Vec<f32>> = all[0].as_array().unwrap().iter().map(floats).collect();
    assert_eq!(tokens.len(), 4);
    let mean: Vec<f32> =
        (0..long.len()).map(|i| tokens.iter().map(|t| t[i]).sum::<f32>() / 4.0).collect();
    assert!(relative_error(&mean, &long) < 1e-4);

    let short = post_ok(&tiny.url, "/embed", json!({"inputs": "w10 w11", "dimensions": 8})).await;
    assert_eq!(floats(&short[0]).len(), 8);
    let ids = post_ok(&tiny.url, "/embed", json!({"inputs": [[1, 10, 11, 2], [5]]})).await;
    assert!(relative_error(&floats(&ids[0]), &unit) < 1e-4);
    let prompted =
        post_ok(&tiny.url, "/embed", json!({"inputs": "w10", "prompt_name": "query"})).await;
    let written = post_ok(&tiny.url, "/embed", json!({"inputs": "w9 w10"})).await;
    assert_eq!(prompted, written);

    let compared = json!({"inputs": {"source_sentence": "w10", "sentences": ["w10", "w50"]}});
    let compared = floats(&post_ok(&tiny.url, "/similarity", compared).await);
    assert!((compared[0] - 1.0).abs() < 1e-5 && compared[1] < 0.999, "{compared:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sparse_vectors_weigh_words() {
    let tiny = tiny();
    let engine = tiny.engines.get("sparse").unwrap();
    assert_eq!(engine.info().kind, ModelKind::SparseEmbedding);
    let expected = engine.embed_sparse(vec![vec![1, 10, 11, 2]]).await.unwrap().vectors;
    let found = post_ok(&tiny.url, "/embed_sparse", json!({"inputs": ["w10 w11", "w20"]})).await;
    assert_eq!(found.as_array().map(Vec::len), Some(2));
    let first = found[0].as_array().unwrap();
    assert_eq!(first.len(), expected[0].len());
    assert!((1..96).contains(&first.len()), "some words, not all");
    for (word, (index, value)) in first.iter().zip(&expected[0]) {
        assert_eq!(word["index"], *index);
        assert!((word["value"].as_f64().unwrap() as f32 - value).abs() < 1e-5);
    }
    let (status, error) =
        post(&tiny.url, "/embed", &json!({"inputs": "a", "model": "sparse"})).await;
    assert_eq!(status, 424, "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_of_texts_and_texts_of_tokens() {
    let tiny = tiny();
    let tokens = post_ok(&tiny.url, "/tokenize", json!({"inputs": "w10 w11"})).await;
    let second = json!({"id": 10, "text": "w10", "special": false, "start": 0, "stop": 3});
    assert_eq!(tokens[0][1], second);
    assert_eq!(tokens[0][0]["start"], Value::Null);
    assert_eq!(tokens[0].as_array().map(Vec::len), Some(4));
    let bare = json!({"inputs": ["w10", "w11 w12"], "add_special_tokens": false});
    assert_eq!(post_ok(&tiny.url, "/tokenize", bare).await[1].as_array().map(Vec::len), Some(2));
    let texts = post_ok(&tiny.url, "/decode", json!({"ids": [[1, 10, 11, 2], [12]]})).await;
    assert_eq!(texts, json!(["w10 w11", "w12"]));
    let texts =
        post_ok(&tiny.url, "/decode", json!({"ids": [1, 10], "skip_special_tokens": false})).await;
    assert_eq!(texts, json!(["[CLS] w10"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_request_does_not_hold_up_a_short_one() {
    let tiny = tiny();
    let engine = tiny.engines.get("reranker").unwrap().clone();
    let text = (1..60).collect::<Vec<u32>>();
    let request = |n: usize| PredictionRequest { inputs: vec![text.clone().into(); n] };
    let (long, short) = (request(8000), request(1));
    let handle = engine.clone();
    let long = tokio::spawn(async move { handle.predict(long).await });
    while engine.stats().running == 0 {
        tokio::task::yield_now().await;
    }
    let one = engine.predict(short).await.unwrap().scores;
    assert!(!long.is_finished(), "eight thousand texts were quicker than one");
    let all = long.await.unwrap().unwrap().scores;
    assert_eq!(all.len(), 8000);
    assert!(all.iter().all(|scores| *scores == one[0]), "the same text, the same score");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_asked_for_here_as_well() {
    let config =
        dragoman::config::Server { api_key: Some("s3cret".into()), ..Config::default().server };
    let url = serve(tiny().engines.clone(), config);
    let ask = async |path: &str, key: &str| {
        let request = Client::new().post(format!("{url}{path}")).bearer_auth(key);
        request.json(&json!({"inputs": "w10"})).send().await.unwrap()
    };
    assert_eq!(ask("/embed", "s3cret").await.status().as_u16(), 200);
    for path in ["/embed", "/rerank", "/info"] {
        let refused = ask(path, "guess").await;
        assert_eq!(refused.status().as_u16(), 401, "{path}");
        assert!(refused.headers().contains_key("www-authenticate"));
        let error: Value = refused.json().await.unwrap();
        assert_eq!(error["code"], "invalid_api_key", "{error}");
        assert!(error["error"].as_str().unwrap().contains("Bearer"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_are_cut_only_when_asked() {
    let tiny = tiny();
    let words = |n: usize| vec!["w10"; n].join(" ");
    // The embedder takes 64 tokens, two of them special.
    let long = format!("w20 {} w30", words(62));
    let (status, error) = post(&tiny.url, "/embed", &json!({"inputs": ["w1", long]})).await;
    assert_eq!((status, &error["error_type"]), (413, &json!("Validation")), "{error}");
    assert_eq!(error["param"], "inputs[1]");
    assert_eq!(error["code"], "context_length_exceeded");
    let message = error["error"].as_str().unwrap();
    assert!(message.contains("66 tokens") && message.contains("takes 64"), "{message}");

    let cut = json!({"inputs": long, "truncate": true});
    let same = json!({"inputs": format!("w20 {}", words(61))});
    assert_eq!(post_ok(&tiny.url, "/embed", cut).await, post_ok(&tiny.url, "/embed", same).await);
    let cut = json!({"inputs": long, "truncate": true, "truncation_direction": "Left"});
    let same = json!({"inputs": format!("{} w30", words(61))});
    assert_eq!(post_ok(&tiny.url, "/embed", cut).await, post_ok(&tiny.url, "/embed", same).await);

    let documents = json!(["w20", words(70)]);
    let pair = json!({"model": "reranker", "query": "w5", "documents": documents});
    let (status, error) = post(&tiny.url, "/v1/rerank", &pair).await;
    assert_eq!((status, &error["error"]["param"]), (400, &json!("documents[1]")), "{error}");
    assert_eq!(error["error"]["code"], "context_length_exceeded");
    let message = error["error"]["message"].as_str().unwrap();
    assert!(message.contains("together with the query"), "{message}");
    let cut = json!({"query": "w5", "texts": documents, "truncate": true, "raw_scores": true});
    let cut = post_ok(&tiny.url, "/rerank", cut).await;
    let place = cut.as_array().unwrap().iter().find(|rank| rank["index"] == 1).unwrap();
    let whole = tiny.logits("reranker", &[("w5", Some(&words(60)))]).await[0][0];
    assert!((place["score"].as_f64().unwrap() as f32 - whole).abs() < 1e-5);
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_are_named() {
    let tiny = tiny();
    for (path, body, status, param, says) in [
        ("/embed", json!({"input": "a"}), 422, "input", "did you mean `inputs`?"),
        ("/embed", json!({}), 422, "inputs", "is required"),
        ("/embed", json!({"inputs": []}), 422, "inputs", "is empty"),
        ("/embed", json!({"inputs": ["a", ""]}), 422, "inputs[1]", "is empty"),
        ("/embed", json!({"inputs": "a", "dimensions": 33}), 422, "dimensions", "gives 1 to 32"),
        (
            "/embed",
            json!({"inputs": "a", "prompt_name": "x"}),
            422,
            "prompt_name",
            "it has `query`",
        ),
        ("/embed", json!({"inputs": [[1]], "truncate": true}), 422, "truncate", "goes with texts"),
        ("/embed", json!({"inputs": [[96]]}), 422, "inputs[0]", "token id 96"),
        (
            "/embed",
            json!({"inputs": "a", "truncation_direction": "up"}),
            422,
            "truncation_direction",
            "Left",
        ),
        (
            "/embed",
            json!({"inputs": "a", "model": "reranker"}),
            424,
            "model",
            "cannot make embeddings",
        ),
        ("/embed", json!({"inputs": "a", "model": "x"}), 404, "model", "`x` is not loaded"),
        (
            "/similarity",
            json!({"inputs": {"source_sentence": "a"}}),
            422,
            "inputs.sentences",
            "is required",
        ),
        (
            "/similarity",
            json!({"inputs": {"source_sentence": "a", "sentences": []}}),
            422,
            "inputs.sentences",
            "is empty",
        ),
        ("/rerank", json!({"query": "", "texts": ["a"]}), 422, "query", "is empty"),
        ("/rerank", json!({"query": "a", "texts": []}), 422, "texts", "is empty"),
        (
            "/rerank",
            json!({"query": "a", "texts": ["a"], "top_n": 1}),
            422,
            "top_n",
            "unknown field",
        ),
        ("/predict", json!({"inputs": ["a", "b", "c"]}), 422, "inputs", "one text or two"),
        ("/predict", json!({"inputs": "a", "model": "embedder"}), 424, "model", "cannot classify"),
        ("/tokenize", json!({"inputs": [1, 2]}), 422, "inputs", "send texts"),
        ("/decode", json!({"ids": "a"}), 422, "ids", "send token ids"),
        ("/decode", json!({"ids": [96]}), 422, "ids", "token id 96"),
    ] {
        let (found, error) = post(&tiny.url, path, &body).await;
        assert_eq!(found, status, "{path} {body}: {error}");
        assert_eq!(error["param"], param, "{path} {body}: {error}");
        assert!(error["error"].as_str().unwrap_or_default().contains(says), "{body}: {error}");
        assert!(error["error_type"].is_string() && error["code"].is_string(), "{error}");
    }
    for (changes, param, says) in [
        (json!({"model": null}), "model", "loaded for reranking: `reranker`"),
        (json!({"model": "embedder"}), "model", "cannot rerank"),
        (json!({"top_n": 0}), "top_n", "1 or more"),
        (json!({"documents": [{"txet": "a"}]}), "documents[0].txet", "did you mean `text`?"),
        (json!({"max_tokens_per_doc": 9}), "max_tokens_per_doc", "truncate"),
        (json!({"documents": ["a", ""]}), "documents[1]", "is empty"),
    ] {
        let mut body = json!({"model": "reranker", "query": "a", "documents": ["b"]});
        for (field, value) in changes.as_object().unwrap() {
            body[field] = value.clone();
        }
        let (status, error) = post(&tiny.url, "/v1/rerank", &body).await;
        assert_eq!((status, &error["error"]["param"]), (400, &json!(param)), "{body}: {error}");
        assert!(error["error"]["message"].as_str().unwrap().contains(says), "{body}: {error}");
    }
    let wrong = Client::new().get(format!("{}/embed", tiny.url)).send().await.unwrap();
    assert_eq!((wrong.status().as_u16(), wrong.headers().contains_key("allow")), (405, true));
    let wrong: Value = wrong.json().await.unwrap();
    assert!(wrong["error"].is_string(), "{wrong}");
}
