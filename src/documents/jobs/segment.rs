//! A translated segment as it is stored.

use serde::{Deserialize, Serialize};

use crate::documents::quality::SegmentReport;
use crate::documents::tagged::{TagFault, Tagged};
use crate::documents::translate::{Origin, SourceLanguage, Translated};
use crate::engine::Usage;

/// What is known of a segment when it is finished.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StoredSegment {
    /// With tags, as [`Tagged::marked`] writes them. By it a segment is known
    /// again after a restart with another version, which may cut elsewhere.
    pub source: String,
    pub target: String,
    /// The unit of the document that it belongs to.
    pub unit: Option<String>,
    pub source_language: SourceLanguage,
    pub origin: Origin,
    pub fuzzy: Option<f32>,
    pub attempts: usize,
    pub report: SegmentReport,
    pub prompt_tokens: usize,
    pub completion_tokens: usize,
    pub cached_tokens: usize,
}

impl StoredSegment {
    pub fn new(source: &Tagged, translated: Translated, unit: Option<String>) -> Self {
        Self {
            source: source.marked(),
            target: translated.target.marked(),
            unit,
            source_language: translated.source_language,
            origin: translated.origin,
            fuzzy: translated.fuzzy,
            attempts: translated.attempts,
            report: translated.report,
            prompt_tokens: translated.usage.prompt_tokens,
            completion_tokens: translated.usage.completion_tokens,
            cached_tokens: translated.usage.cached_tokens,
        }
    }

    /// The source, and what was translated of it, under this number.
    ///
    /// # Errors
    /// The texts are not what [`Tagged::marked`] writes.
    pub fn read(&self, index: usize) -> Result<(Tagged, Translated), TagFault> {
        let translated = Translated {
            index,
            target: Tagged::parse(&self.target)?,
            source_language: self.source_language.clone(),
            origin: self.origin,
            fuzzy: self.fuzzy,
            attempts: self.attempts,
            report: self.report.clone(),
            usage: Usage {
                prompt_tokens: self.prompt_tokens,
                completion_tokens: self.completion_tokens,
                cached_tokens: self.cached_tokens,
            },
        };
        Ok((Tagged::parse(&self.source)?, translated))
    }
}

#[cfg(test)]
pub(in crate::documents) mod tests {
    use super::*;
    use crate::documents::quality::Checked;
    use crate::documents::termbase::{Format, Glossary, Termbase};

    /// A segment whose report has findings and terms.
    pub fn translated(index: usize) -> (Tagged, Translated) {
        let source = Tagged::parse("La <1>loi</1> &lt;2/> de 1948.").unwrap();
        let target = Tagged::parse("The <1>act</1> of 1984.").unwrap();
        let csv = "fr,en\nloi,law\n";
        let termbase = Termbase::read(csv.as_bytes(), &Format::Csv(None)).unwrap().0;
        let report = SegmentReport::new(Checked {
            source: &source,
            target: &target,
            source_language: "fr",
            target_language: "en",
            glossary: Some(&Glossary::new(&termbase, "fr", "en").0),
            faults: &[TagFault::Missing(1)],
            similarity: Some(0.5),
        });
        assert!(report.findings.len() > 2 && !report.terms.is_empty());
        let translated = Translated {
            index,
            target,
            source_language: SourceLanguage {
                code: Some("fr".to_owned()),
                confidence: 0.9,
                given: false,
            },
            origin: Origin::Model,
            fuzzy: Some(0.8),
            attempts: 2,
            report,
            usage: Usage { prompt_tokens: 30, completion_tokens: 9, cached_tokens: 3 },
        };
        (source, translated)
    }

    #[test]
    fn nothing_is_lost_on_the_way() {
        let (source, translated) = translated(4);
        let stored = StoredSegment::new(&source, translated.clone(), Some("p1".to_owned()));
        let json = serde_json::to_string(&stored).unwrap();
        let again: StoredSegment = serde_json::from_str(&json).unwrap();
        assert_eq!(again, stored);
        let (found, read) = again.read(4).unwrap();
        assert_eq!((&found, &read.target), (&source, &translated.target));
        assert_eq!((read.report, read.usage), (translated.report, translated.usage));
    }
}
