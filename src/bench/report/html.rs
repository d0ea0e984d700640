//! The report as one page that needs nothing else: style and drawings are in it.

use super::notes::notes;
use super::svg::{Plot, escape};
use super::table::{Align, Table};
use super::{Report, plots, text};
use crate::bench::figures::{DEFINITIONS, Figures};
use crate::bench::run::Run;

/// All of a report as HTML.
pub fn render(report: &Report) -> String {
    let title = match report.runs() {
        [(run, _)] => text::title(run),
        [(run, _), ..] => format!("{} of {}, a sweep", run.settings.model, run.settings.url),
        [] => "no run".to_owned(),
    };
    let mut page = head(&title);
    if let [_, _, ..] = report.runs() {
        page += &format!(
            "<h2>Throughput and latency against load</h2>\n{}",
            table(&text::sweep(report))
        );
        page += &format!("<p>{}</p>\n", escape(&text::knee(report)));
        page += &figures(plots::sweep(report).iter().map(|p| (p.title.as_str(), p)));
    }
    for (run, figures) in report.runs() {
        page += &one(run, figures, report.runs().len() > 1);
    }
    for section in report.sections() {
        page += &format!(
            "<h2>{}</h2>\n<pre>{}</pre>\n",
            escape(&section.title),
            escape(section.text.trim_end())
        );
    }
    page += "<h2>Definitions</h2>\n<dl>\n";
    for (name, meaning) in DEFINITIONS {
        page += &format!("<dt>{}</dt><dd>{}</dd>\n", escape(name), escape(meaning));
    }
    page + "</dl>\n</body>\n</html>\n"
}

/// Everything up to the first section of a page.
pub fn head(title: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<style>\n{style}</style>\n</head>\n<body>\n<h1>{title}</h1>\n\
         <p class=\"soft\">Measured by dragoman bench {version}</p>\n",
        title = escape(title),
        style = include_str!("style.css"),
        version = env!("CARGO_PKG_VERSION"),
    )
}

fn one(run: &Run, found: &Figures, of_many: bool) -> String {
    let mut page = match of_many {
        true => format!("<h2>{}</h2>\n", escape(&text::title(run))),
        false => String::new(),
    };
    for line in text::settings(run) {
        page += &format!("<p class=\"soft\">{}</p>\n", escape(&line));
    }
    for note in notes(run, found) {
        // Words in capitals at the head are what must not be overlooked.
        let loud = note.starts_with(|c: char| c.is_ascii_uppercase());
        let class = if loud { "alert" } else { "soft" };
        page += &format!("<p class=\"{class}\">{}</p>\n", escape(&note));
    }
    page += &format!("<h3>Latencies</h3>\n{}", table(&text::latencies(found)));
    let latencies = plots::latencies(run);
    page += &figures(latencies.iter().map(|(_, plot)| (plot.title.as_str(), plot)));
    page += &format!("<h3>Totals</h3>\n{}", table(&text::totals(run, found)));
    let failures = text::failures(run, found);
    if !failures.is_empty() {
        page += &format!("<h3>Failures</h3>\n{}", table(&failures));
    }
    page += "<h3>Timeline</h3>\n";
    page + &figures(plots::timeline(run).iter().map(|p| (p.title.as_str(), p)))
}

/// Plots beside each other, each under its caption.
pub fn figures<'a>(plots: impl Iterator<Item = (&'a str, &'a Plot)>) -> String {
    let plots = plots.map(|(caption, plot)| {
        format!(
            "<figure><figcaption>{}</figcaption>{}{}</figure>\n",
            escape(caption),
            plot.legend(),
            plot.svg()
        )
    });
    format!("<div class=\"plots\">\n{}</div>\n", plots.collect::<String>())
}

/// A table, with its numbers to the right.
pub fn table(table: &Table) -> String {
    let class = |align: Align| if align == Align::Right { " class=\"right\"" } else { "" };
    let aligns: Vec<Align> = table.head().map(|(_, align)| align).collect();
    let head: String = table
        .head()
        .map(|(name, align)| format!("<th{}>{}</th>", class(align), escape(name)))
        .collect();
    let head = match table.head().all(|(name, _)| name.is_empty()) {
        true => String::new(),
        false => format!("<tr>{head}</tr>\n"),
    };
    let rows: String = (table.rows().iter())
        .map(|row| {
            let cells = row.iter().zip(&aligns);
            let cells =
                cells.map(|(cell, align)| format!("<td{}>{}</td>", class(*align), escape(cell)));
            format!("<tr>{}</tr>\n", cells.collect::<String>())
        })
        .collect();
    format!("<div class=\"scroll\"><table>\n{head}{rows}</table></div>\n")
}
