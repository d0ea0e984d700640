"""Whether Dragoman and llama.cpp write the same greedy texts from the same file.

    cargo build --release
    python3 benches/greedy.py --gguf MODEL.gguf --threads 2 --llama-bin llama.cpp/build/bin

Twenty prompts in several languages, half of them as chats (in the form that llama.cpp's server makes
of them), 64 tokens each. Both servers get the same token ids: those of llama.cpp's tokenizer, after a
check that ours makes the same of the text. For each prompt it says whether all tokens are equal, or
where they part and how likely both sides found their two best tokens there.
"""

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "serving"))

from client import dragoman, llama_server, request
from llamacpp import build

TEXTS = [
    "The three states of water are ice, liquid water and steam. When ice is heated, it",
    "Article 1. All human beings are born free and equal in",
    "The Paris Agreement is an international treaty on",
    "Toute personne a droit à la liberté d'opinion et d'expression, ce qui implique le droit de",
    "El sol sale por el este y se pone por el oeste. Durante el invierno, los días",
    "Alle Menschen sind frei und gleich an Würde und Rechten geboren. Sie sind mit",
    "人人生而自由，在尊严和权利上一律平等。他们",
    "Все люди рождаются свободными и равными в своём",
    "Watu wote wamezaliwa huru, hadhi na haki zao ni",
    'def fibonacci(n):\n    """Return the n-th Fibonacci number."""\n    if n < 2:\n        return n\n',
]
CHATS = [
    "Name three countries in Africa and their capitals.",
    "Explain in two sentences what a treaty is.",
    "Translate into English: Les Parties coopèrent de bonne foi.",
    "Translate into French: Access to clean water is a human right.",
    "Résume en une phrase : l'eau potable est un droit humain reconnu par les Nations unies en 2010.",
    "¿Cuáles son los meses del año?",
    "Was ist die Hauptstadt der Schweiz?",
    "请用一句话介绍联合国。",
    "Что такое международный договор?",
    "Write a Python function that checks whether a word is a palindrome.",
]


def ask(server, path, body):
    status, answer = request(server.url, "POST", path, body)
    if status != 200:
        raise SystemExit(f"{server.name} {path}: {status} {answer[:300]}")
    return json.loads(answer)


def theirs(server, ids, tokens):
    """Bytes of each greedy token, and the two best with their log-probabilities."""
    body = {"prompt": ids, "n_predict": tokens, "n_probs": 2, "seed": 1, "cache_prompt": False}
    body |= {"temperature": 0, "top_k": 1, "samplers": ["top_k"], "ignore_eos": False}
    body |= {"repeat_penalty": 1.0, "presence_penalty": 0.0, "frequency_penalty": 0.0}
    steps = ask(server, "/completion", body)["completion_probabilities"]
    best = lambda step: [(bytes(t["bytes"]), t["logprob"]) for t in step["top_logprobs"][:2]]
    return [(bytes(step["bytes"]), best(step)) for step in steps]


def ours(server, model, ids, tokens):
    body = {"model": model, "prompt": ids, "max_tokens": tokens, "temperature": 0, "logprobs": 2}
    found = ask(server, "/v1/completions", body)["choices"][0]["logprobs"]
    steps = []
    for token, top in zip(found["tokens"], found["top_logprobs"] or [{}] * tokens):
        best = sorted(top.items(), key=lambda pair: -pair[1])[:2]
        steps.append((raw(token), [(raw(text), p) for text, p in best]))
    return steps


def raw(token):
    """The bytes of a token as the API writes it."""
    if not token.startswith("bytes:"):
        return token.encode()
    return bytes(int(part[:2], 16) for part in token.removeprefix("bytes:").split("\\x")[1:])


def shown(best):
    return ", ".join(f"{token.decode(errors='backslashreplace')!r} {p:.3f}" for token, p in best)


def lead(best):
    return best[0][1] - best[1][1] if len(best) == 2 else float("inf")


def compare(number, prompt, mine, other):
    """A line on one prompt; whether all tokens are equal."""
    # An end token is shown by llama.cpp and not by us, and has no bytes of its own.
    while other and not other[-1][0]:
        other.pop()
    while mine and not mine[-1][0]:
        mine.pop()
    for at, (a, b) in enumerate(zip(mine, other)):
        if a[0] != b[0]:
            print(f"{number:2} parts at token {at + 1}: {prompt[:50]!r}")
            print(f"     dragoman  {shown(a[1])} (ahead by {lead(a[1]):.3f})")
            print(f"     llama.cpp {shown(b[1])} (ahead by {lead(b[1]):.3f})")
            return False
    if len(mine) != len(other):
        at = min(len(mine), len(other))
        longer = "dragoman" if len(mine) > at else "llama.cpp"
        best = (mine if len(mine) > at else other)[at][1]
        print(f"{number:2} {longer} goes on after token {at}: {shown(best)}: {prompt[:50]!r}")
        return False
    print(f"{number:2} {len(mine)} tokens equal: {prompt[:50]!r}")
    return True


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gguf", required=True)
    parser.add_argument("--dragoman", default="target/release/dragoman")
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    parser.add_argument("--build", type=Path, default=cache / "dragoman" / "llama.cpp")
    parser.add_argument("--llama-bin", type=Path, help="a folder with llama.cpp's programs")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--tokens", type=int, default=64)
    args = parser.parse_args()
    programs = args.llama_bin or build(args.build, args.jobs)
    logs = tempfile.mkdtemp()

    equal = 0
    binary = str(programs / "llama-server")
    with dragoman(args.dragoman, args.gguf, f"{logs}/dragoman.log", settings={"threads": args.threads}) as a, \
            llama_server(binary, args.gguf, 1, 2048, args.threads, f"{logs}/llama-server.log") as b:
        model = json.loads(request(a.url, "GET", "/v1/models")[1])["data"][0]["id"]
        prompts = list(TEXTS)
        for chat in CHATS:
            body = {"messages": [{"role": "user", "content": chat}]}
            prompts.append(ask(b, "/apply-template", body)["prompt"])
        for number, prompt in enumerate(prompts, 1):
            body = {"content": prompt, "add_special": True, "parse_special": True}
            ids = ask(b, "/tokenize", body)["tokens"]
            count = ask(a, "/v1/completions", {"model": model, "prompt": prompt, "max_tokens": 1})
            if count["usage"]["prompt_tokens"] != len(ids):
                print(f"{number:2} has {count['usage']['prompt_tokens']} tokens here, {len(ids)} there")
            name = CHATS[number - 1 - len(TEXTS)] if number > len(TEXTS) else prompt
            equal += compare(number, name, ours(a, model, ids, args.tokens), theirs(b, ids, args.tokens))
    print(f"\n{Path(args.gguf).name}: {equal} of {len(prompts)} texts are equal")


main()
