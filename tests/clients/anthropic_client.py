"""Drives a running server with the official `anthropic` client, unchanged.

    pip install anthropic
    python tests/clients/anthropic_client.py --base-url http://127.0.0.1:8080 \
        --model qwen2.5-coder-0.5b-instruct

The model knows tools. Prints one line for each check and `N passed, N failed` at the
end; exits with 1 when a check failed.
"""

import json

import anthropic

from checks import check, main, raises

WEATHER = {
    "name": "get_weather",
    "description": "The weather at a place on a day",
    "input_schema": {
        "type": "object",
        "properties": {
            "place": {"type": "string", "maxLength": 30},
            "day": {"type": "integer", "minimum": 1, "maximum": 31},
            "unit": {"enum": ["celsius", "fahrenheit"]},
        },
        "required": ["place", "day", "unit"],
        "additionalProperties": False,
    },
}
QUESTION = {"role": "user", "content": "What is the weather in Geneva on the 12th, in celsius?"}


class Context:
    def __init__(self, args):
        self.model = args.model
        self.client = anthropic.Anthropic(
            base_url=args.base_url, api_key=args.api_key, max_retries=0, timeout=300
        )

    def request(self, **changes):
        request = {
            "model": self.model,
            "max_tokens": 60,
            "messages": [{"role": "user", "content": "Name the capital of France."}],
            "temperature": 0,
        } | changes
        # The client has no arguments for these, but sends them.
        extra = {name: request.pop(name) for name in ("temperature", "mystery") if name in request}
        return request | {"extra_body": extra}

    def ask(self, **changes):
        return self.client.messages.create(**self.request(**changes))


@check
def a_message_is_answered(c):
    answer = c.ask(metadata={"user_id": "someone"})
    assert answer.id.startswith("msg_") and answer.type == "message" and answer.role == "assistant"
    assert [block.type for block in answer.content] == ["text"]
    assert "Paris" in answer.content[0].text, answer
    assert answer.stop_reason == "end_turn" and answer.stop_sequence is None
    assert answer.usage.input_tokens + answer.usage.cache_read_input_tokens > 20
    assert 0 < answer.usage.output_tokens <= 60


@check
def system_and_blocks_reach_the_model(c):
    text = [{"type": "text", "text": "Which word?", "cache_control": {"type": "ephemeral"}}]
    system = [{"type": "text", "text": "Whatever is asked, you answer with the word Papaya."}]
    answer = c.ask(system=system, messages=[{"role": "user", "content": text}])
    assert "papaya" in answer.content[0].text.lower(), answer


@check
def a_stream_says_what_the_answer_says(c):
    whole = c.ask().content[0].text
    kinds = []
    with c.client.messages.stream(**c.request()) as stream:
        for event in stream:
            kinds.append(event.type)
        final = stream.get_final_message()
    assert final.content[0].text == whole
    assert final.stop_reason == "end_turn" and final.usage.output_tokens > 0
    raw = [kind for kind in kinds if kind != "text"]
    assert raw[0] == "message_start" and raw[-1] == "message_stop" and raw[-2] == "message_delta"
    begin, end = raw.index("content_block_start"), raw.index("content_block_stop")
    assert begin < raw.index("content_block_delta") < end == len(raw) - 3, raw


