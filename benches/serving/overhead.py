"""What HTTP costs: many streams of a model that does next to nothing.

    python3 benches/serving/overhead.py --dragoman target/release/dragoman

The model is made here: one layer, 8 wide, 64 words, weights of zero. The server's processor time is
read from /proc before and after, by thread: those of the network and of the blocking pool are
HTTP's part, the engine's and the team's are the model's and the loop's. The client is a process of
its own, `dragoman bench serve`, and shares the machine; its time counts for nobody.
"""

import argparse
import json
import os
import struct
import subprocess
import tempfile
from collections import Counter
from pathlib import Path

from client import dragoman

WIDTH, WORDS = 8, 64


def make_model(folder):
    """A llama of zeros, with a tokenizer of words w0, w1 and so on."""
    config = {
        "model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": WIDTH,
        "intermediate_size": WIDTH, "num_attention_heads": 1, "num_key_value_heads": 1,
        "num_hidden_layers": 1, "vocab_size": WORDS, "max_position_embeddings": 4096,
        "hidden_act": "silu", "rms_norm_eps": 1e-5, "tie_word_embeddings": True,
        "bos_token_id": WORDS - 2, "eos_token_id": WORDS - 1, "torch_dtype": "float32",
    }
    (folder / "config.json").write_text(json.dumps(config))
    square, norm = [WIDTH, WIDTH], [WIDTH]
    layer = {f"self_attn.{name}_proj": square for name in "qkvo"}
    layer |= {f"mlp.{name}_proj": square for name in ("gate", "up", "down")}
    layer |= {"input_layernorm": norm, "post_attention_layernorm": norm}
    shapes = {f"model.layers.0.{name}.weight": shape for name, shape in layer.items()}
    shapes |= {"model.embed_tokens.weight": [WORDS, WIDTH], "model.norm.weight": norm}
    header, end = {}, 0
    for name, shape in shapes.items():
        size = 4 * (shape[0] * shape[1] if len(shape) == 2 else shape[0])
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [end, end + size]}
        end += size
    packed = json.dumps(header).encode()
    weights = struct.pack("<Q", len(packed)) + packed + bytes(end)
    (folder / "model.safetensors").write_bytes(weights)
    # Zeros choose the first, which has to be a word.
    names = [f"w{i}" for i in range(WORDS - 3)] + ["<unk>", "<s>", "</s>"]
    vocab = {name: i for i, name in enumerate(names)}
    special = [{"id": i, "content": word, "single_word": False, "lstrip": False, "rstrip": False,
                "normalized": False, "special": True} for word, i in list(vocab.items())[-3:]]
    tokenizer = {
        "version": "1.0", "added_tokens": special, "pre_tokenizer": {"type": "WhitespaceSplit"},
        "model": {"type": "WordLevel", "vocab": vocab, "unk_token": "<unk>"},
        "normalizer": None, "post_processor": None, "truncation": None, "padding": None,
        "decoder": None,
    }
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    template = "{% for m in messages %}{{ m.content }} {% endfor %}"
    (folder / "tokenizer_config.json").write_text(json.dumps({"chat_template": template}))


def times(pid):
    """Processor seconds of each thread by its name."""
    found, tick = Counter(), os.sysconf("SC_CLK_TCK")
    for task in Path(f"/proc/{pid}/task").iterdir():
        name, fields = (task / "stat").read_text().split("(", 1)[1].rsplit(")", 1)
        user, system = fields.split()[11:13]
        found[name] += (int(user) + int(system)) / tick
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dragoman", required=True)
    parser.add_argument("--streams", default="1,16,256,1000")
    parser.add_argument("--tokens", type=int, default=256, help="of each answer")
    parser.add_argument("--total", type=int, default=500_000, help="tokens at each number of streams")
    args = parser.parse_args()
    print("| streams | tokens/s | HTTP, us/token | engine, us/token | failed | TPOT p95, ms |")
    print("|--:|--:|--:|--:|--:|--:|")
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        model = folder / "nothing"
        model.mkdir()
        make_model(model)
        prompts, messages = folder / "prompts", [{"role": "user", "content": "w5 w6 w7 w8"}]
        line = json.dumps({"messages": messages, "max_tokens": args.tokens})
        prompts.write_text(f"{line}\n" * 64)
        streams = [int(n) for n in args.streams.split(",")]
        most = max(streams)
        settings = {"threads": 1, "speculation": "false", "max_sequences": most, "queue_requests": most}
        settings |= {"kv_cache_mib": 1024}
        with dragoman(args.dragoman, str(model), folder / "log", "--offline", settings=settings) as server:
            for number in streams:
                requests = max(number, min(args.total // args.tokens, 40 * number))
                report = folder / "report.json"
                before = times(server.process.pid)
                command = [args.dragoman, "--offline", "bench", "serve", "--url", server.url]
                command += ["--ignore-eos", "--file", prompts]
                command += ["--concurrency", number, "--requests", requests, "--warmup", 0]
                command += ["--json", report]
                done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
                if done.returncode != 0:
                    raise SystemExit(done.stderr[-2000:])
                spent = times(server.process.pid) - before
                run = json.loads(report.read_text())
                tokens = run["total_output_tokens"]
                engine = sum(s for name, s in spent.items() if "tokio" not in name)
                network = sum(spent.values()) - engine
                print(f"| {number} | {run['output_throughput']:.0f} | {network / tokens * 1e6:.1f} "
                      f"| {engine / tokens * 1e6:.1f} | {run['failed']} | {run['p95_tpot_ms']:.2f} |")


if __name__ == "__main__":
    main()
