//! What a reader has to know before believing the figures of a run.

use crate::bench::figures::Figures;
use crate::bench::report::table::number;
use crate::bench::run::{Endpoint, LAG_LIMIT, Pace, Run};

/// Everything that may make the figures mean something else than it seems.
pub fn notes(run: &Run, figures: &Figures) -> Vec<String> {
    let mut notes = Vec::new();
    if run.partial {
        notes.push(format!(
            "PARTIAL: the run was stopped; {} requests that were under way count nowhere",
            figures.interrupted
        ));
    }
    lag(run, &mut notes);
    if let Pace::Rate(rate) = run.settings.pace
        && rate.cap.is_some_and(|cap| figures.peak_concurrency >= cap)
    {
        notes.push(
            "the cap on requests at once was reached: requests waited here before they were \
             sent, and that wait is in no latency"
                .to_owned(),
        );
    }
    if figures.check.prompts_cut > 0 {
        notes.push(format!(
            "PROMPTS CUT? the server counts fewer prompt tokens than the tokenizer given for {} \
             requests: it may have cut them, or the tokenizer is not the model's",
            figures.check.prompts_cut
        ));
    }
    if run.settings.endpoint != Endpoint::Embeddings {
        tokens(figures, &mut notes);
        pieces(figures, &mut notes);
    }
    notes
}

fn lag(run: &Run, notes: &mut Vec<String>) {
    let lag = run.lag.summary(run.duration);
    let ms = |s: Option<crate::bench::stats::Summary>| {
        s.map_or("-".to_owned(), |s| format!("{} ms", number(s.p99 * 1000.0)))
    };
    let processor = match lag.processor {
        Some(share) => format!(", {} of one processor used", percent(share)),
        None => String::new(),
    };
    let measured = format!(
        "p99 of sending {}, of the event loop {}{processor}; threshold {} ms",
        ms(lag.sending),
        ms(lag.event_loop),
        number(LAG_LIMIT * 1000.0)
    );
    notes.push(match lag.suspicious {
        true => format!(
            "LAG of this tool above the threshold: it may have been the bottleneck, and \
             latencies may be its own ({measured})"
        ),
        false => format!("lag of this tool: {measured}"),
    });
}

fn tokens(figures: &Figures, notes: &mut Vec<String>) {
    let (check, completed) = (&figures.check, figures.completed);
    if completed == 0 {
        return;
    }
    let counted = match (check.with_usage, check.guessed) {
        (with, _) if with == completed => "output tokens: counted by the server".to_owned(),
        (with, 0) => format!(
            "output tokens: counted by the server for {with} requests, by the tokenizer given \
             for the other {}",
            completed - with
        ),
        (_, guessed) => format!(
            "output tokens: {guessed} of {completed} requests came without usage and without a \
             --tokenizer to count with; a piece of text was taken for a token"
        ),
    };
    notes.push(counted);
    if check.checked > 0 {
        notes.push(format!(
            "token check: {} of {} answers have another length by the tokenizer given than by \
             the server, by more than 1 token and 2 % (in all {} against {})",
            check.disagree, check.checked, check.own_total, check.usage_total
        ));
    }
    if check.fewer_than_pieces > 0 {
        notes.push(format!(
            "DOUBTFUL USAGE: the server counts fewer tokens than it sent pieces of text for {} \
             requests; its counts, and the throughput made of them, look wrong",
            check.fewer_than_pieces
        ));
    }
}

fn pieces(figures: &Figures, notes: &mut Vec<String>) {
    if figures.empty > 0 {
        notes.push(format!(
            "{} completed requests gave no text; they have no TTFT, TPOT or ITL",
            figures.empty
        ));
    }
    if figures.not_streamed > 0 {
        notes.push(format!(
            "{} answers came in one piece although a stream was asked for: their TTFT is their \
             E2EL",
            figures.not_streamed
        ));
    }
    let gaps = figures.itl.map_or(0, |itl| itl.count);
    let pieces = gaps + figures.ttft.map_or(0, |ttft| ttft.count);
    let each = figures.output_tokens as f64 / pieces.max(1) as f64;
    if pieces > 0 && each > 1.1 {
        notes.push(format!(
            "a piece of text held {} tokens on average, so ITL is longer than the time of a \
             token; TPOT is not",
            number(each)
        ));
    }
}

/// A share in percent.
pub fn percent(share: f64) -> String {
    format!("{} %", number(share * 100.0))
}
