"""Measures a server from outside, with nothing of ours, to check `dragoman bench serve`.

Both clients send the same prompts (a JSONL file that this script writes) at the same concurrency to
a server that is running, in turn: a first pass, whose figures are thrown away, warms connections and
prefix cache, then ROUNDS times the one and the other. Prints each figure of both as the median over
the rounds and how far they are apart; fails above LIMIT percent.

    pip install httpx
    dragoman serve --model smollm2-135m-instruct --listen 127.0.0.1:8080
    python3 benches/check_client.py --url http://127.0.0.1:8080 --bench target/release/dragoman
"""

import argparse
import asyncio
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time

import httpx

WORDS = (
    "water river treaty council border village season harvest school teacher bridge letter market "
    "winter summer garden morning evening mountain island forest teacher window silver copper paper"
).split()


def write_prompts(path, count, words):
    """Prompts that differ from their first word on."""
    source = random.Random(7)
    with open(path, "w") as file:
        for number in range(count):
            text = f"{number} " + " ".join(source.choice(WORDS) for _ in range(words))
            file.write(json.dumps({"messages": [{"role": "user", "content": text}]}) + "\n")


async def one(client, model, messages, tokens):
    """One streamed answer: times of its pieces of text, and the tokens by usage."""
    body = {
        "model": model,
        "messages": messages,
        "max_tokens": tokens,
        "min_tokens": tokens,
        "ignore_eos": True,
        "temperature": 0,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    pieces, usage = [], None
    sent = time.perf_counter()
    async with client.stream("POST", "/v1/chat/completions", json=body) as response:
        response.raise_for_status()
        async for line in response.aiter_lines():
            now = time.perf_counter()
            if not line.startswith("data:") or line.endswith("[DONE]"):
                continue
            event = json.loads(line[5:])
            if "error" in event:
                raise RuntimeError(event["error"])
            usage = event.get("usage") or usage
            if any(choice.get("delta", {}).get("content") for choice in event["choices"]):
                pieces.append(now)
    return {"sent": sent, "pieces": pieces, "tokens": usage["completion_tokens"]}


async def outside(url, model, prompts, tokens, concurrency):
    """The figures of a run by this client."""
    limits = httpx.Limits(max_connections=concurrency, max_keepalive_connections=concurrency)
    async with httpx.AsyncClient(base_url=url, limits=limits, timeout=600) as client:
        waiting, answers = iter(prompts), []

        async def slot():
            for messages in waiting:
                answers.append(await one(client, model, messages, tokens))

        begun = time.perf_counter()
        await asyncio.gather(*(slot() for _ in range(concurrency)))
        ended = time.perf_counter()
    duration = ended - begun
    ttft = [a["pieces"][0] - a["sent"] for a in answers]
    e2el = [a["pieces"][-1] - a["sent"] for a in answers]
    gaps = [b - a for answer in answers for a, b in zip(answer["pieces"], answer["pieces"][1:])]
    tpot = [(e - t) / (a["tokens"] - 1) for e, t, a in zip(e2el, ttft, answers)]
    return {
        "request_throughput": len(answers) / duration,
        "output_throughput": sum(a["tokens"] for a in answers) / duration,
        "mean_ttft_ms": 1000 * statistics.mean(ttft),
        "mean_tpot_ms": 1000 * statistics.mean(tpot),
        "mean_itl_ms": 1000 * statistics.mean(gaps),
        "mean_e2el_ms": 1000 * statistics.mean(e2el),
        "median_ttft_ms": 1000 * statistics.median(ttft),
        "median_tpot_ms": 1000 * statistics.median(tpot),
        "median_itl_ms": 1000 * statistics.median(gaps),
        "median_e2el_ms": 1000 * statistics.median(e2el),
    }


def inside(args, model, path):
    """The figures of the same run by `dragoman bench serve`."""
    with tempfile.NamedTemporaryFile(suffix=".json") as out:
        command = [args.bench, "bench", "serve", "--url", args.url, "--model", model, "--file", path]
        command += ["--output-tokens", str(args.tokens), "--ignore-eos", "--warmup", "0"]
        command += ["--concurrency", str(args.concurrency), "--json", out.name]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return json.load(open(out.name))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", required=True)
    parser.add_argument("--bench", required=True, help="the dragoman binary")
    parser.add_argument("--model", help="without it the only one of the server")
    parser.add_argument("--concurrency", type=int, default=4)
    parser.add_argument("--requests", type=int, default=32)
    parser.add_argument("--words", type=int, default=100, help="of each prompt")
    parser.add_argument("--tokens", type=int, default=64, help="of each answer")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--limit", type=float, default=5.0, help="percent")
    args = parser.parse_args()
    model = args.model or httpx.get(f"{args.url}/v1/models").json()["data"][0]["id"]

    with tempfile.NamedTemporaryFile(suffix=".jsonl") as file:
        write_prompts(file.name, args.requests, args.words)
        prompts = [json.loads(line)["messages"] for line in open(file.name)]
        run = lambda: asyncio.run(outside(args.url, model, prompts, args.tokens, args.concurrency))
        run()
        theirs, ours = [], []
        for number in range(args.rounds):
            # The one that goes first changes, as machines warm up and throttle.
            for who in ("ours", "theirs") if number % 2 == 0 else ("theirs", "ours"):
                ours.append(inside(args, model, file.name)) if who == "ours" else theirs.append(run())

    print(f"{'median of ' + str(args.rounds) + ' rounds':24}{'httpx':>12}{'dragoman':>12}{'apart':>9}")
    worst = 0.0
    for key in theirs[0]:
        a = statistics.median(r[key] for r in theirs)
        b = statistics.median(r[key] for r in ours)
        apart = 100 * (b / a - 1)
        worst = max(worst, abs(apart))
        print(f"{key:24}{a:12.2f}{b:12.2f}{apart:+8.1f}%")
    print(f"worst: {worst:.1f} %, limit {args.limit} %")
    sys.exit(worst > args.limit)


if __name__ == "__main__":
    main()
