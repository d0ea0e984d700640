//! Tools and calls, as OpenAI has them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::super::fields::{Fields, Rule};
use super::super::openapi::closed;
use super::super::strict::strict_option;

/// Something that the model may call.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(transform = closed::<Self>)]
pub struct Tool {
    /// `function`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The function; required.
    #[serde(default, deserialize_with = "strict_option")]
    pub function: Option<Function>,
}

impl Fields for Tool {
    const RULES: &'static [Rule] = &[];
}

/// A function that the caller can run.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(transform = closed::<Self>)]
pub struct Function {
    /// Letters, digits, `_`, `-` and `.`, up to 64.
    pub name: String,
    /// What it does, for the model.
    pub description: Option<String>,
    /// A JSON schema of its arguments; without one it takes none.
    pub parameters: Option<Value>,
    /// Refuse a schema that calls cannot be held to.
    pub strict: Option<bool>,
}

impl Fields for Function {
    const RULES: &'static [Rule] = &[];
}

/// A call that the model made before.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(transform = closed::<Self>)]
pub struct EarlierCall {
    /// Its label, to which its result refers.
    pub id: String,
    /// `function`, also when it is left out.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// What was called; required.
    #[serde(default, deserialize_with = "strict_option")]
    pub function: Option<EarlierFunction>,
}

impl Fields for EarlierCall {
    const RULES: &'static [Rule] =
        &[Rule::accept("index", "the place of a call, which its place in the list says")];
}

/// What was called, and with what.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(transform = closed::<Self>)]
pub struct EarlierFunction {
    /// What was called.
    pub name: String,
    /// JSON text.
    pub arguments: String,
}

impl Fields for EarlierFunction {
    const RULES: &'static [Rule] = &[];
}

/// A call in an answer.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Call {
    pub id: String,
    /// `function`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub function: CalledFunction,
}

/// What is called, and with what.
#[derive(Debug, Serialize, JsonSchema)]
pub struct CalledFunction {
    pub name: String,
    /// JSON text; not complete where the answer was cut off.
    pub arguments: String,
}

/// A piece of a call, in a stream: the first has all but the arguments.
#[derive(Debug, Serialize, JsonSchema)]
pub struct CallDelta<'a> {
    /// The call's number in the answer.
    pub index: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<&'a str>,
    /// `function`, in the first piece.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<&'static str>,
    pub function: FunctionDelta<'a>,
}

/// What a piece adds.
#[derive(Debug, Serialize, JsonSchema)]
pub struct FunctionDelta<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<&'a str>,
    pub arguments: &'a str,
}
