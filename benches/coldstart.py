"""How long a server takes to serve, and the memory it takes for that.

    cargo build --release
    python3 benches/coldstart.py --gguf MODEL.gguf MODEL2.gguf --llama-bin llama.cpp/build/bin

Each round starts a fresh process with a file that is in the page cache and asks for one token: seconds
until it says that it is ready, and until the answer. Peak is the most memory that was resident (VmHWM),
mapped pages of the file included; after that, what is resident then. With llama.cpp's server beside,
the two take turns. Medians count. Linux only.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "serving"))

from client import free_port, request

MIB = 1 << 20


def status(pid):
    """Peak, all, and mapped resident memory, in MiB."""
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return [int(fields[name].split()[0]) / 1024 for name in ("VmHWM", "VmRSS", "RssFile")]


def start(command, port, environment):
    url = f"http://127.0.0.1:{port}"
    begun = time.monotonic()
    process = subprocess.Popen(
        [str(c) for c in command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env={**os.environ, **environment},
    )
    try:
        while True:
            try:
                if request(url, "GET", "/health")[0] == 200:
                    break
            except OSError:
                pass
            if process.poll() is not None:
                raise SystemExit(f"{command[0]} ended with {process.returncode}")
            time.sleep(0.002)
        ready = time.monotonic() - begun
        model = json.loads(request(url, "GET", "/v1/models")[1])["data"][0]["id"]
        body = {"model": model, "prompt": "Article 1. All human beings", "max_tokens": 1}
        answer = request(url, "POST", "/v1/completions", {**body, "temperature": 0})
        if answer[0] != 200:
            raise SystemExit(f"{command[0]}: {answer}")
        return [ready, time.monotonic() - begun, *status(process.pid)]
    finally:
        process.kill()
        process.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gguf", required=True, nargs="+")
    parser.add_argument("--dragoman", nargs="+", default=["target/release/dragoman"], help="one build or several")
    parser.add_argument("--llama-bin", type=Path, help="a folder with llama.cpp's programs")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    print("| file | MiB | server | ready s | first token s | peak MiB | resident MiB | of it mapped |")
    print("|---|--:|---|--:|--:|--:|--:|--:|")
    for gguf in args.gguf:
        subprocess.run(["cat", gguf], stdout=subprocess.DEVNULL, check=True)
        found = {}
        for _ in range(args.rounds):
            for binary in args.dragoman:
                port = free_port()
                command = [binary, "--offline", "serve", "--listen", f"127.0.0.1:{port}", "--model", gguf]
                settings = {"DRAGOMAN_ENGINE_THREADS": str(args.threads)}
                name = "dragoman" if len(args.dragoman) == 1 else binary
                found.setdefault(name, []).append(start(command, port, settings))
            if args.llama_bin:
                port = free_port()
                command = [args.llama_bin / "llama-server", "-m", gguf, "--port", port, "--no-webui"]
                command += ["-t", args.threads, "-np", 1, "-c", 4096]
                found.setdefault("llama.cpp", []).append(start(command, port, {}))
        for name, rounds in found.items():
            medians = [statistics.median(column) for column in zip(*rounds)]
            cells = [f"{m:.2f}" for m in medians[:2]] + [f"{m:.0f}" for m in medians[2:]]
            size = Path(gguf).stat().st_size / MIB
            print(f"| {Path(gguf).name} | {size:.0f} | {name} | {' | '.join(cells)} |", flush=True)


main()
