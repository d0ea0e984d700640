//! The configuration: what it accepts, what it refuses, and in which words.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use dragoman::config::{Config, ConfigError, LogFormat, Overrides, Place, Problem};

const NO_ENV: &[(&str, &str)] = &[];

/// Loads `text` as a file called `test.toml`; line numbers count from 1.
fn load(text: &str, env: &[(&str, &str)], overrides: &Overrides) -> Result<Config, ConfigError> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("test.toml");
    std::fs::write(&path, text).expect("a temporary file");
    let env = env.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
    Config::load_with_env(Some(&path), env, overrides)
}

fn problems(result: Result<Config, ConfigError>) -> Vec<Problem> {
    match result {
        Err(ConfigError::Invalid(problems)) => problems,
        Err(other) => panic!("unexpected error: {other}"),
        Ok(config) => panic!("it was accepted: {config:?}"),
    }
}

/// The file must give exactly one problem, whose text has all `fragments`.
#[track_caller]
fn refused(text: &str, fragments: &[&str]) {
    let problems = problems(load(text, NO_ENV, &Overrides::default()));
    let shown = problems.iter().map(|p| format!("{p}\n")).collect::<String>();
    assert_eq!(problems.len(), 1, "for {text:?}:\n{shown}");
    for fragment in fragments {
        assert!(shown.contains(fragment), "no {fragment:?} for {text:?} in:\n{shown}");
    }
}

/// The variable must give exactly one problem, whose text has all `fragments`.
#[track_caller]
fn refused_variable(name: &str, value: &str, fragments: &[&str]) {
    let problems = problems(load("", &[(name, value)], &Overrides::default()));
    let shown = problems.iter().map(|p| format!("{p}\n")).collect::<String>();
    assert_eq!(problems.len(), 1, "for {name}={value}:\n{shown}");
    for fragment in [&[name], fragments].concat() {
        assert!(shown.contains(fragment), "no {fragment:?} for {name}={value} in:\n{shown}");
    }
}

#[track_caller]
fn accepted(text: &str, env: &[(&str, &str)]) -> Config {
    match load(text, env, &Overrides::default()) {
        Ok(config) => config,
        Err(error) => panic!("{text:?} {env:?}: {error}"),
    }
}

#[test]
fn defaults_hold_without_any_source() {
    let config = accepted("", NO_ENV);
    assert_eq!(config.server.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.server.max_body_bytes, 8 * 1024 * 1024);
    assert_eq!(config.server.api_key, None);
    assert!(config.models.load.is_empty());
    assert_eq!(config.models.generation.len(), 4);
    assert_eq!(config.models.embedding, ["multilingual-e5-small", "all-minilm-l6-v2"]);
    assert_eq!(config.provision.pip, ["python3", "-m", "pip"]);
    assert_eq!(config.engine.block_size, 16);
    assert_eq!(config.engine.context_length, None);
    assert_eq!(config.log.format, LogFormat::Text);
    assert_eq!(format!("{config:?}"), format!("{:?}", Config::default()));
}

#[test]
fn the_committed_template_is_the_generated_one() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/dragoman.toml");
    let generated = Config::template();
    if std::env::var_os("DRAGOMAN_TEST_UPDATE").is_some() {
        std::fs::write(&path, &generated).expect("the template can be written");
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == generated,
        "config/dragoman.toml is out of date; run `DRAGOMAN_TEST_UPDATE=1 cargo test template`"
    );
}

#[test]
fn the_template_means_the_defaults() {
    let config = accepted(&Config::template(), NO_ENV);
    assert_eq!(format!("{config:?}"), format!("{:?}", Config::default()));
}

/// Removing every `#` in front of a setting must give a file that loads: the
/// defaults and examples that it shows are all valid.
#[test]
fn every_line_of_the_template_can_be_switched_on() {
    let template = Config::template();
    let active: String = template
        .lines()
        .map(|line| match line.strip_prefix('#') {
            // `# ` opens a comment for people, `#key` or `#    item` a setting.
            Some(setting) if !setting.starts_with(' ') || setting.starts_with("    ") => setting,
            _ => line,
        })
        .flat_map(|line| [line, "\n"])
        .collect();
    let config = accepted(&active, NO_ENV);
    assert_eq!(config.engine.threads, Some(8), "the examples are switched on:\n{active}");
    assert_eq!(config.models.generation, Config::default().models.generation);
}

