//! What a run looks like afterwards: text for the terminal, JSON, HTML.

pub mod html;
pub mod json;
pub mod notes;
pub mod plots;
pub mod svg;
pub mod table;
pub mod text;

use serde_json::Value;

use super::figures::Figures;
use super::run::{Endpoint, Knee, Run, knee};

/// A run and its figures, or the runs of a sweep.
#[derive(Debug, Clone)]
pub struct Report {
    runs: Vec<(Run, Figures)>,
    sections: Vec<Section>,
    /// Whether the requests one by one go into the JSON.
    pub details: bool,
}

/// Something else that belongs into every form of a report, such as the
/// roofline of the model on its device.
#[derive(Debug, Clone)]
pub struct Section {
    pub title: String,
    /// For the terminal, and for HTML in a fixed-width font.
    pub text: String,
    /// The key in the JSON and what stands there.
    pub json: (String, Value),
}

impl Report {
    pub fn new(runs: Vec<Run>) -> Self {
        let runs = runs.into_iter().map(|run| (Figures::of(&run), run)).map(|(f, r)| (r, f));
        Self { runs: runs.collect(), sections: Vec::new(), details: false }
    }

    /// Puts a section at the end of the report in all its forms.
    pub fn add_section(&mut self, section: Section) {
        self.sections.push(section);
    }

    pub fn runs(&self) -> &[(Run, Figures)] {
        &self.runs
    }

    pub fn sections(&self) -> &[Section] {
        &self.sections
    }

    pub fn is_partial(&self) -> bool {
        self.runs.iter().any(|(run, _)| run.partial)
    }

    /// Whether no request at all was answered.
    pub fn is_empty(&self) -> bool {
        self.runs.iter().all(|(_, figures)| figures.completed == 0)
    }

    /// The knee of a sweep.
    pub fn knee(&self) -> Option<Knee> {
        let points = self.runs.iter().map(|(run, f)| (run.settings.load_number(), main(run, f)));
        knee(&points.collect::<Vec<_>>())
    }
}

/// The throughput that counts: texts for embeddings, else output tokens.
pub fn main(run: &Run, figures: &Figures) -> f64 {
    match run.settings.endpoint {
        Endpoint::Embeddings => figures.input_throughput,
        _ => figures.output_throughput,
    }
}

/// The unit of [`main`].
pub fn main_unit(run: &Run) -> &'static str {
    match run.settings.endpoint {
        Endpoint::Embeddings => "texts/s",
        _ => "tokens/s",
    }
}
