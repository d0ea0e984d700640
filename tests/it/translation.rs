//! Encoder-decoders in the engine and over HTTP, on tiny random models: the
//! texts are those of transformers' `generate`, greedy and with beams, whoever
//! shares the steps and however little memory there is.

use std::sync::OnceLock;
use std::time::Duration;

use dragoman::backend::KvDtype;
use dragoman::config::Config;
use dragoman::engine::{
    BeamParams, EarlyStopping, Engine, EngineOptions, Engines, Event, FinishReason, Generation,
    GenerationRequest, ModelKind, ModelSource, SamplingParams, StopConditions,
};
use dragoman::models::{ModelPaths, Quantize};
use reqwest::Client;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::support::{fixture, json, post, post_ok, serve, tiny_source};

#[derive(Deserialize)]
struct Fixture {
    sources: Vec<Vec<u32>>,
    generate: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    source: usize,
    num_beams: usize,
    length_penalty: f32,
    early_stopping: Value,
    max_new_tokens: usize,
    min_new_tokens: usize,
    ids: Vec<u32>,
}

/// Words `w0` to `w63` stand for their number, but for two languages of M2M-100.
pub fn tokenizer(name: &str) -> Value {
    let word = |i: usize| match i {
        60 if name == "m2m" => "__fr__".to_owned(),
        61 if name == "m2m" => "__en__".to_owned(),
        i => format!("w{i}"),
    };
    let vocab: serde_json::Map<_, _> = (0..64).map(|i| (word(i), json!(i))).collect();
    let added: Vec<_> = [60, 61]
        .iter()
        .map(|&id| {
            json!({"id": id, "content": word(id), "special": true, "single_word": false,
                "lstrip": false, "rstrip": false, "normalized": false})
        })
        .collect();
    json!({
        "version": "1.0",
        "added_tokens": added,
        "pre_tokenizer": {"type": "Whitespace"},
        "model": {"type": "WordLevel", "vocab": vocab, "unk_token": "w3"},
    })
}

/// A tiny model, running under a name.
pub fn start(name: &str, id: &str, options: EngineOptions) -> Engine {
    let (source, folder) = tiny_source((name, id), &tokenizer(name));
    let config_file = folder.join("tokenizer_config.json");
    std::fs::write(&config_file, json!({"eos_token": "w2"}).to_string()).unwrap();
    let source = ModelSource {
        tokenizer_config: (name == "m2m").then_some(config_file),
        generation_config: Some(fixture("tiny").join(name).join("generation_config.json")),
        ..source
    };
    Engine::start(source, options, |_, _| {}).unwrap()
}

/// As exact as the references.
pub fn exact() -> EngineOptions {
    EngineOptions { quantize: Quantize::None, kv_dtype: KvDtype::F32, ..Default::default() }
}

/// The request of a case; tokens that the decoder is made to begin with are
/// new ones there and none here.
fn request(engine: &Engine, fixture: &Fixture, case: &Case) -> GenerationRequest {
    let prompt = engine.beginning(None).unwrap();
    let given = prompt.len() - 1;
    GenerationRequest {
        prompt,
        source: Some(fixture.sources[case.source].clone()),
        beams: (case.num_beams > 1).then_some(BeamParams {
            num_beams: case.num_beams,
            alternatives: 0,
            length_penalty: case.length_penalty,
            early_stopping: match &case.early_stopping {
                Value::Bool(true) => EarlyStopping::Yes,
                Value::Bool(false) => EarlyStopping::No,
                _ => EarlyStopping::Never,
            },
        }),
        sampling: SamplingParams { temperature: 0.0, ..Default::default() },
        stop: StopConditions {
            max_tokens: Some(case.max_new_tokens - given),
            min_tokens: case.min_new_tokens.saturating_sub(given),
            ..Default::default()
        },
        ..Default::default()
    }
}

