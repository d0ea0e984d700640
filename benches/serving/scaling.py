"""Output tokens per second at 1 to 32 streams, side by side with llama.cpp's server.

    python3 benches/serving/scaling.py --dragoman target/release/dragoman \\
        --llama-server llama.cpp/build/bin/llama-server --gguf MODEL.gguf --threads 2

Both servers serve the same file and get the same requests: N clients at once, each with a short
prompt of its own and exactly TOKENS greedy tokens. The rate is all output tokens over the wall
time, prefill included. For each N the two take turns, and the median of the rounds counts.
Dragoman's guessing ahead is off unless --speculation is given, because greedy texts of small
models repeat themselves more than real ones do.
"""

import argparse
import json
import statistics
import time
from concurrent.futures import ThreadPoolExecutor

from client import completion, dragoman, llama_server, request


def one(server, model, tokens, prompt):
    status, body = request(server.url, "POST", "/v1/completions", completion(model, prompt, tokens))
    if status != 200:
        raise SystemExit(f"{server.name}: {status} {body[:300]}")
    got = json.loads(body)["usage"]["completion_tokens"]
    if got != tokens:
        raise SystemExit(f"{server.name} gave {got} tokens instead of {tokens}")


def rate(server, model, streams, tokens, round_):
    prompts = [f"Article {100 * round_ + i + 1}. The Parties shall" for i in range(streams)]
    begun = time.monotonic()
    with ThreadPoolExecutor(streams) as pool:
        list(pool.map(lambda prompt: one(server, model, tokens, prompt), prompts))
    return streams * tokens / (time.monotonic() - begun)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dragoman", required=True)
    parser.add_argument("--llama-server")
    parser.add_argument("--gguf", required=True)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--streams", default="1,2,4,8,16,32")
    parser.add_argument("--speculation", action="store_true")
    args = parser.parse_args()
    counts = [int(n) for n in args.streams.split(",")]

    settings = {"threads": args.threads, "speculation": str(args.speculation).lower()}
    ours = dragoman(args.dragoman, args.gguf, "dragoman.log", settings=settings)
    with ours:
        model = json.loads(request(ours.url, "GET", "/v1/models")[1])["data"][0]["id"]
        servers = [(ours, model)]
        if args.llama_server:
            theirs = llama_server(
                args.llama_server, args.gguf, max(counts), 512, args.threads, "llama-server.log"
            )
            theirs.__enter__()
            servers.append((theirs, "any"))
        try:
            for server, name in servers:
                rate(server, name, 2, 16, 999)  # warm
            table(servers, counts, args)
        finally:
            for server, _ in servers[1:]:
                server.__exit__()


def table(servers, counts, args):
    print("| streams | " + " | ".join(s.name for s, _ in servers) + " | of one stream | ratio |")
    print("|---" * (len(servers) + 3) + "|")
    alone = None
    for streams in counts:
        rates = {server.name: [] for server, _ in servers}
        for round_ in range(args.rounds):
            for server, model in servers:
                rates[server.name].append(
                    rate(server, model, streams, args.tokens, 10 * streams + round_)
                )
        medians = [statistics.median(rates[server.name]) for server, _ in servers]
        alone = alone or medians[0]
        ratio = f"{medians[0] / medians[1]:.2f}" if len(medians) > 1 else "-"
        cells = " | ".join(f"{m:.1f}" for m in medians)
        print(f"| {streams} | {cells} | {medians[0] / alone:.2f} | {ratio} |", flush=True)


main()
