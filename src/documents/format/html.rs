//! HTML. A unit is the words between the edges of blocks; elements within a
//! line are its tags. Titles, alternative texts and the like are units of their
//! own.
//!
//! Not translated: `script`, `style`, `code` and its kin, `pre`, pictures, and
//! what has `translate="no"` or the class `notranslate`. Tokens come from a
//! tokenizer of the WHATWG's standard; elements that are not closed do no harm.

mod elements;
mod reader;

use super::spans::{Options, Spans};
use super::{Body, FormatError, Unit, Written, encoding, is_right_to_left};
use crate::documents::charset;
use crate::documents::tagged::Tagged;

pub(super) use reader::{Found, collect};

pub(super) struct Page {
    spans: Spans,
    found: Found,
}

pub(super) fn read(bytes: &[u8]) -> Result<(Vec<Unit>, Page), FormatError> {
    let (source, encoding) = encoding::decode(bytes, "the page")?;
    let mut drafts = Vec::new();
    let mut found = collect(&source, 0..source.len(), &mut drafts);
    let (units, mut spans) = Spans::new(source, encoding, drafts);
    spans.declared = std::mem::take(&mut found.charsets);
    spans.declared.extend(charset::xml_encoding(spans.source.as_bytes()));
    Ok((units, Page { spans, found }))
}

impl Body for Page {
    fn write(
        &self,
        units: &[Unit],
        texts: &[Tagged],
        to: Option<&str>,
    ) -> Result<Written, FormatError> {
        let mut fixed = Vec::new();
        if let Some(to) = to {
            let direction = if is_right_to_left(to) { "rtl" } else { "ltr" };
            for range in &self.found.languages {
                fixed.push((range.clone(), to.to_owned()));
            }
            for range in &self.found.directions {
                fixed.push((range.clone(), direction.to_owned()));
            }
            if let Some(place) = self.found.undirected
                && direction == "rtl"
            {
                fixed.push((place..place, " dir=\"rtl\"".to_owned()));
            }
        }
        let text = self.spans.write(units, texts, Options { fixed, to, ..Options::default() });
        Ok(encoding::encode(&text, self.spans.encoding).into())
    }
}
