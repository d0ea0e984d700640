"""Drives files and batches of a running server with the official `openai` client,
unchanged.

    pip install openai
    python tests/clients/openai_batches_client.py --base-url http://127.0.0.1:8080/v1 \
        --chat-model smollm2-135m-instruct --embedding-model multilingual-e5-small

Prints one line for each check and `N passed, N failed` at the end; exits with 1
when a check failed.
"""

import io
import json
import time

import openai
from openai import OpenAI

from checks import check, main, raises

ENDED = ("completed", "failed", "expired", "cancelled")


class Context:
    def __init__(self, args):
        self.chat = args.chat_model
        self.embedding = args.embedding_model
        self.client = OpenAI(
            base_url=args.base_url, api_key=args.api_key, max_retries=0, timeout=300
        )

    def upload(self, endpoint, bodies, **more):
        lines = [
            {"custom_id": f"request-{i}", "method": "POST", "url": endpoint, "body": body}
            for i, body in enumerate(bodies)
        ]
        text = "\n".join(json.dumps(line) for line in lines)
        file = ("requests.jsonl", io.BytesIO(text.encode()))
        return self.client.files.create(file=file, purpose="batch", **more), text

    def chats(self, count, **changes):
        message = lambda i: [{"role": "user", "content": f"What comes after {i}?"}]
        request = {"model": self.chat, "max_tokens": 3, "temperature": 0} | changes
        return [request | {"messages": message(i)} for i in range(count)]

    def start(self, endpoint, bodies, **more):
        file, _ = self.upload(endpoint, bodies)
        return self.client.batches.create(
            input_file_id=file.id, endpoint=endpoint, completion_window="24h", **more
        )

    def ended(self, batch):
        begun = time.monotonic()
        while batch.status not in ENDED:
            assert time.monotonic() - begun < 300, batch
            time.sleep(0.1)
            batch = self.client.batches.retrieve(batch.id)
        return batch

    def lines(self, file_id):
        return [json.loads(line) for line in self.client.files.content(file_id).text.splitlines()]


@check
def files_are_kept_listed_and_deleted(c):
    expires = {"anchor": "created_at", "seconds": 7200}
    file, text = c.upload("/v1/chat/completions", c.chats(2), expires_after=expires)
    assert file.id.startswith("file-") and file.object == "file" and file.purpose == "batch"
    assert file.bytes == len(text) and file.filename == "requests.jsonl"
    assert file.status == "processed" and file.expires_at == file.created_at + 7200
    other, _ = c.upload("/v1/chat/completions", c.chats(1))
    assert c.client.files.retrieve(file.id) == file
    assert c.client.files.content(file.id).read() == text.encode()
    # Over all pages.
    ids = [found.id for found in c.client.files.list(limit=1, purpose="batch")]
    assert file.id in ids and other.id in ids and ids.index(other.id) < ids.index(file.id)
    gone = c.client.files.delete(file.id)
    assert gone.deleted and gone.id == file.id and gone.object == "file"
    raises(openai.NotFoundError, lambda: c.client.files.retrieve(file.id))


@check
def a_batch_of_chats_is_answered(c):
    bodies = c.chats(6)
    bodies[4]["temperature"] = -1
    batch = c.start("/v1/chat/completions", bodies, metadata={"of": "a test"})
    assert batch.id.startswith("batch_") and batch.object == "batch"
    assert batch.status == "validating" and batch.metadata == {"of": "a test"}
    assert batch.expires_at == batch.created_at + 24 * 3600
    batch = c.ended(batch)
    assert batch.status == "completed" and batch.errors is None and batch.model == c.chat
    counts = batch.request_counts
    assert (counts.total, counts.completed, counts.failed) == (6, 5, 1)
    answers = c.lines(batch.output_file_id)
    assert [line["custom_id"] for line in answers] == [f"request-{i}" for i in (0, 1, 2, 3, 5)]
    for line in answers:
        assert line["error"] is None and line["response"]["status_code"] == 200
        body = line["response"]["body"]
        alone = c.client.chat.completions.create(**bodies[int(line["custom_id"][-1])])
        assert body["choices"][0]["message"]["content"] == alone.choices[0].message.content
    used = [line["response"]["body"]["usage"] for line in answers]
    assert batch.usage.input_tokens == sum(usage["prompt_tokens"] for usage in used)
    assert batch.usage.output_tokens == sum(usage["completion_tokens"] for usage in used)
    [error] = c.lines(batch.error_file_id)
    assert error["custom_id"] == "request-4" and error["response"]["status_code"] == 400
    assert error["response"]["body"]["error"]["param"] == "temperature"
    assert c.client.files.retrieve(batch.output_file_id).purpose == "batch_output"


