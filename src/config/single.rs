//! Reads one value into an otherwise empty layer.
//!
//! One setting at a time, because serde's errors do not say which field they
//! belong to.

use serde::de::value::{MapAccessDeserializer, MapDeserializer};
use serde::de::{Deserialize, DeserializeSeed, Error, IntoDeserializer, MapAccess};

use super::load::ConfigLayer;
use super::schema::Key;

/// A layer in which only `key` is set.
pub fn layer<'de, V, E>(key: Key, value: V) -> Result<ConfigLayer, E>
where
    V: IntoDeserializer<'de, E>,
    E: Error,
{
    let inner = MapDeserializer::new(std::iter::once((key.name, value)));
    ConfigLayer::deserialize(MapAccessDeserializer::new(OneSection(key.section, Some(inner))))
}

/// A table with one entry, whose value is a table.
struct OneSection<A>(&'static str, Option<A>);

impl<'de, A: MapAccess<'de>> MapAccess<'de> for OneSection<A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, A::Error> {
        match self.1 {
            Some(_) => seed.deserialize(self.0.into_deserializer()).map(Some),
            None => Ok(None),
        }
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        match self.1.take() {
            Some(inner) => seed.deserialize(MapAccessDeserializer::new(inner)),
            None => Err(Error::custom("a value was read twice")),
        }
    }
}
