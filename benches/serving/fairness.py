"""How evenly eight texts go on while a long prompt is read beside them.

    python3 benches/serving/fairness.py --dragoman target/release/dragoman --model smollm2-135m-instruct

Eight clients stream; the gaps between their pieces are measured without and with a prompt of
about 4,000 tokens being computed. Reports the 95th percentile of both and their ratio, and how
long the long prompt took to its first token.
"""

import argparse
import json
import threading
import time

from client import completion, dragoman, percentile, request, stream

STREAMS = 8
WORDS = "The delegations agreed that the draft articles on the river would be taken up again. "


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dragoman", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--prompt-tokens", type=int, default=4000)
    parser.add_argument("--quiet", type=float, default=10, help="seconds without the long prompt")
    parser.add_argument("--stretch", type=float, help="engine.step_stretch")
    args = parser.parse_args()
    settings = {"threads": args.threads, "speculation": "false"}
    if args.stretch:
        settings["step_stretch"] = args.stretch
    with dragoman(args.dragoman, args.model, "dragoman.log", settings=settings) as server:
        model = json.loads(request(server.url, "GET", "/v1/models")[1])["data"][0]["id"]
        run(server, model, args)


def run(server, model, args):
    arrivals, over = [[] for _ in range(STREAMS)], threading.Event()

    def client(i):
        body = completion(model, f"Article {i + 1}. The Parties shall", 3500)
        arrivals[i] = stream(server.url, "/v1/completions", body, lambda _: over.is_set())

    clients = [threading.Thread(target=client, args=(i,)) for i in range(STREAMS)]
    for thread in clients:
        thread.start()
    time.sleep(2)
    begun = time.monotonic()
    time.sleep(args.quiet)
    # A sentence has 16 tokens in SmolLM2's vocabulary; the usage says what it was.
    long = completion(model, WORDS * (args.prompt_tokens // 16), 1)
    sent = time.monotonic()
    status, answer = request(server.url, "POST", "/v1/completions", long)
    done = time.monotonic()
    over.set()
    for thread in clients:
        thread.join()
    assert status == 200, answer
    tokens = json.loads(answer)["usage"]["prompt_tokens"]

    def gaps(start, end):
        return [
            b - a for times in arrivals for a, b in zip(times, times[1:]) if start <= a and b <= end
        ]

    quiet, busy = gaps(begun, sent), gaps(sent, done)
    for name, values in (("without", quiet), ("with", busy)):
        median, p95 = percentile(values, 0.5), percentile(values, 0.95)
        print(f"{name:8} {len(values):6} gaps, median {median * 1e3:.1f} ms, p95 {p95 * 1e3:.1f} ms, "
              f"longest {max(values) * 1e3:.1f} ms")
    ratio = percentile(busy, 0.95) / percentile(quiet, 0.95)
    print(f"p95 with a prompt of {tokens} tokens is {ratio:.2f} times that without; "
          f"its first token took {done - sent:.1f} s")


main()
