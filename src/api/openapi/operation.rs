//! What the document says of one method of one route.

use schemars::{JsonSchema, Schema, SchemaGenerator};

use super::shapes::Lines;

/// The schema of a type, from its own generator.
pub type Make = fn(&mut SchemaGenerator) -> Schema;

/// A body that may be JSON, or what an HTML form sends.
pub const JSON_OR_FORM: &[&str] = &["application/json", "application/x-www-form-urlencoded"];

/// Routes that belong together, with errors of one shape.
#[derive(Clone, Copy)]
pub struct Interface {
    /// Its heading.
    pub tag: &'static str,
    pub about: &'static str,
    pub error: Make,
    /// The status of an error where it is another than OpenAI's.
    pub moved: &'static [(u16, u16)],
    /// Further errors.
    pub more: &'static [(u16, &'static str)],
    /// All ask for the server's key, if it has one.
    pub guarded: bool,
}

/// What a success carries.
#[derive(Clone, Copy)]
pub enum Answer {
    Nothing,
    Json(Make),
    /// A text of this content type.
    Text(&'static str),
    /// A text of this content type whose lines are of a type.
    Lines(&'static str, Make),
}

/// One method of one route.
#[derive(Clone, Copy)]
pub struct Operation {
    pub interface: Interface,
    /// In small letters.
    pub method: &'static str,
    pub path: &'static str,
    pub summary: &'static str,
    pub request: Option<Make>,
    /// The content types that its body may have.
    pub media: &'static [&'static str],
    /// Name, whether it is required, and what it is.
    pub query: &'static [(&'static str, bool, &'static str)],
    pub status: u16,
    pub answer: Answer,
    /// One event of the stream that `"stream": true` asks for.
    pub events: Option<Make>,
    /// What status 202 carries, where `"background": true` asks for it.
    pub accepted: Option<Make>,
    /// What is there already is answered as what is made, with status 200.
    pub known: bool,
    /// Errors that its interface does not have.
    pub more: &'static [(u16, &'static str)],
    /// It needs a loaded model.
    pub model: bool,
    /// A model works for it, so it can be refused while that is busy or away.
    pub work: bool,
}

fn make<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

impl Interface {
    /// Routes whose errors are of the type `E`.
    pub const fn new<E: JsonSchema>(tag: &'static str, about: &'static str) -> Self {
        Self { tag, about, error: make::<E>, moved: &[], more: &[], guarded: true }
    }

    const fn method(
        self,
        method: &'static str,
        path: &'static str,
        summary: &'static str,
    ) -> Operation {
        Operation {
            interface: self,
            method,
            path,
            summary,
            request: None,
            media: &["application/json"],
            query: &[],
            status: 200,
            answer: Answer::Nothing,
            events: None,
            accepted: None,
            known: false,
            more: &[],
            model: false,
            work: false,
        }
    }

    pub const fn get(self, path: &'static str, summary: &'static str) -> Operation {
        self.method("get", path, summary)
    }

    pub const fn post(self, path: &'static str, summary: &'static str) -> Operation {
        self.method("post", path, summary)
    }

    #[cfg(feature = "documents")]
    pub const fn put(self, path: &'static str, summary: &'static str) -> Operation {
        self.method("put", path, summary)
    }

    #[cfg(feature = "documents")]
    pub const fn patch(self, path: &'static str, summary: &'static str) -> Operation {
        self.method("patch", path, summary)
    }

    pub const fn delete(self, path: &'static str, summary: &'static str) -> Operation {
        self.method("delete", path, summary)
    }
}

impl Operation {
    pub const fn takes<T: JsonSchema>(self) -> Self {
        Self { request: Some(make::<T>), ..self }
    }

    /// Of its body; JSON without it.
    pub const fn sent_as(self, media: &'static [&'static str]) -> Self {
        Self { media, ..self }
    }

    pub const fn asks(self, query: &'static [(&'static str, bool, &'static str)]) -> Self {
        Self { query, ..self }
    }

    pub const fn gives<T: JsonSchema>(self) -> Self {
        Self { answer: Answer::Json(make::<T>), ..self }
    }

    pub const fn gives_text(self, content_type: &'static str) -> Self {
        Self { answer: Answer::Text(content_type), ..self }
    }

    pub const fn gives_lines<T: JsonSchema>(self, content_type: &'static str) -> Self {
        Self { answer: Answer::Lines(content_type, make::<Lines<T>>), ..self }
    }

    #[cfg(feature = "documents")]
    pub const fn refuses(self, more: &'static [(u16, &'static str)]) -> Self {
        Self { more, ..self }
    }

    pub const fn streams<T: JsonSchema>(self) -> Self {
        Self { events: Some(make::<T>), ..self }
    }

    #[cfg(feature = "documents")]
    pub const fn accepts<T: JsonSchema>(self) -> Self {
        Self { accepted: Some(make::<T>), ..self }
    }

    #[cfg(feature = "documents")]
    pub const fn or_known(self) -> Self {
        Self { known: true, ..self }
    }

    /// The status of a success; 200 without it.
    #[cfg(feature = "documents")]
    pub const fn with(self, status: u16) -> Self {
        Self { status, ..self }
    }

    pub const fn of_model(self) -> Self {
        Self { model: true, ..self }
    }

    pub const fn works(self) -> Self {
        Self { work: true, ..self.of_model() }
    }
}
