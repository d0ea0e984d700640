//! What happens to fields that the request types do not have.
//!
//! Nothing is ignored in silence. Each type lists in its [`Fields::RULES`] the
//! other fields that clients are known to send: those that cannot change the
//! answer are accepted, with the reason; those that would change it are refused
//! by name unless their value asks for nothing. Any other field is refused with
//! the closest name that exists. `null` counts as absent everywhere.

use serde_json::Value;

/// Starts the message about a field that is known and not supported.
pub const UNSUPPORTED: &str = "not supported";
/// Starts the message about a field that nobody knows.
pub const UNKNOWN: &str = "unknown field";

/// What to do with one field that a request type does not have.
pub enum Rule {
    /// Accepted, because it cannot change the answer.
    Accept { name: &'static str, because: &'static str },
    /// Refused, unless `neutral` says that the value asks for nothing.
    Refuse {
        name: &'static str,
        neutral: fn(&Value) -> bool,
        /// Ends the sentence "… is not supported: ".
        instead: &'static str,
    },
}

impl Rule {
    pub const fn accept(name: &'static str, because: &'static str) -> Self {
        Self::Accept { name, because }
    }

    pub const fn refuse(
        name: &'static str,
        neutral: fn(&Value) -> bool,
        instead: &'static str,
    ) -> Self {
        Self::Refuse { name, neutral, instead }
    }

    pub fn name(&self) -> &'static str {
        match self {
            Self::Accept { name, .. } | Self::Refuse { name, .. } => name,
        }
    }
}

/// Values that ask for nothing, for [`Rule::Refuse`].
pub mod neutral {
    use serde_json::Value;

    /// Every value asks for something.
    pub fn never(_: &Value) -> bool {
        false
    }

    /// `[]`, `{}` or `""`.
    pub fn empty(value: &Value) -> bool {
        match value {
            Value::Array(items) => items.is_empty(),
            Value::Object(fields) => fields.is_empty(),
            Value::String(text) => text.is_empty(),
            _ => false,
        }
    }

    /// `false`.
    pub fn no(value: &Value) -> bool {
        *value == Value::Bool(false)
    }
}

/// A request type and the rules for fields that it does not have.
pub trait Fields {
    const RULES: &'static [Rule];
}