/// The tokens, without that which ends a text, and why it ended.
fn finish(mut generation: Generation) -> (Vec<u32>, FinishReason) {
    let mut found = Vec::new();
    loop {
        match generation.blocking_next() {
            Some(Event::Delta { tokens, .. }) => found.extend(tokens),
            Some(Event::Finished { reason, .. }) => return (found, reason),
            other => panic!("{other:?}"),
        }
    }
}

/// All cases of a family at once, each text that of the reference.
fn parity(name: &str, options: EngineOptions) {
    let fixture: Fixture = json(&format!("tiny/{name}/fixture.json"));
    let engine = start(name, name, options);
    let given = engine.beginning(None).unwrap().len() - 1;
    let ends = engine.tokenizer().eos_ids().to_vec();
    let running: Vec<_> = (fixture.generate.iter())
        .map(|case| engine.submit(request(&engine, &fixture, case)).unwrap())
        .collect();
    for (case, generation) in fixture.generate.iter().zip(running) {
        let (found, reason) = finish(generation);
        let mut expected = case.ids[given..].to_vec();
        let whole = case.ids.len() < case.max_new_tokens;
        if expected.last().is_some_and(|id| ends.contains(id)) {
            expected.pop();
        }
        let Case { source, num_beams, length_penalty, early_stopping, .. } = case;
        let what = format!("{name} {source}: {num_beams} {length_penalty} {early_stopping}");
        assert_eq!(found, expected, "{what}");
        // The last token may end a text at its limit.
        if whole {
            assert_eq!(reason, FinishReason::Stop, "{what}");
        }
    }
    settled(&engine);
}

