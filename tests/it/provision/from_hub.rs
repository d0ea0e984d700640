//! Models from a hub, and from the Hugging Face cache.

use std::fs;

use dragoman::provision::{Presence, ProvisionError};

use super::mock_hub::{COMMIT, MockHub};
use super::{Site, manifest, noise, only, sha256};

const SOURCE: &str = "[[sources]]\nkind = 'hub'\nrepo = 'o/n'\nfiles = [\n\
    { path = 'config.json', role = 'config' },\n\
    { path = 'chat_template.jinja', role = 'chat_template', optional = true },\n\
    { path = 'model*.safetensors', role = 'weights' },\n]\n";

const FIRST: &str = "model-00001-of-00002.safetensors";
const SECOND: &str = "model-00002-of-00002.safetensors";

fn site() -> (Site, MockHub, Vec<u8>) {
    let (mut site, hub) = (Site::new(), MockHub::start());
    site.hub = hub.endpoint.clone();
    let weights = noise(3, 400_000);
    hub.publish("o/n", "config.json", b"{\"model_type\": \"llama\"}");
    hub.publish("o/n", "README.md", b"read me");
    hub.publish("o/n", FIRST, &weights);
    hub.publish("o/n", SECOND, &noise(4, 2000));
    (site, hub, weights)
}

#[test]
fn files_come_from_one_commit_and_only_once() {
    let (site, hub, weights) = site();
    let manifest = manifest("m", SOURCE);
    let files = site.provisioner(&[&manifest]).resolve("m").unwrap();
    assert_eq!(fs::read(&files.weights[0]).unwrap(), weights);
    assert!(files.weights.len() == 2 && files.config.is_some() && files.chat_template.is_none());
    assert_eq!(site.files().len(), 4, "three files and the receipt: {:?}", site.files());
    let resolved = hub.requests("/resolve/");
    assert!(!resolved.is_empty() && resolved.iter().all(|r| r.contains(COMMIT)), "{resolved:?}");
    let before = hub.requests("").len();
    site.provisioner(&[&manifest]).resolve("m").unwrap();
    assert_eq!(hub.requests("").len(), before);
}

#[test]
fn a_broken_download_goes_on_where_it_stopped() {
    let (site, hub, weights) = site();
    hub.cut(FIRST, &[150_000]);
    let files = site.provisioner(&[&manifest("m", SOURCE)]).resolve("m").unwrap();
    assert_eq!(fs::read(&files.weights[0]).unwrap(), weights);
    let ranges = hub.requests("GET /cdn/model-00001");
    assert!(ranges.len() == 2 && ranges[1].contains("bytes=150000-399999"), "{ranges:?}");
}

#[test]
fn another_run_goes_on_as_well() {
    let (site, hub, weights) = site();
    hub.cut(FIRST, &[100_000, 0, 0, 0, 0]);
    let manifest = manifest("m", SOURCE);
    let provisioner = site.provisioner(&[&manifest]);
    let error = only(provisioner.resolve("m").unwrap_err());
    assert!(matches!(error, ProvisionError::HubFailed { .. }), "{error}");
    assert!(matches!(provisioner.list()[0].presence, Presence::Partial(bytes) if bytes >= 100_000));
    let files = site.files();
    assert!(files.iter().all(|f| f.contains(".partial")), "{files:?}");

    hub.cut(FIRST, &[]);
    let files = site.provisioner(&[&manifest]).resolve("m").unwrap();
    assert_eq!(fs::read(&files.weights[0]).unwrap(), weights);
    assert!(hub.requests("GET /cdn/model-00001").last().unwrap().contains("bytes=100000-"));
    assert!(site.files().iter().all(|f| !f.contains(".partial")), "{:?}", site.files());
}

#[test]
fn a_server_without_ranges_starts_over() {
    let (site, hub, weights) = site();
    hub.ignore_ranges();
    hub.cut(FIRST, &[150_000]);
    let files = site.provisioner(&[&manifest("m", SOURCE)]).resolve("m").unwrap();
    assert_eq!(fs::read(&files.weights[0]).unwrap(), weights);
}

#[test]
fn forged_bytes_leave_no_file() {
    let (site, hub, weights) = site();
    let mut forged = weights.clone();
    forged[0] ^= 1;
    hub.forge(FIRST, &forged);
    let error = only(site.provisioner(&[&manifest("m", SOURCE)]).resolve("m").unwrap_err());
    let ProvisionError::WrongHash { expected, actual, .. } = &error else { panic!("{error}") };
    assert!(*expected == sha256(&weights) && *actual == sha256(&forged));
    assert!(site.files().iter().all(|f| !f.contains(FIRST)), "{:?}", site.files());
}

#[test]
fn gated_models_need_the_token() {
    let (site, hub, weights) = site();
    hub.publish("gated/g", "config.json", b"{}");
    hub.publish("gated/g", "model.safetensors", &weights);
    let error = only(site.provisioner(&[]).resolve("gated/g").unwrap_err());
    assert!(matches!(error, ProvisionError::HubDenied { status: 401, .. }), "{error}");
    assert!(error.to_string().contains("HF_TOKEN"));
    let files = site.provisioner_with_token(&[], Some("secret")).resolve("gated/g").unwrap();
    assert_eq!(fs::read(&files.weights[0]).unwrap(), weights);
    let error = only(site.provisioner(&[]).resolve("nobody/nothing").unwrap_err());
    assert!(matches!(error, ProvisionError::HubNotFound { .. }), "{error}");
}

