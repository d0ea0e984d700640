//! `dragoman verify`: compute the hashes of cached models again.

use anyhow::bail;

use crate::config::Config;
use crate::provision::{Presence, Provisioner, progress};

/// Checks cached models against their recorded sizes and sha256.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Models to check; without any, all that are in the cache.
    #[arg(value_name = "MODEL")]
    pub models: Vec<String>,
}

/// Runs the command. Fails when anything is missing or not as it was provided.
pub fn run(args: Args, config: &Config) -> anyhow::Result<()> {
    let provisioner = Provisioner::new(&config.provision, progress::for_stderr())?;
    let names = if args.models.is_empty() {
        let present =
            provisioner.list().into_iter().filter(|l| matches!(l.presence, Presence::Present(_)));
        present.map(|l| l.name).collect()
    } else {
        args.models
    };
    if names.is_empty() {
        println!("the cache is empty");
    }
    let mut damaged = Vec::new();
    for name in names {
        let checks = provisioner.verify(&name)?;
        for check in &checks {
            println!("{name}: {} {}", check.path, check.fault.as_deref().unwrap_or("ok"));
        }
        if checks.iter().any(|c| c.fault.is_some()) {
            damaged.push(name);
        }
    }
    if !damaged.is_empty() {
        let names = damaged.join(" ");
        bail!("damaged: {names}; `dragoman remove {names}`, then `dragoman pull {names}`");
    }
    Ok(())
}