/// Nothing runs, and all blocks are free.
fn settled(engine: &Engine) {
    for _ in 0..500 {
        let stats = engine.stats();
        if (stats.running, stats.waiting, stats.kv_blocks_used) == (0, 0, 0) {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("{:?}", engine.stats());
}

macro_rules! families {
    ($($name:ident)*) => { $(
        #[test]
        fn $name() {
            parity(stringify!($name), exact());
        }
    )* };
}

families! { marian m2m t5 mt5 bart mbart pegasus }

#[test]
fn texts_are_the_same_with_little_memory_and_small_steps() {
    let options = EngineOptions {
        kv_cache_mib: 1,
        block_size: 4,
        max_batch_tokens: 8,
        max_sequences: 12,
        ..exact()
    };
    for name in ["marian", "t5"] {
        parity(name, options.clone());
    }
}

#[test]
fn several_answers_share_a_source() {
    let fixture: Fixture = json("tiny/m2m/fixture.json");
    let engine = start("m2m", "m2m", exact());
    let case = fixture.generate.iter().find(|c| c.num_beams == 1 && c.source == 2).unwrap();
    let greedy = request(&engine, &fixture, case);
    let alone = finish(engine.submit(greedy.clone()).unwrap());
    for answer in engine.submit_n(greedy.clone(), 3).unwrap() {
        assert_eq!(finish(answer), alone);
    }
    // Drawn texts depend on their seed alone.
    let sampling = SamplingParams { seed: Some(5), ..Default::default() };
    let drawn = GenerationRequest { sampling, ..greedy };
    let alone = finish(engine.submit(drawn.clone()).unwrap());
    let together: Vec<_> = engine.submit_n(drawn, 3).unwrap().into_iter().map(finish).collect();
    assert_eq!(together[0], alone);
    assert_ne!(together[0], together[1]);
    settled(&engine);
}

#[test]
fn a_gguf_file_is_enough() {
    let fixture: Fixture = json("tiny/t5/fixture.json");
    let dir = self::fixture("tiny/t5");
    let write = |paths: ModelPaths| {
        let folder = tempfile::tempdir().unwrap();
        let tokenizer_file = folder.path().join("tokenizer.json");
        std::fs::write(&tokenizer_file, tokenizer("t5").to_string()).unwrap();
        let source = ModelSource { paths, tokenizer: Some(tokenizer_file), ..Default::default() };
        let engine = Engine::start(source, exact(), |_, _| {}).unwrap();
        let request = GenerationRequest {
            prompt: engine.beginning(None).unwrap(),
            source: Some(fixture.sources[2].clone()),
            sampling: SamplingParams { temperature: 0.0, ..Default::default() },
            stop: StopConditions { max_tokens: Some(12), ignore_eos: true, ..Default::default() },
            ..Default::default()
        };
        (request.prompt.clone(), finish(engine.submit(request).unwrap()))
    };
    let gguf = self::fixture("gguf/t5.gguf");
    let from_gguf = write(ModelPaths { weights: vec![gguf], config: None });
    let config = Some(dir.join("config-far.json"));
    let weights = vec![dir.join("model.safetensors")];
    assert_eq!(from_gguf, write(ModelPaths { weights, config }));
    assert_eq!((from_gguf.0, from_gguf.1.0.len()), (vec![0], 12));
}

#[test]
fn a_search_that_nobody_waits_for_ends() {
    let fixture: Fixture = json("tiny/mt5/fixture.json");
    let engine = start("mt5", "mt5", exact());
    let case = fixture.generate.iter().find(|c| c.num_beams == 5).unwrap();
    let mut long = request(&engine, &fixture, case);
    (long.stop.max_tokens, long.stop.min_tokens) = (Some(60), 60);
    for _ in 0..20 {
        drop(engine.submit(long.clone()).unwrap());
    }
    settled(&engine);
    // And one whose time is over gives the best text so far, or says that it
    // had none.
    long.timeout = Some(Duration::from_micros(1));
    let mut generation = engine.submit(long).unwrap();
    let last = std::iter::from_fn(|| generation.blocking_next()).last().unwrap();
    let timed_out = matches!(last, Event::TimedOut { .. });
    assert!(timed_out || matches!(last, Event::Finished { reason: FinishReason::Timeout, .. }));
    settled(&engine);
}

#[test]
fn what_does_not_go_with_a_source_is_refused_by_name() {
    let fixture: Fixture = json("tiny/m2m/fixture.json");
    let engine = start("m2m", "m2m", exact());
    assert_eq!(engine.info().kind, ModelKind::Translation);
    let case = fixture.generate.iter().find(|c| c.num_beams == 4).unwrap();
    let good = request(&engine, &fixture, case);
    let check = |change: &dyn Fn(&mut GenerationRequest), says: &str| {
        let mut request = good.clone();
        change(&mut request);
        let error = engine.submit(request).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    };
    check(&|r| r.source = None, "source is missing");
    check(&|r| r.source = Some(Vec::new()), "source is empty");
    check(&|r| r.source = Some(vec![5; 65]), "source has 65 tokens and the model reads 64");
    check(&|r| r.source = Some(vec![64]), "source has token id 64");
    check(&|r| r.stop.max_tokens = Some(63), "more than the model's context of 64");
    check(&|r| r.beams.as_mut().unwrap().num_beams = 65, "num_beams is 65; it must be 1 to 64");
    check(&|r| r.beams.as_mut().unwrap().length_penalty = f32::NAN, "length_penalty is NaN");
    check(&|r| r.beams.as_mut().unwrap().alternatives = 4, "alternatives is 4; 4 beams give 3");
    let stop = |r: &mut GenerationRequest| {
        r.beams.as_mut().unwrap().alternatives = 1;
        r.stop.strings = vec!["w7".to_owned()];
    };
    check(&stop, "stop does not go with alternatives");
    check(&|r| r.sampling.top_k = 3, "top_k does not go with num_beams");
    check(&|r| r.sampling.logprobs = Some(1), "logprobs does not go with num_beams");
    let error = engine.submit_n(good, 2).unwrap_err().to_string();
    assert!(error.contains("n does not go with num_beams"), "{error}");
}

pub struct Server {
    pub url: String,
    m2m: Engine,
}

pub fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| {
        let m2m = start("m2m", "m2m", exact());
        let engines = Engines::new(vec![m2m.clone(), start("t5", "t5", exact())]);
        Server { url: serve(engines, Config::default().server), m2m }
    })
}

