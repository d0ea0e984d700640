//! `GET /docs`: the document as one page, without anything from elsewhere.

use std::fmt::Write;

use serde_json::{Map, Value};

use super::fields::{Effect, Piece, fields, kind};

const STYLE: &str = include_str!("page.css");

/// The page.
pub fn page(document: &Value) -> String {
    let none = Map::new();
    let (mut menu, mut main) = (String::new(), String::new());
    for tag in document["tags"].as_array().into_iter().flatten() {
        let heading = tag["name"].as_str().unwrap_or_default();
        let about = words(&tag["description"]);
        let title = escape(heading);
        let _ = write!(menu, "<h2>{title}</h2><ul>");
        let _ = write!(main, "<h2>{title}</h2><p>{about}</p>");
        for (path, item) in document["paths"].as_object().unwrap_or(&none) {
            for (method, operation) in item.as_object().unwrap_or(&none) {
                if operation["tags"][0] == heading {
                    let id = escape(operation["operationId"].as_str().unwrap_or_default());
                    let line = format!("<b>{}</b> {}", escape(method), escape(path));
                    let _ = write!(menu, "<li><a href=\"#{id}\">{line}</a></li>");
                    let _ = write!(main, "<h3 id=\"{id}\"><code>{line}</code></h3>");
                    main += &endpoint(operation, document);
                }
            }
        }
        menu += "</ul>";
    }
    main += "<h2 id=\"types\">Types</h2>";
    for (name, schema) in document["components"]["schemas"].as_object().unwrap_or(&none) {
        let name = escape(name);
        let about = words(&schema["description"]);
        let _ =
            write!(main, "<h3 id=\"type-{name}\">{name}</h3><p>{about}</p>{}", described(schema));
    }
    let about = words(&document["info"]["description"]);
    let version = words(&document["info"]["version"]);
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>Dragoman: reference</title>\
         <style>{STYLE}</style></head><body><nav><h1>Dragoman {version}</h1>{menu}\
         <ul><li><a href=\"#types\">Types</a></li>\
         <li><a href=\"openapi.json\">openapi.json</a></li></ul></nav>\
         <main><p>{about}</p>{main}</main></body></html>\n"
    )
}

fn endpoint(operation: &Value, document: &Value) -> String {
    let none = Map::new();
    let mut text = format!("<p>{}</p><table>", words(&operation["summary"]));
    for parameter in operation["parameters"].as_array().into_iter().flatten() {
        let place = words(&parameter["in"]);
        let (name, about) = (words(&parameter["name"]), words(&parameter["description"]));
        let _ =
            write!(text, "<tr><td>{place}</td><td><code>{name}</code></td><td>{about}</td></tr>");
    }
    let content = operation["requestBody"]["content"].as_object().unwrap_or(&none);
    for (media, content) in content {
        let kind = line(&kind(&content["schema"]));
        let _ = write!(text, "<tr><td>body</td><td>{kind}</td><td>{}</td></tr>", escape(media));
    }
    for (status, response) in operation["responses"].as_object().unwrap_or(&none) {
        let shared = response["$ref"].as_str().and_then(|at| document.pointer(at.get(1..)?));
        let response = shared.unwrap_or(response);
        let about = words(&response["description"]);
        let content = response["content"].as_object().unwrap_or(&none);
        let kinds: Vec<String> = (content.iter())
            .map(|(media, content)| match media.as_str() {
                "application/json" => line(&kind(&content["schema"])),
                other => format!("{} <i>{}</i>", line(&kind(&content["schema"])), escape(other)),
            })
            .collect();
        let kinds = kinds.join("<br>");
        let status = escape(status);
        let _ = write!(text, "<tr><td>{status}</td><td>{kinds}</td><td>{about}</td></tr>");
    }
    text + "</table>"
}

/// A table of the fields, or in a line what there is instead.
fn described(schema: &Value) -> String {
    let fields = fields(schema);
    if fields.is_empty() {
        return format!("<p>{}</p>", line(&kind(schema)));
    }
    let mut text = String::from("<table>");
    for field in fields {
        let (class, kind) = match field.effect {
            Effect::Honoured => ("", line(&field.kind)),
            Effect::Accepted => ("accepted", escape(field.effect.word())),
            Effect::Refused => ("refused", escape(field.effect.word())),
        };
        let star = if field.required { "<b title=\"required\">*</b>" } else { "" };
        let (name, about) = (escape(&field.name), marked(&field.about));
        let _ = write!(
            text,
            "<tr class=\"{class}\"><td><code>{name}</code>{star}</td><td>{kind}</td>\
             <td>{about}</td></tr>"
        );
    }
    text + "</table>"
}

fn line(pieces: &[Piece]) -> String {
    let piece = |piece: &Piece| match piece {
        Piece::Text(text) => escape(text),
        Piece::Name(name) => {
            let name = escape(name);
            format!("<a href=\"#type-{name}\">{name}</a>")
        }
    };
    pieces.iter().map(piece).collect()
}

fn words(value: &Value) -> String {
    marked(value.as_str().unwrap_or_default())
}

/// Text with what stands between backticks as code.
fn marked(text: &str) -> String {
    let mut marked = String::new();
    for (number, part) in escape(text).split('`').enumerate() {
        let tag = ["</code>", "<code>"][number % 2];
        marked += if number == 0 { "" } else { tag };
        marked += part;
    }
    // One that is left open.
    marked + if text.matches('`').count() % 2 == 1 { "</code>" } else { "" }
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            '\'' => escaped += "&#39;",
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::marked;

    #[test]
    fn text_cannot_become_markup() {
        for (text, html) in [
            ("a `b` c", "a <code>b</code> c"),
            ("<script>`&`\"'", "&lt;script&gt;<code>&amp;</code>&quot;&#39;"),
            ("a ` b", "a <code> b</code>"),
            ("", ""),
        ] {
            assert_eq!(marked(text), html);
        }
    }
}