#[test]
fn the_hugging_face_cache_is_used_even_offline() {
    let (mut site, hub, weights) = site();
    let repo = site.hf_cache().join("models--o--n");
    let snapshot = repo.join("snapshots").join(COMMIT);
    fs::create_dir_all(repo.join("refs")).unwrap();
    fs::create_dir_all(repo.join("blobs")).unwrap();
    fs::create_dir_all(&snapshot).unwrap();
    fs::write(repo.join("refs/main"), COMMIT).unwrap();
    fs::write(snapshot.join("config.json"), b"{}").unwrap();
    let put = |name: &str, content: &[u8]| {
        let blob = repo.join("blobs").join(sha256(content));
        fs::write(&blob, content).unwrap();
        std::os::unix::fs::symlink(&blob, snapshot.join(name)).unwrap();
    };
    put(FIRST, &weights);
    let manifest = manifest("m", SOURCE);
    site.config.offline = true;
    assert!(
        site.provisioner(&[&manifest]).resolve("m").is_err(),
        "one of two shards is not a model"
    );
    put(SECOND, &noise(4, 2000));
    let files = site.provisioner(&[&manifest]).resolve("m").unwrap();
    assert_eq!(fs::read(&files.weights[0]).unwrap(), weights);
    fs::remove_dir_all(site.hf_cache()).unwrap();
    assert_eq!(
        fs::read(&files.weights[0]).unwrap(),
        weights,
        "it outlives a cleaning of that cache"
    );
    assert!(hub.requests("").is_empty());
}

#[test]
fn a_damaged_hugging_face_cache_is_not_believed() {
    let (site, hub, weights) = site();
    let repo = site.hf_cache().join("models--o--n");
    let snapshot = repo.join("snapshots").join(COMMIT);
    fs::create_dir_all(repo.join("refs")).unwrap();
    fs::create_dir_all(repo.join("blobs")).unwrap();
    fs::create_dir_all(&snapshot).unwrap();
    fs::write(repo.join("refs/main"), COMMIT).unwrap();
    fs::write(snapshot.join("config.json"), b"{\"model_type\": \"llama\"}").unwrap();
    fs::write(snapshot.join(SECOND), noise(4, 2000)).unwrap();
    let blob = repo.join("blobs").join(sha256(&weights));
    fs::write(&blob, &weights[..1000]).unwrap();
    std::os::unix::fs::symlink(&blob, snapshot.join(FIRST)).unwrap();
    let files = site.provisioner(&[&manifest("m", SOURCE)]).resolve("m").unwrap();
    assert_eq!(fs::read(&files.weights[0]).unwrap(), weights);
    assert_eq!(fs::read(&blob).unwrap().len(), 1000, "another tool's cache is not ours to mend");
    assert!(hub.requests("GET /cdn/model-00002").is_empty(), "the sound file was taken from there");
}

#[test]
fn a_model_outside_the_catalogue() {
    let (site, hub, weights) = site();
    for (path, content) in [("x-Q4_K_M.gguf", &weights), ("x-Q8_0.gguf", &noise(9, 3000))] {
        hub.publish("o/x-GGUF", path, content);
    }
    let provisioner = site.provisioner(&[]);
    let error = provisioner.resolve("o/x-GGUF").unwrap_err();
    let ProvisionError::Choose { options, .. } = &error else { panic!("{error}") };
    assert_eq!(*options, ["o/x-GGUF:Q4_K_M", "o/x-GGUF:Q8_0"]);
    let files = provisioner.resolve("o/x-GGUF:q4_k_m").unwrap();
    assert_eq!(fs::read(&files.weights[0]).unwrap(), weights);
    assert_eq!(files.name, "o/x-GGUF:Q4_K_M");
    assert_eq!(provisioner.resolve("o/x-GGUF/x-Q8_0.gguf").unwrap().weights.len(), 1);
    let names: Vec<String> = provisioner.list().into_iter().map(|l| l.name).collect();
    assert_eq!(names, ["o/x-GGUF/x-Q8_0.gguf", "o/x-GGUF:Q4_K_M"]);

    for (path, content) in [
        ("modules.json", "[]"),
        ("1_Pooling/config.json", "{}"),
        ("config.json", "{}"),
        ("tokenizer.json", "{}"),
    ] {
        hub.publish("o/st", path, content.as_bytes());
    }
    hub.publish("o/st", "model.safetensors", &weights);
    hub.publish("o/st", "onnx/model.onnx", &weights);
    let files = provisioner.resolve("o/st").unwrap();
    assert!(
        files.pooling_config.unwrap().ends_with("1_Pooling/config.json")
            && files.tokenizer.is_some()
    );
    assert!(hub.requests("onnx").is_empty());
    assert!(provisioner.verify("o/st").unwrap().iter().all(|c| c.fault.is_none()));
    provisioner.remove("o/st").unwrap();
    assert_eq!(provisioner.list().len(), 2);
}

