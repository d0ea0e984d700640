//! A report as text: one table a model, and what its columns mean.

use std::fmt::Write as _;

use super::{ModelReport, Report, Row};
use crate::bench::report::table::{Align, Table, number};
use crate::bench::roofline::{self, BoundBy, Roofline};

/// What the columns mean, as it is printed under a table.
pub const DEFINITIONS: &str = "\
pp: tokens of a sequence that are read, or that are there already when it writes. tg: tokens it
writes. pl: sequences at once. n_kv: positions in the cache at the end. t_pp, speed_pp: seconds and
tokens/s of reading all pl prompts (- where one was read and copied for the others). t_tg, speed_tg:
seconds and tokens/s of writing, all sequences together. speeds and times are medians; mean ± std
is over the repetitions, of the speed that was measured. level forward: the model alone, the most
likely token fed back; engine: the same through the engine's queue, scheduler, sampler and
detokeniser. read: plain reads of memory before and after the measurement.";

/// The whole report for a terminal.
pub fn text(report: &Report) -> String {
    let mut text = String::new();
    let machine = &report.machine;
    let _ = writeln!(
        text,
        "dragoman {} on {}, {} threads of {} ({})",
        report.version, machine.device, machine.threads, machine.cores, machine.cpu
    );
    for model in &report.models {
        let _ = write!(text, "\n{}", model_text(model));
    }
    if report.models.iter().any(|m| !m.rows.is_empty()) {
        let _ = write!(text, "\n{DEFINITIONS}\n");
    }
    if report.models.iter().any(|m| m.roofline.is_some()) {
        let _ = writeln!(text, "{}", roofline::DEFINITIONS);
    }
    if report.partial {
        text.push_str("\nThis report is partial: the run was ended early.\n");
    }
    text
}

fn model_text(report: &ModelReport) -> String {
    let mut text = facts(report);
    if !report.rows.is_empty() {
        let _ = write!(text, "\n{}", rows(report).text());
    }
    for skipped in &report.skipped {
        let _ = writeln!(text, "left out: {}: {}", skipped.what, skipped.why);
    }
    if let Some(roofline) = &report.roofline {
        let _ = write!(text, "\n{}", limits(roofline));
        if let Some(warning) = roofline.limits.warning() {
            let _ = writeln!(text, "{warning}");
        }
    }
    text
}

/// What the model is and how it starts, in lines.
pub fn facts(report: &ModelReport) -> String {
    let mut text = String::new();
    let m = &report.model;
    let _ = writeln!(
        text,
        "{}: {} {}, {} M parameters, {} MB of weights in memory, steps of at most {} tokens",
        m.id,
        m.architecture,
        m.quantization,
        number(m.parameters as f64 / 1e6),
        number(m.weight_bytes as f64 / 1e6),
        m.step_tokens
    );
    if let Some(seed) = m.random_seed {
        let _ = writeln!(
            text,
            "random weights (seed {seed}), {} of {} layers; the difference between two numbers of \
             layers is what the layers cost, the rest is the embedding and the head",
            m.layers, m.layers_in_config
        );
    }
    if let Some(cold) = &report.cold_start {
        let peak = cold
            .peak_memory_bytes
            .map_or("unknown".to_owned(), |b| format!("{} MB", number(b as f64 / 1e6)));
        let _ = writeln!(
            text,
            "cold start in a fresh process, page cache {}: {} s to load, {} s to the first token \
             after that, {} s from the start of the process; peak memory {peak}",
            cold.page_cache,
            number(cold.load_s),
            number(cold.first_token_s),
            number(cold.start_to_first_token_s),
        );
    }
    text
}

/// The measurements of one model.
pub fn rows(report: &ModelReport) -> Table {
    let embeds = report.rows.iter().any(|r| r.inputs_per_s.is_some());
    let mut head = vec!["test", "level", "pp", "tg", "pl", "n_kv", "t_pp s", "speed_pp", "t_tg s"];
    head.extend(["speed_tg", "mean ± std"]);
    if embeds {
        head.push("inputs/s");
    }
    if report.roofline.is_some() {
        head.extend(["limit", "share", "bound by", "read GB/s"]);
    }
    let mut table = Table::new(head).align(1, Align::Left);
    let shares = report.roofline.iter().flat_map(|r| r.shares.iter().map(Some));
    for (row, share) in report.rows.iter().zip(shares.chain(std::iter::repeat(None))) {
        let mut cells = cells(row);
        if embeds {
            cells.push(optional(row.inputs_per_s));
        }
        if let Some(share) = share {
            cells.push(number(share.limit));
            cells.push(format!("{:.0} %", share.share * 100.0));
            cells.push(bound(share.bound_by).to_owned());
            let read = |rate: Option<f64>| rate.map_or("-".to_owned(), |r| number(r / 1e9));
            cells.push(format!("{} {}", read(row.read_before), read(row.read_after)));
        }
        table.row(cells);
    }
    table
}

fn cells(row: &Row) -> Vec<String> {
    let mut cells = vec![row.test.to_owned(), row.level.name().to_owned()];
    cells.extend([row.pp, row.tg, row.pl, row.n_kv].map(|n| n.to_string()));
    cells.extend([row.t_pp, row.speed_pp, row.t_tg, row.speed_tg].map(optional));
    cells.push(format!("{} ± {}", number(row.avg_ts), number(row.stddev_ts)));
    cells
}

fn optional(value: Option<f64>) -> String {
    value.map_or("-".to_owned(), number)
}

/// As tables and plots name it.
pub fn bound(by: BoundBy) -> &'static str {
    match by {
        BoundBy::Memory => "memory",
        BoundBy::Compute => "compute",
    }
}

/// What the machine gives and what the model takes, in lines.
pub fn limits(roofline: &Roofline) -> String {
    let (l, m) = (&roofline.limits, &roofline.model);
    let range = |s: crate::bench::roofline::measure::Spread, unit: f64| {
        let n = |v: f64| number(v / unit);
        format!("{} ({} to {})", n(s.median), n(s.min), n(s.max))
    };
    format!(
        "the machine, {} threads: reads {} GB/s of {} MB, int8 {} TOP/s, int16 {} TOP/s, bf16 {} and f32 {} TFLOP/s; \
         a meeting of all threads takes {} ns, handing work to the pool and back {} ns\n\
         the model: {} MB of weights a step, {} bytes of cache a position, {} M operations a token \
         and {} M a row of logits\n",
        l.threads,
        range(l.read_bandwidth, 1e9),
        l.buffer_bytes / 1_000_000,
        range(l.int8_ops, 1e12),
        range(l.int16_ops, 1e12),
        range(l.bf16_ops, 1e12),
        range(l.f32_ops, 1e12),
        range(l.barrier_ns, 1.0),
        range(l.hand_over_ns, 1.0),
        number(m.step_bytes as f64 / 1e6),
        m.kv_bytes_per_position,
        number(m.layer_ops_per_token as f64 / 1e6),
        number(m.head_ops_per_row as f64 / 1e6),
    )
}