@check
def stop_sequences_are_named(c):
    whole = c.ask().content[0].text
    stop = whole[len(whole) // 2 :][:3]
    answer = c.ask(stop_sequences=["never said", stop])
    assert answer.stop_reason == "stop_sequence" and answer.stop_sequence == stop, answer
    assert stop not in answer.content[0].text
    with c.client.messages.stream(**c.request(stop_sequences=["never said", stop])) as stream:
        final = stream.get_final_message()
    assert final.stop_reason == "stop_sequence" and final.stop_sequence == stop


@check
def the_limit_is_a_reason(c):
    assert c.ask(max_tokens=2).stop_reason == "max_tokens"


@check
def tools_are_called_and_their_results_read(c):
    answer = c.ask(messages=[QUESTION], tools=[WEATHER], tool_choice={"type": "any"})
    assert answer.stop_reason == "tool_use", answer
    call = answer.content[-1]
    assert call.type == "tool_use" and call.name == "get_weather"
    assert call.input == {"place": "Geneva", "day": 12, "unit": "celsius"}, call
    result = {"type": "tool_result", "tool_use_id": call.id, "content": '{"sky": "snow", "degrees": -4}'}
    messages = [
        QUESTION,
        {"role": "assistant", "content": answer.content},
        {"role": "user", "content": [result]},
    ]
    answer = c.ask(messages=messages, tools=[WEATHER], tool_choice={"type": "none"})
    assert answer.stop_reason == "end_turn" and "-4" in answer.content[0].text, answer


@check
def streamed_calls_are_the_same(c):
    request = c.request(
        messages=[QUESTION], tools=[WEATHER], tool_choice={"type": "tool", "name": "get_weather"}
    )
    pieces = []
    with c.client.messages.stream(**request) as stream:
        for event in stream:
            if event.type == "input_json":
                pieces.append(event.partial_json)
        final = stream.get_final_message()
    assert final.stop_reason == "tool_use"
    assert final.content[0].input == json.loads("".join(pieces)) == {"place": "Geneva", "day": 12, "unit": "celsius"}
    assert len(pieces) > 2, pieces


@check
def output_follows_its_schema(c):
    schema = {
        "type": "object",
        "properties": {"city": {"enum": ["Paris", "Lyon"]}},
        "required": ["city"],
        "additionalProperties": False,
    }
    answer = c.ask(output_config={"format": {"type": "json_schema", "schema": schema}})
    assert json.loads(answer.content[0].text)["city"] in ("Paris", "Lyon"), answer


@check
def tokens_are_counted(c):
    request = {"model": c.model, "messages": [QUESTION]}
    plain = c.client.messages.count_tokens(**request).input_tokens
    usage = c.ask(messages=[QUESTION], max_tokens=1).usage
    assert plain == usage.input_tokens + usage.cache_read_input_tokens, (plain, usage)
    assert c.client.messages.count_tokens(tools=[WEATHER], **request).input_tokens > plain + 50


@check
def bad_requests_name_their_field(c):
    def check_param(param, says, **changes):
        error = raises(anthropic.BadRequestError, lambda: c.ask(**changes))
        body = error.body
        assert body["type"] == "error" and body["error"]["type"] == "invalid_request_error", body
        assert body["error"]["param"] == param, (body, param)
        assert says in body["error"]["message"], body

    def user(*blocks):
        return [{"role": "user", "content": list(blocks)}]

    image = {"type": "image", "source": {"type": "url", "url": "https://example.org/x.png"}}
    check_param("messages[0].content[0].source", "only text", messages=user(image))
    check_param("messages[0].content[0].type", "not supported", messages=user({"type": "video"}))
    check_param("messages[0].content[0].text", "required", messages=user({"type": "text"}))
    check_param("messages", "empty", messages=[])
    check_param("messages[1]", "end with", messages=[QUESTION, {"role": "assistant", "content": "It"}])
    stray = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "x"}
    check_param("messages", "no call", messages=user(stray))
    check_param("temperature", "between", temperature=3)
    check_param("max_tokens", "at least 1", max_tokens=0)
    check_param("stop_sequences", "limit", stop_sequences=["x"] * 17)
    check_param("tools[0].type", "server runs none", tools=[{"type": "web_search_20250305", "name": "web_search"}])
    check_param("tools[0].name", "letters", tools=[WEATHER | {"name": "a b"}])
    check_param("tool_choice", "send tools", tool_choice={"type": "any"})
    check_param("tool_choice", "none of the tools", tools=[WEATHER], tool_choice={"type": "tool", "name": "f"})
    check_param("thinking.budget_tokens", "adaptive", thinking={"type": "enabled", "budget_tokens": 1024})
    check_param("output_config.effort", "does not think", output_config={"effort": "high"})
    check_param("mystery", "unknown field", mystery=1)


@check
def unknown_models_are_not_found(c):
    error = raises(anthropic.NotFoundError, lambda: c.ask(model="no-such-model"))
    assert error.body["error"]["type"] == "not_found_error"


if __name__ == "__main__":
    main(__doc__, Context, ["--base-url", "--model"], {"--api-key": "none"})
