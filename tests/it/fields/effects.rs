//! What each honoured field does, by the table in `effects.txt`.

use std::collections::BTreeSet;
use std::path::Path;

use dragoman::api::openapi;
use serde_json::Value;

use super::{Answer, Route, lasting, parsed, post, routes, schema, within};

const EFFECTS: &str = include_str!("effects.txt");

/// The routes that `*` stands for.
const BOTH: [&str; 2] = ["/v1/chat/completions", "/v1/completions"];

/// A line of the table.
struct Effect<'a> {
    route: &'a str,
    field: &'a str,
    how: How<'a>,
}

enum How<'a> {
    /// The answers to these differ; by default, the same without the field.
    Differs(&'a str, Option<&'a str>),
    Refused(&'a str),
    /// The file of the test.
    See(&'a str),
}

fn effects() -> impl Iterator<Item = Effect<'static>> {
    let lines = EFFECTS.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    lines.map(|line| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let how = match cells[2..] {
            [see] if see.starts_with("see ") => How::See(&see[4..]),
            [request] => How::Differs(request, None),
            [request, "refused"] => How::Refused(request),
            [request, other] => How::Differs(request, Some(other)),
            _ => panic!("{line}"),
        };
        Effect { route: cells[0], field: cells[1], how }
    })
}

impl Effect<'_> {
    fn is_of(&self, path: &str) -> bool {
        self.route == path || self.route == "*" && BOTH.contains(&path)
    }
}

/// A field of the document without a line would be claimed and not shown.
#[test]
fn every_honoured_field_has_a_line() {
    let document = openapi::document();
    let mut wrong = Vec::new();
    for route in routes() {
        if route.path.ends_with("/count_tokens") {
            // Takes what `/v1/messages` takes, and counts.
            continue;
        }
        let lines = effects().filter(|effect| effect.is_of(&route.path));
        let lines: BTreeSet<&str> = lines.map(|effect| effect.field).collect();
        let name = schema(&document, &route.path)["$ref"].as_str().unwrap();
        let fields = document.pointer(&name[1..]).unwrap()["properties"].as_object().unwrap();
        let fields = fields.iter().filter(|(_, field)| !field["x-accepted"].is_string());
        let fields: BTreeSet<&str> = fields.map(|(field, _)| field.as_str()).collect();
        for field in fields.symmetric_difference(&lines) {
            wrong.push(format!("{} | {field}", route.path));
        }
    }
    assert!(wrong.is_empty(), "only in the document or only in the table:\n{}", wrong.join("\n"));
}

#[test]
fn the_tests_that_it_names_have_the_field() {
    for Effect { route, field, how } in effects() {
        if let How::See(file) = how {
            let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file));
            assert!(text.unwrap_or_default().contains(field), "{route} {field}: {file}");
        }
    }
}

/// `body` with other fields; null takes one away.
fn changed(body: &Value, changes: &Value) -> Value {
    let mut body = body.clone();
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => drop(body.as_object_mut().unwrap().remove(name)),
            value => body[name] = value.clone(),
        }
    }
    body
}

/// Tries each line of a route, and gives those whose fields do not do it.
pub async fn faults(url: &str, route: &Route) -> Vec<String> {
    let body = parsed(&route.body);
    // Longer than the models read, and of other words at its two ends.
    let long = format!("w5 w7 {} w8 w9", vec!["w6"; 600].join(" "));
    let read = |text: &str| parsed(&text.replace("LONG", &long));
    let ask = async |changes: &Value| post(url, &route.path, &changed(&body, changes)).await;
    let mut faults = Vec::new();
    for Effect { field, how, .. } in effects().filter(|effect| effect.is_of(&route.path)) {
        let fault = match how {
            How::See(_) => continue,
            How::Refused(request) => {
                let Answer { status, body } = ask(&read(request)).await;
                let param = body["error"]["param"].as_str().unwrap_or_default();
                let refused = Answer { status, body: body.clone() }.refuses(field, "")
                    || status == 400 && within(param, field);
                (!refused).then(|| format!("is not refused: {status} {body}"))
            }
            How::Differs(request, other) => {
                let with = read(request);
                let without = other.map_or_else(
                    || {
                        let mut without = with.clone();
                        without.as_object_mut().unwrap().remove(field);
                        without
                    },
                    read,
                );
                let (a, b) = (ask(&with).await, ask(&without).await);
                let same = (a.status, lasting(&a.body)) == (b.status, lasting(&b.body));
                same.then(|| format!("changes nothing: {} {}", a.status, a.body))
            }
        };
        faults.extend(fault.map(|fault| format!("{} {field} {fault}", route.path)));
    }
    faults
}
