"""Drives a running server with the official `openai` client, unchanged.

    pip install openai
    python tests/clients/openai_client.py --base-url http://127.0.0.1:8080/v1 \
        --chat-model smollm2-135m-instruct --embedding-model multilingual-e5-small

Prints one line for each check and `N passed, N failed` at the end; exits with 1
when a check failed.
"""

import json
import asyncio
import math
import time

import openai
from openai import AsyncOpenAI, OpenAI

from checks import check, main, raises

class Context:
    def __init__(self, args):
        self.base_url = args.base_url
        self.key = args.api_key
        self.chat = args.chat_model
        self.embedding = args.embedding_model
        self.client = OpenAI(base_url=self.base_url, api_key=self.key, max_retries=0, timeout=300)

    def ask(self, **changes):
        request = {
            "model": self.chat,
            "messages": [{"role": "user", "content": "Name a colour."}],
            "temperature": 0,
            "max_tokens": 16,
        }
        return self.client.chat.completions.create(**(request | changes))


@check
def models_are_listed_and_retrieved(c):
    ids = [model.id for model in c.client.models.list()]
    assert c.chat in ids and c.embedding in ids, ids
    model = c.client.models.retrieve(c.chat)
    assert model.id == c.chat and model.object == "model" and model.created > 0


@check
def chat_answers(c):
    answer = c.ask(user="someone", seed=7)
    assert answer.id.startswith("chatcmpl-") and answer.object == "chat.completion"
    assert answer.model == c.chat
    choice = answer.choices[0]
    assert choice.message.role == "assistant" and choice.message.content
    assert choice.finish_reason in ("stop", "length")
    usage = answer.usage
    assert usage.prompt_tokens > 0 and 0 < usage.completion_tokens <= 16
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens


@check
def chat_takes_content_parts_and_roles(c):
    answer = c.ask(
        messages=[
            {"role": "developer", "content": "Answer in one word."},
            {"role": "user", "content": [{"type": "text", "text": "Name a colour."}]},
            {"role": "assistant", "content": "Blue."},
            {"role": "user", "content": "Another one."},
        ]
    )
    assert answer.choices[0].message.content


@check
def chat_goes_on_from_its_own_answer(c):
    first = c.ask().choices[0].message
    messages = [{"role": "user", "content": "Hi"}, first, {"role": "user", "content": "Go on."}]
    assert c.ask(messages=messages).choices


@check
def chat_gives_n_answers_and_the_seed_repeats_them(c):
    def texts():
        answer = c.ask(n=3, temperature=1.5, seed=11, max_completion_tokens=12, max_tokens=None)
        assert [choice.index for choice in answer.choices] == [0, 1, 2]
        return [choice.message.content for choice in answer.choices]

    first = texts()
    assert first == texts(), "equal seeds, equal texts"
    assert len(set(first)) > 1, "each answer has its own seed"


@check
def chat_streams_what_it_answers(c):
    whole = c.ask()
    parts, roles, reasons = [], [], []
    for chunk in c.ask(stream=True):
        assert chunk.object == "chat.completion.chunk" and chunk.usage is None
        choice = chunk.choices[0]
        if choice.delta.role:
            roles.append(choice.delta.role)
        parts.append(choice.delta.content or "")
        if choice.finish_reason:
            reasons.append(choice.finish_reason)
    assert "".join(parts) == whole.choices[0].message.content
    assert roles == ["assistant"] and reasons == [whole.choices[0].finish_reason]


@check
def chat_stream_ends_with_its_usage(c):
    chunks = list(c.ask(stream=True, stream_options={"include_usage": True}))
    assert all(chunk.usage is None for chunk in chunks[:-1])
    last = chunks[-1]
    assert last.choices == [] and last.usage.completion_tokens > 0
    assert last.usage.total_tokens == last.usage.prompt_tokens + last.usage.completion_tokens


