"""All that is to be known of a GPU, in a few minutes: first whether results are right, then speed.

    cargo build --release --features cuda
    cargo test --no-run --release --features cuda --no-default-features --lib     # says which file
    python3 benches/gpu.py --dragoman target/release/dragoman --tests target/release/deps/dragoman-… \
        --gguf smollm2.gguf --out results

It goes on when a part fails, says so at the end, and leaves every report in --out. Parts can be
chosen with --only. Beside the rates stand the ceilings that torch measures in the same run: a copy
within the device's memory, and a product of matrices in bf16; with transformers there, its rate for
the same shape as well.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

# Shapes of config.json, for random weights.
LLAMA_8B = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 4096,
    "intermediate_size": 14336, "num_hidden_layers": 32, "num_attention_heads": 32,
    "num_key_value_heads": 8, "vocab_size": 128256, "max_position_embeddings": 16384,
    "rms_norm_eps": 1e-5, "rope_theta": 500000.0, "tie_word_embeddings": False,
    "hidden_act": "silu", "torch_dtype": "bfloat16",
}
QWEN_05B = {
    "architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "hidden_size": 896,
    "intermediate_size": 4864, "num_hidden_layers": 24, "num_attention_heads": 14,
    "num_key_value_heads": 2, "vocab_size": 151936, "max_position_embeddings": 32768,
    "rms_norm_eps": 1e-6, "rope_theta": 1000000.0, "tie_word_embeddings": True,
    "hidden_act": "silu", "torch_dtype": "bfloat16",
}
MINILM = {
    "architectures": ["BertModel"], "model_type": "bert", "hidden_size": 384, "intermediate_size": 1536,
    "num_hidden_layers": 6, "num_attention_heads": 12, "vocab_size": 30522, "type_vocab_size": 2,
    "max_position_embeddings": 512, "layer_norm_eps": 1e-12, "hidden_act": "gelu",
}
E5_SMALL = {**MINILM, "num_hidden_layers": 12, "vocab_size": 250037}
PROMPTS = [
    "The parties shall", "Les Parties coopèrent", "Article 1. The Commission", "В соответствии с",
    "The General Assembly, recalling its resolution", "1, 2, 3, 4,", "Water is", "def treaty(",
]


def report(args, name, *options, cache="f16", tuned=False):
    """`dragoman bench engine` on the GPU, with such a cache; the rows of its report."""
    file = args.out / f"{name}.json"
    settings = args.out / f"{name}.toml"
    settings.write_text(
        f'[engine]\nkv_cache_dtype = "{cache}"\ntune_products = {str(tuned).lower()}\n')
    command = [args.dragoman, "--config", settings, "--offline", "bench", "engine", *options]
    command += ["--device", "cuda"]
    command += ["--no-cold-start", "--no-roofline", "--json", file]
    print("$", *command, flush=True)
    subprocess.run([str(c) for c in command], check=True)
    model = json.loads(file.read_text())["models"][0]
    for reason in model.get("skipped", []):
        print("left out:", reason)
    return model["rows"]


def random_weights(args, name, shape):
    """The options of `report` for such a shape, in bf16."""
    config = args.out / f"{name}.json"
    config.write_text(json.dumps(shape))
    return ["--random-weights", config, "--weights-type", "bf16", "--repetitions", 3]


def rate(row):
    """Tokens a second of a row of a report."""
    return row["median_ts"] if row["test"] == "prefill" else row["speed_tg"]


def check(args):
    """Our tests on the device, and a few of them under compute-sanitizer."""
    environment = {**os.environ, "DRAGOMAN_TEST_DEVICE": "cuda"}
    wanted = ["on_cuda", "backend::cuda"]
    subprocess.run([args.tests, *wanted, "--nocapture", "--test-threads=1"], env=environment, check=True)
    sanitizer = shutil.which("compute-sanitizer")
    if sanitizer is None:
        print("compute-sanitizer is not there: memory accesses were not checked")
        return
    for tool in ["memcheck", "racecheck"]:
        command = [sanitizer, "--tool", tool, "--error-exitcode", "1", args.tests]
        # Kernels are looked for in one module after the other, which is no error.
        command[1:1] = ["--report-api-errors", "no"] if tool == "memcheck" else []
        command += ["on_cuda::sixteen", "--test-threads=1"]
        subprocess.run(command, env=environment, check=True)


def greedy(args, device, port):
    """What a server on `device` writes after each prompt."""
    command = [args.dragoman, "--offline", "serve", "--model", args.gguf, "--device", device]
    command += ["--listen", f"127.0.0.1:{port}"]
    log = open(args.out / f"serve-{device}.log", "w")
    server = subprocess.Popen([str(c) for c in command], stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            try:
                models = json.load(urllib.request.urlopen(f"{url}/v1/models"))
                break
            except OSError:
                if server.poll() is not None:
                    raise RuntimeError(f"the server on {device} ended; see {log.name}") from None
                time.sleep(0.2)
        texts = []
        for prompt in PROMPTS:
            body = {"model": models["data"][0]["id"], "prompt": prompt, "max_tokens": 64, "temperature": 0}
            request = urllib.request.Request(
                f"{url}/v1/completions", json.dumps(body).encode(), {"Content-Type": "application/json"})
            texts.append(json.load(urllib.request.urlopen(request))["choices"][0]["text"])
        return texts
    finally:
        server.terminate()
        server.wait()


def texts(args):
    """Greedy texts of the GPU beside those of the CPU."""
    cpu, gpu = greedy(args, "cpu", 8091), greedy(args, "cuda", 8092)
    same = sum(a == b for a, b in zip(cpu, gpu))
    print(f"{same} of {len(PROMPTS)} greedy texts are equal on CPU and GPU")
    for prompt, a, b in zip(PROMPTS, cpu, gpu):
        if a != b:
            print(f"  {prompt!r}:\n    cpu {a!r}\n    gpu {b!r}")


def ceilings(_):
    """Bytes and products that the device can do in a second."""
    import torch

    def timed(step, repeat=20):
        step()
        torch.cuda.synchronize()
        begin = time.perf_counter()
        for _ in range(repeat):
            step()
        torch.cuda.synchronize()
        return (time.perf_counter() - begin) / repeat

    a, b = (torch.randn(1 << 30, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    copy = 2 * a.numel() * 2 / timed(lambda: b.copy_(a))
    m, n = (torch.randn(8192, 8192, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    product = 2 * 8192**3 / timed(lambda: m @ n)
    del a, b, m, n
    torch.cuda.empty_cache()
    print(f"copy {copy / 1e12:.2f} TB/s, read and write; bf16 products {product / 1e12:.0f} TFLOP/s")
    return copy, product


def speed(args):
    """The 8B shape: share of the ceilings, one stream to 256."""
    copy, product = ceilings(args)
    parameters = 8.03e9
    shape = random_weights(args, "llama-8b", LLAMA_8B)
    rows = report(args, "llama-8b", *shape, "--prompt", "512,8192", "--batch", "1,32,256",
                  "--depth", "512", "--generate", 128)
    for row in rows:
        if row["test"] == "prefill":
            # Each token of attention reads half of the others on average.
            work = 2 * parameters + 2 * 2 * 32 * 4096 * row["pp"] / 2
            share = row["median_ts"] * work / product
            print(f"prefill {row['pp']}: {row['median_ts']:.0f} tok/s, {share:.0%} of the product's rate")
        else:
            steps = row["speed_tg"] / row["pl"]
            keys = row["pl"] * 32 * 2 * 8 * 128 * 2 * (512 + 64)
            share = steps * (parameters * 2 + keys) / copy
            print(f"{row['pl']} streams: {row['speed_tg']:.0f} tok/s, {share:.0%} of the copy's rate")
    shape = random_weights(args, "qwen-0.5b", QWEN_05B)
    report(args, "qwen-0.5b", *shape, "--prompt", "512", "--batch", "1,8,32,128", "--depth", "0")
    report(args, "gguf", args.gguf, "--prompt", "512", "--batch", "1,8,32,128", "--depth", "0")


def caches(args):
    """What a cache of FP8 brings: the 8B shape behind 8,192 tokens, 32 streams."""
    shape = random_weights(args, "llama-8b", LLAMA_8B)
    for cache in ["bf16", "fp8"]:
        rows = report(args, f"cache-{cache}", *shape, "--prompt", "8192", "--batch", "32",
                      "--depth", "8192", "--generate", 64, cache=cache)
        for row in rows:
            print(f"cache in {cache}, {row['test']}: {rate(row):.0f} tok/s")


def products(args):
    """What trying cuBLASLt's algorithms brings: the 8B shape with and without, in turns."""
    shape = random_weights(args, "llama-8b", LLAMA_8B)
    for turn in range(2):
        for tuned in [False, True]:
            name = f"products-{'tuned' if tuned else 'cublas'}-{turn}"
            rows = report(args, name, *shape, "--prompt", "512", "--batch", "8,32,256",
                          "--depth", "0", "--generate", 64, tuned=tuned)
            for row in rows:
                print(f"{name}, {row['test']} {row['pl']}: {rate(row):.0f} tok/s")


