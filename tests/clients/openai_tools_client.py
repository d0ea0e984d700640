"""Tools and `/v1/responses` with the official `openai` client, unchanged.

    pip install openai
    python tests/clients/openai_tools_client.py --base-url http://127.0.0.1:8080/v1 \
        --model qwen2.5-coder-0.5b-instruct

The model knows tools. Prints one line for each check and `N passed, N failed` at the
end; exits with 1 when a check failed.
"""

import json
from typing import Literal

import openai
import pydantic

from checks import check, main, raises

SCHEMA = {
    "type": "object",
    "properties": {
        "place": {"type": "string", "maxLength": 30},
        "day": {"type": "integer", "minimum": 1, "maximum": 31},
        "unit": {"enum": ["celsius", "fahrenheit"]},
    },
    "required": ["place", "day", "unit"],
    "additionalProperties": False,
}
ABOUT = {"name": "get_weather", "description": "The weather at a place on a day"}
WEATHER = {"type": "function", "function": ABOUT | {"parameters": SCHEMA, "strict": True}}
FLAT = {"type": "function", "parameters": SCHEMA, "strict": True} | ABOUT
QUESTION = "What is the weather in Geneva on the 12th, in celsius?"
EXPECTED = {"place": "Geneva", "day": 12, "unit": "celsius"}


class Context:
    def __init__(self, args):
        self.model = args.model
        self.client = openai.OpenAI(
            base_url=args.base_url, api_key=args.api_key, max_retries=0, timeout=300
        )

    def chat(self, **changes):
        request = {
            "model": self.model,
            "messages": [{"role": "user", "content": QUESTION}],
            "tools": [WEATHER],
            "temperature": 0,
            "max_tokens": 100,
        }
        return self.client.chat.completions.create(**(request | changes))

    def request(self, **changes):
        request = {
            "model": self.model,
            "input": "Name the capital of France.",
            "temperature": 0,
            "max_output_tokens": 60,
        }
        return request | changes

    def respond(self, **changes):
        return self.client.responses.create(**self.request(**changes))


@check
def chat_calls_a_tool_and_reads_its_result(c):
    choice = c.chat(tool_choice="required").choices[0]
    assert choice.finish_reason == "tool_calls" and choice.message.content is None
    call = choice.message.tool_calls[0]
    assert call.type == "function" and call.function.name == "get_weather"
    assert json.loads(call.function.arguments) == EXPECTED
    messages = [
        {"role": "user", "content": QUESTION},
        choice.message,
        {"role": "tool", "tool_call_id": call.id, "content": '{"sky": "snow", "degrees": -4}'},
    ]
    choice = c.chat(messages=messages, tool_choice="none").choices[0]
    assert choice.finish_reason == "stop" and "-4" in choice.message.content, choice


@check
def the_stream_helper_puts_calls_together(c):
    request = {
        "model": c.model,
        "messages": [{"role": "user", "content": QUESTION}],
        "tools": [WEATHER],
        "tool_choice": {"type": "function", "function": {"name": "get_weather"}},
        "temperature": 0,
    }
    with c.client.chat.completions.stream(**request) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_completion()
    assert "tool_calls.function.arguments.delta" in kinds, kinds
    assert "tool_calls.function.arguments.done" in kinds, kinds
    call = final.choices[0].message.tool_calls[0]
    assert call.id and call.function.parsed_arguments == EXPECTED


@check
def a_response_is_given(c):
    response = c.respond(metadata={"a": "b"}, instructions="Be brief.")
    assert response.id.startswith("resp_") and response.object == "response"
    assert response.status == "completed" and response.error is None
    assert "Paris" in response.output_text, response
    assert [item.type for item in response.output] == ["message"]
    assert response.metadata == {"a": "b"} and response.instructions == "Be brief."
    usage = response.usage
    assert usage.input_tokens > 10 and usage.total_tokens == usage.input_tokens + usage.output_tokens
    short = c.respond(max_output_tokens=2)
    assert short.status == "incomplete"
    assert short.incomplete_details.reason == "max_output_tokens"


@check
def responses_are_kept_gone_on_from_and_deleted(c):
    first = c.respond(input="My name is Amara. Answer only: Hello Amara.")
    assert c.client.responses.retrieve(first.id).output_text == first.output_text
    second = c.respond(input="What is my name?", previous_response_id=first.id)
    assert "Amara" in second.output_text, second
    assert second.previous_response_id == first.id
    c.client.responses.delete(first.id)
    raises(openai.NotFoundError, lambda: c.client.responses.retrieve(first.id))
    raises(openai.NotFoundError, lambda: c.client.responses.delete(first.id))
    error = raises(openai.BadRequestError, lambda: c.respond(previous_response_id=first.id))
    assert error.param == "previous_response_id" and error.code == "previous_response_not_found"
    # The second has the whole conversation.
    third = c.respond(input="Say my name again.", previous_response_id=second.id)
    assert "Amara" in third.output_text, third
    stateless = c.respond(store=False)
    raises(openai.NotFoundError, lambda: c.client.responses.retrieve(stateless.id))


