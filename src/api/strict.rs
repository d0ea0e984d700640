//! Deserializing under the rules of [`super::fields`].
//!
//! The wrapper sits around the deserializer, where `serde(flatten)` would put a
//! copy of the value between, so that errors keep their path and their line.

use std::fmt;

use serde::de::value::StringDeserializer;
use serde::de::{
    DeserializeSeed, Deserializer, Error, IgnoredAny, IntoDeserializer, MapAccess, Visitor,
};
use serde::{Deserialize, forward_to_deserialize_any};
use serde_json::Value;

use super::fields::{Fields, Rule, UNKNOWN, UNSUPPORTED};
use super::suggest::closest;

/// A `T` with every other field held against its rules.
pub struct Strict<T>(pub T);

impl<'de, T: Deserialize<'de> + Fields> Deserialize<'de> for Strict<T> {
    fn deserialize<D: Deserializer<'de>>(inner: D) -> Result<Self, D::Error> {
        T::deserialize(Sieve { inner, rules: T::RULES }).map(Self)
    }
}

/// For `#[serde(deserialize_with)]` on a list of strict objects.
pub fn strict_list<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Fields,
{
    let list = Vec::<Strict<T>>::deserialize(deserializer)?;
    Ok(list.into_iter().map(|strict| strict.0).collect())
}

/// For `#[serde(deserialize_with)]` on an optional list of strict objects.
pub fn strict_list_option<'de, D, T>(deserializer: D) -> Result<Option<Vec<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Fields,
{
    let list = Option::<Vec<Strict<T>>>::deserialize(deserializer)?;
    Ok(list.map(|list| list.into_iter().map(|strict| strict.0).collect()))
}

/// For `#[serde(deserialize_with)]` on a strict object.
#[cfg(feature = "documents")]
pub fn strict<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Fields,
{
    Strict::<T>::deserialize(deserializer).map(|strict| strict.0)
}

/// For `#[serde(deserialize_with)]` on an optional strict object.
pub fn strict_option<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Fields,
{
    Ok(Option::<Strict<T>>::deserialize(deserializer)?.map(|strict| strict.0))
}

/// Catches `deserialize_struct`, which names the type's own fields.
struct Sieve<D> {
    inner: D,
    rules: &'static [Rule],
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Sieve<D> {
    type Error = D::Error;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        own: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.inner.deserialize_map(SieveVisitor { visitor, own, rules: self.rules })
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.inner.deserialize_any(visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
        option unit unit_struct newtype_struct seq tuple tuple_struct map enum identifier
        ignored_any
    }
}

/// The type's own visitor or map access, with what it takes to judge a field.
struct SieveVisitor<V> {
    visitor: V,
    own: &'static [&'static str],
    rules: &'static [Rule],
}

impl<'de, V: Visitor<'de>> Visitor<'de> for SieveVisitor<V> {
    type Value = V::Value;

    fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, inner: A) -> Result<V::Value, A::Error> {
        let Self { visitor, own, rules } = self;
        visitor.visit_map(SieveAccess { inner, own, rules })
    }
}

struct SieveAccess<A> {
    inner: A,
    own: &'static [&'static str],
    rules: &'static [Rule],
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for SieveAccess<A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, A::Error> {
        while let Some(key) = self.inner.next_key::<String>()? {
            if self.own.contains(&key.as_str()) {
                let key: StringDeserializer<A::Error> = key.into_deserializer();
                return seed.deserialize(key).map(Some);
            }
            let judge = Judge { key: &key, own: self.own, rules: self.rules };
            self.inner.next_value_seed(judge)?;
        }
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.inner.next_value_seed(seed)
    }
}

/// Reads the value of a field that the type does not have. It fails while the
/// value is read, so that the error's path ends in the field's name.
struct Judge<'a> {
    key: &'a str,
    own: &'static [&'static str],
    rules: &'static [Rule],
}

impl<'de> DeserializeSeed<'de> for Judge<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        match self.rules.iter().find(|rule| rule.name() == self.key) {
            Some(Rule::Accept { .. }) => IgnoredAny::deserialize(deserializer).map(drop),
            Some(Rule::Refuse { neutral, instead, .. }) => {
                let value = Value::deserialize(deserializer)?;
                match value.is_null() || neutral(&value) {
                    true => Ok(()),
                    false => Err(D::Error::custom(format_args!("{UNSUPPORTED}: {instead}"))),
                }
            }
            None => match Option::<IgnoredAny>::deserialize(deserializer)? {
                None => Ok(()),
                Some(_) => {
                    let known = self.own.iter().copied().chain(self.rules.iter().map(Rule::name));
                    Err(D::Error::custom(match closest(self.key, known) {
                        Some(name) => format!("{UNKNOWN}; did you mean `{name}`?"),
                        None => format!("{UNKNOWN}; leave it out"),
                    }))
                }
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::fields::neutral;

    #[derive(Debug, Deserialize)]
    struct Sample {
        temperature: Option<f32>,
        #[serde(default, deserialize_with = "strict_list")]
        items: Vec<Item>,
    }

    #[derive(Debug, Deserialize)]
    struct Item {
        id: u32,
    }

    impl Fields for Sample {
        const RULES: &'static [Rule] = &[
            Rule::accept("user", "a label"),
            Rule::refuse("tools", neutral::empty, "describe them in the prompt"),
        ];
    }

    impl Fields for Item {
        const RULES: &'static [Rule] = &[];
    }

    fn parse(body: &str) -> Result<Sample, (String, String)> {
        let mut json = serde_json::Deserializer::from_str(body);
        serde_path_to_error::deserialize::<_, Strict<Sample>>(&mut json)
            .map(|strict| strict.0)
            .map_err(|error| (error.path().to_string(), error.inner().to_string()))
    }

    #[test]
    fn harmless_neutral_and_null_fields_pass() {
        for body in [
            r#"{"temperature": 0.5, "user": {"any": [1]}}"#,
            r#"{"tools": []}"#,
            r#"{"tools": null, "whatever": null, "temperature": null}"#,
        ] {
            parse(body).unwrap();
        }
        let sample = parse(r#"{"user": "u", "temperature": 0.5, "items": [{"id": 3}]}"#).unwrap();
        assert_eq!(sample.temperature, Some(0.5));
        assert_eq!(sample.items[0].id, 3);
    }

    #[test]
    fn other_fields_are_refused_at_their_path() {
        let check = |body: &str, path: &str, fragment: &str| {
            let (got, message) = parse(body).unwrap_err();
            assert_eq!(got, path, "{message}");
            assert!(message.contains(fragment), "{message}");
        };
        check(r#"{"tools": [1]}"#, "tools", "not supported: describe them in the prompt");
        check(r#"{"temprature": 1}"#, "temprature", "did you mean `temperature`?");
        check(r#"{"zzzzzz": 1}"#, "zzzzzz", "unknown field; leave it out");
        check(r#"{"items": [{"id": 1}, {"id": 2, "ix": 1}]}"#, "items[1].ix", "did you mean `id`");
        check(r#"{"items": [{"id": "x"}]}"#, "items[0].id", "invalid type: string");
        check(r#"[1]"#, ".", "expected a JSON object");
    }
}
