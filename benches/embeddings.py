"""MiniLM embeddings: Dragoman, ONNX Runtime and sentence-transformers side by side.

    cargo build --release
    target/release/dragoman pull all-minilm-l6-v2
    python3 benches/embeddings.py --threads 2 --json result.json

Batches of 32 texts of exactly 128 tokens, as token ids, so that no tokenizer is measured. All
take turns, round by round, with the same threads and the same weights; medians count. Dragoman runs
once for each of --quantize: with the weights in f32 ("none"), as 16-bit integers (the default of
the server) and as bytes. The vectors are compared first: each cosine with sentence-transformers in
f32 has to be above what is claimed for that way, for the rivals above 0.999.

The rivals live in a virtual environment that the script makes (--venv), with pip. On x86-64 Linux
PyPI's torch brings several GB of CUDA along; `--pip "--index-url …"` names an index with CPU
builds. ONNX Runtime gets the model as torch exports it.
"""

import argparse
import contextlib
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

PACKAGES = ["sentence-transformers", "onnx", "onnxscript", "onnxruntime"]
RIVALS = ["onnxruntime", "sentence-transformers", "sentence-transformers bf16"]
LEAST_COSINE = {"none": 0.99999, "int16": 0.9999, "q8_0": 0.995}
LEAST_COSINE_OF_RIVALS = 0.999


def ids(texts, tokens):
    """Arbitrary ids between a begin and an end token, the same for everybody."""
    draw = random.Random(7)
    return [[101, *(draw.randrange(1000, 29000) for _ in range(tokens - 2)), 102]
            for _ in range(texts)]


# What runs in the virtual environment: one process a rival, one JSON a line.


def torch_model(folder, threads, bf16):
    import torch
    from sentence_transformers import SentenceTransformer

    torch.set_num_threads(threads)
    model = SentenceTransformer(str(folder), device="cpu").eval()
    if bf16:
        model = model.bfloat16()

    def embed(batch):
        with torch.inference_mode():
            tokens = torch.tensor(batch)
            features = {"input_ids": tokens, "attention_mask": torch.ones_like(tokens)}
            return model(features)["sentence_embedding"].float().tolist()

    return embed


def onnx_model(folder, threads, exported):
    import numpy as np
    import onnxruntime

    if not exported.exists():
        import torch
        from transformers import AutoModel

        class Tokens(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.bert = AutoModel.from_pretrained(folder).eval()

            def forward(self, input_ids, attention_mask):
                return self.bert(input_ids, attention_mask).last_hidden_state

        example = torch.tensor(ids(2, 16))
        batch, length = torch.export.Dim("batch"), torch.export.Dim("length", max=512)
        shape = {0: batch, 1: length}
        torch.onnx.export(
            Tokens(), (example, torch.ones_like(example)), str(exported),
            input_names=["input_ids", "attention_mask"], output_names=["tokens"],
            dynamic_shapes=(shape, shape), dynamo=True, external_data=False,
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(
        str(exported), options, providers=["CPUExecutionProvider"]
    )

    def embed(batch):
        tokens = np.array(batch, dtype=np.int64)
        inputs = {"input_ids": tokens, "attention_mask": np.ones_like(tokens)}
        pooled = session.run(None, inputs)[0].mean(axis=1)
        return (pooled / np.linalg.norm(pooled, axis=1, keepdims=True)).tolist()

    return embed


def worker(args):
    # Exporters talk; the answers alone go to standard output.
    with contextlib.redirect_stdout(sys.stderr):
        if args.worker == "onnxruntime":
            embed = onnx_model(args.model, args.threads, args.venv / "minilm.onnx")
        else:
            embed = torch_model(args.model, args.threads, args.worker.endswith("bf16"))
    batch = ids(args.batch, args.tokens)
    print(json.dumps({"vectors": embed(batch)}), flush=True)
    for line in sys.stdin:
        seconds = []
        for _ in range(int(line)):
            begun = time.perf_counter()
            embed(batch)
            seconds.append(time.perf_counter() - begun)
        print(json.dumps({"seconds": seconds}), flush=True)


class Rival:
    """A worker that waits to be asked."""

    def __init__(self, name, args):
        self.name = name
        command = [args.venv / "bin" / "python", __file__, "--worker", name]
        command += ["--venv", args.venv, "--model", args.model, "--threads", args.threads]
        command += ["--batch", args.batch, "--tokens", args.tokens]
        log = open(args.venv / f"{name.replace(' ', '-')}.log", "w")
        self.process = subprocess.Popen(
            [str(c) for c in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
            text=True, env={**os.environ, "OMP_NUM_THREADS": str(args.threads)},
        )
        self.log = log.name
        self.vectors = self.answer()["vectors"]

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.name} ended: see {self.log}")
        return json.loads(line)

    def rate(self, repetitions, batch):
        self.process.stdin.write(f"{repetitions}\n")
        self.process.stdin.flush()
        return batch / statistics.median(self.answer()["seconds"])


# What runs outside of it.


def our_rate(args, quantize):
    with tempfile.TemporaryDirectory() as folder:
        report = pathlib.Path(folder) / "report.json"
        command = [args.dragoman, "--offline", "bench", "engine", args.dragoman_model]
        command += ["--quantize", quantize, "--prompt", args.tokens, "--batch", args.batch, "--threads", args.threads]
        command += ["--repetitions", args.repetitions, "--no-cold-start", "--json", report]
        done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(f"dragoman: {done.stderr}")
        row = json.loads(report.read_text())["models"][0]["rows"][0]
        return row["inputs_per_s"], row["read_before"]


def our_vectors(args, quantize):
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "serving"))
    from client import dragoman, request

    log = args.venv / "dragoman.log"
    with dragoman(args.dragoman, args.dragoman_model, log, "--quantize", quantize) as server:
        model = json.loads(request(server.url, "GET", "/v1/models")[1])["data"][0]["id"]
        body = {"model": model, "input": ids(args.batch, args.tokens)}
        status, answer = request(server.url, "POST", "/v1/embeddings", body)
        if status != 200:
            raise SystemExit(f"dragoman: {status} {answer[:300]}")
        return [item["embedding"] for item in json.loads(answer)["data"]]


