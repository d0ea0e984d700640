//! `dragoman remove`: delete models from the cache.

use crate::config::Config;
use crate::provision::{Provisioner, progress, size};

/// Deletes models from the cache, unfinished downloads included.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Models as `dragoman models` lists them.
    #[arg(value_name = "MODEL", required = true)]
    pub models: Vec<String>,
}

/// Runs the command; stops at the first model that is not there.
pub fn run(args: Args, config: &Config) -> anyhow::Result<()> {
    let provisioner = Provisioner::new(&config.provision, progress::for_stderr())?;
    for name in args.models {
        let freed = provisioner.remove(&name)?;
        println!("{name} removed, {} freed", size(freed));
    }
    Ok(())
}
