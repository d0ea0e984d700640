//! The OpenAPI document and the pages made from it: up to date, sound, and of
//! the routes that there are.

mod answers;
mod schema;

use std::collections::{BTreeMap, BTreeSet};
#[cfg(feature = "documents")]
use std::path::Path;
use std::sync::OnceLock;

use dragoman::api::openapi;
use dragoman::config::Config;
use dragoman::engine::Engines;
use reqwest::{Client, Method};
use serde_json::Value;

use crate::support::serve;

fn document() -> &'static Value {
    static DOCUMENT: OnceLock<Value> = OnceLock::new();
    DOCUMENT.get_or_init(openapi::document)
}

#[test]
#[cfg(feature = "documents")]
fn the_committed_reference_is_the_generated_one() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let pages =
        [("docs/openapi.json", openapi::pretty(document())), ("docs/api.md", openapi::markdown())];
    for (name, generated) in pages {
        let path = root.join(name);
        if std::env::var_os("DRAGOMAN_TEST_UPDATE").is_some() {
            std::fs::write(&path, &generated).expect("the page can be written");
        }
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            committed == generated,
            "{name} is out of date; run `DRAGOMAN_TEST_UPDATE=1 cargo test reference`"
        );
    }
}

/// The methods of each path of the document, in capitals.
fn documented() -> BTreeMap<String, BTreeSet<String>> {
    let paths = document()["paths"].as_object().unwrap();
    let methods =
        |item: &Value| item.as_object().unwrap().keys().map(|m| m.to_uppercase()).collect();
    paths.iter().map(|(path, item)| (path.clone(), methods(item))).collect()
}

/// What the source gives to `.route(`, with `{*id}` as `{id}`.
#[cfg(feature = "documents")]
fn routed() -> BTreeSet<String> {
    fn walk(folder: &Path, found: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            // Routes of unit tests are none of the server's.
            let text = text.split("#[cfg(test)]").next().unwrap();
            let calls = text.split(".route(").skip(1).filter_map(|call| {
                Some(call.trim_start().strip_prefix('"')?.split_once('"')?.0.replace("{*", "{"))
            });
            found.extend(calls);
        }
    }
    let mut found = BTreeSet::new();
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/api"), &mut found);
    found
}

#[test]
#[cfg(feature = "documents")]
fn the_routes_are_the_documents() {
    assert_eq!(routed(), documented().into_keys().collect());
}

#[tokio::test]
async fn the_methods_are_the_documents() {
    let url = serve(Engines::new(Vec::new()), Config::default().server);
    for (path, methods) in documented() {
        let place = path.replace("{id}", "x");
        let trace = Client::new().request(Method::TRACE, format!("{url}{place}"));
        let response = trace.send().await.unwrap();
        assert_eq!(response.status(), 405, "{path}");
        let allowed = response.headers()["allow"].to_str().unwrap().to_owned();
        let allowed = allowed.split(',');
        // The library answers HEAD wherever there is GET.
        let allowed = allowed.map(str::to_owned).filter(|method| method != "HEAD");
        assert_eq!(allowed.collect::<BTreeSet<_>>(), methods, "{path}");
        let body: Value = response.json().await.unwrap();
        for method in methods {
            let described = &document()["paths"][&path][method.to_lowercase()]["responses"]["405"];
            let described = document().pointer(&described["$ref"].as_str().unwrap()[1..]).unwrap();
            let schema = &described["content"]["application/json"]["schema"];
            let fits = schema::check(document(), schema, &body, &path);
            fits.unwrap_or_else(|error| panic!("{method} {path}: {error}"));
        }
    }
}

#[tokio::test]
async fn it_is_served_without_a_key() {
    let config =
        dragoman::config::Server { api_key: Some("secret".into()), ..Config::default().server };
    let url = serve(Engines::new(Vec::new()), config);
    let get = async |path: &str| Client::new().get(format!("{url}{path}")).send().await.unwrap();
    assert_eq!(get("/v1/models").await.status(), 401);
    let served: Value = get("/openapi.json").await.json().await.unwrap();
    assert_eq!(&served, document());
    let page = get("/docs").await;
    assert_eq!(page.headers()["content-type"], "text/html; charset=utf-8");
    let page = page.text().await.unwrap();
    for path in documented().into_keys() {
        assert!(page.contains(&path), "{path}");
    }
    for elsewhere in ["http://", "https://", "src=", "<script"] {
        assert!(!page.contains(elsewhere), "the page needs {elsewhere}");
    }
}

fn walk<'a>(value: &'a Value, visit: &mut dyn FnMut(&'a Value)) {
    visit(value);
    match value {
        Value::Object(fields) => fields.values().for_each(|value| walk(value, visit)),
        Value::Array(items) => items.iter().for_each(|value| walk(value, visit)),
        _ => {}
    }
}

#[test]
fn every_reference_leads_somewhere() {
    let schemas = document()["components"]["schemas"].as_object().unwrap();
    let mut used = BTreeSet::new();
    walk(document(), &mut |value| {
        if let Some(reference) = value["$ref"].as_str() {
            let pointer = reference.strip_prefix('#').unwrap();
            assert!(document().pointer(pointer).is_some(), "{reference}");
            used.insert(reference.rsplit('/').next().unwrap());
        }
    });
    for name in schemas.keys() {
        assert!(used.contains(name.as_str()), "nothing refers to {name}");
        // schemars numbers types of one name, and clients make classes of them.
        assert!(!name.ends_with(|c: char| c.is_ascii_digit()), "{name} needs a name of its own");
    }
    let mut ids = BTreeSet::new();
    walk(&document()["paths"], &mut |value| {
        if let Some(id) = value["operationId"].as_str() {
            assert!(ids.insert(id), "{id} is there twice");
        }
    });
}

#[test]
fn every_link_of_the_page_leads_somewhere() {
    let page = openapi::markdown();
    let headings: BTreeSet<String> = (page.lines())
        .filter_map(|line| line.strip_prefix("### "))
        .map(|heading| heading.to_lowercase())
        .collect();
    for link in page.split("](#").skip(1).filter_map(|rest| rest.split(')').next()) {
        assert!(headings.contains(link), "there is no {link}");
    }
}

/// Objects of requests are closed, as the server refuses what it does not know.
#[test]
fn requests_are_closed() {
    let document = document();
    let mut open: Vec<&Value> = Vec::new();
    let mut seen = BTreeSet::new();
    walk(&document["paths"], &mut |value| open.extend(value.get("requestBody")));
    while let Some(part) = open.pop() {
        walk(part, &mut |value| {
            if value["properties"].is_object() && value.get("type").is_some_and(|t| t == "object") {
                assert_eq!(value["additionalProperties"], false, "{value:#}");
            }
            if let Some(reference) = value["$ref"].as_str()
                && seen.insert(reference)
            {
                open.push(document.pointer(&reference[1..]).unwrap());
            }
        });
    }
    assert!(seen.len() > 30, "{seen:?}");
}