def main():
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache"))
    cache = cache / "dragoman"
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dragoman", default="target/release/dragoman")
    parser.add_argument("--dragoman-model", default="all-minilm-l6-v2")
    parser.add_argument("--model", type=pathlib.Path, default=cache / "models/all-minilm-l6-v2",
                        help="the same model's folder, for the rivals")
    parser.add_argument("--venv", type=pathlib.Path, default=cache / "bench-venv")
    parser.add_argument("--pip", default="", help="more arguments for pip install")
    parser.add_argument("--quantize", default="int16,q8_0,none",
                        help="ways to keep our weights, the first to compare with")
    parser.add_argument("--rivals", default=",".join(RIVALS))
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--json", type=pathlib.Path)
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        return worker(args)
    python = args.venv / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", args.venv], check=True)
    pip = [python, "-m", "pip", "install", "--quiet", *PACKAGES, *args.pip.split()]
    subprocess.run([str(c) for c in pip], check=True)

    rivals = [Rival(name, args) for name in args.rivals.split(",")]
    reference = next((r for r in rivals if r.name == "sentence-transformers"), rivals[0])
    ways = args.quantize.split(",")
    ours = {way: f"dragoman {way}" for way in ways}
    vectors = {ours[way]: our_vectors(args, way) for way in ways}
    least_of = {ours[way]: LEAST_COSINE.get(way, 0) for way in ways}
    vectors |= {r.name: r.vectors for r in rivals}
    cosines = {}
    for name, found in vectors.items():
        least = min(map(cosine, found, reference.vectors))
        print(f"{name}: cosine with {reference.name} at least {least:.6f}", file=sys.stderr)
        cosines[name] = least
        if least < least_of.get(name, LEAST_COSINE_OF_RIVALS):
            raise SystemExit(f"{name} computes something else: cosine {least}")

    rates = {name: [] for name in vectors}
    reads = []
    for _ in range(args.rounds):
        for way in ways:
            rate, read = our_rate(args, way)
            rates[ours[way]].append(rate)
            reads.append(read)
        for rival in rivals:
            # Threads that spin for more work have gone to sleep by then.
            time.sleep(1)
            rates[rival.name].append(rival.rate(args.repetitions, args.batch))
    for rival in rivals:
        rival.process.stdin.close()
        rival.process.wait(30)

    shown = {"cosine": {name: f"{least:.6f}" for name, least in cosines.items()}}
    table(f"texts/s, {args.batch} x {args.tokens} tokens", rates, ours[ways[0]], shown)
    print(f"\nPlain reads before each round, GB/s: {', '.join(f'{r / 1e9:.0f}' for r in reads)}")
    if args.json:
        result = {"date": datetime.datetime.now(datetime.timezone.utc).isoformat()}
        result |= {"threads": args.threads, "rates": rates, "reads": reads,
                   "cosines": cosines}
        args.json.write_text(json.dumps(result, indent=1) + "\n")


main()
