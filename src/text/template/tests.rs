use serde_json::{Value as Json, json};

use super::*;

const CHATML: &str = "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

fn input(messages: Json) -> ChatInput {
    ChatInput { messages: messages.as_array().cloned().unwrap(), ..ChatInput::default() }
}

fn render(source: &str, input: &ChatInput) -> Result<String, TemplateError> {
    ChatTemplate::new(source, Some("<s>"), Some("</s>")).and_then(|t| t.render(input))
}

/// Renders an expression with `x` bound.
fn expression(source: &str, x: Json) -> String {
    let mut chat = ChatInput::default();
    chat.kwargs.insert("x".into(), x);
    render(&format!("{{{{ {source} }}}}"), &chat).unwrap()
}

#[test]
fn a_conversation() {
    let mut chat = input(json!([{"role": "user", "content": "Grüezi"}]));
    chat.add_generation_prompt = true;
    assert_eq!(
        render(CHATML, &chat).unwrap(),
        "<|im_start|>user\nGrüezi<|im_end|>\n<|im_start|>assistant\n"
    );
}

#[test]
fn variables() {
    let source = "{{ bos_token }}{{ tools is none }}{{ documents is none }}{{ thinking }}{{ messages|length }}{{ eos_token }}";
    let mut chat = input(json!([]));
    assert_eq!(render(source, &chat).unwrap(), "<s>TrueTrue0</s>");
    chat.tools = Some(vec![json!({"type": "function"})]);
    for (name, value) in
        [("thinking", json!(false)), ("messages", json!("no")), ("eos_token", json!("E"))]
    {
        chat.kwargs.insert(name.into(), value);
    }
    assert_eq!(render(source, &chat).unwrap(), "<s>FalseTrueFalse0E");
    let without = ChatTemplate::new("[{{ bos_token }}]", None, None).unwrap();
    assert_eq!(without.render(&chat).unwrap(), "[]");
}

#[test]
fn blocks_are_trimmed_and_loops_controlled() {
    let source = "{% for i in range(9) %}\n    {% if i == 1 %}\n        {% continue %}\n    {% elif i == 3 %}\n        {% break %}\n    {% endif %}\n{{ i }}\n{% endfor %}\n";
    assert_eq!(render(source, &input(json!([]))).unwrap(), "0\n2\n");
}

#[test]
fn python_methods_and_values() {
    assert_eq!(expression("x.strip().split('|')[-1].lstrip('\\n')", json!(" a|\nb ")), "b");
    assert_eq!(expression("x.startswith('a') and x.endswith('b')", json!("ab")), "True");
    assert_eq!(expression("x.items()|list|length", json!({"items": 1, "keys": 2})), "2");
    assert_eq!(expression("x.get('b', 'none')", json!({"a": 1})), "none");
    assert_eq!(
        expression("x", json!({"a": [1, 2.5, null, true, "q"]})),
        "{'a': [1, 2.5, None, True, 'q']}"
    );
    assert_eq!(expression("(x|string) ~ none", json!(true)), "TrueNone");
}

/// The expected texts are what Python's `json.dumps` writes.
#[test]
fn json_as_python_writes_it() {
    let x = json!({"b": "<&'é\u{1}\u{7f}\"\\\n", "a": [1, -2.5, 1e16, 1e-7, 100.0, null, true], "e": [], "o": {}});
    assert_eq!(
        expression("x|tojson", x.clone()),
        "{\"b\": \"<&'é\\u0001\u{7f}\\\"\\\\\\n\", \"a\": [1, -2.5, 1e+16, 1e-07, 100.0, null, true], \"e\": [], \"o\": {}}"
    );
    let small = json!({"k": [1, {}], "a": "é😀"});
    assert_eq!(
        expression("x|tojson(indent=2)", small.clone()),
        "{\n  \"k\": [\n    1,\n    {}\n  ],\n  \"a\": \"é😀\"\n}"
    );
    assert_eq!(
        expression("x|tojson(ensure_ascii=True, sort_keys=True, separators=(',', ':'))", small),
        r#"{"a":"\u00e9\ud83d\ude00","k":[1,{}]}"#
    );
    assert_eq!(expression("x|tojson(indent=none)", json!(0.1)), "0.1");
    assert_eq!(
        expression("{'a': x, 1: (2, 3)}|tojson", json!(123456789012345678u64)),
        r#"{"a": 123456789012345678, "1": [2, 3]}"#
    );
    let undefined = render("{{ nothing|tojson }}", &input(json!([])));
    assert!(matches!(undefined, Err(TemplateError::Render { line: Some(1), .. })));
}