#[test]
fn two_at_once_ask_the_hub_once() {
    let (site, hub, _) = site();
    let manifest = manifest("m", SOURCE);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| site.provisioner(&[&manifest]).resolve("m").unwrap());
        }
    });
    assert_eq!(hub.requests("GET /cdn/model-00001").len(), 1);
}

#[test]
fn it_may_be_called_from_a_runtime() {
    let (site, ..) = site();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async { site.provisioner(&[&manifest("m", SOURCE)]).resolve("m").unwrap() });
}

#[test]
fn outside_the_catalogue_the_hub_knows_best_what_belongs_to_a_model() {
    let (mut site, hub, _) = site();
    hub.publish("o/n", "tokenizer.json", b"{}");
    let repo = site.hf_cache().join("models--o--n");
    let snapshot = repo.join("snapshots").join(COMMIT);
    fs::create_dir_all(repo.join("refs")).unwrap();
    fs::create_dir_all(&snapshot).unwrap();
    fs::write(repo.join("refs/main"), COMMIT).unwrap();
    fs::write(snapshot.join("config.json"), b"{\"model_type\": \"llama\"}").unwrap();
    fs::write(snapshot.join("model.safetensors"), noise(3, 400_000)).unwrap();
    let files = site.provisioner(&[]).resolve("o/n").unwrap();
    assert!(files.tokenizer.is_some() && files.weights.len() == 2);

    site.provisioner(&[]).remove("o/n").unwrap();
    site.hub = super::unused_address();
    let files = site.provisioner(&[]).resolve("o/n").unwrap();
    assert_eq!(files.weights.len(), 1, "without the hub, what is there has to do");
}

/// The source of a catalogue entry whose list of files nobody has compared
/// with the repository.
const UNVERIFIED: &str = "[[sources]]\nkind = 'hub'\nrepo = 'o/n'\nverified = false\nbits = 16.0\nfiles = [\n\
    { path = 'config.json', role = 'config' },\n\
    { path = 'tokenizer.json', role = 'tokenizer' },\n\
    { path = 'weights.safetensors', role = 'weights' },\n]\n";

#[test]
fn a_list_that_nobody_verified_gives_way_to_what_the_repository_holds() {
    let (site, _hub, weights) = site();
    let unverified = manifest("m", UNVERIFIED);
    let files = site.provisioner(&[&unverified]).resolve("m").unwrap();
    assert_eq!(fs::read(&files.weights[0]).unwrap(), weights);
    assert!(files.weights.len() == 2 && files.config.is_some());
    assert_eq!(files.manifest.unwrap().name, "m");
    let verified = UNVERIFIED.replace("verified = false", "verified = true");
    let verified = manifest("v", &verified);
    let error = only(site.provisioner(&[&verified]).resolve("v").unwrap_err());
    assert!(error.to_string().contains("no `tokenizer.json` there"), "{error}");
}

#[test]
fn a_list_that_fits_is_kept_to() {
    let (mut site, hub) = (Site::new(), MockHub::start());
    site.hub = hub.endpoint.clone();
    hub.publish("o/g", "m-Q4_K_M.gguf", &noise(1, 5000));
    hub.publish("o/g", "m-Q8_0.gguf", &noise(2, 5000));
    let source = "[[sources]]\nkind = 'hub'\nrepo = 'o/g'\nverified = false\nbits = 4.9\n\
        files = [{ path = '*Q4_K_M.gguf', role = 'weights' }]\n";
    let files = site.provisioner(&[&manifest("m", source)]).resolve("m").unwrap();
    assert_eq!(fs::read(&files.weights[0]).unwrap(), noise(1, 5000));
    // Where it does not say which, somebody has to choose.
    let other = source.replace("Q4_K_M", "Q5_K_M");
    let error = site.provisioner(&[&manifest("n", &other)]).resolve("n").unwrap_err().to_string();
    assert!(error.contains("o/g:Q4_K_M") && error.contains("o/g:Q8_0"), "{error}");
    let both = source.replace("*Q4_K_M.gguf", "m-Q*.gguf");
    let error = site.provisioner(&[&manifest("b", &both)]).resolve("b").unwrap_err().to_string();
    assert!(error.contains("o/g:Q4_K_M"), "{error}");
}

#[test]
fn a_pickle_is_not_fetched() {
    let (mut site, hub) = (Site::new(), MockHub::start());
    site.hub = hub.endpoint.clone();
    for (file, content) in [("config.json", "{}"), ("tokenizer.json", "{}")] {
        hub.publish("o/p", file, content.as_bytes());
    }
    hub.publish("o/p", "pytorch_model.bin", &noise(1, 5000));
    let source = UNVERIFIED.replace("o/n", "o/p");
    let error = only(site.provisioner(&[&manifest("m", &source)]).resolve("m").unwrap_err());
    assert!(error.to_string().contains("pickle"), "{error}");
    assert!(hub.requests("pytorch_model").is_empty());
}
