"""What MiniLM's vectors lose when its matrices are multiplied in fewer bits, in torch.

    python3 benches/precision.py --model FOLDER    (in an environment with torch and transformers)

Weights and activations of all linear layers of the encoder are rounded to what a kernel would
multiply, the products themselves are in f32. Cosines with the vectors in f32, of 8 texts of 128
arbitrary tokens and of the texts of tests/fixtures/minilm.json: the lowest and the mean.
"""

import argparse
import json
import pathlib
import random

import torch
from transformers import AutoModel


def texts():
    draw = random.Random(7)
    for _ in range(8):
        yield [101, *(draw.randrange(1000, 29000) for _ in range(126)), 102]
    fixture = pathlib.Path(__file__).resolve().parents[1] / "tests/fixtures/minilm.json"
    for item in json.loads(fixture.read_text())["items"]:
        yield item["ids"]


def embed(model):
    with torch.inference_mode():
        for ids in texts():
            tokens = torch.tensor([ids])
            yield model(tokens, torch.ones_like(tokens)).last_hidden_state.mean(1)[0].double()


def spans(x, columns, highest, total=None):
    """Whole numbers up to `highest` in spans of columns, whose sum is at most `total`."""
    parts = x.reshape(-1, x.shape[-1] // columns, columns)
    scale = parts.abs().amax(-1, keepdim=True) / highest
    if total:
        scale = torch.maximum(scale, parts.abs().sum(-1, keepdim=True) / total)
    scale = scale.clamp_min(1e-30)
    return ((parts / scale).round() * scale).reshape(x.shape)


def of_type(dtype):
    return lambda x: x.to(dtype).float()


def bytes_in(columns):
    return lambda x: spans(x, columns, 127)


WAYS = {
    "bf16 x bf16": (of_type(torch.bfloat16),) * 2,
    "f16 x f16": (of_type(torch.float16),) * 2,
    **{
        f"int16 x int16, spans of {n}": (
            lambda w, n=n: spans(w, n, 32767, 131_000),
            lambda x, n=n: spans(x, n, 16383),
        )
        for n in (32, 64, 128, 384)
    },
    **{
        f"int8 in {w} x int8 in {x}": (bytes_in(w), bytes_in(x))
        for w, x in ((32, 32), (64, 64), (128, 64), (384, 64), (384, 384))
    },
}


class Rounded(torch.nn.Module):
    def __init__(self, linear, weights, activations):
        super().__init__()
        self.weight, self.bias = weights(linear.weight.data), linear.bias
        self.activations = activations

    def forward(self, x):
        return torch.nn.functional.linear(self.activations(x), self.weight, self.bias)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True)
    folder = parser.parse_args().model
    exact = list(embed(AutoModel.from_pretrained(folder).eval()))
    print("| way | lowest cosine | mean |\n|---|--:|--:|")
    for name, (weights, activations) in WAYS.items():
        model = AutoModel.from_pretrained(folder).eval()
        for path, module in list(model.encoder.named_modules()):
            if isinstance(module, torch.nn.Linear):
                parent, _, last = path.rpartition(".")
                rounded = Rounded(module, weights, activations)
                setattr(model.encoder.get_submodule(parent), last, rounded)
        pairs = zip(embed(model), exact)
        found = torch.stack([torch.nn.functional.cosine_similarity(a, b, 0) for a, b in pairs])
        print(f"| {name} | {found.min():.7f} | {found.mean():.7f} |", flush=True)


main()
