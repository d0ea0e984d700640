"""Dragoman and llama.cpp side by side on the same file: prefill, decode, batched decode.

    cargo build --release
    python3 benches/llamacpp.py --gguf MODEL.gguf --threads 2 --json result.json

llama.cpp is built from the source that llama-cpp-python's package on PyPI carries, into a cache
folder; what is built there already is used. It needs pip, cmake and a C++ compiler. With
--llama-bin FOLDER a build of your own is used instead.

The two take turns, round by round, with the same threads; the medians over the rounds count.
Beside each round stands how fast plain reads of memory were just before, because machines that
are shared change that within seconds, and decode with it.
"""

import argparse
import datetime
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

TARGETS = ["llama-bench", "llama-batched-bench", "llama-server", "llama-perplexity"]
# A processor can name AMX and still refuse its instructions in a virtual machine.
NO_AMX = "-mno-amx-tile -mno-amx-int8 -mno-amx-bf16"


def run(command, **options):
    """The standard output of a command; its errors are shown where it fails."""
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, **options)
    if done.returncode != 0:
        shown = (done.stderr or done.stdout)[-2000:]
        raise SystemExit(f"{' '.join(map(str, command))} failed:\n{shown}")
    return done.stdout


def build(folder, jobs):
    """The folder of llama.cpp's programs, built if they are not there."""
    programs = folder / "build" / "bin"
    if all((programs / target).exists() for target in TARGETS):
        return programs
    folder.mkdir(parents=True, exist_ok=True)
    source = folder / "source" / "vendor" / "llama.cpp"
    if not (source / "CMakeLists.txt").exists():
        with tempfile.TemporaryDirectory() as download:
            pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-binary", "llama-cpp-python"]
            run([*pip, "-d", download, "llama-cpp-python"])
            packed = next(Path(download).glob("llama_cpp_python-*.tar.gz"))
            with tarfile.open(packed) as archive:
                archive.extractall(download, filter="data")
            (folder / "version").write_text(packed.name.removesuffix(".tar.gz") + "\n")
            shutil.rmtree(folder / "source", ignore_errors=True)
            shutil.move(str(packed.with_suffix("").with_suffix("")), folder / "source")
    cmake = shutil.which("cmake")
    if cmake is None:
        raise SystemExit("cmake is missing: python3 -m pip install cmake, or apt-get install cmake")
    amx = NO_AMX if platform.machine() in ("x86_64", "AMD64") else ""
    print("building llama.cpp, once; this takes some minutes", file=sys.stderr)
    flags = ["-DCMAKE_BUILD_TYPE=Release", "-DGGML_NATIVE=ON", "-DLLAMA_CURL=OFF"]
    flags += ["-DLLAMA_BUILD_WEBUI=OFF", "-DLLAMA_BUILD_TESTS=OFF", "-DBUILD_SHARED_LIBS=OFF"]
    flags += [f"-DCMAKE_C_FLAGS={amx}", f"-DCMAKE_CXX_FLAGS={amx}"]
    run([cmake, "-S", source, "-B", folder / "build", *flags])
    run([cmake, "--build", folder / "build", "-j", jobs, "--target", *TARGETS])
    return programs