def llama(args):
    """llama.cpp's CUDA build on the same file, in turns."""
    if args.llama_bin is None:
        raise RuntimeError("--llama-bin FOLDER was not given")
    import llamacpp

    prompt, generate, streams = 512, 128, [1, 32]
    asked = argparse.Namespace(
        gguf=args.gguf, threads=4, prompt=prompt, generate=generate, batched_prompt=128)
    for turn in range(3):
        rows = report(args, f"beside-llama-{turn}", args.gguf, "--prompt", prompt, "--batch", "1,32",
                      "--depth", 128, "--generate", generate)
        theirs = llamacpp.their_round(asked, args.llama_bin, streams)
        for row in rows:
            read = row["test"] == "prefill"
            name = f"prefill {prompt}" if read else f"batched decode, {row['pl']}"
            ours, other = rate(row), theirs[name]
            print(f"{name}: {ours:.0f} tok/s, llama.cpp {other:.0f}, {ours / other:.2f} times")


def vectors(args):
    """Embeddings of the MiniLM and e5 shapes, 256 texts of 128 tokens, beside transformers."""
    import torch
    from transformers import BertConfig, BertModel

    ours = {}
    for name, shape in [("minilm", MINILM), ("e5-small", E5_SMALL)]:
        config = args.out / f"{name}.json"
        config.write_text(json.dumps(shape))
        rows = report(args, name, "--random-weights", config, "--weights-type", "f16", "--prompt",
                      "128", "--batch", "256", "--repetitions", 10, "--level", "forward")
        ours[name] = max(row["inputs_per_s"] for row in rows if row["test"] == "embed")
    for name, shape in [("minilm", MINILM), ("e5-small", E5_SMALL)]:
        options = {k: v for k, v in shape.items() if k not in ("architectures", "model_type")}
        with torch.device("cuda"):
            model = BertModel(BertConfig(**options)).half().eval()
            ids = torch.randint(1000, 29000, (256, 128))
        took = []
        with torch.inference_mode():
            for _ in range(12):
                torch.cuda.synchronize()
                begin = time.perf_counter()
                # As sentence-transformers does: the mean, of length 1, on the host.
                mean = model(input_ids=ids).last_hidden_state.mean(1)
                torch.nn.functional.normalize(mean).cpu()
                took.append(time.perf_counter() - begin)
        theirs = 256 / sorted(took)[len(took) // 2]
        print(f"{name}: {ours[name]:.0f} texts/s, transformers in f16 {theirs:.0f}, "
              f"{ours[name] / theirs:.2f} times")


def rival(args):
    """transformers on the same shape, 32 streams."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    options = {k: v for k, v in LLAMA_8B.items() if k not in ("architectures", "model_type", "torch_dtype")}
    torch.set_default_dtype(torch.bfloat16)
    with torch.device("cuda"):
        model = LlamaForCausalLM(LlamaConfig(**options)).eval()
    ids = torch.randint(0, 128000, (32, 512), device="cuda")
    for new in (8, 128):
        torch.cuda.synchronize()
        begin = time.perf_counter()
        model.generate(ids, max_new_tokens=new, min_new_tokens=new, do_sample=False)
        torch.cuda.synchronize()
        took = time.perf_counter() - begin
        print(f"transformers, 32 streams, 512 in, {new} out: {took:.2f} s, {32 * new / took:.0f} tok/s")


PARTS = {
    "check": check, "texts": texts, "speed": speed, "vectors": vectors, "caches": caches,
    "rival": rival, "products": products, "llama": llama,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dragoman", type=Path, required=True)
    parser.add_argument("--tests", type=Path, help="the library's tests, built with the feature cuda")
    parser.add_argument("--gguf", type=Path, required=True)
    parser.add_argument("--llama-bin", type=Path, help="a folder with llama.cpp's programs, built for CUDA")
    parser.add_argument("--out", type=Path, default=Path("gpu"))
    parser.add_argument("--only", default=",".join(PARTS))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    subprocess.run(["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv"], check=False)
    failed = []
    for name in args.only.split(","):
        begin = time.perf_counter()
        print(f"\n== {name}: {PARTS[name].__doc__.splitlines()[0]}", flush=True)
        try:
            PARTS[name](args)
        except Exception as e:
            failed.append(f"{name}: {e}")
        print(f"== {name} took {time.perf_counter() - begin:.0f} s", flush=True)
    for line in failed:
        print("failed:", line)
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