#[test]
fn the_clock() {
    let year = expression("strftime_now(x)", json!("%Y"));
    assert!(year.parse::<i32>().unwrap() >= 2025);
    let wrong = render("{{ strftime_now('%!') }}", &input(json!([])));
    assert!(matches!(wrong, Err(TemplateError::Render { .. })));
}

#[test]
fn errors_say_where() {
    let syntax = ChatTemplate::new("a\nb\n{% if %}", None, None).unwrap_err();
    assert!(matches!(syntax, TemplateError::Syntax { line: Some(3), .. }), "{syntax}");
    assert!(syntax.to_string().contains("line 3"));
    let failing =
        render("a\n{{ messages[0].content.upper(1) }}", &input(json!([{"content": "x"}])));
    assert!(matches!(failing, Err(TemplateError::Render { line: Some(2), .. })));
    let refusing = render("{{ raise_exception('roles must alternate') }}", &input(json!([])));
    assert_eq!(refusing, Err(TemplateError::Refused("roles must alternate".into())));
    let inside = "{% macro m() %}{{ raise_exception('no') }}{% endmacro %}{{ m() }}";
    assert_eq!(render(inside, &input(json!([]))), Err(TemplateError::Refused("no".into())));
}

#[test]
fn hostile_templates_stop() {
    let deep = |then: &str| {
        let nested = format!("{}n.l{}", "[".repeat(60), "]".repeat(60));
        format!(
            "{{% set n = namespace(l=[]) %}}{{% for a in range(99999) %}}{{% set n.l = {nested} %}}{then}{{% endfor %}}"
        )
    };
    let show = deep("{% if a == 1000 %}{{ n.l }}{{ n.l == [n.l] }}{{ n.l|tojson }}{% endif %}");
    let hostile = [
        "{% for a in range(99999) %}{% for b in range(99999) %}{% set c = a %}{% endfor %}{% endfor %}",
        "{% set n = namespace(s='x') %}{% for a in range(99) %}{% set n.s = n.s ~ n.s %}{% endfor %}",
        "{% macro m(n) %}{{ m(n) }}{{ m(n) }}{% endmacro %}{{ m(1) }}",
        "{{ 'x' * 99999999999 }}",
        "{{ range(99999)|list|map('string')|join(',') * 999 }}",
        &deep(""),
        &show,
    ];
    // The longer the conversation, the larger the budget.
    for messages in [1, 300] {
        let chat =
            input(vec![json!({"role": "user", "content": "x".repeat(100)}); messages].into());
        for source in hostile {
            let started = std::time::Instant::now();
            assert!(render(source, &chat).is_err(), "{source}");
            assert!(started.elapsed().as_secs() < 60, "{source}");
        }
    }
}

#[test]
fn long_conversations_are_within_the_budget() {
    // Every message is looked at from every other, and copied a few times.
    let source = "{% for m in messages %}{% set ns = namespace(later=0) %}{% for other in messages[loop.index:] %}{% if other.role == 'user' and other.content %}{% set ns.later = ns.later + 1 %}{% endif %}{% endfor %}{{ (m.content|trim|replace('a', 'b') ~ '\n')|upper }}{% endfor %}";
    let one = json!({"role": "user", "content": "a".repeat(200)});
    let many = render(source, &input(vec![one; 1000].into())).unwrap();
    assert_eq!(many.len(), 1000 * 201);
    let large = json!({"role": "user", "content": "a".repeat(8 << 20)});
    assert_eq!(render(source, &input(vec![large].into())).unwrap().len(), (8 << 20) + 1);
}

#[test]
fn tests_of_types_are_as_in_jinja() {
    for (x, iterable, sequence) in [
        (json!(null), "False", "False"),
        (json!(1), "False", "False"),
        (json!("s"), "True", "True"),
        (json!([]), "True", "True"),
        (json!({}), "True", "True"),
    ] {
        assert_eq!(expression("x is iterable", x.clone()), iterable, "{x}");
        assert_eq!(expression("x is sequence", x.clone()), sequence, "{x}");
    }
}