@check
def a_conversation_can_be_sent_whole(c):
    items = [
        {"role": "system", "content": "Whatever is asked, you answer with the word Papaya."},
        {"role": "user", "content": [{"type": "input_text", "text": "Which word?"}]},
    ]
    response = c.respond(input=items)
    assert "papaya" in response.output_text.lower(), response
    again = c.respond(input=items + response.output + [{"role": "user", "content": "Once more."}])
    assert again.output_text


@check
def a_streamed_response_is_the_same(c):
    whole = c.respond()
    numbers, kinds, text = [], [], ""
    for event in c.respond(stream=True):
        numbers.append(event.sequence_number)
        kinds.append(event.type)
        if event.type == "response.output_text.delta":
            text += event.delta
    assert numbers == list(range(len(numbers)))
    assert kinds[:4] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
    ]
    assert kinds[-4:] == [
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert text == whole.output_text
    with c.client.responses.stream(**c.request()) as stream:
        for _ in stream:
            pass
        final = stream.get_final_response()
    assert final.output_text == text
    assert c.client.responses.retrieve(final.id).output_text == text


@check
def a_response_calls_tools(c):
    request = {"input": QUESTION, "tools": [FLAT], "tool_choice": "required"}
    response = c.respond(**request)
    call = response.output[-1]
    assert call.type == "function_call" and call.name == "get_weather", response
    assert json.loads(call.arguments) == EXPECTED
    output = {"type": "function_call_output", "call_id": call.call_id, "output": '{"sky": "snow", "degrees": -4}'}
    read = {"tools": [FLAT], "tool_choice": "none"}
    by_id = c.respond(input=[output], previous_response_id=response.id, **read)
    assert "-4" in by_id.output_text, by_id
    question = {"role": "user", "content": QUESTION}
    whole = c.respond(input=[question, call, output], **read)
    assert whole.output_text == by_id.output_text
    named = {"type": "function", "name": "get_weather"}
    with c.client.responses.stream(**c.request(**(request | {"tool_choice": named}))) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_response()
    assert kinds.count("response.function_call_arguments.delta") > 2, kinds
    assert kinds.count("response.function_call_arguments.done") == 1
    assert json.loads(final.output[0].arguments) == EXPECTED
    only = {"type": "allowed_tools", "mode": "required", "tools": [named]}
    allowed = c.respond(**(request | {"tool_choice": only}))
    assert json.loads(allowed.output[-1].arguments) == EXPECTED and allowed.tool_choice.mode == "required"


@check
def a_response_follows_its_schema(c):
    class Answer(pydantic.BaseModel):
        city: Literal["Paris", "Lyon"]

    request = c.request()
    parsed = c.client.responses.parse(text_format=Answer, **request)
    assert parsed.output_parsed.city in ("Paris", "Lyon")


@check
def bad_responses_name_their_field(c):
    def check_param(param, says, **changes):
        error = raises(openai.BadRequestError, lambda: c.respond(**changes))
        assert error.param == param, (error.param, param, error.message)
        assert says in error.message, error.message

    check_param("input", "empty", input=[])
    check_param("input[0].type", "not supported", input=[{"type": "computer_call"}])
    check_param("input[0].role", "robot", input=[{"role": "robot", "content": "x"}])
    image = {"type": "input_image", "image_url": "https://example.org/x.png"}
    check_param("input[0].content[0].image_url", "only text", input=[{"role": "user", "content": [image]}])
    stray = {"type": "function_call_output", "call_id": "c", "output": "x"}
    check_param("input", "no call", input=[stray])
    check_param("background", "not supported", background=True)
    check_param("conversation", "previous_response_id", conversation="conv_1")
    check_param("truncation", "nothing is cut", truncation="auto")
    check_param("reasoning.effort", "does not think", reasoning={"effort": "high"})
    check_param("tools[0].type", "server runs none", tools=[{"type": "web_search"}])
    check_param("tool_choice", "send tools", tool_choice="required")
    other = {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "f"}]}
    check_param("tool_choice.tools[0].name", "none of the tools", tools=[FLAT], tool_choice=other)
    check_param("max_output_tokens", "at least 1", max_output_tokens=0)
    check_param("text.format.type", "json_schema", text={"format": {"type": "xml"}})


if __name__ == "__main__":
    main(__doc__, Context, ["--base-url", "--model"], {"--api-key": "none"})
