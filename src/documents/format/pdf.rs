//! The text of a PDF, as Markdown. Where things stand on the page is lost; what
//! remains are paragraphs, page by page.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::markdown::{self, escape};
use super::{Body, FormatError, Unit, Written};
use crate::documents::format::lines::needs_space;
use crate::documents::tagged::Tagged;

/// Bytes of the largest PDF that is read.
const MAX_BYTES: usize = 64 << 20;

pub(super) struct Text(markdown::Page);

pub(super) fn read(bytes: &[u8]) -> Result<(Vec<Unit>, Text), FormatError> {
    if bytes.len() > MAX_BYTES {
        let limit = format!("{} MiB", MAX_BYTES >> 20);
        return Err(FormatError::TooLarge { what: "the PDF".to_owned(), limit });
    }
    // The extractor asserts what damaged files do not keep.
    let pages =
        catch_unwind(AssertUnwindSafe(|| pdf_extract::extract_text_from_mem_by_pages(bytes)))
            .map_err(|_| FormatError::Pdf("it is damaged or uses what is not known".to_owned()))?
            .map_err(|error| FormatError::Pdf(error.to_string()))?;
    let source = pages.iter().flat_map(|page| paragraphs(page)).collect::<Vec<_>>().join("\n\n");
    if source.is_empty() {
        let why =
            "it holds no text, perhaps only pictures of pages; recognise its text (OCR) first";
        return Err(FormatError::Pdf(why.to_owned()));
    }
    let (units, page) = markdown::from_text(source + "\n");
    Ok((units, Text(page)))
}

/// The paragraphs of a page, with their lines joined, as Markdown.
fn paragraphs(page: &str) -> Vec<String> {
    let mut paragraphs = vec![String::new()];
    for line in page.lines().map(str::trim) {
        let last = paragraphs.last_mut().expect("there is one from the start");
        if line.is_empty() {
            if !last.is_empty() {
                paragraphs.push(String::new());
            }
            continue;
        }
        if last.ends_with('\u{ad}') {
            last.pop();
        } else if needs_space(last, line) {
            last.push(' ');
        }
        last.push_str(line);
    }
    paragraphs.retain(|paragraph| !paragraph.is_empty());
    let spot = escape::Spot { start: true, link: false, table: false };
    let printable =
        |text: &String| text.chars().filter(|c| !super::forbidden(*c)).collect::<String>();
    paragraphs.iter().map(printable).map(|text| escape::escape(&text, spot, false)).collect()
}

impl Body for Text {
    fn write(
        &self,
        units: &[Unit],
        texts: &[Tagged],
        to: Option<&str>,
    ) -> Result<Written, FormatError> {
        self.0.write(units, texts, to)
    }
}
