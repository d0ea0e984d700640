//! A report as one page with plots: decode over batch and over depth, the
//! share of the limit, prefill over the prompt's length.

use super::{ModelReport, Report, Row, table};
use crate::bench::report::html::{figures, head, table as html_table};
use crate::bench::report::svg::{COLOURS, Draw, Plot, Scale, Series, escape};
use crate::bench::roofline::{self, Share};

/// All of a report as HTML.
pub fn render(report: &Report) -> String {
    let names: Vec<&str> = report.models.iter().map(|m| m.model.id.as_str()).collect();
    let machine = &report.machine;
    let mut page = head(&format!("The engine on {}", names.join(", ")));
    page += &paragraphs(&format!(
        "{}, on {} with {} of {} threads ({})\n{}",
        report.date, machine.device, machine.threads, machine.cores, machine.cpu, report.command
    ));
    if report.partial {
        page += "<p class=\"alert\">This report is partial: the run was ended early.</p>\n";
    }
    for model in &report.models {
        page += &format!("<h2>{}</h2>\n", escape(&model.model.id));
        page += &paragraphs(&table::facts(model));
        page += &figures(plots(model).iter().map(|plot| (plot.title.as_str(), plot)));
        page += &html_table(&table::rows(model));
        for skipped in &model.skipped {
            page += &paragraphs(&format!("left out: {}: {}", skipped.what, skipped.why));
        }
        if let Some(roofline) = &model.roofline {
            page += &format!("<h3>Roofline</h3>\n{}", paragraphs(&table::limits(roofline)));
            if let Some(warning) = roofline.limits.warning() {
                page += &format!("<p class=\"alert\">{}</p>\n", escape(&warning));
            }
        }
    }
    page += "<h2>Definitions</h2>\n";
    for text in [table::DEFINITIONS, roofline::DEFINITIONS] {
        page += &format!("<p>{}</p>\n", escape(text));
    }
    page + "</body>\n</html>\n"
}

fn paragraphs(text: &str) -> String {
    text.lines().map(|line| format!("<p class=\"soft\">{}</p>\n", escape(line))).collect()
}

/// What a plot is made of.
struct Axes {
    title: &'static str,
    x: &'static str,
    y: &'static str,
    /// Rows of this test only.
    test: &'static str,
    /// The horizontal value doubles from one to the next.
    doubling: bool,
}

/// A measurement and its limit, where there is one.
type Point<'a> = (&'a Row, Option<&'a Share>);

fn plots(report: &ModelReport) -> Vec<Plot> {
    let shares = report.roofline.iter().flat_map(|r| r.shares.iter().map(Some));
    let points: Vec<Point<'_>> =
        report.rows.iter().zip(shares.chain(std::iter::repeat(None))).collect();
    let decode = |title, x, y, doubling| Axes { title, x, y, test: "decode", doubling };
    let at_depth = |row: &Row| format!("after {} tokens, {}", row.pp, row.level.name());
    let batch = "sequences at once";
    [
        plot(
            &points,
            &decode("decode over batch", batch, "tokens/s", true),
            (&at_depth, &|row, _| Some((row.pl as f64, row.median_ts))),
        ),
        plot(
            &points,
            &decode("decode over depth", "tokens before the first (depth)", "tokens/s", false),
            (&|row| format!("{} at once, {}", row.pl, row.level.name()), &|row, _| {
                Some((row.pp as f64, row.median_ts))
            }),
        ),
        plot(
            &points,
            &decode("share of the limit, decode", batch, "share of the limit (%)", true),
            (&at_depth, &|row, share| Some((row.pl as f64, share?.share * 100.0))),
        ),
        plot(
            &points,
            &Axes {
                title: "prefill over the prompt",
                x: "tokens of the prompt",
                y: "tokens/s",
                test: "prefill",
                doubling: true,
            },
            (&|row| row.level.name().to_owned(), &|row, _| Some((row.pp as f64, row.median_ts))),
        ),
        plot(
            &points,
            &Axes {
                title: "embeddings over batch",
                x: "inputs at once",
                y: "inputs/s",
                test: "embed",
                doubling: true,
            },
            (&|row| format!("{} tokens, {}", row.pp, row.level.name()), &|row, _| {
                Some((row.pl as f64, row.inputs_per_s?))
            }),
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// From a row to the name of its series, and to where it stands.
type Placing<'a> =
    (&'a dyn Fn(&Row) -> String, &'a dyn Fn(&Row, Option<&Share>) -> Option<(f64, f64)>);

/// `None` where there is nothing to draw.
fn plot(points: &[Point<'_>], axes: &Axes, (name, place): Placing<'_>) -> Option<Plot> {
    let mut series: Vec<Series> = Vec::new();
    for (row, share) in points.iter().filter(|(row, _)| row.test == axes.test) {
        let Some(point) = place(row, *share) else { continue };
        let name = name(row);
        match series.iter_mut().find(|s| s.name == name) {
            Some(series) => series.points.push(point),
            None => series.push(Series { name, draw: Draw::Dots, points: vec![point] }),
        }
    }
    for series in &mut series {
        series.points.sort_by(|a, b| a.0.total_cmp(&b.0));
    }
    // The first and the last of what was measured say most.
    while series.len() > COLOURS {
        series.remove(series.len() / 2);
    }
    let mut values: Vec<f64> = series.iter().flat_map(|s| &s.points).map(|p| p.0).collect();
    values.sort_by(f64::total_cmp);
    values.dedup();
    (!series.is_empty()).then(|| Plot {
        title: axes.title.to_owned(),
        x: axes.x.to_owned(),
        y: axes.y.to_owned(),
        scale: if axes.doubling { Scale::Doubling(values) } else { Scale::Linear },
        series,
        marks: Vec::new(),
    })
}
