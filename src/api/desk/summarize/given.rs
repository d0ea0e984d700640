//! The document of a request, in JSON or as a file beside a form.

use axum::body::Bytes;
use serde_json::Value;

use crate::api::desk::documents::kind;
use crate::api::desk::record::{Input, Uploaded};
use crate::api::desk::submit::unreadable;
use crate::api::error::ApiError;
use crate::api::extract::parse;
use crate::api::multipart::{File, FileOrJson, Upload, fingerprint};
use crate::api::state::blocking;
use crate::api::wire::summary::{NamedParagraph, ParagraphField, SummarizeRequest};
use crate::documents::format::{Document, Kind, Unit};
use crate::documents::record::Blob;

/// A request as if it had come in JSON with the paragraphs of its document.
pub struct Given {
    pub body: SummarizeRequest,
    pub bytes: Bytes,
    /// The document, where it is a file.
    pub file: Option<Uploaded>,
    /// Of the file.
    pub name: Option<String>,
    /// The same for the same request.
    pub fingerprint: String,
}

impl Given {
    /// # Errors
    /// 4xx for a file that cannot be read, or fields that do not go together.
    pub async fn read(sent: FileOrJson<SummarizeRequest>) -> Result<Self, ApiError> {
        match sent {
            FileOrJson::File(Upload { fields, file, fingerprint }) => {
                Self::upload(fields, file, fingerprint).await
            }
            FileOrJson::Json(body, bytes) if body.format.is_none() => {
                Ok(Self::of_request(body, bytes))
            }
            FileOrJson::Json(..) => {
                let message = "format goes with a file; leave it out";
                Err(ApiError::invalid("format", message))
            }
        }
    }

    async fn upload(
        mut body: SummarizeRequest,
        file: File,
        fingerprint: String,
    ) -> Result<Self, ApiError> {
        if body.text.is_some() || body.paragraphs.is_some() {
            return Err(ApiError::invalid("file", "send one of file, text and paragraphs"));
        }
        let said = body.format.take().map(|name| kind(&name)).transpose()?;
        let File { name, bytes, charset } = file;
        let called = name.clone();
        let read = move || {
            let document = Document::received(&bytes, said, called.as_deref(), charset.as_deref());
            let document = document.map_err(unreadable)?;
            let called = called.unwrap_or_else(|| "document".to_owned());
            let file = Blob::new(called, &bytes);
            Ok::<_, ApiError>((Uploaded { file, format: document.kind(), charset }, document))
        };
        let (file, document) = blocking(read).await??;
        let paragraph = |unit: &Unit| {
            ParagraphField::Named(NamedParagraph { id: unit.id.clone(), text: unit.text.plain() })
        };
        body.paragraphs = Some(document.units().iter().map(paragraph).collect());
        let bytes = serde_json::to_vec(&body).map_err(|_| ApiError::internal())?.into();
        Ok(Self { body, bytes, file: Some(file), name, fingerprint })
    }

    /// The request of a file, as its record has it.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub async fn recorded(
        name: String,
        bytes: Bytes,
        mut options: Value,
    ) -> Result<Self, ApiError> {
        let charset = options.as_object_mut().and_then(|fields| fields.remove("charset"));
        let charset = charset.and_then(|charset| charset.as_str().map(str::to_owned));
        let options = serde_json::to_vec(&options).map_err(|_| ApiError::internal())?;
        let mut body = parse::<SummarizeRequest>(&options)?;
        body.record = Some(true);
        Self::upload(body, File { name: Some(name), bytes, charset }, String::new()).await
    }

    /// A request without a file.
    pub fn of_request(body: SummarizeRequest, bytes: Bytes) -> Self {
        let fingerprint = fingerprint(b"json", &bytes);
        Self { body, bytes, file: None, name: None, fingerprint }
    }

    /// Where the words stand.
    pub fn field(&self) -> &'static str {
        match (&self.file, &self.body.text, &self.body.paragraphs) {
            (Some(_), ..) => "file",
            (None, None, Some(_)) => "paragraphs",
            _ => "text",
        }
    }

    pub fn kind(&self) -> Kind {
        self.file.as_ref().map_or(Kind::Text, |file| file.format)
    }

    /// What a record names.
    pub fn input(bytes: Bytes, file: Option<Uploaded>) -> Input {
        match file {
            Some(file) => Input::Upload(file, bytes),
            None => Input::Request(bytes),
        }
    }
}