@check
def a_batch_of_embeddings_is_answered(c):
    texts = ["peace", "la paix", "a bicycle"]
    bodies = [{"model": c.embedding, "input": text} for text in texts]
    batch = c.ended(c.start("/v1/embeddings", bodies))
    assert batch.status == "completed" and batch.error_file_id is None
    alone = c.client.embeddings.create(model=c.embedding, input=texts, encoding_format="float")
    for line, expected in zip(c.lines(batch.output_file_id), alone.data, strict=True):
        found = line["response"]["body"]["data"][0]["embedding"]
        assert max(abs(x - y) for x, y in zip(found, expected.embedding, strict=True)) < 1e-4


@check
def a_batch_with_mistakes_fails_with_their_lines(c):
    bodies = c.chats(3)
    bodies[1]["model"] = "no-such-model"
    batch = c.ended(c.start("/v1/chat/completions", bodies))
    assert batch.status == "failed" and batch.failed_at
    [error] = batch.errors.data
    assert error.line == 2 and error.code == "model_not_found" and error.param == "body.model"
    assert c.chat in error.message
    bad = lambda **changes: c.client.batches.create(
        **({"input_file_id": "file-x", "endpoint": "/v1/embeddings", "completion_window": "24h"}
           | changes)
    )
    assert raises(openai.NotFoundError, bad).param == "input_file_id"
    wrong = raises(openai.BadRequestError, lambda: bad(endpoint="/v1/moderations"))
    assert wrong.param == "endpoint"
    file = ("a.jsonl", b"{}")
    wrong = raises(
        openai.BadRequestError, lambda: c.client.files.create(file=file, purpose="assistants")
    )
    assert wrong.param == "purpose"


@check
def batches_are_cancelled_and_listed(c):
    bodies = c.chats(40, max_tokens=200, ignore_eos=True)
    batch = c.start("/v1/chat/completions", bodies)
    cancelled = c.client.batches.cancel(batch.id)
    assert cancelled.status in ("cancelling", "cancelled")
    cancelled = c.ended(cancelled)
    assert cancelled.status == "cancelled" and cancelled.cancelled_at
    again = c.start("/v1/chat/completions", c.chats(1))
    page = c.client.batches.list(limit=1)
    assert page.data[0].id == again.id and page.has_more and page.has_next_page()
    ids = [found.id for found in c.client.batches.list(limit=1)]
    assert ids[:2] == [again.id, batch.id] and len(ids) > 3
    again = c.ended(again)
    raises(openai.ConflictError, lambda: c.client.batches.cancel(again.id))


@check
def a_request_may_be_sent_again(c):
    file, _ = c.upload("/v1/chat/completions", c.chats(1))
    request = {
        "input_file_id": file.id,
        "endpoint": "/v1/chat/completions",
        "completion_window": "24h",
        "extra_headers": {"Idempotency-Key": f"key-{file.id}"},
    }
    first = c.client.batches.create(**request)
    assert c.client.batches.create(**request).id == first.id
    other = request | {"metadata": {"a": "b"}}
    raises(openai.UnprocessableEntityError, lambda: c.client.batches.create(**other))
    assert c.ended(first).status == "completed"


if __name__ == "__main__":
    main(
        __doc__,
        Context,
        ["--base-url", "--chat-model", "--embedding-model"],
        {"--api-key": "none"},
    )