#[test]
fn bad_files_are_refused_with_key_line_and_fix() {
    for (text, fragments) in [
        // Names.
        (
            "[engine]\n\nblok_size = 16\n",
            &["test.toml:3", "engine.blok_size", "did you mean `block_size`?"][..],
        ),
        (
            "[engine]\nzebra = 1\n",
            &["test.toml:2", "engine.zebra", "kv_cache_dtype, tune_products, block_size"],
        ),
        (
            "[server]\ndevice = \"cpu\"\n",
            &["test.toml:2", "server.device", "belongs in the section [models]"],
        ),
        (
            "listen = \"127.0.0.1:1\"\n",
            &["test.toml:1", "`listen`", "belongs in the section [server]"],
        ),
        ("\n[sever]\n", &["test.toml:2", "`sever`", "did you mean [server]?"]),
        ("[zebra]\n", &["test.toml:1", "`zebra`", "the sections are [server], [models]"]),
        ("engine = 3\n", &["test.toml:1", "`engine` is a section", "write `[engine]`"]),
        // Types.
        (
            "[engine]\nblock_size = \"16\"\n",
            &["test.toml:2", "engine.block_size", "whole number", "for example `block_size = 16`"],
        ),
        (
            "[engine]\nkv_cache_mib = -1\n",
            &["test.toml:2", "engine.kv_cache_mib", "`-1`", "whole number, 0 or more"],
        ),
        (
            "[engine]\nthreads = 1.5\n",
            &["test.toml:2", "engine.threads", "whole number", "`threads = 8`"],
        ),
        (
            "[server]\nlisten = \"localhost\"\n",
            &[
                "test.toml:2",
                "server.listen",
                "not an IP address with a port",
                "`listen = \"127.0.0.1:8080\"`",
            ],
        ),
        (
            "[server]\nlisten = 8080\n",
            &["test.toml:2", "server.listen", "an address and a port in quotes"],
        ),
        (
            "[models]\nload = \"qwen3-1.7b\"\n",
            &["test.toml:2", "models.load", "a list in [ ]", "`load = []`"],
        ),
        (
            "[models]\nembedding = [\n  \"a\",\n  3,\n]\n",
            &["test.toml:2", "models.embedding", "`3`", "a text in quotes"],
        ),
        (
            "[provision]\noffline = \"yes\"\n",
            &["test.toml:2", "provision.offline", "true or false"],
        ),
        ("[log]\nformat = \"xml\"\n", &["test.toml:2", "log.format", "`xml`", "`text` or `json`"]),
        // Syntax.
        ("[engine]\nblock_size = \n", &["test.toml:2", "not TOML"]),
        ("[server]\nlisten = 127.0.0.1:8080\n", &["test.toml:2", "not TOML", "texts need quotes"]),
        (
            "[log]\nlevel = \"info\"\nlevel = \"debug\"\n",
            &["test.toml:3", "not TOML", "duplicate key"],
        ),
        // Ranges.
        (
            "[engine]\nblock_size = 24\n",
            &["test.toml:2", "engine.block_size is 24", "8, 16, 32, 64, 128 or 256"],
        ),
        ("[engine]\nblock_size = 4\n", &["test.toml:2", "engine.block_size is 4"]),
        ("[engine]\nblock_size = 512\n", &["test.toml:2", "engine.block_size is 512"]),
        (
            "[engine]\nmax_batch_tokens = 8\n",
            &["test.toml:2", "engine.max_batch_tokens is 8", "at least engine.block_size, 16"],
        ),
        (
            "[engine]\nmax_batch_tokens = 64\nblock_size = 128\n",
            &["test.toml:2", "engine.max_batch_tokens is 64"],
        ),
        ("[engine]\nmax_batch_tokens = 0\n", &["test.toml:2", "between 1 and"]),
        ("[engine]\nmax_sequences = 0\n", &["test.toml:2", "engine.max_sequences is 0"]),
        ("[engine]\nqueue_requests = 0\n", &["test.toml:2", "engine.queue_requests is 0"]),
        ("[engine]\nqueue_tokens = 0\n", &["test.toml:2", "engine.queue_tokens is 0"]),
        ("[engine]\nkv_cache_mib = 0\n", &["test.toml:2", "engine.kv_cache_mib is 0"]),
        ("[engine]\ncontext_length = 1\n", &["test.toml:2", "engine.context_length is 1"]),
        ("[engine]\nthreads = 0\n", &["test.toml:2", "engine.threads is 0"]),
        (
            "[server]\nmax_body_bytes = 10\n",
            &["test.toml:2", "server.max_body_bytes is 10", "`max_body_bytes = 8388608`"],
        ),
        (
            "[server]\ncors_origins = [\"desk.example.org\"]\n",
            &["test.toml:2", "server.cors_origins has \"desk.example.org\""],
        ),
        ("[server]\nresponses_s = 0\n", &["test.toml:2", "server.responses_s is 0"]),
        (
            "[server]\nshutdown_grace_s = 86400\n",
            &["test.toml:2", "server.shutdown_grace_s is 86400"],
        ),
        ("[server]\napi_key = \"\"\n", &["test.toml:2", "server.api_key is empty", "remove it"]),
        (
            "[provision]\nconnect_timeout_ms = 0\n",
            &["test.toml:2", "provision.connect_timeout_ms is 0"],
        ),
        ("[provision]\npip = []\n", &["test.toml:2", "provision.pip names no program", "python3"]),
        ("[provision]\ncache_dir = \"\"\n", &["test.toml:2", "provision.cache_dir is empty"]),
        ("[models]\nload = [\"\"]\n", &["test.toml:2", "models.load has an empty name"]),
        ("[models]\nembedding = []\ngeneration = []\n", &["test.toml:3", "nothing to serve"]),
        ("[models]\ndevice = \"gpu\"\n", &["test.toml:2", "models.device is \"gpu\"", "cuda:N"]),
        ("[models]\ndevice = \"cuda:x\"\n", &["test.toml:2", "models.device is \"cuda:x\""]),
        ("[models]\ndevice = \"cpu:0\"\n", &["test.toml:2", "models.device"]),
        (
            "[log]\nlevel = \"loud\"\n",
            &["test.toml:2", "log.level has \"loud\"", "trace", "`level = \"info\"`"],
        ),
        ("[log]\nlevel = \"info,hyper=loud\"\n", &["test.toml:2", "log.level has \"loud\""]),
    ] {
        refused(text, fragments);
    }
}