#[test]
fn contents_take_the_form_the_template_reads() {
    let parts = json!([{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}]);
    let plain = json!([{"role": "user", "content": "a"}]);

    let text = ChatTemplate::new(CHATML, None, None).unwrap();
    assert_eq!(text.content_form(), ContentForm::Text);
    assert!(!text.accepts_content_parts());
    assert!(text.render(&input(parts.clone())).unwrap().contains("user\na\nb<"));
    let image = json!([{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]);
    let refused = text.render(&input(image)).unwrap_err();
    assert!(refused.to_string().starts_with("messages[0].content"), "{refused}");

    // Printed whole, a list is not read.
    let printing =
        ChatTemplate::new("{% for m in messages %}{{ m.content }}{% endfor %}", None, None)
            .unwrap();
    assert_eq!(printing.content_form(), ContentForm::Text);

    let each = "{% for p in m.content %}<{{ p.text }}>{% endfor %}";
    let only =
        ChatTemplate::new(&format!("{{% for m in messages %}}{each}{{% endfor %}}"), None, None)
            .unwrap();
    assert_eq!(only.content_form(), ContentForm::Parts);
    assert_eq!(only.render(&input(plain.clone())).unwrap(), "<a>");

    let either = format!(
        "{{% for m in messages %}}{{% if m.content is string %}}{{{{ m.content }}}}{{% else %}}{each}{{% endif %}}{{% endfor %}}"
    );
    let either = ChatTemplate::new(&either, None, None).unwrap();
    assert_eq!(either.content_form(), ContentForm::Either);
    assert_eq!(either.render(&input(parts)).unwrap(), "<a><b>");
    assert_eq!(either.render(&input(plain)).unwrap(), "a");
}

#[test]
fn tool_arguments_take_the_form_the_template_reads() {
    let call = |arguments: Json| {
        json!([{"role": "user", "content": "x"},
            {"role": "assistant", "content": null, "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": arguments}}]}])
    };
    let loop_over = |body: &str| {
        format!(
            "{{% for m in messages %}}{{% for c in m.tool_calls or [] %}}{body}{{% endfor %}}{{% endfor %}}"
        )
    };
    let as_json = loop_over("{{ c.function.arguments | tojson }}");
    let text = Json::from(r#"{"a": 1}"#);
    assert_eq!(render(&as_json, &input(call(text.clone()))).unwrap(), r#"{"a": 1}"#);
    assert_eq!(render(&as_json, &input(call(json!({"a": 1})))).unwrap(), r#"{"a": 1}"#);
    assert_eq!(render(&as_json, &input(call(json!("not json")))).unwrap(), r#""not json""#);
    // A template with a notation of its own gets the object as well.
    let own = loop_over(
        "{% if c.function.arguments is string %}{{ c.function.arguments }}{% else %}{% for k, v in c.function.arguments.items() %}{{ k }}={{ v }}{% endfor %}{% endif %}",
    );
    assert_eq!(render(&own, &input(call(text.clone()))).unwrap(), "a=1");
    let as_text = loop_over("{{ 'call ' + c.function.arguments }}");
    assert_eq!(render(&as_text, &input(call(text))).unwrap(), r#"call {"a": 1}"#);
}

#[test]
fn tools_are_known_where_they_are_shown() {
    let tools = Some(vec![json!({"type": "function", "function": {"name": "look_up"}})]);
    let by_variable =
        "{% for tool in tools %}{{ tool | tojson }}{% endfor %}{{ messages[0].content }}";
    let in_system = "{% for m in messages %}{% if 'tools' in m %}<|tool|>{{ m['tools'] }}<|/tool|>{% endif %}{{ m.content }}{% endfor %}";
    for (source, known) in [(CHATML, false), (by_variable, true), (in_system, true)] {
        let template = ChatTemplate::new(source, None, None).unwrap();
        assert_eq!(template.reads_tools(), known, "{source}");
        let mut chat = input(json!([{"role": "user", "content": "?"}]));
        chat.tools = tools.clone();
        assert_eq!(template.render(&chat).unwrap().contains("look_up"), known, "{source}");
    }
}

#[test]
fn templates_that_write_the_date_are_known() {
    let dated = "{{ strftime_now('%d %b %Y') }}{{ messages[0].content }}";
    for (source, reads) in [(CHATML, false), (dated, true)] {
        assert_eq!(ChatTemplate::new(source, None, None).unwrap().reads_clock(), reads);
    }
}