@check
def chat_stream_helper_works(c):
    request = {"model": c.chat, "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 8}
    with c.client.chat.completions.stream(**request) as stream:
        deltas = [event.delta for event in stream if event.type == "content.delta"]
        # get_final_completion() would refuse a text that reached its limit.
        final = stream.current_completion_snapshot
    assert deltas and "".join(deltas) == final.choices[0].message.content


@check
def stop_strings_are_not_delivered(c):
    whole = c.ask(max_tokens=24).choices[0].message.content
    stop = whole[len(whole) // 2 :][:3]
    answer = c.ask(max_tokens=24, stop=[stop]).choices[0]
    assert stop not in answer.message.content and answer.finish_reason == "stop"
    assert whole.startswith(answer.message.content)


@check
def completions_take_texts_and_tokens(c):
    request = {"model": c.chat, "max_tokens": 4, "temperature": 0}
    answer = c.client.completions.create(prompt="Once upon a time", **request)
    assert answer.object == "text_completion" and answer.id.startswith("cmpl-")
    assert answer.choices[0].text and answer.usage.completion_tokens > 0
    answer = c.client.completions.create(prompt=["One", "Two"], n=2, seed=1, **request)
    assert [choice.index for choice in answer.choices] == [0, 1, 2, 3]
    answer = c.client.completions.create(prompt=[[5, 6, 7], [8]], **request)
    assert len(answer.choices) == 2 and answer.usage.prompt_tokens == 4
    answer = c.client.completions.create(prompt=[5, 6, 7], **request)
    assert len(answer.choices) == 1


@check
def completions_stream(c):
    request = {"model": c.chat, "prompt": "Once upon a time", "max_tokens": 12, "temperature": 0}
    whole = c.client.completions.create(**request).choices[0]
    chunks = list(
        c.client.completions.create(stream=True, stream_options={"include_usage": True}, **request)
    )
    text = "".join(chunk.choices[0].text for chunk in chunks if chunk.choices)
    reasons = [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices]
    assert text == whole.text and reasons[-1] == whole.finish_reason
    assert chunks[-1].usage.completion_tokens > 0


@check
def embeddings_in_both_formats(c):
    texts = ["peace", "la paix", "a bicycle"]
    # The client asks for base64 unless told otherwise.
    packed = c.client.embeddings.create(model=c.embedding, input=texts)
    plain = c.client.embeddings.create(model=c.embedding, input=texts, encoding_format="float")
    assert [item.index for item in packed.data] == [0, 1, 2]
    for a, b in zip(packed.data, plain.data):
        assert len(a.embedding) == len(b.embedding) > 0
        assert max(abs(x - y) for x, y in zip(a.embedding, b.embedding)) < 1e-4
        assert abs(math.sqrt(sum(x * x for x in b.embedding)) - 1) < 1e-3
    assert packed.usage.prompt_tokens == packed.usage.total_tokens > 0


@check
def embeddings_take_dimensions_tokens_and_prompts(c):
    short = c.client.embeddings.create(model=c.embedding, input="peace", dimensions=16)
    assert len(short.data[0].embedding) == 16
    tokens = c.client.embeddings.create(model=c.embedding, input=[[5, 6, 7], [8]])
    assert len(tokens.data) == 2 and tokens.usage.prompt_tokens == 4
    many = c.client.embeddings.create(model=c.embedding, input=[f"text {i}" for i in range(100)])
    assert len(many.data) == 100


@check
def unknown_models_are_not_found(c):
    error = raises(openai.NotFoundError, lambda: c.ask(model="no-such-model"))
    assert error.code == "model_not_found" and error.param == "model"
    assert c.chat in error.message
    raises(openai.NotFoundError, lambda: c.client.models.retrieve("no/such-model"))


@check
def answers_follow_their_schema_and_report_log_probabilities(c):
    schema = {
        "type": "object",
        "properties": {"treaty": {"enum": ["charter", "covenant"]}},
        "required": ["treaty"],
        "additionalProperties": False,
    }
    wrapped = {"type": "json_schema", "json_schema": {"name": "t", "schema": schema}}
    choice = c.ask(response_format=wrapped, max_tokens=40, logprobs=True, top_logprobs=2).choices[0]
    assert json.loads(choice.message.content)["treaty"] in ("charter", "covenant")
    tokens = choice.logprobs.content
    assert "".join(t.token for t in tokens) == choice.message.content
    assert all(t.logprob <= 0 and len(t.top_logprobs) <= 2 for t in tokens)


@check
def bad_requests_name_their_field(c):
    def check_param(param, **changes):
        error = raises(openai.BadRequestError, lambda: c.ask(**changes))
        assert error.param == param, (error.param, param)
        assert error.type == "invalid_request_error" and error.message

    check_param("temperature", temperature=-1)
    check_param("messages", messages=[])
    check_param("messages[0].content", messages=[{"role": "user", "content": 5}])
    check_param("messages", max_tokens=100_000_000)
    check_param("tools[0].type", tools=[{"type": "web_search"}])
    check_param("response_format.type", response_format={"type": "xml"})
    check_param("top_logprobs", logprobs=True, top_logprobs=21)
    check_param("mystery", extra_body={"mystery": 1})
    check_param("model", model=c.embedding)
    error = raises(
        openai.BadRequestError,
        lambda: c.client.embeddings.create(model=c.embedding, input=["a", ""]),
    )
    assert error.param == "input[1]"


@check
def a_client_may_give_up(c):
    hasty = c.client.with_options(timeout=0.05)
    request = {
        "model": c.chat,
        "messages": [{"role": "user", "content": "Tell a long story."}],
        "max_tokens": 512,
        "extra_body": {"ignore_eos": True},
    }
    raises(openai.APITimeoutError, lambda: hasty.chat.completions.create(**request))
    with c.client.chat.completions.create(stream=True, **request) as stream:
        next(iter(stream))
    started = time.monotonic()
    assert c.ask(max_tokens=1).choices
    assert time.monotonic() - started < 60, "the abandoned texts still hold the model"


@check
def eight_streams_at_once(c):
    async def one(client, number):
        stream = await client.chat.completions.create(
            model=c.chat,
            messages=[{"role": "user", "content": f"Count from {number}."}],
            max_tokens=16,
            temperature=0,
            stream=True,
        )
        parts = [chunk.choices[0].delta.content or "" async for chunk in stream]
        return "".join(parts)

    async def together():
        async with AsyncOpenAI(base_url=c.base_url, api_key=c.key, timeout=300) as client:
            return await asyncio.gather(*(one(client, number) for number in range(8)))

    texts = asyncio.run(together())
    assert len(texts) == 8 and all(texts), texts


if __name__ == "__main__":
    main(
        __doc__,
        Context,
        ["--base-url", "--chat-model", "--embedding-model"],
        {"--api-key": "none"},
    )
