//! Checks that need the value, not only its type.

use super::Config;
use super::diagnose::{Origins, Place, Problem, how_to_write};
use super::{quantize, schema};

/// Everything out of range, in the order of the configuration.
pub fn check(config: &Config, origins: &Origins) -> Vec<Problem> {
    let mut checks = Checks { origins, problems: Vec::new() };
    checks.server(config);
    checks.models(config);
    checks.provision(config);
    checks.engine(config);
    if let Err(what) = log_level(&config.log.level) {
        checks.fail("log.level", what);
    }
    checks.problems
}

struct Checks<'a> {
    origins: &'a Origins,
    problems: Vec<Problem>,
}

impl Checks<'_> {
    /// Reports `path` with the usual fix: a value that works.
    fn fail(&mut self, path: &str, what: impl Into<String>) {
        let place = self.origins.of(path);
        let fix = path
            .split_once('.')
            .and_then(|(section, name)| schema::key(section, name))
            .map_or_else(String::new, |key| how_to_write(&key, &place));
        self.push(path, place, what.into(), fix);
    }

    fn push(&mut self, path: &str, place: Place, what: String, fix: String) {
        let message = format!("{path} {what}");
        self.problems.push(Problem { key: Some(path.to_owned()), place, message, fix });
    }

    fn range(&mut self, path: &str, value: u64, low: u64, high: u64) {
        if !(low..=high).contains(&value) {
            self.fail(path, format!("is {value}; it must be between {low} and {high}"));
        }
    }

    fn server(&mut self, config: &Config) {
        let server = &config.server;
        self.range("server.max_body_bytes", server.max_body_bytes as u64, 1024, 1 << 30);
        self.range("server.job_retention_h", server.job_retention_h, 1, 10 * 366 * 24);
        self.range("server.max_jobs", server.max_jobs, 1, 1 << 20);
        self.range("server.max_file_bytes", server.max_file_bytes as u64, 1024, 1 << 30);
        self.range("server.files_mib", server.files_mib, 1, 1 << 24);
        self.range("server.file_retention_h", server.file_retention_h, 1, 10 * 366 * 24);
        self.range("server.max_batches", server.max_batches, 1, 1 << 20);
        self.range("server.max_collections", server.max_collections, 1, 1 << 20);
        // Numbers of passages are 32 bits where they are searched.
        self.range("server.max_passages", server.max_passages, 1, 100_000_000);
        self.range("server.collections_mib", server.collections_mib as u64, 1, 1 << 24);
        self.range("server.shutdown_grace_s", server.shutdown_grace_s, 0, 3600);
        self.range("server.responses_mib", server.responses_mib as u64, 0, 1 << 20);
        self.range("server.responses_s", server.responses_s, 1, 366 * 86_400);
        let origins = server.cors_origins.iter();
        for origin in origins.filter(|origin| *origin != "*" && !is_origin(origin)) {
            self.fail(
                "server.cors_origins",
                format!(
                    "has \"{origin}\"; an origin is \"*\" or like \"https://example.org:8443\""
                ),
            );
        }
        if let Some(key) = &server.api_key {
            if key.is_empty() {
                let fix = "give it a value, or remove it to serve without a key";
                let place = self.origins.of("server.api_key");
                self.push("server.api_key", place, "is empty".to_owned(), fix.to_owned());
            } else if !key.bytes().all(|byte| byte.is_ascii_graphic()) {
                self.fail(
                    "server.api_key",
                    "has a character that HTTP headers cannot carry; use ASCII without spaces",
                );
            }
        }
    }

    fn models(&mut self, config: &Config) {
        let models = &config.models;
        for (path, names) in [
            ("models.load", &models.load),
            ("models.generation", &models.generation),
            ("models.embedding", &models.embedding),
        ] {
            if names.iter().any(|name| name.trim().is_empty()) {
                self.fail(path, "has an empty name");
            }
        }
        if models.load.is_empty() && models.generation.is_empty() && models.embedding.is_empty() {
            self.fail(
                "models.generation",
                "is empty, and so are models.embedding and models.load: there is nothing to serve",
            );
        }
        if let Some(what) = quantize::fault(&models.quantize) {
            self.fail("models.quantize", what);
        }
        if !is_device(&models.device) {
            let device = &models.device;
            self.fail(
                "models.device",
                format!("is \"{device}\"; it must be auto, cpu, cuda, cuda:N or metal"),
            );
        }
    }

    fn provision(&mut self, config: &Config) {
        let provision = &config.provision;
        self.range("provision.connect_timeout_ms", provision.connect_timeout_ms, 1, 600_000);
        if provision.cache_dir.as_ref().is_some_and(|dir| dir.as_os_str().is_empty()) {
            self.fail("provision.cache_dir", "is empty");
        }
        if provision.pip.first().is_none_or(|program| program.trim().is_empty()) {
            self.fail("provision.pip", "names no program");
        }
    }

    fn engine(&mut self, config: &Config) {
        let engine = &config.engine;
        // 16 TiB, so that the size in bytes fits.
        if let Some(mib) = engine.kv_cache_mib {
            self.range("engine.kv_cache_mib", mib as u64, 1, 1 << 24);
        }
        let block = engine.block_size;
        if !(8..=256).contains(&block) || !block.is_power_of_two() {
            self.fail(
                "engine.block_size",
                format!("is {block}; it must be 8, 16, 32, 64, 128 or 256"),
            );
        }
        let tokens = engine.max_batch_tokens;
        self.range("engine.max_batch_tokens", tokens as u64, 1, 1 << 20);
        if (1..block).contains(&tokens) && block <= 256 {
            // The two disagree: report the one that somebody set.
            if self.origins.of("engine.max_batch_tokens") == Place::Default {
                self.fail(
                    "engine.block_size",
                    format!("is {block}; it must not exceed engine.max_batch_tokens, {tokens}"),
                );
            } else {
                self.fail(
                    "engine.max_batch_tokens",
                    format!("is {tokens}; it must be at least engine.block_size, {block}"),
                );
            }
        }
        if let Some(mib) = engine.memory_mib {
            self.range("engine.memory_mib", mib as u64, 64, 1 << 24);
        }
        let stretch = engine.step_stretch;
        if !(1.1..=100.0).contains(&stretch) {
            self.fail("engine.step_stretch", format!("is {stretch}; it must be 1.1 to 100"));
        }
        self.range("engine.speculation_rows", engine.speculation_rows as u64, 0, 1024);
        self.range("engine.max_sequences", engine.max_sequences as u64, 1, 65_536);
        self.range("engine.queue_requests", engine.queue_requests as u64, 1, 1 << 20);
        self.range("engine.queue_tokens", engine.queue_tokens as u64, 1, 1 << 40);
        if let Some(length) = engine.context_length {
            self.range("engine.context_length", length as u64, 2, 1 << 30);
        }
        if let Some(threads) = engine.threads {
            self.range("engine.threads", threads as u64, 1, 4096);
        }
    }
}

/// A scheme, a host and maybe a port, as browsers send them.
fn is_origin(text: &str) -> bool {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    host.is_some_and(|host| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte);
        !host.is_empty() && host.bytes().all(plain)
    })
}

fn is_device(text: &str) -> bool {
    match text.split_once(':') {
        None => ["auto", "cpu", "cuda", "metal"].contains(&text),
        Some(("cuda", n)) => {
            n.parse::<u16>().is_ok() && n.bytes().all(|byte| byte.is_ascii_digit())
        }
        Some(_) => false,
    }
}

/// A level, or parts separated by commas, each a level or `target=level`.
fn log_level(text: &str) -> Result<(), String> {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    for part in text.split(',').map(str::trim) {
        let level = part.split_once('=').map_or(part, |(_, level)| level);
        if !LEVELS.contains(&level.to_ascii_lowercase().as_str()) {
            return Err(format!("has \"{level}\"; a level is one of {}", LEVELS.join(", ")));
        }
    }
    Ok(())
}
