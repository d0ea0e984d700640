//! `dragoman verify-record`: whether a record was signed by whom it should be,
//! whether a result is the recorded one, and whether it comes out again.

mod given;
mod replay;

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde_json::{Value, json};

use super::record::EXTENSION;
use crate::config::Config;
use crate::documents::record::{
    Blob, Check, Envelope, Outcome, PublicKey, Record, Role, Work, without_record,
};
use given::Given;

/// Flags of `dragoman verify-record`. It fails when anything differs.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The record: NAME.record.json, what /v1/jobs/ID/record gave, or a whole answer
    /// with its `record`.
    #[arg(value_name = "RECORD")]
    record: PathBuf,
    /// The result. Without it the file beside the record, or the answer that the
    /// record is in.
    #[arg(long, value_name = "FILE")]
    result: Option<PathBuf>,
    /// What it was made from: the document, or the body of the request; repeat it
    /// for several.
    #[arg(long = "input", value_name = "FILE")]
    inputs: Vec<PathBuf>,
    /// The public key that has to have signed, in PEM, as /v1/record-keys gives it.
    /// Without it that of this machine.
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Termbases that were used, as CSV, TSV or TBX; may be repeated.
    #[arg(long = "termbase", value_name = "FILE")]
    termbases: Vec<PathBuf>,
    /// Memories that were used, as TMX; may be repeated.
    #[arg(long = "memory", value_name = "FILE")]
    memories: Vec<PathBuf>,
    /// Load the models, hold them against the record, and make the result again.
    #[arg(long)]
    replay: bool,
    /// With --replay: the model that writes, in place of the recorded name.
    #[arg(long, value_name = "NAME|PATH|HUB-ID")]
    model: Option<String>,
    /// With --replay: the model that embeds, in place of the recorded name.
    #[arg(long, value_name = "NAME|PATH|HUB-ID")]
    embedding_model: Option<String>,
    /// Print the checks as JSON.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
///
/// # Errors
/// Something differs, cannot be read, or is missing.
pub fn run(args: &Args, config: &Config) -> anyhow::Result<()> {
    let (envelope, within) = envelope(&args.record)?;
    let (signed, record) = signature(args, &envelope, config)?;
    let result = match (&args.result, within, beside(&args.record)) {
        (Some(path), ..) => path.clone(),
        (None, true, _) => args.record.clone(),
        (None, false, Some(path)) if path.is_file() => path,
        _ => bail!("name the result with --result"),
    };
    let trusted = signed.outcome == Outcome::Ok;
    let (result, _) = content(record.form.gives_json(), &result)?;
    let mut checks = vec![signed, of_blob("result", &record.result, Some(&result))];
    let given = Given::read(args, &record)?;
    checks.extend(given.checks(&record)?);
    checks.extend(record.varies.iter().map(|why| Check::new("varies", Outcome::Note, why)));
    if args.replay && trusted {
        checks.extend(replay::replay(args, config, &record, given)?);
    }
    let differing = checks.iter().filter(|check| check.outcome == Outcome::Differs).count();
    match args.json {
        true => println!("{:#}", shown(&record, &checks)),
        false => {
            println!("{}", title(&record));
            for Check { name, outcome, detail } in &checks {
                println!("{:<8} {name}: {detail}", outcome.name());
            }
        }
    }
    match differing {
        0 => Ok(()),
        _ if args.replay && !trusted => bail!("not replayed: nobody vouches for the record"),
        count => bail!("{count} of {} checks differ", checks.len()),
    }
}

/// The envelope of a file, and whether it is part of an answer there.
fn envelope(path: &Path) -> anyhow::Result<(Envelope, bool)> {
    let failed = || format!("{} is no record", path.display());
    let bytes = std::fs::read(path).with_context(|| path.display().to_string())?;
    let mut json: Value = serde_json::from_slice(&bytes).with_context(failed)?;
    let within = json.get("record").is_some();
    let envelope = if within { json["record"].take() } else { json };
    Ok((serde_json::from_value(envelope).with_context(failed)?, within))
}