#[test]
fn good_files_are_accepted() {
    for device in ["auto", "cpu", "cuda", "cuda:0", "cuda:12", "metal"] {
        let config = accepted(&format!("[models]\ndevice = \"{device}\"\n"), NO_ENV);
        assert_eq!(config.models.device, device);
    }
    for size in [8, 16, 32, 64, 128, 256] {
        let config = accepted(&format!("[engine]\nblock_size = {size}\n"), NO_ENV);
        assert_eq!(config.engine.block_size, size);
    }
    let config =
        accepted("[server]\nlisten = \"[::1]:0\"\n[log]\nlevel = \"warn,hyper=debug\"", NO_ENV);
    assert_eq!(config.server.listen.to_string(), "[::1]:0");
    let config = accepted("[models]\nload = [\"a\"]\ngeneration = []\nembedding = []\n", NO_ENV);
    assert_eq!(config.models.load, ["a"]);
}

#[test]
fn variables_override_the_file() {
    let text = "[engine]\nblock_size = 32\nthreads = 2\n[server]\napi_key = \"from-file\"\n";
    let env = [
        ("DRAGOMAN_ENGINE_BLOCK_SIZE", "64"),
        ("DRAGOMAN_SERVER_LISTEN", "0.0.0.0:9000"),
        ("DRAGOMAN_SERVER_API_KEY", "from-env"),
        ("DRAGOMAN_MODELS_LOAD", "smollm2-135m-instruct, /models/e5"),
        ("DRAGOMAN_MODELS_EMBEDDING", ""),
        ("DRAGOMAN_PROVISION_OFFLINE", "Yes"),
        ("DRAGOMAN_PROVISION_CACHE_DIR", "/tmp/models"),
        ("DRAGOMAN_LOG_FORMAT", "json"),
    ];
    let config = accepted(text, &env);
    assert_eq!(config.engine.block_size, 64);
    assert_eq!(config.engine.threads, Some(2), "the file still fills the gaps");
    assert_eq!(config.server.listen.to_string(), "0.0.0.0:9000");
    assert_eq!(config.server.api_key.as_deref(), Some("from-env"));
    assert_eq!(config.models.load, ["smollm2-135m-instruct", "/models/e5"]);
    assert!(config.models.embedding.is_empty());
    assert!(config.provision.offline);
    assert_eq!(config.provision.cache_dir, Some(PathBuf::from("/tmp/models")));
    assert_eq!(config.log.format, LogFormat::Json);
}