/// What the engine writes from a text in English.
async fn expected(text: &str, beams: Option<BeamParams>) -> String {
    let engine = &server().m2m;
    let source = engine.encode_source(text.to_owned(), Some("en"), Some("fr")).await.unwrap();
    let mut generation = engine
        .submit(GenerationRequest {
            prompt: engine.beginning(Some("fr")).unwrap(),
            source: Some(source),
            beams,
            sampling: SamplingParams { temperature: 0.0, ..Default::default() },
            ..Default::default()
        })
        .unwrap();
    let mut written = String::new();
    while let Some(event) = generation.next().await {
        if let Event::Delta { text, .. } = event {
            written += &text;
        }
    }
    written
}

const FOUR: BeamParams = BeamParams {
    num_beams: 4,
    length_penalty: 1.0,
    early_stopping: EarlyStopping::No,
    alternatives: 0,
};

#[tokio::test(flavor = "multi_thread")]
async fn texts_are_translated_as_at_libretranslate() {
    let server = server();
    let texts = ["w5", "w9", "w14"];
    let mut greedy = Vec::new();
    for text in texts {
        greedy.push(expected(text, None).await);
    }
    assert!(greedy.iter().all(|text| !text.is_empty()));
    // The model's own configuration asks for no beams.
    let body = json!({"q": texts, "source": "en", "target": "fr", "format": "text"});
    assert_eq!(post_ok(&server.url, "/translate", body).await["translatedText"], json!(greedy));
    let body = json!({"q": texts[0], "source": "en", "target": "fr", "api_key": ""});
    assert_eq!(
        post_ok(&server.url, "/translate", body).await,
        json!({"translatedText": greedy[0]})
    );
    let body = json!({"q": texts[2], "source": "en", "target": "fr", "num_beams": 4});
    let beams = expected(texts[2], Some(FOUR)).await;
    assert_eq!(post_ok(&server.url, "/translate", body).await["translatedText"], beams);

    let languages = Client::new().get(format!("{}/languages", server.url)).send().await.unwrap();
    let languages: Value = languages.json().await.unwrap();
    assert_eq!(
        languages,
        json!([{"code": "en", "name": "English", "targets": ["fr"]},
            {"code": "fr", "name": "French", "targets": ["en"]}])
    );
    for (change, says) in [
        (json!({"target": "tlh"}), "target is \"tlh\", which this model does not have"),
        (json!({"source": "auto"}), "source is \"auto\", and this model has to be told"),
        (json!({"format": "html"}), "format is \"html\""),
        (json!({"q": ""}), "`q` is empty"),
        (json!({"q": [1, 2]}), "q is token ids"),
        (json!({"q": "w9 ".repeat(70)}), "q has 72 tokens and the model reads 64"),
        (json!({"alternatives": 4, "num_beams": 4}), "alternatives is 4 and num_beams 4"),
        (json!({"alternatives": 100}), "alternatives is 100; it must be at most 63"),
        (json!({"alternatives": -1}), "0 or more"),
        (json!({"api_key": "x"}), "Authorization"),
        (json!({"num_beams": 0}), "num_beams is 0"),
        (json!({"model": "t5"}), "has no token in this model's vocabulary"),
        (json!({"model": "other"}), "`other` is not loaded"),
        (json!({"tone": "formal"}), "unknown field"),
    ] {
        let mut body = json!({"q": "w10", "source": "en", "target": "fr"});
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let (status, answer) = post(&server.url, "/translate", &body).await;
        let message = answer["error"].as_str().unwrap_or_else(|| panic!("{body}: {answer}"));
        assert!(status >= 400 && message.contains(says), "{body}: {message}");
    }
}

