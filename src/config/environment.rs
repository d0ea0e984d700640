//! Settings from environment variables: `DRAGOMAN_SECTION_KEY`.

use std::collections::BTreeMap;
use std::ffi::OsString;

use super::diagnose::{self, Place};
use super::load::Loader;
use super::schema::{self, Key};
use super::text::Text;

/// What every environment variable of the server starts with.
pub const PREFIX: &str = "DRAGOMAN_";

/// Variables with this prefix steer the test suite, not the server.
const TEST_PREFIX: &str = "DRAGOMAN_TEST_";

impl Loader {
    /// Takes the variables that name a setting, and reports those that look as
    /// if they were meant to.
    pub(super) fn environment(&mut self, env: impl IntoIterator<Item = (OsString, OsString)>) {
        let known: BTreeMap<String, Key> = schema::keys().map(|key| (key.env(), key)).collect();
        for (name, value) in env {
            let Some(name) = name.to_str().filter(|name| name.starts_with(PREFIX)) else {
                continue;
            };
            match (known.get(name), value.to_str()) {
                (Some(key), Some(value)) => {
                    self.set(*key, Place::Env(name.to_owned()), Text(value));
                }
                (Some(key), None) => {
                    let place = Place::Env(name.to_owned());
                    self.problems.push(diagnose::wrong_type(key, place, "it is not UTF-8"));
                }
                (None, value) if is_misspelt(name, value.unwrap_or_default()) => {
                    self.problems.push(diagnose::unknown_variable(name));
                }
                (None, _) => {}
            }
        }
    }
}

/// Whether a variable that sets nothing looks as if it was meant to: it names a
/// section, or is close to a real one. Other programs may own the rest of the
/// prefix, so it is left alone.
fn is_misspelt(name: &str, value: &str) -> bool {
    if name.starts_with(TEST_PREFIX) || is_service_link(name, value) {
        return false;
    }
    let rest = &name[PREFIX.len()..];
    let names_section = schema::sections().any(|(section, _)| {
        rest.to_ascii_lowercase()
            .strip_prefix(section)
            .is_some_and(|key| key.is_empty() || key.starts_with('_'))
    });
    names_section || diagnose::closest(name, schema::keys().map(|key| key.env())).is_some()
}

/// Kubernetes describes each service to every pod in variables made from the
/// service's name, so a service called "dragoman-server" yields
/// DRAGOMAN_SERVER_PORT=tcp://10.0.0.1:80 and a dozen like it.
fn is_service_link(name: &str, value: &str) -> bool {
    let protocol = ["TCP", "UDP", "SCTP"].iter().any(|p| name.contains(&format!("_{p}")));
    name.ends_with("_SERVICE_HOST")
        || name.contains("_SERVICE_PORT")
        || (name.ends_with("_PORT") && value.contains("://"))
        || (name.contains("_PORT_") && protocol)
}
