//! Where a template's source comes from, and what it needs before compiling.

use serde_json::Value;

/// The chat template inside a parsed `tokenizer_config.json`: a string, or a
/// list of named ones, of which the default one is taken, or the one for tools
/// where there is no default. `None` where the file has none.
pub fn template_source(tokenizer_config: &Value) -> Option<&str> {
    let template = tokenizer_config.get("chat_template")?;
    if let Some(source) = template.as_str() {
        return Some(source);
    }
    let named = |name: &str| {
        let entry = template.as_array()?.iter().find(|e| e.get("name") == Some(&name.into()))?;
        entry.get("template")?.as_str()
    };
    named("default").or_else(|| named("tool_use"))
}

/// The source with Hugging Face's own tag made neutral: `{% generation %}`
/// marks the assistant's text for training and renders what is inside it.
pub(super) fn portable(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(start) = rest.find("{%") {
        let (before, tag) = rest.split_at(start);
        out.push_str(before);
        let Some(end) = tag.find("%}") else {
            rest = tag;
            break;
        };
        // Whitespace control stays: only the word is replaced.
        let inner = &tag[2..end];
        let word = inner.trim_matches(|c: char| c.is_whitespace() || c == '-' || c == '+');
        let neutral = match word {
            "generation" => Some("if true"),
            "endgeneration" => Some("endif"),
            _ => None,
        };
        match neutral {
            Some(neutral) => {
                out.push_str("{%");
                out.push_str(&inner.replace(word, neutral));
                out.push_str("%}");
                rest = &tag[end + 2..];
            }
            None => {
                // On by the opening only: a string in the tag may hold a "%}".
                out.push_str("{%");
                rest = &tag[2..];
            }
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_training_tag_is_neutral() {
        let source =
            "{% for m in messages %}{%- generation -%}\n{{ m }}\n{% endgeneration %}{% endfor %}";
        let want = "{% for m in messages %}{%- if true -%}\n{{ m }}\n{% endif %}{% endfor %}";
        assert_eq!(portable(source), want);
        for same in ["", "{%", "{% set generation = 1 %}", "{{ '%}{% x' }}", "é{%é"] {
            assert_eq!(portable(same), same);
        }
    }

    #[test]
    fn the_default_of_several_templates() {
        let one = json!({"chat_template": "a"});
        assert_eq!(template_source(&one), Some("a"));
        let several = json!({"chat_template": [
            {"name": "tool_use", "template": "b"}, {"name": "default", "template": "a"}]});
        assert_eq!(template_source(&several), Some("a"));
        let tools = json!({"chat_template": [{"name": "tool_use", "template": "b"}]});
        assert_eq!(template_source(&tools), Some("b"));
        assert_eq!(template_source(&json!({})), None);
        assert_eq!(template_source(&json!({"chat_template": null})), None);
    }
}