#[test]
fn bad_variables_are_refused_by_name() {
    for (name, value, fragments) in [
        (
            "DRAGOMAN_ENGINE_BLOCK_SIZE",
            "x",
            &["engine.block_size", "`x` is not a whole number", "DRAGOMAN_ENGINE_BLOCK_SIZE=16"][..],
        ),
        (
            "DRAGOMAN_ENGINE_BLOCK_SIZE",
            "24",
            &["engine.block_size is 24", "DRAGOMAN_ENGINE_BLOCK_SIZE=16"],
        ),
        ("DRAGOMAN_ENGINE_THREADS", "", &["engine.threads", "not a whole number"]),
        (
            "DRAGOMAN_PROVISION_OFFLINE",
            "maybe",
            &["true or false", "DRAGOMAN_PROVISION_OFFLINE=false"],
        ),
        (
            "DRAGOMAN_PROVISION_PIP",
            "",
            &["names no program", "DRAGOMAN_PROVISION_PIP=python3,-m,pip"],
        ),
        (
            "DRAGOMAN_SERVER_LISTEN",
            ":8080",
            &["server.listen", "DRAGOMAN_SERVER_LISTEN=127.0.0.1:8080"],
        ),
        ("DRAGOMAN_SERVER_API_KEY", "", &["server.api_key is empty"]),
        ("DRAGOMAN_LOG_FORMAT", "xml", &["`xml`", "`text` or `json`"]),
        // No such setting.
        ("DRAGOMAN_SERVER_LISTN", "127.0.0.1:1", &["did you mean DRAGOMAN_SERVER_LISTEN?"]),
        ("DRAGOMAN_SEVER_LISTEN", "127.0.0.1:1", &["did you mean DRAGOMAN_SERVER_LISTEN?"]),
        ("DRAGOMAN_SERVER_PORT", "8080", &["use one of DRAGOMAN_SERVER_LISTEN, "]),
        ("DRAGOMAN_LOG", "debug", &["use one of DRAGOMAN_LOG_LEVEL, DRAGOMAN_LOG_FORMAT"]),
    ] {
        refused_variable(name, value, fragments);
    }
}

#[test]
fn variables_of_others_are_left_alone() {
    accepted(
        "",
        &[
            ("DRAGOMAN_TEST_MODELS", "1"),
            ("DRAGOMAN_TEST_SERVER_LISTEN", "1"),
            ("DRAGOMAN_HOME", "/srv"),
            ("HF_TOKEN", "x"),
            // What Kubernetes sets for services called dragoman and dragoman-server.
            ("DRAGOMAN_SERVICE_HOST", "10.0.0.1"),
            ("DRAGOMAN_PORT", "tcp://10.0.0.1:80"),
            ("DRAGOMAN_SERVER_PORT", "tcp://10.0.0.1:80"),
            ("DRAGOMAN_SERVER_SERVICE_HOST", "10.0.0.1"),
            ("DRAGOMAN_SERVER_SERVICE_PORT_HTTP", "80"),
            ("DRAGOMAN_SERVER_PORT_80_TCP_ADDR", "10.0.0.1"),
        ],
    );
}

