"""How long searches take in a large collection, over HTTP.

    cargo build --release
    python3 benches/search_speed.py --passages 100000 --data FOLDER --json result.json

The passages are words drawn as often as those of texts are (Zipf), and their vectors, of 384 numbers
as those of multilingual-e5-small, come from a small random model: what they say is nothing, what
searching them costs is what it costs. The folder keeps the model and the collection, so that another
build can be asked the same: `--results` writes what was found, and `--against` such a file says
whether the same was found, in the same order and with the same scores.

`first` is the first search after the start, which loads the collection; `added` and `deleted` are
the first after a document of one passage came or went. Median and 90th percentile of the others, one
at a time, then of hybrid ones by four clients at once. `words` finds the query by words alone, so
the difference to the others has the vector of the query in it, which a request at `/v1/embeddings`
takes as well (`embed`).
"""

import argparse
import array
import concurrent.futures
import json
import os
import pathlib
import random
import struct
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "serving"))

from client import dragoman, percentile, request  # noqa: E402

WIDTH, WORDS = 384, 8192
MODES = ("semantic", "lexical", "hybrid")


def word(number):
    """A word of letters for each number."""
    letters = ""
    for _ in range(4):
        number, letter = divmod(number, 26)
        letters += "abcdefghijklmnopqrstuvwxyz"[letter]
    return "w" + letters


def model(folder):
    """A BERT of one layer with random weights."""
    folder.mkdir(parents=True)
    shapes = {"embeddings.word_embeddings.weight": (WORDS + 4, WIDTH),
              "embeddings.position_embeddings.weight": (512, WIDTH),
              "embeddings.token_type_embeddings.weight": (2, WIDTH)}
    norms = ["embeddings.LayerNorm"]
    layer = "encoder.layer.0."
    for name in ("attention.self.query", "attention.self.key", "attention.self.value",
                 "attention.output.dense", "intermediate.dense", "output.dense"):
        shapes[f"{layer}{name}.weight"], shapes[f"{layer}{name}.bias"] = (WIDTH, WIDTH), (WIDTH,)
    norms += [layer + "attention.output.LayerNorm", layer + "output.LayerNorm"]
    for name in norms:
        shapes[f"{name}.weight"], shapes[f"{name}.bias"] = (WIDTH,), (WIDTH,)
    draw, header, parts, at = random.Random(7), {}, [], 0
    for name, shape in shapes.items():
        count = shape[0] * (shape[1] if len(shape) > 1 else 1)
        one = "LayerNorm.weight" in name
        numbers = array.array("f", (1.0 if one else draw.gauss(0, 0.05) for _ in range(count)))
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [at, at + 4 * count]}
        parts.append(numbers.tobytes())
        at += 4 * count
    start = json.dumps(header).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(start)) + start + b"".join(parts))
    config = {"architectures": ["BertModel"], "model_type": "bert", "hidden_size": WIDTH,
              "intermediate_size": WIDTH, "num_attention_heads": 12, "num_hidden_layers": 1,
              "hidden_act": "gelu", "layer_norm_eps": 1e-12, "max_position_embeddings": 512,
              "type_vocab_size": 2, "vocab_size": WORDS + 4, "pad_token_id": 0}
    (folder / "config.json").write_text(json.dumps(config))
    special = ["[PAD]", "[CLS]", "[SEP]", "[UNK]"]
    vocabulary = special + [word(number) for number in range(WORDS)]
    tokenizer = {
        "version": "1.0",
        "added_tokens": [{"id": at, "content": name, "special": True, "single_word": False,
                          "lstrip": False, "rstrip": False, "normalized": False}
                         for at, name in enumerate(special)],
        "pre_tokenizer": {"type": "Whitespace"},
        "post_processor": {"type": "BertProcessing", "sep": ["[SEP]", 2], "cls": ["[CLS]", 1]},
        "model": {"type": "WordLevel", "vocab": {name: at for at, name in enumerate(vocabulary)},
                  "unk_token": "[UNK]"},
    }
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))


def post(url, path, body):
    status, answer = request(url, "POST", path, body)
    if status not in (200, 201):
        raise SystemExit(f"{path}: {status} {answer[:300]}")
    return json.loads(answer)


