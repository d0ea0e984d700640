//! Every field of every route that takes JSON, from the document: what is
//! honoured is read, what is refused is refused by name, and what is accepted
//! changes nothing.

mod effects;
mod places;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use dragoman::api::openapi;
use dragoman::config::Config;
use dragoman::engine::Engines;
use reqwest::Client;
use serde::Deserialize;
use serde_json::{Map, Value};

use self::places::{Outcome, places};
use crate::support::{self, serve};

#[derive(Deserialize)]
struct Requests {
    route: Vec<Route>,
}

#[derive(Deserialize)]
struct Route {
    path: String,
    on: On,
    body: String,
    /// What answers it as it is, where that is no success: it names what is not
    /// there, which is looked for after every field was read.
    status: Option<u16>,
    /// What an object of a type has beside the field that is tried.
    #[serde(default)]
    objects: BTreeMap<String, String>,
    /// What the request has beside an object of a type.
    #[serde(default)]
    beside: BTreeMap<String, String>,
    /// Types whose fields only go with more than an answer to this shows, and
    /// where they are tried.
    #[serde(default)]
    apart: BTreeMap<String, String>,
}

#[derive(Deserialize, PartialEq, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum On {
    Generator,
    Translator,
    Encoders,
    Desk,
}

fn routes() -> Vec<Route> {
    let read: Requests = toml::from_str(include_str!("fields/requests.toml")).unwrap();
    read.route
}

/// The schema of what a route takes as JSON.
fn schema<'a>(document: &'a Value, path: &str) -> &'a Value {
    &document["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
}

/// A route that takes requests as JSON and has no example here would go untried.
#[test]
#[cfg(feature = "documents")]
fn every_route_is_tried() {
    let document = openapi::document();
    let tried: BTreeSet<String> = routes().into_iter().map(|route| route.path).collect();
    let paths = document["paths"].as_object().unwrap();
    let all = paths.keys().filter(|path| schema(&document, path).is_object());
    // Of these, those of DeepL take the key of a document alone; adding a document
    // to a collection is tried in `search`.
    let all = all.filter(|path| !path.contains("{id}")).cloned();
    assert_eq!(tried, all.collect());
}

/// Whether a path is that of something within another.
fn within(path: &str, outer: &str) -> bool {
    path.strip_prefix(outer).is_some_and(|rest| rest.starts_with(['.', '[']))
}

struct Answer {
    status: u16,
    body: Value,
}

impl Answer {
    /// Whether it refuses a field: by its path, or in the shapes that have no
    /// place for one, by its name in the message.
    fn refuses(&self, shown: &str, says: &str) -> bool {
        let error = &self.body["error"];
        let message = [&error["message"], error, &self.body["message"], &self.body["detail"]];
        let message = message.iter().find_map(|text| text.as_str()).unwrap_or_default();
        let named = match error["param"].as_str() {
            // Where a field may be of several shapes, the whole of it is named.
            Some(param) => param == shown || within(shown, param) && message.contains("expected"),
            None => message.contains(shown),
        };
        matches!(self.status, 400 | 422) && named && message.contains(says)
    }
}

async fn post(url: &str, path: &str, body: &Value) -> Answer {
    let response = Client::new().post(format!("{url}{path}")).json(body).send().await.unwrap();
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    let events = || text.lines().filter_map(|line| line.strip_prefix("data: "));
    let body = serde_json::from_str(&text).unwrap_or_else(|_| match events().next() {
        Some(_) => {
            events().map(|data| serde_json::from_str::<Value>(data).unwrap_or_default()).collect()
        }
        None => Value::String(text.clone()),
    });
    Answer { status, body }
}