/// The document desk on an encoder-decoder, which is told no terms or tags.
#[cfg(feature = "documents")]
#[tokio::test(flavor = "multi_thread")]
async fn segments_are_translated_by_encoder_decoders() {
    let server = server();
    let body = json!({"model": "m2m", "text": "w5\nw9", "source": "en", "target": "fr"});
    let answer = post_ok(&server.url, "/v1/translate", body).await;
    let expected =
        [expected("w5", None).await, expected("w9", None).await].map(|t| t.trim().to_owned());
    let segments = &answer["translations"][0]["segments"];
    assert_eq!(segments[0]["text"], expected[0]);
    // One without an end is stopped where no translation would go on.
    let cut = segments[1]["text"].as_str().unwrap();
    assert!(expected[1].starts_with(cut) && cut.len() > 100, "{cut}");
    assert_eq!(answer["translations"][0]["text"], format!("{}\n{cut}", expected[0]));
    let body = json!({"model": "m2m", "text": "<b>w5</b>", "format": "html", "source": "en",
        "target": "fr"});
    let answer = post_ok(&server.url, "/v1/translate", body).await;
    assert_eq!(answer["translations"][0]["text"], format!("<b>{}</b>", expected[0]));
    for (change, param) in [
        (json!({"target": "de"}), "target"),
        (json!({"context": "a letter"}), "context"),
        (json!({"formality": "more"}), "formality"),
        (json!({"text": "w9 ".repeat(70)}), "texts[0]"),
        (json!({"model": "t5", "back_translation": true}), "back_translation"),
    ] {
        let mut body = json!({"model": "m2m", "text": "w5", "source": "en", "target": "fr"});
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let (status, answer) = post(&server.url, "/v1/translate", &body).await;
        assert_eq!((status, &answer["error"]["param"]), (400, &json!(param)), "{body}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn other_translations_are_the_next_best_of_the_search() {
    let server = server();
    let body = |more: Value| {
        let mut body = json!({"q": "w14", "source": "en", "target": "fr"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    let four = post_ok(&server.url, "/translate", body(json!({"num_beams": 4}))).await;
    assert_eq!(four.get("alternatives"), None);
    let three = body(json!({"num_beams": 4, "alternatives": 3}));
    let three = post_ok(&server.url, "/translate", three).await;
    assert_eq!(three["translatedText"], four["translatedText"]);
    let others: Vec<String> = serde_json::from_value(three["alternatives"].clone()).unwrap();
    assert_eq!(others.len(), 3, "{others:?}");
    let mut all = others.clone();
    all.push(four["translatedText"].as_str().unwrap().to_owned());
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 4, "{all:?}");
    // Of fewer, the better ones; as many beams as that needs.
    let two = body(json!({"num_beams": 4, "alternatives": 2}));
    let two = post_ok(&server.url, "/translate", two).await;
    assert_eq!(two["alternatives"], json!(others[..2]));
    let own = post_ok(&server.url, "/translate", body(json!({"alternatives": 3}))).await;
    assert_eq!(own, three);
    // One list for each text.
    let many = post_ok(&server.url, "/translate", body(json!({"q": ["w14"], "alternatives": 3})));
    let many = many.await;
    assert_eq!(many["translatedText"], json!([three["translatedText"]]));
    assert_eq!(many["alternatives"], json!([three["alternatives"]]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_is_answered_as_json_is() {
    let server = server();
    let send = |form: &'static str| async move {
        let request = Client::new()
            .post(format!("{}/translate", server.url))
            .header("Content-Type", "application/x-www-form-urlencoded; charset=UTF-8")
            .body(form);
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.json::<Value>().await.unwrap())
    };
    let body = json!({"q": ["w10 w11", "w5"], "source": "en", "target": "fr", "alternatives": 1});
    let expected = post_ok(&server.url, "/translate", body).await;
    let form = "q=w10+w11&q=w5&source=en&target=fr&format=text&alternatives=1&api_key=";
    assert_eq!(send(form).await, (200, expected));
    let (status, answer) = send("q=w5&source=en&target=fr&num_beams=many").await;
    let message = answer["error"].as_str().unwrap();
    assert!(status == 400 && message.contains("num_beams"), "{message}");
    // Elsewhere forms are refused as before.
    let request = Client::new()
        .post(format!("{}/v1/completions", server.url))
        .header("Content-Type", "application/x-www-form-urlencoded")
        .body("prompt=w5");
    assert_eq!(request.send().await.unwrap().status().as_u16(), 415);
}

#[tokio::test(flavor = "multi_thread")]
async fn completions_write_from_a_source() {
    let server = server();
    let greedy = expected("w10 w11", None).await;
    let body = json!({"model": "m2m", "prompt": "w10 w11", "temperature": 0,
        "source_language": "en", "target_language": "fr"});
    let answer = post_ok(&server.url, "/v1/completions", body.clone()).await;
    assert_eq!(answer["choices"][0]["text"], greedy);
    // A language, two words, the end.
    assert_eq!(answer["usage"]["prompt_tokens"], 4);
    let with = |change: Value| {
        let mut body = body.clone();
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        body
    };
    let one = post_ok(&server.url, "/v1/completions", with(json!({"num_beams": 1}))).await;
    assert_eq!(one["choices"][0]["text"], greedy);
    let four = post_ok(&server.url, "/v1/completions", with(json!({"num_beams": 4}))).await;
    assert_eq!(four["choices"][0]["text"], expected("w10 w11", Some(FOUR)).await);
    let tokens = json!({"prompt": [61, 10, 11, 2]});
    assert_eq!(
        post_ok(&server.url, "/v1/completions", with(tokens)).await["choices"][0]["text"],
        greedy
    );
    let stream = Client::new()
        .post(format!("{}/v1/completions", server.url))
        .json(&with(json!({"stream": true, "num_beams": 4})))
        .send()
        .await
        .unwrap();
    let stream = stream.text().await.unwrap();
    let pieces: String = (stream.lines().filter_map(|line| line.strip_prefix("data: ")))
        .filter_map(|data| serde_json::from_str::<Value>(data).ok())
        .filter_map(|piece| Some(piece["choices"][0]["text"].as_str()?.to_owned()))
        .collect();
    assert_eq!(json!(pieces), four["choices"][0]["text"]);
    for (change, param) in [
        (json!({"temperature": 0.5, "num_beams": 2}), "temperature"),
        (json!({"seed": 1, "num_beams": 2}), "seed"),
        (json!({"length_penalty": 1.0}), "length_penalty"),
        (json!({"early_stopping": true, "num_beams": 1}), "early_stopping"),
        (json!({"early_stopping": "soon", "num_beams": 2}), "early_stopping"),
        (json!({"n": 2, "num_beams": 2}), "n"),
        (json!({"logprobs": 1, "num_beams": 2}), "logprobs"),
        (json!({"source_language": "tlh"}), "source_language"),
        (json!({"target_language": "tlh"}), "target_language"),
        (json!({"model": "t5"}), "source_language"),
        (json!({"prompt": "w9 ".repeat(70)}), "prompt"),
    ] {
        let body = with(change);
        let (status, answer) = post(&server.url, "/v1/completions", &body).await;
        assert_eq!((status, &answer["error"]["param"]), (400, &json!(param)), "{body}: {answer}");
    }
    let chat = json!({"model": "m2m", "messages": [{"role": "user", "content": "w10"}]});
    let (status, answer) = post(&server.url, "/v1/chat/completions", &chat).await;
    assert_eq!((status, &answer["error"]["code"]), (400, &json!("wrong_model_kind")));
}
