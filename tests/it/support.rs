//! What several tests need: fixtures, real models, a running server.

use std::path::{Path, PathBuf};

use candle_core::Device;
use dragoman::models::{LoadOptions, LoadedModel, ModelPaths, load};
use serde::de::DeserializeOwned;

/// A file or folder below `tests/fixtures`.
pub fn fixture(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(path)
}

/// A fixture in JSON.
pub fn json<T: DeserializeOwned>(path: &str) -> T {
    let bytes = std::fs::read(fixture(path)).unwrap_or_else(|e| panic!("{path}: {e}"));
    serde_json::from_slice(&bytes).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// A tiny random-weight model of `tests/fixtures/tiny` with one of its configs.
pub fn tiny(name: &str, config: &str) -> LoadedModel {
    let dir = fixture("tiny").join(name);
    let paths = ModelPaths {
        weights: vec![dir.join("model.safetensors")],
        config: Some(dir.join(config)),
    };
    load(&paths, options()).unwrap_or_else(|e| panic!("{name}: {e}"))
}

pub fn options() -> LoadOptions<'static> {
    LoadOptions {
        device: Device::Cpu,
        context_length: None,
        on_progress: &|_, _| {},
    }
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
