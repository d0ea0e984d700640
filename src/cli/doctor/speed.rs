//! How fast the model is here, and how fast this machine's memory would let
//! it be.

use super::finding::{Finding, Report, Speed};
use crate::backend::device;
use crate::bench::engine::target::Loaded;
use crate::bench::engine::{self, Level, ModelReport, Plan, Target, Watch};
use crate::bench::roofline::Memory;
use crate::engine::EngineOptions;

/// Tokens of the prompt that is read, and of the text that is written.
const PROMPT: usize = 128;
const WRITTEN: usize = 16;
/// Tokens a second below which one waits for a text: about half of what
/// people read.
const SLOW: f64 = 3.0;
/// Share of what memory allows below which something is in the way.
const LOW: f64 = 0.4;

/// Measures reading and writing for a moment.
pub fn measure(
    report: &mut Report,
    target: &Target,
    loaded: Loaded,
    options: &EngineOptions,
    watch: Watch<'_>,
) {
    let context = loaded.facts.context_length;
    let threads = rayon::current_num_threads();
    let prompt = PROMPT.min(context.saturating_sub(WRITTEN)).max(1);
    let plan = Plan {
        prompts: vec![prompt],
        batches: vec![1],
        depths: vec![0],
        generate: WRITTEN.min(context),
        repetitions: 3,
        levels: vec![Level::Forward],
        options: options.clone(),
        threads,
    };
    // Only the CPU's limits can be measured.
    let on_cpu = device::open(options.device).is_ok_and(|opened| opened.device.is_cpu());
    let mut memory = on_cpu.then(|| Memory::new(threads));
    let limits = memory.as_mut().map(Memory::limits);
    let measured =
        engine::measure(target, loaded, &plan, watch, memory.as_mut().zip(limits.as_ref()));
    match measured {
        Ok(measured) => {
            let warning = limits.and_then(|limits| limits.warning());
            let busy = warning.is_some();
            report.extend(warning.map(|warning| Finding::warning("machine", warning)));
            let speed = speed(&measured);
            report.extend(judge(&speed, busy));
            report.speed = Some(speed);
        }
        Err(e) => report.add(Finding::failure("speed", e.to_string())),
    }
}

fn speed(measured: &ModelReport) -> Speed {
    let of = |test: &str| measured.rows.iter().find(|r| r.test == test).map(|r| r.median_ts);
    let roofline = measured.roofline.as_ref();
    let shares = roofline.into_iter().flat_map(|r| &r.shares);
    let decode = shares.into_iter().find(|share| share.test == "decode");
    Speed {
        read_tokens_per_s: of("prefill").or_else(|| of("embed")),
        write_tokens_per_s: of("decode"),
        write_limit_tokens_per_s: decode.map(|share| share.limit),
        memory_bytes_per_s: roofline.map(|r| r.limits.read_bandwidth.median),
    }
}

fn judge(speed: &Speed, busy: bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(read) = speed.read_tokens_per_s {
        findings.push(Finding::ok("reading", format!("{read:.0} tokens/s")));
    }
    let Some(write) = speed.write_tokens_per_s else { return findings };
    let limit = speed.write_limit_tokens_per_s.zip(speed.memory_bytes_per_s);
    let of = limit.map(|(limit, bandwidth)| {
        let allows = format!("the {limit:.1} that {:.1} GB/s of memory allow", bandwidth / 1e9);
        match write > limit {
            // Caches that hold a small model are faster than memory.
            true => format!(", more than {allows}: the processor's caches help"),
            false => format!(" of {allows}"),
        }
    });
    let message = format!("{write:.1} tokens/s for one text{}", of.unwrap_or_default());
    findings.push(if limit.is_some_and(|(limit, _)| write < LOW * limit) && !busy {
        let fix = "see that nothing else runs and that engine.threads is the number of cores";
        Finding::warning("writing", message).fix(fix)
    } else if write < SLOW {
        Finding::warning("writing", format!("{message}, which is slower than people read"))
            .fix("take a smaller model or a smaller quantization: `dragoman models --fits`")
    } else {
        Finding::ok("writing", message)
    });
    findings
}

#[cfg(test)]
mod tests {
    use super::super::finding::Status;
    use super::*;

    #[test]
    fn speed_is_judged_by_what_the_machine_allows() {
        let check = |write: f64, limit: f64, busy: bool, expected: Status| {
            let speed = Speed {
                read_tokens_per_s: Some(100.0),
                write_tokens_per_s: Some(write),
                write_limit_tokens_per_s: Some(limit),
                memory_bytes_per_s: Some(25e9),
            };
            let found = judge(&speed, busy);
            assert!(found.len() == 2 && found[1].status == expected, "{found:?}");
        };
        check(20.0, 25.0, false, Status::Ok);
        check(8.0, 25.0, false, Status::Warning);
        check(8.0, 25.0, true, Status::Ok);
        check(2.0, 2.5, false, Status::Warning);
        check(30.0, 25.0, false, Status::Ok);
        let embeds = Speed { read_tokens_per_s: Some(9.0), ..Speed::default() };
        assert_eq!(judge(&embeds, false).len(), 1);
    }
}
