//! `dragoman pull`: fetch models into the cache.

use anyhow::{Context, bail};

use crate::config::Config;
use crate::provision::{ModelFiles, Presence, Provisioner, progress, size};

/// Fetches models into the cache and checks them.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Models of the catalogue (`dragoman models`), or hub ids: owner/name,
    /// owner/name:Q4_K_M, owner/name/file.gguf. Without any: the models the
    /// server would load.
    #[arg(value_name = "MODEL")]
    pub models: Vec<String>,
}

/// Runs the command. Fails when a model could not be had; the others are
/// fetched all the same.
pub fn run(args: Args, config: &Config) -> anyhow::Result<()> {
    let provisioner = Provisioner::new(&config.provision, progress::for_stderr())?;
    let names = if args.models.is_empty() { config.models.load.clone() } else { args.models };
    if names.is_empty() {
        return defaults(&provisioner, config);
    }
    let mut failed = 0;
    for name in &names {
        match provisioner.pull(name) {
            Ok((files, before)) => report(&provisioner, &files, before),
            Err(error) => {
                failed += 1;
                eprintln!("error: {error}");
            }
        }
    }
    if failed > 0 {
        bail!("{failed} of {} models could not be fetched", names.len());
    }
    Ok(())
}

/// The first obtainable model of each preference list.
fn defaults(provisioner: &Provisioner, config: &Config) -> anyhow::Result<()> {
    for (what, list) in
        [("generation", &config.models.generation), ("embedding", &config.models.embedding)]
    {
        if list.is_empty() {
            continue;
        }
        let before: Vec<String> = present(provisioner);
        let (files, skipped) =
            provisioner.resolve_first(list).with_context(|| format!("models.{what}"))?;
        for skipped in skipped {
            println!("skipped {}: {}", skipped.name, skipped.why);
        }
        report(provisioner, &files, before.contains(&files.name));
    }
    Ok(())
}

fn present(provisioner: &Provisioner) -> Vec<String> {
    let listing = provisioner.list().into_iter();
    listing.filter(|l| matches!(l.presence, Presence::Present(_))).map(|l| l.name).collect()
}

fn report(provisioner: &Provisioner, files: &ModelFiles, before: bool) {
    let place = files.dir.display();
    match provisioner.store().receipt(&files.name) {
        Some(receipt) => {
            let bytes = size(receipt.files.iter().map(|f| f.bytes).sum());
            let verb = if before { "is here already" } else { "fetched" };
            println!("{} {verb}: {bytes} from {}, in {place}", files.name, receipt.source);
        }
        None => println!("{} is a local model, in {place}", files.name),
    }
}