def texts(draw, count, words):
    """Texts of so many words, where the n-th word is 1/n as frequent as the first."""
    numbers = range(WORDS)
    weights = [1 / (number + 1) for number in numbers]
    drawn = draw.choices(numbers, weights, k=count * words)
    names = [word(number) for number in drawn]
    return [" ".join(names[at:at + words]) for at in range(0, count * words, words)]


def fill(url, passages, each, words):
    collection = post(url, "/v1/collections", {"name": "speed"})["id"]
    draw, begun = random.Random(1), time.monotonic()
    for number in range(0, passages, each):
        body = {"name": f"{number}", "language": "en",
                "paragraphs": texts(draw, min(each, passages - number), words)}
        post(url, f"/v1/collections/{collection}/documents", body)
        done, seconds = number + each, time.monotonic() - begun
        print(f"\r{done} passages, {done / seconds:.0f} a second", end="", file=sys.stderr)
    print(file=sys.stderr)
    return collection


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dragoman", default="target/release/dragoman")
    parser.add_argument("--passages", type=int, default=100_000)
    parser.add_argument("--each", type=int, default=2000, help="passages of a document")
    parser.add_argument("--words", type=int, default=16, help="words of a passage")
    parser.add_argument("--queries", type=int, default=40)
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--results", type=pathlib.Path)
    parser.add_argument("--against", type=pathlib.Path)
    parser.add_argument("--json", type=pathlib.Path)
    args = parser.parse_args()

    os.environ["DRAGOMAN_SERVER_DATA_DIR"] = str(args.data / "store")
    os.environ["DRAGOMAN_SERVER_MAX_PASSAGES"] = str(10 * args.passages)
    os.environ["DRAGOMAN_SERVER_COLLECTIONS_MIB"] = "16384"
    weights, known = args.data / "random-bert", args.data / f"collection-{args.passages}"
    if not weights.is_dir():
        model(weights)
    figures, found = {}, []

    def timed(name, body, keep=False):
        begun = time.monotonic()
        answer = post(server.url, "/v1/search", body)
        figures.setdefault(name, []).append(time.monotonic() - begun)
        if keep:
            found.append([[r["citation"]["name"], r["citation"]["paragraph"], r["scores"]]
                          for r in answer["results"]])

    log = args.data / "dragoman.log"
    if not known.is_file():
        with dragoman(args.dragoman, str(weights), log) as server:
            known.write_text(fill(server.url, args.passages, args.each, args.words))
    collection = known.read_text()
    queries = texts(random.Random(2), args.queries, 8)
    with dragoman(args.dragoman, str(weights), log) as server:
        bare = server.memory_mib()
        ask = lambda query, mode: {"collection": collection, "query": query, "mode": mode}  # noqa: E731
        timed("first", ask(queries[0], "hybrid"))
        for query in queries:
            begun = time.monotonic()
            post(server.url, "/v1/embeddings", {"model": weights.name, "input": query})
            figures.setdefault("embed", []).append(time.monotonic() - begun)
        for mode in MODES:
            for query in queries:
                timed(mode, ask(query, mode), keep=True)
        begun = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda query: timed("hybrid, 4 at once", ask(query, "hybrid")), queries))
        rate = len(queries) / (time.monotonic() - begun)
        memory = server.memory_mib() - bare
        path = f"/v1/collections/{collection}/documents"
        for number in range(3):
            text = " ".join(texts(random.Random(100 + number), 1, 16))
            made = post(server.url, path, {"name": "one more", "language": "en", "text": text})
            timed("added", ask(queries[0], "hybrid"))
            request(server.url, "DELETE", f"{path}/{made['id']}")
            timed("deleted", ask(queries[0], "hybrid"))

    print(f"| {args.passages} passages | ms, median | 90 % |\n|---|--:|--:|")
    for name, seconds in figures.items():
        print(f"| {name} | {percentile(seconds, 0.5) * 1000:.1f} | {percentile(seconds, 0.9) * 1000:.1f} |")
    print(f"\n{rate:.1f} hybrid searches a second by four clients, {memory:.0f} MiB for the collection")
    if args.results:
        args.results.write_text(json.dumps(found))
    if args.against:
        same = json.loads(args.against.read_text()) == found
        print("the same was found" if same else "something else was found")
        if not same:
            raise SystemExit(1)
    if args.json:
        args.json.write_text(json.dumps({**figures, "rate": rate, "mib": memory}) + "\n")


main()