#[test]
fn flags_override_everything() {
    let overrides = Overrides {
        quantize: Some(vec!["q8_0".into(), "b=int16".into()]),
        listen: Some("127.0.0.1:0".to_owned()),
        models: Some(vec!["flag-model".to_owned()]),
        device: Some("cpu".to_owned()),
        offline: Some(true),
        cache_dir: Some(PathBuf::from("/flag")),
        log_level: Some("debug".to_owned()),
        log_format: Some("json".to_owned()),
    };
    let text = "[models]\nload = [\"file\"]\ndevice = \"metal\"\n[log]\nlevel = \"off\"\n";
    let env = [
        ("DRAGOMAN_MODELS_LOAD", "env"),
        ("DRAGOMAN_SERVER_LISTEN", "127.0.0.1:9"),
        ("DRAGOMAN_PROVISION_OFFLINE", "false"),
    ];
    let config = load(text, &env, &overrides).expect("a good configuration");
    assert_eq!(config.server.listen.port(), 0);
    assert_eq!(config.models.load, ["flag-model"]);
    assert_eq!(config.models.quantize_for("a"), "q8_0");
    assert_eq!(config.models.quantize_for("b"), "int16");
    assert_eq!(config.models.device, "cpu");
    assert!(config.provision.offline);
    assert_eq!(config.provision.cache_dir, Some(PathBuf::from("/flag")));
    assert_eq!(config.log.level, "debug");
    assert_eq!(config.log.format, LogFormat::Json);

    let no_models = Overrides { models: Some(Vec::new()), ..Overrides::default() };
    let config = load(text, NO_ENV, &no_models).expect("a good configuration");
    assert_eq!(config.models.load, ["file"], "no flag is not an empty list");
}

#[test]
fn bad_flags_are_refused_by_name() {
    let overrides = Overrides { listen: Some("localhost".to_owned()), ..Overrides::default() };
    let found = problems(load("", NO_ENV, &overrides));
    assert_eq!(found[0].place, Place::Flag("--listen"));
    assert_eq!(found[0].fix, "for example `--listen 127.0.0.1:8080`");

    let quantize = Some(vec!["b=q7".to_owned()]);
    let found = problems(load("", NO_ENV, &Overrides { quantize, ..Overrides::default() }));
    assert_eq!(found[0].place, Place::Flag("--quantize"));
    assert!(found[0].message.contains("\"b=q7\"; a type is one of none, int16"));

    let overrides = Overrides { device: Some("gpu".to_owned()), ..Overrides::default() };
    let found = problems(load("[models]\ndevice = \"cpu\"\n", NO_ENV, &overrides));
    assert_eq!(found[0].place, Place::Flag("--device"), "the source that won is blamed");
}

#[test]
fn everything_wrong_is_reported_at_once() {
    let text = "[server]\nlisten = 3\nlisen = \"\"\n\n[engine]\nblock_size = \"x\"\n";
    let error = load(text, &[("DRAGOMAN_LOG_LEVL", "info")], &Overrides::default());
    let shown = error.expect_err("a bad configuration").to_string();
    assert!(shown.starts_with("the configuration cannot be used:\n  "), "{shown}");
    for fragment in ["DRAGOMAN_LOG_LEVL", "test.toml:2", "test.toml:3", "test.toml:6"] {
        assert!(shown.contains(fragment), "{fragment} is missing in:\n{shown}");
    }
    assert_eq!(shown.matches("    fix: ").count(), 4, "{shown}");
}

#[test]
fn a_missing_file_is_named() {
    let path = Path::new("no-such-folder/dragoman.toml");
    let error = Config::load_with_env(Some(path), [], &Overrides::default());
    let shown = error.expect_err("there is no file").to_string();
    assert!(shown.contains("cannot read the configuration file no-such-folder"), "{shown}");
}

#[test]
fn the_key_stays_secret() {
    let config = accepted("[server]\napi_key = \"s3cret\"\n", NO_ENV);
    assert!(!format!("{config:?}").contains("s3cret"));
    for (text, env) in [
        ("[server]\napi_key = 53217\n", NO_ENV),
        ("[server]\napi_key = \"53217 \"\n", NO_ENV),
        ("", &[("DRAGOMAN_SERVER_API_KEY", "53217 é")]),
    ] {
        let error = load(text, env, &Overrides::default()).expect_err("a bad key").to_string();
        assert!(error.contains("server.api_key") && !error.contains("53217"), "{error}");
    }
}
