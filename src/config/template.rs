//! The commented default configuration, for users to start from.

use super::{Config, schema};

impl Config {
    /// The whole configuration as TOML, every setting commented out at its
    /// default. `config/dragoman.toml` is this text; a test compares them.
    pub fn template() -> String {
        let mut out = String::new();
        let comment = |out: &mut String, lines: &mut dyn Iterator<Item = &'static str>| {
            for line in lines {
                out.push_str(format!("#{line}").trim_end());
                out.push('\n');
            }
        };
        comment(&mut out, &mut schema::header().iter().copied());
        for (section, doc) in schema::sections() {
            out.push('\n');
            comment(&mut out, &mut doc.iter().copied());
            out.push_str(&format!("[{section}]\n"));
            for (i, key) in schema::keys_of(section).enumerate() {
                if i > 0 {
                    out.push('\n');
                }
                comment(&mut out, &mut key.doc());
                for line in format!("{} = {}", key.name, key.sample_wrapped()).lines() {
                    out.push_str(&format!("#{line}\n"));
                }
            }
        }
        out
    }
}