def ours(args, streams, prompt):
    """Rows and read bandwidth of `dragoman bench engine`."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [args.dragoman, "--offline", "bench", "engine", args.gguf]
        command += ["--threads", args.threads, "--repetitions", 1, "--no-cold-start"]
        command += ["--batch", ",".join(map(str, streams)), "--prompt", args.prompt]
        command += ["--depth", prompt, "--generate", args.generate, "--json", report]
        run(command)
        return json.loads(report.read_text())


def rows(report, test):
    return [row for row in report["models"][0]["rows"] if row["test"] == test]


def our_round(args, streams):
    alone = ours(args, [1], 0)
    together = ours(args, streams, args.batched_prompt)
    figures = {
        f"prefill {args.prompt}": rows(alone, "prefill")[0]["median_ts"],
        f"decode {args.generate}": rows(alone, "decode")[0]["median_ts"],
    }
    for row in rows(together, "decode"):
        figures[f"batched decode, {row['pl']}"] = row["speed_tg"]
    reads = [r["read_before"] for report in (alone, together) for r in report["models"][0]["rows"]]
    return figures, statistics.median(reads)


def their_round(args, programs, streams):
    command = [programs / "llama-bench", "-m", args.gguf, "-t", args.threads, "-r", 1]
    command += ["-p", args.prompt, "-n", args.generate, "-o", "json"]
    figures = {}
    for row in json.loads(run(command)):
        if row["n_gen"] == 0:
            figures[f"prefill {row['n_prompt']}"] = row["avg_ts"]
        elif row["n_prompt"] == 0:
            figures[f"decode {row['n_gen']}"] = row["avg_ts"]
    context = max(streams) * (args.batched_prompt + args.generate) + 256
    command = [programs / "llama-batched-bench", "-m", args.gguf, "-t", args.threads]
    command += ["-c", context, "-b", 2048, "-ub", 512, "-npp", args.batched_prompt]
    command += ["-ntg", args.generate, "-npl", ",".join(map(str, streams))]
    command += ["--output-format", "jsonl"]
    for line in run(command).splitlines():
        if line.startswith("{"):
            row = json.loads(line)
            figures[f"batched decode, {row['pl']}"] = row["speed_tg"]
    return figures


def read_bandwidth(args):
    """Bytes a second of plain reads now, as our tool measures them."""
    config = Path(tempfile.gettempdir()) / f"dragoman-bench-{os.getpid()}.json"
    tiny = {"model_type": "llama", "hidden_size": 32, "intermediate_size": 64}
    tiny |= {"num_attention_heads": 1, "num_hidden_layers": 1, "vocab_size": 32}
    tiny |= {"max_position_embeddings": 64, "hidden_act": "silu"}
    config.write_text(json.dumps(tiny))
    report = config.with_suffix(".out")
    try:
        command = [args.dragoman, "--offline", "bench", "engine", "--random-weights", config]
        command += ["--weights-type", "f32", "--prompt", 1, "--batch", 1, "--generate", 0]
        command += ["--repetitions", 1, "--no-cold-start", "--threads", args.threads]
        run([*command, "--json", report])
        limits = json.loads(report.read_text())["models"][0]["roofline"]["limits"]
        return limits["read_bandwidth"]["median"]
    finally:
        config.unlink(missing_ok=True)
        report.unlink(missing_ok=True)


def table(rounds):
    """Medians of both and their ratio, as Markdown."""
    names = list(rounds[0]["dragoman"])
    lines = ["| tok/s | dragoman | llama.cpp | ratio | from | to |", "|---|--:|--:|--:|--:|--:|"]
    for name in names:
        pairs = [(r["dragoman"][name], r["llama.cpp"][name]) for r in rounds]
        mine, theirs = (statistics.median(side) for side in zip(*pairs))
        ratios = [a / b for a, b in pairs]
        cells = [f"{mine:.1f}", f"{theirs:.1f}", f"{mine / theirs:.2f}"]
        cells += [f"{min(ratios):.2f}", f"{max(ratios):.2f}"]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    for side in ("dragoman", "llama.cpp"):
        reads = ", ".join(f"{r['read before ' + side] / 1e9:.0f}" for r in rounds)
        lines.append(f"\nPlain reads before each round of {side}, GB/s: {reads}")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gguf", required=True)
    parser.add_argument("--dragoman", default="target/release/dragoman")
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    parser.add_argument("--build", type=Path, default=cache / "dragoman" / "llama.cpp")
    parser.add_argument("--llama-bin", type=Path, help="a folder with llama.cpp's programs")
    parser.add_argument("--build-only", action="store_true")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--prompt", type=int, default=512)
    parser.add_argument("--generate", type=int, default=128)
    parser.add_argument("--batched-prompt", type=int, default=128)
    parser.add_argument("--streams", default="1,2,4,8,16,32")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    programs = args.llama_bin or build(args.build, args.jobs)
    if args.build_only:
        return print(programs)
    streams = [int(n) for n in args.streams.split(",")]

    rounds = []
    for number in range(args.rounds):
        print(f"round {number + 1} of {args.rounds}", file=sys.stderr)
        figures, reads = our_round(args, streams)
        found = {"dragoman": figures, "read before dragoman": reads}
        found["read before llama.cpp"] = read_bandwidth(args)
        found["llama.cpp"] = their_round(args, programs, streams)
        rounds.append(found)
        if args.json:
            result = {"date": datetime.datetime.now(datetime.timezone.utc).isoformat()}
            result |= {"gguf": args.gguf, "threads": args.threads, "rounds": rounds}
            args.json.write_text(json.dumps(result, indent=1) + "\n")
    print(table(rounds))


if __name__ == "__main__":
    main()
