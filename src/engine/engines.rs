//! The models one server has loaded.

use std::sync::Arc;

use super::handle::{Engine, ModelKind};

/// Loaded models by name, in the order they were loaded; cheap to clone.
#[derive(Clone, Default)]
pub struct Engines(Arc<[Engine]>);

impl Engines {
    pub fn new(engines: Vec<Engine>) -> Self {
        Self(engines.into())
    }

    /// The model of this name.
    pub fn get(&self, id: &str) -> Option<&Engine> {
        self.0.iter().find(|e| e.info().id == id)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Engine> {
        self.0.iter()
    }

    /// The first model that can do this.
    pub fn default_for(&self, kind: ModelKind) -> Option<&Engine> {
        self.0.iter().find(|e| e.info().kind == kind)
    }

    /// Tells every model to finish what it has and stop.
    pub fn shutdown(&self) {
        self.0.iter().for_each(Engine::shutdown);
    }
}
