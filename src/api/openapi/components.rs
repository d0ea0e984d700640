//! The named types of the document.

use serde_json::{Map, Value};

use super::describe::Schemas;
use super::shapes::REFUSED;

impl Schemas {
    /// All named types. One that looks different from the two sides is there
    /// twice, and what is given in `paths` refers to the right one.
    pub fn components(&mut self, paths: &mut Map<String, Value>) -> Value {
        let mut named = self.requests.take_definitions(true);
        let answers = self.answers.take_definitions(true);
        let two_sided: Vec<String> = (answers.iter())
            .filter(|(name, schema)| named.get(*name).is_some_and(|other| other != *schema))
            .map(|(name, _)| name.clone())
            .collect();
        for (name, mut schema) in answers {
            redirect(&mut schema, &two_sided);
            match two_sided.contains(&name) {
                // Another server's fields say nothing of an answer.
                true => {
                    schema.as_object_mut().map(|fields| fields.remove(REFUSED));
                    named.insert(given(&name), schema)
                }
                false => named.insert(name, schema),
            };
        }
        for operation in paths.values_mut().filter_map(Value::as_object_mut) {
            for described in operation.values_mut() {
                redirect(&mut described["responses"], &two_sided);
            }
        }
        named.sort_keys();
        named.into()
    }
}

/// The name of a type as answers have it.
fn given(name: &str) -> String {
    format!("{name}Given")
}

/// Lets references to these types refer to them as answers have them.
fn redirect(value: &mut Value, two_sided: &[String]) {
    match value {
        Value::Object(fields) => {
            if let Some(Value::String(reference)) = fields.get_mut("$ref")
                && let Some((_, name)) = reference.rsplit_once('/')
                && two_sided.iter().any(|other| other == name)
            {
                *reference = given(reference);
            }
            fields.values_mut().for_each(|value| redirect(value, two_sided));
        }
        Value::Array(items) => items.iter_mut().for_each(|value| redirect(value, two_sided)),
        _ => {}
    }
}
