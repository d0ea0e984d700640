"""Many streams of long prompts, side by side with llama.cpp's server, as `dragoman bench serve` sees them.

    python3 benches/serving/load.py --dragoman target/release/dragoman \\
        --llama-server llama.cpp/build/bin/llama-server --gguf MODEL.gguf --threads 2

Both servers serve the same file and get the same random prompts of --prompt tokens, each answered
with exactly --tokens greedy tokens, --streams at once. The servers take turns, both stay loaded;
the medians of the rounds count. Neither may reuse prompts, and no prompt comes twice; Dragoman's
guessing ahead is off.
"""

import argparse
import json
import statistics
import subprocess
import tempfile
from pathlib import Path

from client import dragoman, llama_server

FIGURES = {
    "output tok/s": "output_throughput",
    "TTFT median, ms": "median_ttft_ms",
    "TTFT p95, ms": "p95_ttft_ms",
    "TPOT median, ms": "median_tpot_ms",
}


def measure(args, server, seed):
    """The figures of one round."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [args.client or args.dragoman, "--offline", "bench", "serve", "--url", server.url, "--ignore-eos"]
        command += ["--endpoint", args.endpoint]
        command += ["--tokenizer", args.gguf, "--seed", seed, "--concurrency", args.streams]
        command += ["--requests", args.requests or 2 * args.streams, "--warmup", args.streams]
        command += ["--prompt-tokens", args.prompt, "--output-tokens", args.tokens, "--json", report]
        done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(f"{server.name}: {done.stderr[-2000:]}")
        run = json.loads(report.read_text())
    if run["failed"]:
        # Said, and not hidden in the figures: they are of those that were answered.
        print(f"{server.name}: {run['failed']} failed: {run['dragoman']['failures'][:3]}", flush=True)
    return {name: run[key] for name, key in FIGURES.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dragoman", required=True)
    parser.add_argument("--client", help="the program that measures, if it is not --dragoman")
    parser.add_argument("--llama-server", required=True)
    parser.add_argument("--gguf", required=True)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--streams", type=int, default=16)
    parser.add_argument("--requests", type=int, help="in a round; twice the streams by default")
    parser.add_argument("--prompt", type=int, default=200)
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--endpoint", default="chat", help="chat, or completions for files without a chat template"
    )
    args = parser.parse_args()

    settings = {"threads": args.threads, "speculation": "false", "max_sequences": args.streams}
    ours = dragoman(args.dragoman, args.gguf, "dragoman.log", settings=settings)
    # Random words take up to a few tokens more than asked for.
    context = args.prompt + args.tokens + 64
    flags = ["--no-cache-prompt", "--cache-ram", "0", "-fa", "on"]
    theirs = llama_server(
        args.llama_server, args.gguf, args.streams, context, args.threads, "llama-server.log", *flags
    )
    with ours, theirs:
        rounds = []
        for seed in range(args.rounds):
            rounds.append([measure(args, server, seed) for server in (ours, theirs)])
            print(json.dumps(rounds[-1]), flush=True)
    table(rounds)


def table(rounds):
    print(f"\n| median of {len(rounds)} rounds | dragoman | llama.cpp | ratio | from | to |")
    print("|---|--:|--:|--:|--:|--:|")
    for name in FIGURES:
        medians = [statistics.median(pair[i][name] for pair in rounds) for i in range(2)]
        ratios = [pair[0][name] / pair[1][name] for pair in rounds]
        cells = [*medians, medians[0] / medians[1], min(ratios), max(ratios)]
        print(f"| {name} | " + " | ".join(f"{cell:.2f}" for cell in cells) + " |")


main()