/// Whose signature it is, and what was signed.
fn signature(args: &Args, envelope: &Envelope, config: &Config) -> anyhow::Result<(Check, Record)> {
    let (key, whose) = match (&args.key, config.server.record_key_file()) {
        (Some(path), _) => (Some(key(path)?), "given with --key"),
        (None, Some(path)) if path.is_file() => (Some(key(&path)?), "of this machine"),
        _ => (None, ""),
    };
    let payload = envelope.unchecked()?;
    let record = Record::read(&payload).context("the record cannot be read")?;
    let check = |outcome, detail| Check::new("signature", outcome, detail);
    if let Some(key) = key.filter(|key| envelope.open(key).is_ok()) {
        let detail = format!("Ed25519 by the key {}, {whose}", key.id());
        return Ok((check(Outcome::Ok, detail), record));
    }
    let own = PublicKey::from_pem(&record.key.public_key);
    let detail = match own.filter(|own| envelope.open(own).is_ok()) {
        Some(own) if args.key.is_some() => {
            format!("by the key {}, which is not the one given with --key", own.id())
        }
        Some(own) => format!(
            "by the key {}, which is not known here; give the server's with --key",
            own.id()
        ),
        None => "does not fit: the record was changed after it was signed".to_owned(),
    };
    Ok((check(Outcome::Differs, detail), record))
}

fn key(path: &Path) -> anyhow::Result<PublicKey> {
    let pem = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    PublicKey::from_pem(&pem).with_context(|| {
        format!("{} is no Ed25519 key in PEM, as /v1/record-keys gives it", path.display())
    })
}

fn beside(record: &Path) -> Option<PathBuf> {
    let name = record.to_str()?.strip_suffix(EXTENSION)?;
    Some(PathBuf::from(name))
}

/// A file as records hash it, and what is in it.
fn content(json: bool, path: &Path) -> anyhow::Result<(Blob, Vec<u8>)> {
    let name = path.display().to_string();
    let bytes = std::fs::read(path).with_context(|| name.clone())?;
    let hashed = match json {
        false => Blob::new(name, &bytes),
        true => {
            let (_, text) = without_record(&bytes).with_context(|| name.clone())?;
            Blob::new(name, text.as_bytes())
        }
    };
    Ok((hashed, bytes))
}

/// Whether bytes are those that were recorded.
fn of_blob(name: &str, recorded: &Blob, given: Option<&Blob>) -> Check {
    let Some(given) = given else {
        let detail = format!("{} was not given", recorded.name);
        return Check::new(name, Outcome::Note, detail);
    };
    let (was, is) = (&recorded.sha256, &given.sha256);
    match was == is {
        true => {
            let detail = format!("{}, {} bytes, sha256 {is}", given.name, given.bytes);
            Check::new(name, Outcome::Ok, detail)
        }
        false => {
            let detail = format!("{} has sha256 {is}, the recorded one {was}", given.name);
            Check::new(name, Outcome::Differs, detail)
        }
    }
}

fn title(record: &Record) -> String {
    let work = match record.work {
        Work::Translate => "translation",
        Work::Summarize => "summary",
        Work::Compare => "comparison",
    };
    let by = match record.models.iter().find(|model| model.role == Role::Writes) {
        Some(model) => format!(" by {}", model.id),
        None => record.models.first().map_or(String::new(), |model| format!(" by {}", model.id)),
    };
    let server = &record.server;
    format!("{work}{by}, {} {}, {}", server.name, server.version, record.created)
}

fn shown(record: &Record, checks: &[Check]) -> Value {
    let check = |check: &Check| json!({"name": check.name, "outcome": check.outcome.name(), "detail": check.detail});
    json!({
        "good": checks.iter().all(|check| check.outcome != Outcome::Differs),
        "checks": checks.iter().map(check).collect::<Vec<_>>(),
        "record": record,
    })
}
