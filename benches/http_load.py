"""Output tokens per second of N clients at once, over HTTP.

    python3 benches/http_load.py http://127.0.0.1:8080 MODEL CLIENTS TOKENS

Each client sends one short prompt and takes TOKENS tokens (`ignore_eos`). The
rate is all output tokens over the wall time, prefill included.
"""

import json
import sys
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor


def ask(url, model, tokens, client):
    body = {
        "model": model,
        "prompt": f"Article {client + 1}. The Parties shall",
        "max_tokens": tokens,
        "temperature": 0,
        "ignore_eos": True,
    }
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(url + "/v1/completions", json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)["usage"]["completion_tokens"]


def main():
    url, model, clients, tokens = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    begun = time.monotonic()
    with ThreadPoolExecutor(clients) as pool:
        total = sum(pool.map(lambda client: ask(url, model, tokens, client), range(clients)))
    seconds = time.monotonic() - begun
    print(f"{model}, {clients} clients: {total} tokens in {seconds:.1f} s, {total / seconds:.1f} tok/s")


main()
