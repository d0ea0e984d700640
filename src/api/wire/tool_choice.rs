//! Which tools may be called, or must be, as OpenAI's two interfaces write it.

use std::fmt;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::super::fields::{Fields, Rule, neutral};
use super::super::openapi::closed;
use super::super::strict::{Strict, strict_list_option, strict_option};

/// A word, or an object in the form of the interface.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum Choice<T> {
    /// `auto`, `none` or `required`.
    Word(String),
    Object(T),
}

impl<'de, T: Deserialize<'de> + Fields> Deserialize<'de> for Choice<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ChoiceVisitor<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de> + Fields> Visitor<'de> for ChoiceVisitor<T> {
            type Value = Choice<T>;

            fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
                formatter.write_str("\"auto\", \"none\", \"required\" or an object")
            }

            fn visit_str<E: Error>(self, word: &str) -> Result<Choice<T>, E> {
                Ok(Choice::Word(word.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<Choice<T>, A::Error> {
                let object = Strict::<T>::deserialize(MapAccessDeserializer::new(fields))?;
                Ok(Choice::Object(object.0))
            }
        }
        deserializer.deserialize_any(ChoiceVisitor(PhantomData))
    }
}

impl<T: JsonSchema> JsonSchema for Choice<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("WordOr{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let object = generator.subschema_for::<T>();
        json_schema!({"anyOf": [{"enum": ["auto", "none", "required"]}, object]})
    }
}

/// The tool that is called, or those that may be.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(transform = closed::<Self>)]
pub struct ToolChoice {
    /// `function` or `allowed_tools`.
    #[serde(rename = "type")]
    pub kind: String,
    /// With `function`: the one that is called.
    #[serde(default, deserialize_with = "strict_option")]
    pub function: Option<FunctionName>,
    /// With `allowed_tools`: those that may be called.
    #[serde(default, deserialize_with = "strict_option")]
    pub allowed_tools: Option<AllowedTools>,
}

impl Fields for ToolChoice {
    const RULES: &'static [Rule] =
        &[Rule::refuse("name", neutral::never, "put it into `function`")];
}

/// A function by its name.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(transform = closed::<Self>)]
pub struct FunctionName {
    /// The name of one of the tools.
    pub name: String,
}

impl Fields for FunctionName {
    const RULES: &'static [Rule] = &[];
}

/// Some of the tools. The model sees no others.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(transform = closed::<Self>)]
pub struct AllowedTools {
    /// `auto` leaves it to the model, `required` asks for a call.
    pub mode: Option<String>,
    /// At least one.
    #[serde(default, deserialize_with = "strict_list_option")]
    #[schemars(length(min = 1))]
    pub tools: Option<Vec<AllowedTool>>,
}

impl Fields for AllowedTools {
    const RULES: &'static [Rule] = &[];
}

/// A tool that may be called.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(transform = closed::<Self>)]
pub struct AllowedTool {
    /// `function`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The function; required.
    #[serde(default, deserialize_with = "strict_option")]
    pub function: Option<FunctionName>,
}

impl Fields for AllowedTool {
    const RULES: &'static [Rule] =
        &[Rule::refuse("name", neutral::never, "put it into `function`")];
}

/// The tool that is called, or those that may be.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[schemars(rename = "ResponsesToolChoice", transform = closed::<Self>)]
pub struct FlatToolChoice {
    /// `function` or `allowed_tools`.
    #[serde(rename = "type")]
    pub kind: String,
    /// With `function`: the name of the one that is called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// With `allowed_tools`: `auto` leaves it to the model, `required` asks for a call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// With `allowed_tools`: those that may be called, at least one. The model
    /// sees no others.
    #[serde(default, deserialize_with = "strict_list_option")]
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub tools: Option<Vec<FlatAllowedTool>>,
}

impl Fields for FlatToolChoice {
    const RULES: &'static [Rule] =
        &[Rule::refuse("function", neutral::never, "put its name into `name`")];
}

/// A tool that may be called.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[schemars(rename = "ResponsesAllowedTool", transform = closed::<Self>)]
pub struct FlatAllowedTool {
    /// `function`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The name of one of the tools; required.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

impl Fields for FlatAllowedTool {
    const RULES: &'static [Rule] =
        &[Rule::refuse("function", neutral::never, "put its name into `name`")];
}
