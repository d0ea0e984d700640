//! Official clients, unchanged, against a running server.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{server, tool_server};

/// A Python with these packages, in a virtual environment below the build's
/// own folder; `None`, with a word why, where they cannot be installed.
fn python_with(name: &str, packages: &[&str]) -> Option<PathBuf> {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let (python, done) = (dir.join("bin/python"), dir.join("installed"));
    let run = |program: &Path, args: &[&str]| {
        let output = Command::new(program).args(args).output().map_err(|e| e.to_string())?;
        match output.status.success() {
            true => Ok(()),
            false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        }
    };
    if done.exists() {
        return Some(python);
    }
    let install = || {
        let folder = dir.to_str().ok_or("the folder's name is not UTF-8")?;
        run(Path::new("python3"), &["-m", "venv", "--clear", folder])?;
        run(&python, &[&["-m", "pip", "install", "--quiet"], packages].concat())?;
        std::fs::write(&done, packages.join("\n")).map_err(|e| e.to_string())
    };
    match install() {
        Ok(()) => Some(python),
        Err(e) if std::env::var_os("DRAGOMAN_TEST_REQUIRE_MODELS").is_some() => {
            panic!("{packages:?} cannot be installed: {e}")
        }
        Err(e) => {
            eprintln!("skipped: {packages:?} cannot be installed: {e}");
            None
        }
    }
}

/// Runs a script of `tests/clients` with some packages; all its checks must pass.
pub fn run(name: &str, packages: &[&str], script: &str, arguments: &[&str]) {
    let Some(python) = python_with(name, packages) else { return };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(script);
    let output = Command::new(python).arg(script).args(arguments).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    println!("{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success());
    assert!(said.contains(" passed, 0 failed"));
}

#[test]
fn the_openai_client_works_unchanged() {
    let Some(server) = server() else { return };
    let base_url = format!("{}/v1", server.base_url);
    let arguments = [
        ["--base-url", &base_url],
        ["--chat-model", &server.generator],
        ["--embedding-model", &server.embedder],
    ];
    run("openai-client", &["openai==3.54.0"], "openai_client.py", arguments.as_flattened());
}

#[test]
fn the_openai_client_has_its_batches_answered() {
    let Some(server) = server() else { return };
    let base_url = format!("{}/v1", server.base_url);
    let arguments = [
        ["--base-url", &base_url],
        ["--chat-model", &server.generator],
        ["--embedding-model", &server.embedder],
    ];
    let script = "openai_batches_client.py";
    run("openai-batches-client", &["openai==3.54.0"], script, arguments.as_flattened());
}

#[test]
fn the_hugging_face_client_works_unchanged() {
    let Some(server) = server() else { return };
    let packages = ["huggingface_hub==2.4.0", "numpy==2.4.6"];
    run("hub-client", &packages, "hub_client.py", &["--url", &server.base_url]);
}

/// Runs a script of `tests/clients` against the server with tools.
fn with_tools(venv: &str, package: &str, script: &str, path: &str) {
    let Some((url, model)) = tool_server() else { return };
    let base_url = format!("{url}{path}");
    run(venv, &[package], script, &["--base-url", &base_url, "--model", model]);
}

#[test]
fn the_openai_client_calls_tools_and_makes_responses() {
    with_tools("openai-tools-client", "openai==3.54.0", "openai_tools_client.py", "/v1");
}

#[test]
fn the_anthropic_client_works_unchanged() {
    with_tools("anthropic-client", "anthropic==2.14.0", "anthropic_client.py", "");
}
