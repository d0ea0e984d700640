//! XLIFF 1.2 and 2.x. Units are `trans-unit`s, or segments of a 2.x `unit`; the
//! inline codes are their tags.
//!
//! Translations are written to `target`, which is added where there is none,
//! with the state that says a machine translated. Sources stay. Not translated:
//! what has `translate="no"`, and targets that are approved or final.

mod reader;
mod unit;

use std::ops::Range;

use super::spans::{Options, Spans};
use super::{Body, FormatError, Unit, Written, encoding, xml};
use crate::documents::charset::xml_encoding;
use crate::documents::tagged::Tagged;

pub(super) struct Exchange {
    spans: Spans,
    /// Start tags that name the target language, by this attribute.
    languages: Vec<(Range<usize>, &'static str)>,
    target_language: Option<String>,
}

pub(super) fn read(bytes: &[u8]) -> Result<(Vec<Unit>, Exchange), FormatError> {
    let (source, encoding) = encoding::decode(bytes, "the XLIFF file")?;
    let found = reader::read(&source)?;
    let (units, mut spans) = Spans::new(source, encoding, found.drafts);
    spans.declared.extend(xml_encoding(spans.source.as_bytes()));
    let (languages, target_language) = (found.languages, found.target_language);
    Ok((units, Exchange { spans, languages, target_language }))
}

impl Body for Exchange {
    fn write(
        &self,
        units: &[Unit],
        texts: &[Tagged],
        to: Option<&str>,
    ) -> Result<Written, FormatError> {
        let mut fixed = Vec::new();
        if let Some(to) = to {
            for (range, attribute) in &self.languages {
                let tag = &self.spans.source[range.clone()];
                fixed.push((range.clone(), xml::with_attribute(tag, attribute, to)));
            }
        }
        let options = Options {
            // A translation may well be the same as its source.
            always: to.is_some(),
            fixed,
            to,
            ..Options::default()
        };
        let text = self.spans.write(units, texts, options);
        Ok(encoding::encode(&text, self.spans.encoding).into())
    }

    fn target_language(&self) -> Option<&str> {
        self.target_language.as_deref()
    }
}
