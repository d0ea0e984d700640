//! One document after another, its sentences side by side.

use std::time::Instant;

use anyhow::{bail, ensure};
use futures::StreamExt;
use indicatif::{ProgressBar, ProgressStyle};

use super::files::{self, Input};
use crate::cli::record::Recorder;
use crate::documents::jobs::Options;
use crate::documents::quality::{BackTranslation, SegmentReport, overall};
use crate::documents::segment::Cut;
use crate::documents::tagged::Tagged;
use crate::documents::translate::{Job, Origin, Translated, Translator};

/// Sentences that are listed because they are worth a look.
const LISTED: usize = 5;

/// Characters of a sentence that are shown of it.
const SHOWN: usize = 60;

/// Translates all documents. `to` is the target language as it was asked for;
/// with a recorder each gets a record.
///
/// # Errors
/// A document that failed, after the others are done; Ctrl-C.
pub(super) async fn all(
    inputs: &[Input],
    translator: &Translator,
    job: &Job,
    (to, recorder): (&str, Option<&(Recorder, Options)>),
) -> anyhow::Result<()> {
    let mut failed = 0;
    for (done, input) in inputs.iter().enumerate() {
        let begun = Instant::now();
        let work = one(input, translator, job, (to, recorder));
        let result = tokio::select! {
            result = work => result,
            _ = tokio::signal::ctrl_c() => {
                let left = inputs.len() - done;
                bail!("stopped; {done} of {} documents were translated, {left} were not written", inputs.len());
            }
        };
        match result {
            Ok(summary) => println!(
                "{} -> {}: {summary}, {:.1} s",
                input.path.display(),
                input.output.display(),
                begun.elapsed().as_secs_f64()
            ),
            Err(error) => {
                failed += 1;
                eprintln!("{}: {error:#}", input.path.display());
            }
        }
    }
    ensure!(failed == 0, "{failed} of {} documents could not be translated", inputs.len());
    Ok(())
}

/// Translates one document and says how it went.
async fn one(
    input: &Input,
    translator: &Translator,
    job: &Job,
    (to, recorder): (&str, Option<&(Recorder, Options)>),
) -> anyhow::Result<String> {
    let document = &input.document;
    let (cut, source) = Cut::in_language(document, job.source.as_deref());
    let job = Job { segments: cut.sentences(), source, ..job.clone() };
    let sentences = job.segments.clone();
    let mut done = sentences_of(job, translator, input).await?;
    let texts: Vec<Tagged> = done.iter().map(|translated| translated.target.clone()).collect();
    let written = document.write(&cut.join(&texts), Some(to))?;
    for (sentence, why) in written.reasons(&cut.places()) {
        done[sentence].report.keep(why);
    }
    let result = written.bytes;
    files::write(&input.output, &result)?;
    if let Some((recorder, options)) = recorder {
        let options = options.recorded(document.kind(), None)?;
        recorder.of(options, vec![input.blob.clone()]).beside(&input.output, &result)?;
    }
    Ok(summary(input, &cut, &sentences, &done))
}

/// The translations in the order of their sentences, under a progress bar.
async fn sentences_of(
    job: Job,
    translator: &Translator,
    input: &Input,
) -> anyhow::Result<Vec<Translated>> {
    let style = "{prefix} {wide_bar} {pos}/{len} sentences, {eta} left";
    let bar = ProgressBar::new(job.segments.len() as u64)
        .with_style(ProgressStyle::with_template(style)?)
        .with_prefix(input.path.display().to_string());
    let mut done = Vec::with_capacity(job.segments.len());
    let mut stream = std::pin::pin!(translator.translate(job));
    while let Some(translated) = stream.next().await {
        done.push(translated?);
        bar.inc(1);
    }
    bar.finish_and_clear();
    done.sort_by_key(|translated| translated.index);
    Ok(done)
}

fn summary(input: &Input, cut: &Cut, sentences: &[Tagged], done: &[Translated]) -> String {
    let count = |origin| done.iter().filter(|translated| translated.origin == origin).count();
    let reports: Vec<SegmentReport> =
        done.iter().map(|translated| translated.report.clone()).collect();
    let report = overall(&reports);
    let places = cut.places();
    for index in report.look_at.iter().take(LISTED) {
        let unit = places.get(*index).and_then(|unit| input.document.units().get(*unit));
        let place = unit.map_or("", |unit| &unit.id);
        let text: String = sentences[*index].plain().chars().take(SHOWN).collect();
        let findings = reports[*index].findings.iter();
        let why: Vec<&str> = findings.map(|finding| finding.explanation.as_str()).collect();
        println!("  look at {place}, {text:?}: {}", why.join("; "));
    }
    let mut back: Vec<(usize, &BackTranslation)> = (reports.iter().enumerate())
        .filter_map(|(at, report)| Some((at, report.back.as_ref()?)))
        .collect();
    back.sort_by(|a, b| a.1.similarity.total_cmp(&b.1.similarity));
    for (index, back) in back.into_iter().take(LISTED) {
        let shown = |text: &str| text.chars().take(SHOWN).collect::<String>();
        let (source, text) = (shown(&sentences[index].plain()), shown(&back.text));
        let (score, measure) = (back.similarity, back.measure.name());
        println!("  back {score:.2} ({measure}, heuristic), {source:?}: {text:?}");
    }
    format!(
        "{} sentences, {} by the model, {} from memory, {} as they are; score {:.0} of 100 (heuristic), {} worth a look",
        done.len(),
        count(Origin::Model),
        count(Origin::Memory),
        count(Origin::Source),
        report.overall_score,
        report.look_at.len()
    )
}
