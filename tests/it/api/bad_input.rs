//! Bad input: the right status, the field named, the server alive.

use reqwest::{Client, StatusCode};
use serde_json::{Value, json};

use super::{CHAT, EMBED, TEXT, error, ok, post, with};
use crate::support::{self, TestServer};

/// What to send, and how it is refused: route, fields to replace in a valid
/// request (null removes one), status, `param`, part of the message.
/// `GENERATOR` and `EMBEDDER` stand for the loaded models.
const REFUSED: &str = r##"
chat  | {"model": null}                                  | 400 | model           | `model` is required
chat  | {"model": ""}                                    | 400 | model           | `model` is required
chat  | {"model": "gpt-9"}                               | 404 | model           | `gpt-9` is not loaded
chat  | {"model": 7}                                     | 400 | model           | expected a string
chat  | {"model": "EMBEDDER"}                            | 400 | model           | cannot generate text
text  | {"model": "EMBEDDER"}                            | 400 | model           | `GENERATOR`
embed | {"model": "GENERATOR"}                           | 400 | model           | cannot make embeddings
embed | {"model": "gpt-9"}                               | 404 | model           | `EMBEDDER`

chat  | {"messages": null}                               | 400 | messages        | is required
chat  | {"messages": []}                                 | 400 | messages        | is empty
chat  | {"messages": "Hi"}                               | 400 | messages        | expected an array
chat  | {"messages": ["Hi"]}                             | 400 | messages[0]     | expected a JSON object
chat  | {"messages": [{"role": "user"}]}                 | 400 | messages[0].content | is required
chat  | {"messages": [{"role": "user", "content": 5}]}   | 400 | messages[0].content | a string or an array
chat  | {"messages": [{"role": "user", "content": []}]}  | 400 | messages[0].content | no parts
chat  | {"messages": [{"content": "x"}]}                 | 400 | messages[0].role | is required
chat  | {"messages": [{"role": "robot", "content": ""}]} | 400 | messages[0].role | unknown variant `robot`
chat  | {"messages": [{"role": "tool", "content": "4"}]} | 400 | messages[0].tool_call_id | is required
chat  | {"messages": [{"role": "tool", "content": "4", "tool_call_id": "c"}]} | 400 | messages[0].tool_call_id | no call
chat  | {"messages": [{"role": "user", "content": "x", "tool_call_id": "c"}]} | 400 | messages[0].tool_call_id | role `tool`
chat  | {"messages": [{"role": "user", "content": "x", "reasoning_content": "y"}]} | 400 | messages[0].reasoning_content | role `assistant`
chat  | {"messages": [{"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": "{}"}}]}]} | 400 | messages[0] | knows none
chat  | {"messages": [{"role": "user", "content": "x", "nmae": "y"}]} | 400 | messages[0].nmae | did you mean `name`?
chat  | {"messages": [{"role": "assistant", "content": "", "tool_calls": [{}]}]} | 400 | messages[0].tool_calls[0].id | is required
chat  | {"messages": [{"role": "assistant", "tool_calls": [{"id": "c"}]}]} | 400 | messages[0].tool_calls[0].function | is required
chat  | {"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "x"}}]}]} | 400 | messages[0].content[1].image_url | only text
chat  | {"messages": [{"role": "user", "content": [{"type": "video"}]}]} | 400 | messages[0].content[0].type | `video`

chat  | {"temperature": -1}                              | 400 | temperature     | between 0 and 2
chat  | {"temperature": "hot"}                           | 400 | temperature     | expected a number
chat  | {"temperature": 1e300}                           | 400 | temperature     | between 0 and 2
chat  | {"top_p": 0}                                     | 400 | top_p           | above 0 and at most 1
chat  | {"top_p": 1.5}                                   | 400 | top_p           | above 0 and at most 1
chat  | {"top_k": -2}                                    | 400 | top_k           | 0 or -1
chat  | {"min_p": 2}                                     | 400 | min_p           | between
chat  | {"presence_penalty": 3}                          | 400 | presence_penalty | between
chat  | {"frequency_penalty": -3}                        | 400 | frequency_penalty | between
chat  | {"repetition_penalty": 0}                        | 400 | repetition_penalty | between
chat  | {"seed": 0.5}                                    | 400 | seed            | whole number
chat  | {"max_tokens": 0}                                | 400 | max_tokens      | at least 1
chat  | {"max_tokens": -4}                               | 400 | max_tokens      | 0 or more
chat  | {"max_tokens": 1.5}                              | 400 | max_tokens      | 0 or more
chat  | {"max_tokens": 100000000}                        | 400 | messages        | context
chat  | {"max_tokens": null, "max_completion_tokens": 0} | 400 | max_completion_tokens | max_completion_tokens is 0
chat  | {"max_completion_tokens": 3}                     | 400 | max_tokens      | send one
chat  | {"stop": 5}                                      | 400 | stop            | array of strings
chat  | {"stop": [1]}                                    | 400 | stop[0]         | expected a string
chat  | {"stop": [""]}                                   | 400 | stop            | empty
chat  | {"stop": ["","","","","","","","","","","","","","","","",""]} | 400 | stop | limit is 16
chat  | {"n": 0}                                         | 400 | n               | 1 to 128
chat  | {"n": 1000}                                      | 400 | n               | 1 to 128
chat  | {"stream": "yes"}                                | 400 | stream          | true or false
chat  | {"stream_options": {"include_usage": true}}      | 400 | stream_options  | only goes with
chat  | {"stream": true, "stream_options": {"include_cost": true}} | 400 | stream_options.include_cost | unknown field
chat  | {"typical_p": 0}                                 | 400 | typical_p       | above 0 and at most 1
chat  | {"dry_multiplier": -1}                           | 400 | dry_multiplier  | between
chat  | {"dry_multiplier": 1, "dry_base": 0.5}           | 400 | dry_base        | between
chat  | {"dry_penalty_last_n": -2}                       | 400 | dry_penalty_last_n | -1 for all
chat  | {"dry_sequence_breakers": [""]}                  | 400 | dry_sequence_breakers | none of them empty
chat  | {"logprobs": 2}                                  | 400 | logprobs        | true or false
chat  | {"top_logprobs": 3}                              | 400 | top_logprobs    | only goes with
chat  | {"logprobs": true, "top_logprobs": 21}           | 400 | top_logprobs    | at most 20
chat  | {"logit_bias": {"a": 1}}                         | 400 | logit_bias      | not a token id
chat  | {"logit_bias": {"5": 101}}                       | 400 | logit_bias      | from -100 to 100
chat  | {"logit_bias": {"99999999": 1}}                  | 400 | logit_bias      | go up to
chat  | {"min_tokens": 5, "max_tokens": 4}               | 400 | min_tokens      | max_tokens
chat  | {"priority": 5000}                               | 400 | priority        | -1000 to 1000
chat  | {"timeout": -1}                                  | 400 | timeout         | seconds
chat  | {"timeout": 0}                                   | 400 | timeout         | timeout is 0
chat  | {"speculation": 3}                               | 400 | speculation     | true or false
chat  | {"response_format": {"type": "xml"}}             | 400 | response_format.type | json_schema
chat  | {"response_format": {"type": "json_schema"}}     | 400 | response_format.json_schema | is required
chat  | {"response_format": {"type": "text", "json_schema": {"schema": {}}}} | 400 | response_format.json_schema | goes with
chat  | {"response_format": {"type": "json_object", "sort": 1}} | 400 | response_format.sort | unknown field
chat  | {"response_format": {"type": "json_schema", "json_schema": {"schema": {"type": "nonsense"}}}} | 400 | response_format | nonsense
chat  | {"response_format": {"type": "json_object"}, "guided_regex": "a"} | 400 | guided_regex | already
chat  | {"structured_outputs": {"regex": "a", "choice": ["b"]}} | 400 | structured_outputs.choice | already
chat  | {"structured_outputs": {"disable_any_whitespace": true}} | 400 | structured_outputs.disable_any_whitespace | unknown field
chat  | {"guided_choice": []}                            | 400 | guided_choice   | send 1 to 1024
chat  | {"guided_grammar": "start: nonsense"}            | 400 | guided_grammar  | nonsense
chat  | {"chat_template_kwargs": {"messages": []}}       | 400 | chat_template_kwargs.messages | set by the server

chat  | {"tools": [{"type": "function"}]}                | 400 | tools[0].function | is required
chat  | {"tools": [{"type": "web_search"}]}              | 400 | tools[0].type   | not supported
chat  | {"tools": [{"type": "function", "function": {}}]} | 400 | tools[0].function.name | is required
chat  | {"tools": [{"type": "function", "function": {"name": "a b"}}]} | 400 | tools[0].function.name | letters, digits
chat  | {"tools": [{"type": "function", "function": {"name": "f"}}, {"type": "function", "function": {"name": "f"}}]} | 400 | tools[1].function.name | already
chat  | {"tools": [{"type": "function", "function": {"name": "f", "parameters": 5}}]} | 400 | tools[0].function.parameters | schema
chat  | {"tools": [{"type": "function", "function": {"name": "f", "stict": true}}]} | 400 | tools[0].function.stict | did you mean `strict`?
chat  | {"tools": [{"type": "function", "function": {"name": "f"}}]} | 400 | tools | knows no tools
chat  | {"tool_choice": "required"}                      | 400 | tool_choice     | send some
chat  | {"tool_choice": "perhaps"}                       | 400 | tool_choice     | send "auto"
chat  | {"tools": [{"type": "function", "function": {"name": "f"}}], "tool_choice": {"type": "function", "function": {"name": "g"}}} | 400 | tool_choice | none of the tools
chat  | {"tools": [{"type": "function", "function": {"name": "f"}}], "tool_choice": {"type": "custom"}} | 400 | tool_choice.type | send function or allowed_tools
chat  | {"tools": [{"type": "function", "function": {"name": "f"}}], "tool_choice": {"type": "function"}} | 400 | tool_choice.function | is required
chat  | {"tools": [{"type": "function", "function": {"name": "f"}}], "tool_choice": {"type": "function", "name": "f"}} | 400 | tool_choice.name | put it into `function`
chat  | {"tools": [{"type": "function", "function": {"name": "f"}}], "tool_choice": {"type": "function", "function": {"name": "f"}, "allowed_tools": {}}} | 400 | tool_choice.allowed_tools | does not go with the type function
chat  | {"tools": [{"type": "function", "function": {"name": "f"}}], "tool_choice": {"type": "allowed_tools"}} | 400 | tool_choice.allowed_tools | is required
chat  | {"tools": [{"type": "function", "function": {"name": "f"}}], "tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto"}}} | 400 | tool_choice.allowed_tools.tools | is required
chat  | {"tools": [{"type": "function", "function": {"name": "f"}}], "tool_choice": {"type": "allowed_tools", "allowed_tools": {"tools": [{"type": "function", "function": {"name": "f"}}]}}} | 400 | tool_choice.allowed_tools.mode | is required
chat  | {"tools": [{"type": "function", "function": {"name": "f"}}], "tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "none", "tools": [{"type": "function", "function": {"name": "f"}}]}}} | 400 | tool_choice.allowed_tools.mode | send auto or required
chat  | {"tools": [{"type": "function", "function": {"name": "f"}}], "tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": []}}} | 400 | tool_choice.allowed_tools.tools | is empty
chat  | {"tools": [{"type": "function", "function": {"name": "f"}}], "tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [{"type": "custom"}]}}} | 400 | tool_choice.allowed_tools.tools[0].type | only functions
chat  | {"tools": [{"type": "function", "function": {"name": "f"}}], "tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [{"type": "function"}]}}} | 400 | tool_choice.allowed_tools.tools[0].function | is required
chat  | {"tools": [{"type": "function", "function": {"name": "f"}}], "tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [{"type": "function", "function": {"name": "f"}}, {"type": "function", "function": {"name": "g"}}]}}} | 400 | tool_choice.allowed_tools.tools[1].function.name | none of the tools
chat  | {"tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [{"type": "function", "function": {"name": "f"}}]}}} | 400 | tool_choice | send some
chat  | {"tools": [{"type": "function", "function": {"name": "f"}}], "tool_choice": {"type": "allowed_tools", "allowed_tools": {"mdoe": "auto", "tools": [{"type": "function", "function": {"name": "f"}}]}}} | 400 | tool_choice.allowed_tools.mdoe | did you mean `mode`?
chat  | {"tool_choice": 5} | 400 | tool_choice | or an object
chat  | {"parallel_tool_calls": true}                    | 400 | parallel_tool_calls | only goes with
chat  | {"functions": [{}]}                              | 400 | functions       | not supported
chat  | {"function_call": "auto"}                        | 400 | function_call   | not supported
chat  | {"modalities": ["text", "audio"]}                | 400 | modalities      | not supported
chat  | {"audio": {"voice": "x"}}                        | 400 | audio           | not supported
chat  | {"prediction": {}}                               | 400 | prediction      | not supported
chat  | {"web_search_options": {}}                       | 400 | web_search_options | not supported
chat  | {"reasoning_effort": "low"}                      | 400 | reasoning_effort | does not think
chat  | {"verbosity": "low"}                             | 400 | verbosity       | not supported
chat  | {"store": true}                                  | 400 | store           | not supported
chat  | {"service_tier": "flex"}                         | 400 | service_tier    | not supported
chat  | {"temprature": 1}                                | 400 | temprature      | did you mean `temperature`?
chat  | {"nonsense": 1}                                  | 400 | nonsense        | unknown field

text  | {"prompt": null}                                 | 400 | prompt          | is required
text  | {"prompt": ""}                                   | 400 | prompt          | is empty
text  | {"prompt": []}                                   | 400 | prompt          | is empty
text  | {"prompt": ["a", ""]}                            | 400 | prompt[1]       | is empty
text  | {"prompt": [[1], []]}                            | 400 | prompt[1]       | is empty
text  | {"prompt": ["a", 5]}                             | 400 | prompt[1]       | expected a string
text  | {"prompt": [1, "a"]}                             | 400 | prompt[1]       | 0 or more
text  | {"prompt": [[1, "a"]]}                           | 400 | prompt[0][1]    | 0 or more
text  | {"prompt": [-5]}                                 | 400 | prompt[0]       | token id
text  | {"prompt": {"text": "a"}}                        | 400 | prompt          | array of strings
text  | {"prompt": [4000000000]}                         | 400 | prompt          | outside the vocabulary
text  | {"prompt": [[1], [4000000000]]}                  | 400 | prompt[1]       | outside the vocabulary
text  | {"prompt": [99999999999]}                        | 400 | prompt[0]       | too large
text  | {"temperature": -1}                              | 400 | temperature     | between 0 and 2
text  | {"max_tokens": 100000000}                        | 400 | prompt          | context
text  | {"max_tokens": 0}                                | 400 | max_tokens      | at least 1
text  | {"max_tokens": 0, "logprobs": 1}                 | 400 | max_tokens      | at least 1
text  | {"echo": true, "logprobs": 2, "suffix": "x"}     | 400 | suffix          | does not go with
text  | {"echo": true, "max_tokens": 0, "min_tokens": 1} | 400 | min_tokens      | max_tokens
text  | {"suffix": "x", "prompt": [5]}                   | 400 | suffix          | goes with texts
text  | {"best_of": 2}                                   | 400 | best_of         | not supported
text  | {"logprobs": 21}                                 | 400 | logprobs        | at most 20
text  | {"logprobs": true}                               | 400 | logprobs        | whole number
text  | {"logprobs": -1}                                 | 400 | logprobs        | whole number
text  | {"top_logprobs": 2}                              | 400 | top_logprobs    | did you mean `logprobs`?
text  | {"guided_regex": "("}                            | 400 | guided_regex    | unclosed group
text  | {"messages": []}                                 | 400 | messages        | /v1/chat/completions

embed | {"input": null}                                  | 400 | input           | is required
embed | {"input": ""}                                    | 400 | input           | is empty
embed | {"input": []}                                    | 400 | input           | is empty
embed | {"input": ["a", "", "b"]}                        | 400 | input[1]        | is empty
embed | {"input": [[]]}                                  | 400 | input[0]        | is empty
embed | {"input": true}                                  | 400 | input           | array of strings
embed | {"input": [4000000000]}                          | 400 | input           | outside the vocabulary
embed | {"input": "", "prompt_name": "query"}            | 400 | input           | is empty
embed | {"dimensions": 0}                                | 400 | dimensions      | gives 1 to
embed | {"dimensions": 1000000}                          | 400 | dimensions      | gives 1 to
embed | {"encoding_format": "int8"}                      | 400 | encoding_format | `base64`
embed | {"prompt_name": "nonsense"}                      | 400 | prompt_name     | has no prompt
embed | {"input_type": "query"}                          | 400 | input_type      | prompt_name
embed | {"inputs": "a"}                                  | 400 | inputs          | did you mean `input`?
"##;

/// Sends a request that should be refused; what is wrong with the refusal, if
/// anything.
async fn faults(
    server: &TestServer,
    path: &str,
    body: Value,
    status: &str,
    param: &str,
    says: &str,
) -> Option<String> {
    let mut shown = body.to_string();
    shown.truncate(200);
    let response = post(server, path, &body).await;
    let got = response.status();
    if got.as_str() != status {
        return Some(format!("{shown}: {got}"));
    }
    let error = error(response).await;
    let message = error["message"].as_str().unwrap_or_default();
    let good = error["param"].as_str() == Some(param) && message.contains(says);
    (!good).then(|| format!("{shown}: {error}"))
}

#[tokio::test]
async fn bad_fields_are_refused_by_name() {
    let Some(server) = support::server() else { return };
    let table =
        REFUSED.replace("GENERATOR", &server.generator).replace("EMBEDDER", &server.embedder);
    let mut found = Vec::new();
    for line in table.lines().filter(|line| !line.is_empty()) {
        let cells: Vec<&str> = line.split(" | ").map(str::trim).collect();
        let [route, changes, status, param, says] = cells[..] else {
            panic!("five cells: {line}");
        };
        let path = match route {
            "chat" => CHAT,
            "text" => TEXT,
            _ => EMBED,
        };
        let changes = serde_json::from_str(changes).expect(line);
        let body = with(path, server, changes);
        found.extend(faults(server, path, body, status, param, says).await);
    }
    assert!(found.is_empty(), "{found:#?}");
    ok(server, CHAT, json!({})).await;
}

#[tokio::test]
async fn long_input_is_refused_and_not_cut() {
    let Some(server) = support::server() else { return };
    let check = async |path: &str, changes: Value, param: &str, says: &str| {
        let body = with(path, server, changes);
        assert_eq!(faults(server, path, body, "400", param, says).await, None);
    };
    let long = "word ".repeat(200_000);
    let message = json!([{"role": "user", "content": long}]);
    check(CHAT, json!({ "messages": message }), "messages", "context").await;
    check(TEXT, json!({ "prompt": long }), "prompt", "context").await;
    check(TEXT, json!({ "prompt": vec![1; 200_000] }), "prompt", "context").await;
    check(EMBED, json!({ "input": ["a", long] }), "input[1]", "split it").await;
    check(EMBED, json!({ "input": vec![1; 200_000] }), "input", "split it").await;
    let many = json!({"prompt": vec!["a"; 100], "n": 100});
    check(TEXT, many, "prompt", "10000 answers").await;
}

#[tokio::test]
async fn bad_bodies_are_refused() {
    let Some(server) = support::server() else { return };
    let url = format!("{}{CHAT}", server.base_url);
    let check = async |body: Vec<u8>, kind: &str, status: u16, says: &str| {
        let request = Client::new().post(&url).header("content-type", kind).body(body);
        let response = request.send().await.expect("an answer");
        assert_eq!(response.status().as_u16(), status, "{says}");
        let error = error(response).await;
        let message = error["message"].as_str().unwrap_or_default();
        assert!(message.contains(says), "{error}");
    };
    let json = "application/json";
    check(b"".into(), json, 400, "empty").await;
    check(b"{\"model\": \"m\",\n  oops}".into(), json, 400, "line 2, column 3").await;
    check(b"{\"model\": \"m\"".into(), json, 400, "EOF").await;
    check(b"{} {}".into(), json, 400, "is required").await;
    check(b"[1, 2]".into(), json, 400, "expected a JSON object").await;
    check(b"{\"model\": \"\xff\"}".into(), json, 400, "not valid JSON").await;
    check("[".repeat(100_000).into(), json, 400, "JSON").await;
    check(b"{}".into(), "text/plain", 415, "application/json").await;
    check(b"model=m".into(), "application/x-www-form-urlencoded", 415, "application/json").await;
    check(b"{}".into(), "application/json; charset=utf-8", 400, "is required").await;
    check(vec![b' '; 10 << 20], json, 413, "server.max_body_bytes").await;
    // Without a length, the limit is found while reading.
    let chunks = (0..10).map(|_| Ok::<_, std::io::Error>(vec![b' '; 1 << 20]));
    let body = reqwest::Body::wrap_stream(futures::stream::iter(chunks));
    let request = Client::new().post(&url).header("content-type", json).body(body);
    let response = request.send().await.expect("an answer");
    assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
    error(response).await;
    ok(server, CHAT, json!({})).await;
}
