"""Whether Dragoman and llama.cpp write the same greedy texts from the same file.

    cargo build --release
    python3 benches/greedy.py --gguf MODEL.gguf --threads 2 --llama-bin llama.cpp/build/bin

Twenty prompts in several languages, half of them as chats (in the form that llama.cpp's server makes
of them), 64 tokens each. Both servers get the same token ids: those of llama.cpp's tokenizer, after a
check that ours makes the same of the text. For each prompt it says whether all tokens are equal, or
where they part and how likely both sides found their two best tokens there.

Both round activations to eight bits in their products, llama.cpp also keeps attention's sums in 16
bits; which of two tokens that are about as likely comes first, depends on it. With the same weights
as numbers (--exact), which llama.cpp computes without rounding, it shows who is right, and how often
each side writes what the exact weights do:

    llama-quantize --allow-requantize MODEL.gguf EXACT.gguf F32
"""

import argparse
import json
import os
import sys
import tempfile
from contextlib import ExitStack
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
    """Bytes of each greedy token, the two best with their log-probabilities, and all ids."""
    body = {"prompt": ids, "n_predict": tokens, "n_probs": 2, "seed": 1, "cache_prompt": False}
    body |= {"temperature": 0, "top_k": 1, "samplers": ["top_k"], "return_tokens": True}
    body |= {"repeat_penalty": 1.0, "presence_penalty": 0.0, "frequency_penalty": 0.0}
    answer = ask(server, "/completion", body)
    best = lambda step: [(bytes(t["bytes"]), t["logprob"]) for t in step["top_logprobs"][:2]]
    steps = answer.get("completion_probabilities", [])
    return [(bytes(step["bytes"]), best(step)) for step in steps], answer["tokens"]


def ours(server, model, ids, tokens):
    body = {"model": model, "prompt": ids, "max_tokens": tokens, "temperature": 0, "logprobs": 2}
    found = ask(server, "/v1/completions", body)["choices"][0]["logprobs"]
    steps = []
    for token, top in zip(found["tokens"], found["top_logprobs"] or [{}] * tokens):
        best = sorted(top.items(), key=lambda pair: -pair[1])[:2]
        steps.append((raw(token), [(raw(text), p) for text, p in best]))
    return whole(steps)


def whole(steps):
    """Without tokens after which a character is not whole: llama.cpp leaves them out."""
    kept, text = [], b""
    for step in steps:
        text += step[0]
        try:
            text.decode()
        except UnicodeDecodeError as error:
            if error.reason == "unexpected end of data":
                continue
        kept.append(step)
    return kept


def raw(token):
    """The bytes of a token as the API writes it."""
    if not token.startswith("bytes:"):
        return token.encode()
    return bytes(int(part[:2], 16) for part in token.removeprefix("bytes:").split("\\x")[1:])


def shown(best):
    return ", ".join(f"{token.decode(errors='backslashreplace')!r} {p:.3f}" for token, p in best)


def lead(best):
    return best[0][1] - best[1][1] if len(best) == 2 else float("inf")


def parting(mine, other):
    """The first step at which they differ; None if all are equal."""
    # An end token is shown by llama.cpp and not by us, and has no bytes of its own.
    mine, other = ([step for step in steps if step[0]] for steps in (mine, other))
    for at, (a, b) in enumerate(zip(mine, other)):
        if a[0] != b[0]:
            return at
    return None if len(mine) == len(other) else min(len(mine), len(other))


def compare(number, prompt, mine, other, exact_at):
    """Prints a line on one prompt; whether all tokens are equal."""
    at = parting(mine, other)
    if at is None:
        print(f"{number:2} {len(mine)} tokens equal: {prompt[:50]!r}")
        return True
    print(f"{number:2} parts at token {at + 1}: {prompt[:50]!r}")
    sides = [("dragoman", mine[at : at + 1]), ("llama.cpp", other[at : at + 1]), ("exact", exact_at(at))]
    for name, steps in sides:
        for _, best in steps:
            print(f"     {name:9} {shown(best)} (ahead by {lead(best):.3f})")
    return False


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gguf", required=True)
    parser.add_argument("--exact", help="the same model with F32 weights")
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

    counts = dict.fromkeys(["dragoman as llama.cpp", "dragoman as exact", "llama.cpp as exact"], 0)
    binary = str(programs / "llama-server")
    with ExitStack() as stack:
        start = stack.enter_context
        a = start(dragoman(args.dragoman, args.gguf, f"{logs}/dragoman.log", settings={"threads": args.threads}))
        b = start(llama_server(binary, args.gguf, 1, 2048, args.threads, f"{logs}/llama-server.log"))
        c = None
        if args.exact:
            flags = ["-fa", "off", "-ctk", "f32", "-ctv", "f32"]
            c = start(llama_server(binary, args.exact, 1, 2048, args.threads, f"{logs}/exact.log", *flags))
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
            mine = ours(a, model, ids, args.tokens)
            other, written = theirs(b, ids, args.tokens)

            def exact_at(at):
                # Ids and steps have the same numbers where no character was in pieces.
                if c is None or len(written) != len(other):
                    return []
                return theirs(c, ids + written[:at], 1)[0]

            counts["dragoman as llama.cpp"] += compare(number, name, mine, other, exact_at)
            if c is not None:
                exact = theirs(c, ids, args.tokens)[0]
                counts["dragoman as exact"] += parting(mine, exact) is None
                counts["llama.cpp as exact"] += parting(other, exact) is None
    if not args.exact:
        counts = {"dragoman as llama.cpp": counts["dragoman as llama.cpp"]}
    said = ", ".join(f"{what} {n}" for what, n in counts.items())
    print(f"\n{Path(args.gguf).name}: of {len(prompts)} texts are equal: {said}")


main()
