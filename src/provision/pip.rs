//! One `pip download`: the user's own pip with the user's own settings, so
//! that a site with only a package mirror needs nothing set up for us.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::ProvisionError;
use super::manifest::Part;
use super::store::tree_bytes;

/// How often a running pip is looked at.
const POLL: Duration = Duration::from_millis(100);

/// Connection failures pip sits through before it gives up, where the
/// environment does not say. pip's own 5 make a dead network cost minutes.
const RETRIES: &str = "2";

/// Downloads the wheel of `part` into the empty or missing folder `into`.
///
/// `seen` follows the bytes that have come. When `stop` is set the download is
/// given up with an error nobody looks at.
pub(crate) fn download(
    pip: &[String],
    part: &Part,
    into: &Path,
    seen: &AtomicU64,
    stop: &AtomicBool,
) -> Result<PathBuf, ProvisionError> {
    let scratch = into.join("tmp");
    fs::create_dir_all(&scratch).map_err(|e| ProvisionError::io("cannot create", &scratch, e))?;
    let log = into.join("pip.log");
    let (program, mut command) = command(pip, part, into, &scratch)?;
    let output = File::create(&log).and_then(|f| Ok((f.try_clone()?, f)));
    let (out, err) = output.map_err(|e| ProvisionError::io("cannot write", &log, e))?;
    let child = command.stdin(Stdio::null()).stdout(out).stderr(err).spawn();
    let child = child.map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => ProvisionError::NoPython { program: program.clone() },
        _ => ProvisionError::Io { action: "cannot run", path: PathBuf::from(&program), source: e },
    })?;
    let status = wait(child, || {
        // pip copies from its scratch folder at the end: do not count twice.
        let most = part.wheel_bytes.unwrap_or(u64::MAX);
        seen.store(tree_bytes(into).min(most), Ordering::Relaxed);
        stop.load(Ordering::Relaxed)
    });
    let status = status.map_err(|e| ProvisionError::io("cannot wait for pip in", into, e))?;
    if !status.success() {
        let said =
            fs::read(&log).map(|b| String::from_utf8_lossy(&b).into_owned()).unwrap_or_default();
        return Err(explain(&said, &program, part, status, into));
    }
    let _ = fs::remove_dir_all(&scratch);
    find_wheel(into).ok_or_else(|| ProvisionError::BadWheel {
        package: part.package.clone(),
        detail: "pip said it was done, and left no .whl file".to_owned(),
    })
}

fn command(
    pip: &[String],
    part: &Part,
    into: &Path,
    scratch: &Path,
) -> Result<(String, Command), ProvisionError> {
    let Some((program, rest)) = pip.split_first() else {
        return Err(ProvisionError::NoPython { program: "(provision.pip is empty)".to_owned() });
    };
    let mut command = Command::new(program);
    command.args(rest).args([
        "download",
        "--no-deps",
        "--only-binary=:all:",
        "--no-cache-dir",
        "--no-input",
    ]);
    command.args(["--disable-pip-version-check", "--progress-bar=off"]);
    if let Some(platform) = &part.platform {
        command.args(["--platform", platform]);
    }
    command.arg("-d").arg(into).arg(format!("{}=={}", part.package, part.version));
    // pip downloads into the temporary folder first: next to the target it is
    // on the disk that was measured, and its growth can be watched.
    for variable in ["TMPDIR", "TEMP", "TMP"] {
        command.env(variable, scratch);
    }
    if std::env::var_os("PIP_RETRIES").is_none() {
        command.env("PIP_RETRIES", RETRIES);
    }
    Ok((program.clone(), command))
}

/// Waits for the end, looking in now and then; kills it when told to stop.
fn wait(mut child: Child, mut look: impl FnMut() -> bool) -> std::io::Result<ExitStatus> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if look() {
            // It may have ended in between; either way it is reaped.
            let _ = child.kill();
            return child.wait();
        }
        std::thread::sleep(POLL);
    }
}

/// The wheel in a folder, if there is exactly one.
pub(crate) fn find_wheel(folder: &Path) -> Option<PathBuf> {
    let wheels = fs::read_dir(folder).ok()?.flatten().map(|e| e.path());
    let mut wheels = wheels.filter(|p| p.extension().is_some_and(|e| e == "whl"));
    wheels.next().filter(|_| wheels.next().is_none())
}

