"""A model that copies its source letter by letter and changes each letter into another.

    python3 benches/documents/copier.py FOLDER TEXT…     # the letters of these files

With it in place of a translator every word of a result is known in advance, and what comes of a
document is the whole path of a translation: reading, sentences, the engine, tags, writing.

It is a BART of one layer a side, whose weights are set, not learnt. A token is a character. Half of
a vector's numbers say which character it is, the other half where it stands, by random signs with
as many minuses as pluses, so that norms change nothing. The decoder's only attention that does
anything looks for the character of the source that stands where the decoder is; the matrix at the
end reads off the other letter. `change` says which: letters of one script, one case and one kind
take turns, so that numbers, marks and lengths stay. No letter is upper case where it was not.
"""

import array
import json
import pathlib
import random
import struct
import sys
import unicodedata

# Numbers for what a character is, and for where it stands.
HALF = 128
PLACES = 1024
# How sharply a place is looked for.
SHARP = 6.0
SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]


def changes(text):
    """For each character of `text` the one that takes its place."""
    groups = {}
    for character in sorted(set(text)):
        kind = unicodedata.category(character)
        if kind in ("Lu", "Ll", "Lo"):
            script = unicodedata.name(character, "?").split()[0]
            # Letters beyond ASCII change among themselves, so that ASCII stays ASCII.
            groups.setdefault((script, kind, character.isascii()), []).append(character)
    changed = {character: character for character in set(text)}
    for letters in groups.values():
        for letter, other in zip(letters, letters[1:] + letters[:1]):
            changed[letter] = other
    return changed


def signs(source):
    """Random signs, half of them minuses."""
    row = [1.0] * (HALF // 2) + [-1.0] * (HALF // 2)
    source.shuffle(row)
    return row


def selection(rows, columns, start, scale):
    """A matrix that takes HALF numbers from `start` on to the first rows."""
    matrix = [0.0] * (rows * columns)
    for i in range(HALF):
        matrix[i * columns + start + i] = scale
    return matrix


def write(path, tensors):
    header, end = {}, 0
    for name, (shape, values) in tensors.items():
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [end, end + 4 * len(values)]}
        end += 4 * len(values)
    packed = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(packed)) + packed)
        for _, values in tensors.values():
            array.array("f", values).tofile(file)


def make(folder, text):
    """Writes the model for texts of the characters of `text`; what becomes of each."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    changed = changes(text)
    characters = sorted(changed)
    words = SPECIAL + characters
    ids = {word: number for number, word in enumerate(words)}
    source, width = random.Random(7), 2 * HALF
    codes = [signs(source) for _ in words]
    places = [signs(source) for _ in range(PLACES)]
    nothing = [0.0] * HALF
    tensors = {}

    def put(name, shape, values):
        tensors[name] = (shape, values)

    put("model.shared.weight", [len(words), width], [x for code in codes for x in code + nothing])
    # The row of what a character becomes looks for the code of that character.
    rows = [code + nothing for code in codes]
    for character, other in changed.items():
        rows[ids[other]] = codes[ids[character]] + nothing
    put("lm_head.weight", [len(words), width], [x for row in rows for x in row])
    still = [0.0] * (width * width)
    for side, attentions in (("encoder", ["self_attn"]), ("decoder", ["self_attn", "encoder_attn"])):
        table = [x for place in [places[0]] * 2 + places for x in nothing + place]
        put(f"model.{side}.embed_positions.weight", [PLACES + 2, width], table)
        layer = f"model.{side}.layers.0"
        norms = [f"{layer}.{attention}_layer_norm" for attention in attentions]
        for norm in [f"model.{side}.layernorm_embedding", f"{layer}.final_layer_norm", *norms]:
            put(f"{norm}.weight", [width], [1.0] * width)
            put(f"{norm}.bias", [width], [0.0] * width)
        for attention in attentions:
            looks = attention == "encoder_attn"
            for part in ("q", "k", "v", "out"):
                values = still
                if looks and part in ("q", "k"):
                    values = selection(width, width, HALF, SHARP if part == "q" else 1.0)
                elif looks:
                    # Louder than the character before, which the decoder is given.
                    values = selection(width, width, 0, 4.0 if part == "out" else 1.0)
                put(f"{layer}.{attention}.{part}_proj.weight", [width, width], values)
                put(f"{layer}.{attention}.{part}_proj.bias", [width], [0.0] * width)
        for part, shape in (("fc1", [32, width]), ("fc2", [width, 32])):
            put(f"{layer}.{part}.weight", shape, [0.0] * (32 * width))
            put(f"{layer}.{part}.bias", shape[:1], [0.0] * shape[0])
    write(folder / "model.safetensors", tensors)
    config = {
        "model_type": "bart", "architectures": ["BartForConditionalGeneration"], "d_model": width,
        "vocab_size": len(words), "max_position_embeddings": PLACES, "encoder_layers": 1,
        "decoder_layers": 1, "encoder_attention_heads": 2, "decoder_attention_heads": 2,
        "encoder_ffn_dim": 32, "decoder_ffn_dim": 32, "activation_function": "gelu",
        "scale_embedding": False, "is_encoder_decoder": True, "tie_word_embeddings": False,
        "bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 2,
    }
    (folder / "config.json").write_text(json.dumps(config))
    generation = {"eos_token_id": 2, "decoder_start_token_id": 2, "num_beams": 1}
    (folder / "generation_config.json").write_text(json.dumps(generation))
    special = [{"id": i, "content": word, "single_word": False, "lstrip": False, "rstrip": False,
                "normalized": False, "special": True} for i, word in enumerate(SPECIAL)]
    end = {"SpecialToken": {"id": "</s>", "type_id": 0}}
    text = {"Sequence": {"id": "A", "type_id": 0}}
    tokenizer = {
        "version": "1.0", "added_tokens": special, "normalizer": None,
        "pre_tokenizer": {"type": "Split", "pattern": {"Regex": "(?s)."}, "behavior": "Isolated",
                          "invert": False},
        "post_processor": {
            "type": "TemplateProcessing", "single": [text, end], "pair": [text, end],
            "special_tokens": {"</s>": {"id": "</s>", "ids": [2], "tokens": ["</s>"]}},
        },
        "decoder": {"type": "Fuse"}, "truncation": None, "padding": None,
        "model": {"type": "WordLevel", "vocab": ids, "unk_token": "<unk>"},
    }
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    (folder / "tokenizer_config.json").write_text(json.dumps({"eos_token": "</s>"}))
    return changed


if __name__ == "__main__":
    make(sys.argv[1], "".join(pathlib.Path(name).read_text() for name in sys.argv[2:]))
