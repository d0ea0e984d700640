//! Official clients, unchanged, against a running server.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{server, tool_server};

/// Runs a program of an installation.
fn step(program: &Path, args: &[&str]) -> Result<(), String> {
    let output = Command::new(program).args(args).output().map_err(|e| e.to_string())?;
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

/// A folder below the build's own, in which packages were installed once;
/// `None`, with a word why, where they cannot be.
fn installed(
    name: &str,
    packages: &[&str],
    install: impl FnOnce(&str) -> Result<(), String>,
) -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let (done, listed) = (folder.join("installed"), packages.join("\n"));
    if std::fs::read_to_string(&done).is_ok_and(|found| found == listed) {
        return Some(folder);
    }
    let install = || {
        install(folder.to_str().ok_or("the folder's name is not UTF-8")?)?;
        std::fs::write(&done, listed).map_err(|e| e.to_string())
    };
    match install() {
        Ok(()) => Some(folder),
        Err(e) if std::env::var_os("DRAGOMAN_TEST_REQUIRE_MODELS").is_some() => {
            panic!("{packages:?} cannot be installed: {e}")
        }
        Err(e) => {
            eprintln!("skipped: {packages:?} cannot be installed: {e}");
            None
        }
    }
}

/// A Python with these packages, in a virtual environment.
fn python_with(name: &str, packages: &[&str]) -> Option<PathBuf> {
    let folder = installed(name, packages, |folder| {
        step(Path::new("python3"), &["-m", "venv", "--clear", folder])?;
        let pip = [&["-m", "pip", "install", "--quiet"], packages].concat();
        step(&Path::new(folder).join("bin/python"), &pip)
    });
    folder.map(|folder| folder.join("bin/python"))
}

/// Runs a script of `tests/clients` with some packages; all its checks must pass.
pub fn run(name: &str, packages: &[&str], script: &str, arguments: &[&str]) {
    let Some(python) = python_with(name, packages) else { return };
    pass(&python, script, arguments);
}

/// Runs a script of `tests/clients`; all its checks must pass.
fn pass(program: &Path, script: &str, arguments: &[&str]) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(script);
    let output = Command::new(program).arg(script).args(arguments).output().unwrap();
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

#[test]
fn the_openai_client_for_node_works_unchanged() {
    let Some(server) = server() else { return };
    let node = Path::new("node");
    if let Err(e) = step(node, &["--version"]) {
        return eprintln!("skipped: there is no Node: {e}");
    }
    let packages = ["openai@7.59.0"];
    let install = |folder: &str| {
        let npm = ["install", "--silent", "--no-audit", "--no-fund", "--prefix", folder];
        step(Path::new("npm"), &[&npm[..], &packages].concat())
    };
    let Some(folder) = installed("openai-node-client", &packages, install) else { return };
    let arguments = [
        folder.to_str().unwrap(),
        &format!("{}/v1", server.base_url),
        &server.generator,
        &server.embedder,
    ];
    pass(node, "openai_client.mjs", &arguments);
}

#[test]
fn frameworks_work_unchanged() {
    let Some(server) = server() else { return };
    let packages = [
        "langchain-openai==1.7.4",
        "litellm==1.110.2",
        "llama-index-llms-openai-like==0.8.1",
        "llama-index-embeddings-openai-like==0.4.0",
        "llama-index-embeddings-text-embeddings-inference==0.6.0",
        "llama-index-postprocessor-tei-rerank==0.6.0",
    ];
    let arguments = [
        ["--url", &server.base_url],
        ["--chat-model", &server.generator],
        ["--embedding-model", &server.embedder],
        ["--rerank-url", &crate::tei::tiny().url],
    ];
    run("frameworks", &packages, "frameworks_client.py", arguments.as_flattened());
}

/// Whatever schema of the JSON Schema test suite is not refused is followed.
#[test]
fn texts_follow_the_schemas_of_the_json_schema_suite() {
    let Some(server) = server() else { return };
    let name = "json-schema-suite";
    let Some(python) = python_with(name, &["jsonschema==4.26.0"]) else { return };
    let folder = python.ancestors().nth(2).unwrap();
    let suite = folder.join("jsonschema-4.26.0/json/tests/draft2020-12");
    if !suite.exists() {
        // The package's source has the suite.
        let to = folder.to_str().unwrap();
        let pip = ["-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", "jsonschema"];
        step(&python, &[&pip[..], &["jsonschema==4.26.0", "-d", to]].concat()).unwrap();
        let packed = folder.join("jsonschema-4.26.0.tar.gz");
        step(Path::new("tar"), &["-xzf", packed.to_str().unwrap(), "-C", to]).unwrap();
    }
    let url = format!("{}/v1", server.base_url);
    let arguments = [
        ["--url", &url],
        ["--model", &server.generator],
        ["--suite", suite.to_str().unwrap()],
        ["--texts", "1"],
        ["--tokens", "60"],
    ];
    pass(&python, "json_schema_suite.py", arguments.as_flattened());
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