/// Turns what pip said into an error that names the fix.
fn explain(
    said: &str,
    program: &str,
    part: &Part,
    status: ExitStatus,
    into: &Path,
) -> ProvisionError {
    let package = part.package.clone();
    let has = |words: &[&str]| words.iter().any(|w| said.contains(w));
    if has(&["No module named pip"]) {
        return ProvisionError::NoPip { program: program.to_owned() };
    }
    if has(&["No space left on device", "Errno 28"]) {
        // pip keeps two copies for a moment. What it held is free again by now.
        return ProvisionError::DiskFull {
            path: into.to_owned(),
            needed: part.wheel_bytes.unwrap_or(0).saturating_mul(2),
            free: super::space::free_bytes(into),
        };
    }
    // A dead network also ends in "No matching distribution": look for it first.
    if has(NETWORK) {
        return ProvisionError::IndexUnreachable { package, detail: network_words(said) };
    }
    if has(&["No matching distribution found", "Could not find a version"]) {
        return ProvisionError::NoPackage { package, version: part.version.clone() };
    }
    ProvisionError::PipFailed { package, status: status.to_string(), detail: last_lines(said) }
}

/// What pip's network library says when nobody answers, or not to the end.
const NETWORK: &[&str] = &[
    "NewConnectionError",
    "ConnectTimeoutError",
    "ReadTimeoutError",
    "ProtocolError",
    "ProxyError",
    "SSLError",
    "CERTIFICATE_VERIFY_FAILED",
    "NameResolutionError",
    "IncompleteRead",
    "Connection broken",
    "ConnectionResetError",
    "Max retries exceeded",
    "Could not fetch URL",
];

/// The part of a retry warning that says what is wrong, without the noise.
fn network_words(said: &str) -> String {
    let failure = |l: &&str| NETWORK.iter().any(|w| l.contains(w));
    let line = said.lines().find(failure).unwrap_or(said);
    let words = line.split_once("broken by '").map_or(line, |(_, cause)| cause);
    let words = words.rsplit_once(">: ").map_or(words, |(_, cause)| cause);
    // What follows is the address, which the user need not see again.
    let words = words.rsplit_once("': /").map_or(words, |(cause, _)| cause);
    words.trim().trim_end_matches("')").chars().take(300).collect()
}

fn last_lines(said: &str) -> String {
    let lines: Vec<&str> = said.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
    lines[lines.len().saturating_sub(3)..].join(" | ").chars().take(600).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explained(said: &str) -> ProvisionError {
        let part: Part = toml::from_str("package='p'\nversion='1.0'\nmember='p/w.bin'").unwrap();
        explain(said, "python3", &part, ExitStatus::default(), Path::new("."))
    }

    #[test]
    fn pips_words_become_errors() {
        // Recorded from pip 23.2.
        let missing = "ERROR: Could not find a version that satisfies the requirement p==1.0 (from versions: none)\n\
                       ERROR: No matching distribution found for p==1.0\n";
        assert!(matches!(explained(missing), ProvisionError::NoPackage { .. }));
        let refused = "WARNING: Retrying (Retry(total=4, connect=None, read=None, redirect=None, status=None)) after \
                       connection broken by 'NewConnectionError('<pip._vendor.urllib3.connection.HTTPSConnection object \
                       at 0x7fb07ddabcd0>: Failed to establish a new connection: [Errno 111] Connection refused')': \
                       /simple/p/\n";
        let ProvisionError::IndexUnreachable { detail, .. } =
            explained(&format!("{refused}{missing}"))
        else {
            panic!("a dead network is not a missing package")
        };
        assert_eq!(detail, "Failed to establish a new connection: [Errno 111] Connection refused");
        let certificate = "WARNING: Retrying (Retry(total=1)) after connection broken by \
                           'SSLError(CertificateError(\"hostname 'x' doesn't match 'y'\"))': /simple/p/";
        let ProvisionError::IndexUnreachable { detail, .. } = explained(certificate) else {
            panic!("a bad certificate is a network matter")
        };
        assert!(detail.starts_with("SSLError(Cert"), "{detail}");
        assert!(matches!(explained("python3: No module named pip"), ProvisionError::NoPip { .. }));
        let full = "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device";
        assert!(matches!(explained(full), ProvisionError::DiskFull { .. }));
        let ProvisionError::PipFailed { detail, .. } = explained("one\n\nERROR: something else\n")
        else {
            panic!()
        };
        assert_eq!(detail, "one | ERROR: something else");
    }
}
