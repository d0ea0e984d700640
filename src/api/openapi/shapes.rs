//! Schemas that serde's derives do not say: alternatives that are told apart by
//! hand, and what becomes of fields that a type does not have.

use std::borrow::Cow;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};

use crate::api::fields::{Fields, Rule};
use crate::api::strict::Strict;

/// Where a schema says which of its fields change nothing, and why.
pub const ACCEPTED: &str = "x-accepted";
/// Where a schema lists fields that are refused by name.
pub const REFUSED: &str = "x-refused";
/// Where the schema of a text says what each of its lines is.
pub const LINES: &str = "x-lines";

/// Closes the schema of `T`, as [`Strict`] closes the type: fields that are
/// accepted without effect are added to it, and all others are not allowed.
pub fn closed<T: Fields>(schema: &mut Schema) {
    let mut refused = Map::new();
    let mut accepted = Map::new();
    for rule in T::RULES {
        match rule {
            Rule::Accept { name, because } => {
                let about = format!("Accepted and without effect: {because}.");
                let field = json!({"description": about, ACCEPTED: because});
                accepted.insert((*name).to_owned(), field);
            }
            Rule::Refuse { name, neutral, instead } => {
                let unless: Vec<Value> = samples().into_iter().filter(*neutral).collect();
                let rule = json!({"instead": instead, "unless": unless});
                refused.insert((*name).to_owned(), rule);
            }
        }
    }
    let object = schema.ensure_object();
    // Types that share their rules have some of their fields themselves.
    if let Some(own) = object.get("properties").and_then(Value::as_object) {
        refused.retain(|name, _| !own.contains_key(name));
    }
    if !accepted.is_empty()
        && let Some(properties) =
            object.entry("properties").or_insert_with(|| json!({})).as_object_mut()
    {
        properties.extend(accepted);
    }
    object.insert("additionalProperties".to_owned(), false.into());
    if !refused.is_empty() {
        object.insert(REFUSED.to_owned(), refused.into());
    }
}

/// Values by which clients say that they ask for nothing; rules are functions,
/// and trying them tells which of these they let pass.
fn samples() -> Vec<Value> {
    let words = [
        "auto",
        "default",
        "disabled",
        "medium",
        "none",
        "standard",
        "standard_only",
        "summarized",
        "text",
    ];
    let others =
        [json!(false), json!(0), json!(1), json!(""), json!([]), json!({}), json!(["direct"])];
    others.into_iter().chain(words.map(Value::from)).collect()
}

impl<T: JsonSchema> JsonSchema for Strict<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn schema_id() -> Cow<'static, str> {
        T::schema_id()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

/// `multipart/form-data`: the fields of `T` beside a file.
pub struct Upload<T>(PhantomData<T>);

impl<T: JsonSchema> JsonSchema for Upload<T> {
    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = T::json_schema(generator);
        let object = schema.ensure_object();
        let file = json!({
            "type": "string",
            "contentMediaType": "application/octet-stream",
            "description": "The file, with its name.",
        });
        if let Some(fields) = object.get_mut("properties").and_then(Value::as_object_mut) {
            fields.insert("file".to_owned(), file);
        }
        let required = object.entry("required").or_insert_with(|| json!([]));
        if let Some(required) = required.as_array_mut() {
            required.push("file".into());
        }
        schema
    }
}

/// The same, with a file that has an `L` in each line.
pub struct UploadOfLines<T, L>(PhantomData<(T, L)>);

impl<T: JsonSchema, L: JsonSchema> JsonSchema for UploadOfLines<T, L> {
    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let lines = generator.subschema_for::<L>();
        let mut schema = Upload::<T>::json_schema(generator);
        if let Some(file) = schema.pointer_mut("/properties/file").and_then(Value::as_object_mut) {
            file.insert(LINES.to_owned(), lines.into());
        }
        schema
    }
}

/// A text that has an `L` in each line.
pub struct Lines<L>(PhantomData<L>);

impl<L: JsonSchema> JsonSchema for Lines<L> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("LinesOf{}", L::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", LINES: generator.subschema_for::<L>()})
    }
}

/// JSON with the fields of `T`, or `multipart/form-data` with a file beside them.
#[cfg(feature = "documents")]
pub struct FileOrJson<T>(PhantomData<T>);

#[cfg(feature = "documents")]
impl<T: JsonSchema> JsonSchema for FileOrJson<T> {
    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = T::json_schema(generator);
        let file = json!({
            "type": "string",
            "contentMediaType": "application/octet-stream",
            "description": "The document, in `multipart/form-data`; required there.",
        });
        let object = schema.ensure_object();
        if let Some(fields) = object.get_mut("properties").and_then(Value::as_object_mut) {
            fields.insert("file".to_owned(), file);
        }
        // Only JSON has no file.
        object.remove(REFUSED);
        schema
    }
}

/// Any of the types of a tuple.
pub struct Any<T>(PhantomData<T>);

macro_rules! any {
    ($(($($name:ident),+)),+) => { $(
        impl<$($name: JsonSchema),+> JsonSchema for Any<($($name,)+)> {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                let names = [$($name::schema_name()),+];
                names.join("Or").into()
            }

            fn json_schema(generator: &mut SchemaGenerator) -> Schema {
                json_schema!({"anyOf": [$(generator.subschema_for::<$name>()),+]})
            }
        }
    )+ };
}

any!((A, B), (A, B, C, D));

/// Gives a type, whose serde is written by hand, the schema of another type or
/// one that is written down.
macro_rules! shaped {
    ($type:ty => $other:ty) => {
        $crate::api::openapi::shaped!(@ $type, generator, <$other as schemars::JsonSchema>::json_schema(generator));
    };
    ($type:ty = $($json:tt)+) => {
        $crate::api::openapi::shaped!(@ $type, _generator, schemars::json_schema!($($json)+));
    };
    (@ $type:ty, $generator:ident, $schema:expr) => {
        impl schemars::JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema($generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                $schema
            }
        }
    };
}
pub(in crate::api) use shaped;