/// A request of one of the tables, with the names of models.
fn parsed(text: &str) -> Value {
    let text = text.replace("GENERATOR", support::GENERATOR).replace("EMBEDDER", support::EMBEDDER);
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// An answer without what differs each time.
fn lasting(value: &Value) -> Value {
    const PASSING: [&str; 5] = ["id", "created", "created_at", "completed_at", "expires_at"];
    match value {
        Value::Object(fields) => {
            let kept = fields.iter().filter(|(name, _)| !PASSING.contains(&name.as_str()));
            let kept: Map<_, _> =
                kept.map(|(name, value)| (name.clone(), lasting(value))).collect();
            Value::Object(kept)
        }
        Value::Array(items) => items.iter().map(lasting).collect(),
        other => other.clone(),
    }
}

/// Whether two answers say the same; how much of a prompt was in the cache differs
/// from time to time.
fn same(a: &Value, b: &Value) -> bool {
    let bare = |value: &Value| {
        let mut value = lasting(value);
        if let Some(fields) = value.as_object_mut() {
            fields.remove("usage");
        }
        value
    };
    bare(a) == bare(b)
}

/// Tries each field, and gives what is not as the document says.
async fn faults(url: &str, route: &Route, document: &Value) -> Vec<String> {
    let body = parsed(&route.body);
    let plain = post(url, &route.path, &body).await;
    let good = |status: &u16| match route.status {
        Some(wanted) => *status == wanted,
        None => (200..300).contains(status),
    };
    if !good(&plain.status) {
        return vec![format!("{}: {} {:#}", route.path, plain.status, plain.body)];
    }
    let objects = route.objects.iter();
    let objects = objects.map(|(name, text)| (name.clone(), serde_json::from_str(text).unwrap()));
    let objects = objects.collect();
    let mut faults = Vec::new();
    for place in places(document, schema(document, &route.path), &objects) {
        if let Some(file) = route.apart.get(&place.object) {
            let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file));
            assert!(text.is_ok(), "there is no {file}");
            continue;
        }
        let shown = place.shown();
        let mut body = body.clone();
        if let Some(beside) = route.beside.get(&place.object) {
            body.as_object_mut().unwrap().extend(parsed(beside).as_object().unwrap().clone());
        }
        // The same request without the field.
        let without = match place.trials().iter().any(|(_, what)| *what == Outcome::Same) {
            true => Some(post(url, &route.path, &place.put(&body, &Value::Null)).await),
            false => None,
        };
        if let Some(Answer { status, body }) = &without
            && !good(status)
        {
            faults.push(format!("{} {shown}: without it, {status} {body}", route.path));
            continue;
        }
        for (given, what) in place.trials() {
            let sent = place.put(&body, &given);
            let answer = post(url, &route.path, &sent).await;
            let good = match (what, &without) {
                (Outcome::Refused(says), _) => answer.refuses(&shown, says),
                (Outcome::Same, Some(without)) => {
                    answer.status == without.status && same(&answer.body, &without.body)
                }
                (Outcome::Same, None) => false,
            };
            if !good {
                let Answer { status, body } = answer;
                let path = &route.path;
                faults.push(format!("{path} {shown} = {given}: {what:?}, but {status} {body}"));
            }
        }
    }
    faults
}

async fn try_all(on: On, url: &str) {
    let document = openapi::document();
    let mut found = Vec::new();
    for route in routes().iter().filter(|route| route.on == on) {
        found.extend(faults(url, route, &document).await);
        found.extend(effects::faults(url, route).await);
    }
    assert!(found.is_empty(), "{} faults:\n{}", found.len(), found.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_generators_are_as_documented() {
    let Some(server) = support::server() else { return };
    try_all(On::Generator, &server.base_url).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_translators_are_as_documented() {
    try_all(On::Translator, &crate::translation::server().url).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_encoders_are_as_documented() {
    try_all(On::Encoders, &crate::tei::tiny().url).await;
}

#[tokio::test(flavor = "multi_thread")]
#[cfg(feature = "documents")]
async fn of_the_desk_are_as_documented() {
    try_all(On::Desk, &serve(Engines::new(Vec::new()), Config::default().server)).await;
}
