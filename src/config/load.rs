//! Merges flags, environment, file and defaults into one [`Config`].

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use confique::{Config as _, Layer};
use serde::de::IntoDeserializer;

use super::diagnose::{self, ConfigError, Origins, Place, Problem};
use super::schema::{self, Key};
use super::text::Text;
use super::{Config, single, validate};

/// The file that is read when none is named and this one exists under the
/// working folder.
pub const DEFAULT_FILE: &str = "config/dragoman.toml";

pub(super) type ConfigLayer = <Config as confique::Config>::Layer;

/// Settings from the command line; `None` leaves a setting to the environment,
/// the file and the default.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// `--listen`, an address with a port.
    pub listen: Option<String>,
    /// `--model`, all of them; replaces `models.load`. An empty list counts as
    /// not given.
    pub models: Option<Vec<String>>,
    /// `--quantize`, all of them; replaces `models.quantize`. An empty list
    /// counts as not given.
    pub quantize: Option<Vec<String>>,
    /// `--device`
    pub device: Option<String>,
    /// `--offline`
    pub offline: Option<bool>,
    /// `--cache-dir`
    pub cache_dir: Option<PathBuf>,
    /// `--log-level`
    pub log_level: Option<String>,
    /// `--log-format`
    pub log_format: Option<String>,
}

impl Config {
    /// Reads and checks the whole configuration, with the environment of this
    /// process. Without `file` no file is read; see [`Config::default_file`].
    ///
    /// # Errors
    /// [`ConfigError`] holds everything that is wrong, with key, place and fix.
    pub fn load(file: Option<&Path>, overrides: &Overrides) -> Result<Self, ConfigError> {
        Self::load_with_env(file, std::env::vars_os(), overrides)
    }

    /// [`Config::load`] with the environment given, for tests and embedders.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn load_with_env(
        file: Option<&Path>,
        env: impl IntoIterator<Item = (OsString, OsString)>,
        overrides: &Overrides,
    ) -> Result<Self, ConfigError> {
        let mut loader = Loader::new();
        loader.flags(overrides);
        loader.environment(env);
        if let Some(path) = file {
            let text = std::fs::read_to_string(path)
                .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
            loader.file(path, &text);
        }
        loader.finish()
    }

    /// [`DEFAULT_FILE`], if it exists.
    pub fn default_file() -> Option<PathBuf> {
        Some(PathBuf::from(DEFAULT_FILE)).filter(|path| path.is_file())
    }
}

/// The defaults alone.
pub(super) fn defaults() -> Config {
    // Every field has a default or is optional, which a test holds.
    Config::from_layer(ConfigLayer::default_values()).expect("all settings have defaults")
}

/// Sources are added from the strongest to the weakest: a later one only fills
/// gaps.
pub(super) struct Loader {
    layer: ConfigLayer,
    origins: Origins,
    pub(super) problems: Vec<Problem>,
}

impl Loader {
    fn new() -> Self {
        Self { layer: ConfigLayer::empty(), origins: Origins::default(), problems: Vec::new() }
    }

    fn flags(&mut self, overrides: &Overrides) {
        let mut typed = |value: Option<&str>, section, name, flag| {
            if let (Some(value), Some(key)) = (value, schema::key(section, name)) {
                self.set(key, Place::Flag(flag), Text(value));
            }
        };
        typed(overrides.listen.as_deref(), "server", "listen", "--listen");
        typed(overrides.device.as_deref(), "models", "device", "--device");
        typed(overrides.log_level.as_deref(), "log", "level", "--log-level");
        typed(overrides.log_format.as_deref(), "log", "format", "--log-format");

        // These have their type already; paths need not even be UTF-8.
        let mut origin = |path: &str, flag| {
            self.origins.0.insert(path.to_owned(), Place::Flag(flag));
        };
        if let Some(models) = overrides.models.as_ref().filter(|models| !models.is_empty()) {
            self.layer.models.load = Some(models.clone());
            origin("models.load", "--model");
        }
        if let Some(types) = overrides.quantize.as_ref().filter(|types| !types.is_empty()) {
            self.layer.models.quantize = Some(types.clone());
            origin("models.quantize", "--quantize");
        }
        if let Some(offline) = overrides.offline {
            self.layer.provision.offline = Some(offline);
            origin("provision.offline", "--offline");
        }
        if let Some(dir) = &overrides.cache_dir {
            self.layer.provision.cache_dir = Some(dir.clone());
            origin("provision.cache_dir", "--cache-dir");
        }
    }

    /// Sets one key unless a stronger source did; a value of the wrong type is
    /// reported even then.
    pub(super) fn set<'de, V, E>(&mut self, key: Key, place: Place, value: V)
    where
        V: IntoDeserializer<'de, E>,
        E: serde::de::Error,
    {
        match single::layer::<V, E>(key, value) {
            Ok(layer) => {
                let stronger = std::mem::replace(&mut self.layer, ConfigLayer::empty());
                self.layer = stronger.with_fallback(layer);
                self.origins.0.entry(key.path()).or_insert(place);
            }
            Err(error) => {
                // The TOML errors carry a picture of the source below the first line.
                let error = error.to_string();
                let why = error.lines().next().unwrap_or_default();
                self.problems.push(diagnose::wrong_type(&key, place, why));
            }
        }
    }

    fn finish(self) -> Result<Config, ConfigError> {
        if !self.problems.is_empty() {
            return Err(ConfigError::Invalid(self.problems));
        }
        let layer = self.layer.with_fallback(ConfigLayer::default_values());
        let config = Config::from_layer(layer).map_err(|error| {
            ConfigError::Invalid(vec![Problem {
                key: None,
                place: Place::Default,
                message: error.to_string(),
                fix: "set the missing key".to_owned(),
            }])
        })?;
        let problems = validate::check(&config, &self.origins);
        if problems.is_empty() { Ok(config) } else { Err(ConfigError::Invalid(problems)) }
    }
}
