//! The document of a request, in JSON or as a file beside a form.

use axum::body::Bytes;

use crate::api::desk::documents::kind;
use crate::api::desk::submit::unreadable;
use crate::api::error::ApiError;
use crate::api::multipart::{FileOrJson, Upload, fingerprint};
use crate::api::state::blocking;
use crate::api::wire::summary::{NamedParagraph, ParagraphField, SummarizeRequest};
use crate::documents::format::{Document, Kind};

/// A request as if it had come in JSON with the paragraphs of its document.
pub struct Given {
    pub body: SummarizeRequest,
    pub bytes: Bytes,
    /// Where the words stand.
    pub field: &'static str,
    /// Of the file.
    pub name: Option<String>,
    pub kind: Kind,
    /// The same for the same request.
    pub fingerprint: String,
}

impl Given {
    /// # Errors
    /// 4xx for a file that cannot be read, or fields that do not go together.
    pub async fn read(sent: FileOrJson<SummarizeRequest>) -> Result<Self, ApiError> {
        let (mut body, file, sent) = match sent {
            FileOrJson::File(Upload { fields, file, fingerprint }) => (fields, file, fingerprint),
            FileOrJson::Json(body, bytes) => return Self::json(body, bytes),
        };
        if body.text.is_some() || body.paragraphs.is_some() {
            return Err(ApiError::invalid("file", "send one of file, text and paragraphs"));
        }
        if body.record.unwrap_or(false) {
            let message = "record does not go with a file; send its words as paragraphs, or have \
                           `dragoman summarise --record` make it";
            return Err(ApiError::invalid("record", message));
        }
        let said = body.format.take().map(|name| kind(&name)).transpose()?;
        let (name, bytes, charset) = (file.name.clone(), file.bytes, file.charset);
        let read = move || Document::received(&bytes, said, name.as_deref(), charset.as_deref());
        let document = blocking(read).await?;
        let document = document.map_err(unreadable)?;
        let paragraph = |unit: &crate::documents::format::Unit| {
            ParagraphField::Named(NamedParagraph { id: unit.id.clone(), text: unit.text.plain() })
        };
        body.paragraphs = Some(document.units().iter().map(paragraph).collect());
        let bytes = serde_json::to_vec(&body).map_err(|_| ApiError::internal())?.into();
        let (name, kind) = (file.name, document.kind());
        Ok(Self { body, bytes, field: "file", name, kind, fingerprint: sent })
    }

    fn json(body: SummarizeRequest, bytes: Bytes) -> Result<Self, ApiError> {
        if body.format.is_some() {
            let message = "format goes with a file; leave it out";
            return Err(ApiError::invalid("format", message));
        }
        let field = match (&body.text, &body.paragraphs) {
            (None, Some(_)) => "paragraphs",
            _ => "text",
        };
        let fingerprint = fingerprint(b"json", &bytes);
        Ok(Self { body, bytes, field, name: None, kind: Kind::Text, fingerprint })
    }
}
