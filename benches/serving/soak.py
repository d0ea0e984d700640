"""Mixed traffic for a long time: nothing may leak, nothing may fail that did not deserve to.

    python3 benches/serving/soak.py --dragoman target/release/dragoman --minutes 30

Clients stream, hang up in the middle, send bad requests, long prompts, several answers at once,
JSON schemas and embeddings. Every answer must have the status it deserves. Once a minute the
resident memory is printed; at the end no cache block may be in use.
"""

import argparse
import collections
import json
import random
import threading
import time

from client import Server, completion, free_port, request, stream

GENERATOR, EMBEDDER = "smollm2-135m-instruct", "multilingual-e5-small"
WORDS = "the parties shall protect and preserve water rivers lakes coasts of all states ".split()
SCHEMA = {
    "type": "object",
    "properties": {"title": {"type": "string", "maxLength": 30}, "articles": {"type": "integer"}},
    "required": ["title", "articles"],
    "additionalProperties": False,
}


class Client(threading.Thread):
    def __init__(self, url, seed, end, counts, faults):
        super().__init__(daemon=True)
        self.url, self.random, self.end = url, random.Random(seed), end
        self.counts, self.faults = counts, faults

    def text(self, low, high):
        return " ".join(self.random.choices(WORDS, k=self.random.randint(low, high)))

    def run(self):
        kinds = [self.streamed, self.hangs_up, self.bad, self.long, self.several, self.schema,
                 self.embedding, self.sampled]
        while time.monotonic() < self.end:
            kind = self.random.choice(kinds)
            try:
                kind()
                self.counts[kind.__name__] += 1
            except Exception as error:
                self.faults.append(f"{kind.__name__}: {error}")

    def expect(self, wanted, path, body):
        status, answer = request(self.url, "POST", path, body)
        if status not in wanted:
            raise RuntimeError(f"{status} instead of {wanted}: {answer[:300]}")
        return json.loads(answer)

    def streamed(self):
        tokens = self.random.randint(1, 120)
        body = completion(GENERATOR, self.text(1, 60), tokens)
        if not stream(self.url, "/v1/completions", body):
            raise RuntimeError("no text")

    def hangs_up(self):
        after = self.random.randint(1, 40)
        body = completion(GENERATOR, self.text(1, 200), 400)
        stream(self.url, "/v1/completions", body, lambda times: len(times) >= after)

    def bad(self):
        body = completion(GENERATOR, self.text(1, 20), 10)
        body.update(self.random.choice([
            {"temperature": 9}, {"temprature": 1}, {"prompt": ""}, {"max_tokens": 0}, {"n": 1000},
            {"max_tokens": 10**9}, {"logit_bias": {"99999999": 1}}, {"stop": ["", "x"]},
        ]))
        self.expect([400], "/v1/completions", body)
        self.expect([404], "/v1/completions", completion("no-such-model", "x", 1))

    def long(self):
        self.expect([200], "/v1/completions", completion(GENERATOR, self.text(1000, 3000), 5))

    def several(self):
        body = completion(GENERATOR, self.text(20, 80), 20, n=self.random.randint(2, 8))
        body["temperature"] = 1
        answer = self.expect([200], "/v1/completions", body)
        if len(answer["choices"]) != body["n"]:
            raise RuntimeError(f"{len(answer['choices'])} answers instead of {body['n']}")

    def schema(self):
        body = {
            "model": GENERATOR,
            "messages": [{"role": "user", "content": "A treaty as JSON: " + self.text(3, 9)}],
            "max_tokens": 200,
            "response_format": {"type": "json_schema", "json_schema": {"name": "t", "schema": SCHEMA}},
        }
        choice = self.expect([200], "/v1/chat/completions", body)["choices"][0]
        if choice["finish_reason"] == "stop":
            treaty = json.loads(choice["message"]["content"])
            if set(treaty) != {"title", "articles"}:
                raise RuntimeError(f"{treaty} does not follow the schema")

    def embedding(self):
        texts = [self.text(1, 150) for _ in range(self.random.randint(1, 20))]
        answer = self.expect([200], "/v1/embeddings", {"model": EMBEDDER, "input": texts})
        if len(answer["data"]) != len(texts):
            raise RuntimeError("embeddings are missing")

    def sampled(self):
        body = completion(GENERATOR, self.text(1, 60), 60, stop=["water"], logprobs=3, seed=7)
        body.update(temperature=0.8, top_p=0.9, min_p=0.02, repetition_penalty=1.1)
        self.expect([200], "/v1/completions", body)


def idle(url):
    """Waits until nothing runs; the cache blocks that are in use then."""
    for _ in range(300):
        lines = request(url, "GET", "/metrics")[1].decode().splitlines()
        value = {line.split(" ")[0]: line.split(" ")[1] for line in lines if line and line[0] != "#"}
        load = [v for k, v in value.items() if k.startswith("dragoman_requests_") and "ing{" in k]
        if all(float(v) == 0 for v in load):
            return value[f'dragoman_kv_cache_usage_perc{{model_name="{GENERATOR}"}}'], value
        time.sleep(0.1)
    raise SystemExit("the server does not come to rest")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dragoman", required=True)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--clients", type=int, default=12)
    args = parser.parse_args()
    port = free_port()
    command = [args.dragoman, "serve", "--listen", f"127.0.0.1:{port}"]
    command += ["--model", GENERATOR, "--model", EMBEDDER]
    # A small cache, so that requests are preempted as well.
    env = {"DRAGOMAN_ENGINE_KV_CACHE_MIB": "192", "DRAGOMAN_LOG_LEVEL": "warn"}
    with Server("dragoman", command, port, "dragoman.log", env) as server:
        end = time.monotonic() + 60 * args.minutes
        counts, faults = collections.Counter(), []
        clients = [Client(server.url, i, end, counts, faults) for i in range(args.clients)]
        for client in clients:
            client.start()
        begun = time.monotonic()
        while time.monotonic() < end:
            time.sleep(min(60, max(0.1, end - time.monotonic())))
            minutes = (time.monotonic() - begun) / 60
            print(f"{minutes:5.1f} min, {sum(counts.values())} requests, {len(faults)} faults, "
                  f"{server.memory_mib():.0f} MiB", flush=True)
        for client in clients:
            client.join(120)
        usage, metrics = idle(server.url)
        print(dict(counts))
        for name in ("preemptions", "requests_failed", "requests_cancelled", "prefix_cache_hit_tokens"):
            print(name, metrics[f'dragoman_{name}_total{{model_name="{GENERATOR}"}}'])
        print(f"cache in use at rest: {usage}; resident memory {server.memory_mib():.0f} MiB")
        for fault in faults[:20]:
            print("FAULT", fault)
        if faults or float(usage) != 0:
            raise SystemExit(1)


main()
