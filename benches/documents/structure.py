"""What of a document is not words, in a form that can be compared, and its words beside it.

Each function gives a list of places; a place is what stands there (an element with its attributes,
a token, a line of times) or `Words`. What the desk may change is left out or made equal, and said
where it is. `compare` holds two such lists together: all but words has to be the same, and words
have to be as `change` makes them, or as they were.
"""

import difflib
import io
import re
import zipfile

import html5lib
import srt
from lxml import etree
from markdown_it import MarkdownIt
from mdit_py_plugins.footnote import footnote_plugin
from mdit_py_plugins.front_matter import front_matter_plugin
from mdit_py_plugins.tasklists import tasklists_plugin

W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
XML = "{http://www.w3.org/XML/1998/namespace}"
XLIFF = re.compile(r"\{urn:oasis:names:tc:xliff:document:[12][.0-9]*\}")


class Words(str):
    """Words at a place."""


class Places(list):
    """Without spaces that stand alone; `lengths` are those of the words of the whole, spaces and
    all, by which a space that is lost or added is seen."""

    lengths = ()


def words(places):
    """Neighbouring words as one, spaces alone left out."""
    joined = Places()
    text = "".join(place if isinstance(place, Words) else "\0" for place in places)
    joined.lengths = [[len(word) for word in line.split()] for line in text.split("\0")]
    for place in places:
        if isinstance(place, Words):
            if joined and isinstance(joined[-1], Words):
                joined[-1] = Words(joined[-1] + place)
            elif place.strip():
                joined.append(place)
            continue
        joined.append(place)
    return joined


# Word: marks that say nothing once words have changed, and properties of runs that the desk sets by
# the words it writes.
GONE = {W + name for name in ("proofErr", "lastRenderedPageBreak")}
BY_WORDS = {W + name for name in ("lang", "noProof", "rtl")}
# Parts with paragraphs; all others have to be the same bytes.
PARTS = re.compile(r"word/(document|header\d*|footer\d*|footnotes|endnotes|comments)\.xml")


def look(element):
    """An element without what the desk sets, as bytes."""
    copy = etree.fromstring(etree.tostring(element, with_tail=False))
    for child in list(copy):
        if child.tag in BY_WORDS:
            copy.remove(child)
    return etree.tostring(copy, method="c14n") if len(copy) else b""


def part(element, directed, places):
    """Runs are put together if they look the same, each child of a run stands for itself, ids of
    editing sessions on runs are left out; of the direction of paragraphs, if it was to change."""
    for child in element:
        if not isinstance(child.tag, str) or child.tag in GONE:
            continue
        if child.tag == W + "r":
            properties = child.find(W + "rPr")
            style = b"" if properties is None else look(properties)
            for piece in child:
                if piece.tag == W + "t":
                    text = piece.text or ""
                    # Spaces that nobody sees go with their neighbours.
                    if text.strip() or re.search(rb"w:(u|strike|highlight|shd|bdr)\b", style):
                        if not (places and places[-1] == ("end", style)):
                            places.append(("run", style))
                        else:
                            places.pop()
                        places += [Words(text), ("end", style)]
                    elif places and isinstance(places[-1], tuple) and places[-1][0] == "end":
                        places.insert(-1, Words(text))
                elif piece.tag != W + "rPr" and piece.tag not in GONE:
                    places.append((piece.tag, style, sorted(piece.attrib.items()), piece.text))
                    part(piece, directed, places)
                    places.append(("close", piece.tag))
            continue
        if directed and child.tag == W + "bidi":
            continue
        if directed and child.tag == W + "pPr" and [c.tag for c in child] in ([], [W + "bidi"]):
            continue
        places.append((child.tag, sorted(child.attrib.items()), (child.text or "").strip()))
        part(child, directed, places)
        places.append(("close", child.tag))
    return places


def word(data, directed):
    archive = zipfile.ZipFile(io.BytesIO(data))
    assert archive.testzip() is None
    places = []
    for entry in archive.infolist():
        places.append(("part", entry.filename, entry.compress_type))
        content = archive.read(entry)
        if PARTS.fullmatch(entry.filename):
            places += part(etree.fromstring(content), directed, [])
        else:
            places.append(content)
    return words(places)


# HTML: attributes that people read, and those that say the language.
READ = ("alt", "aria-description", "aria-label", "label", "placeholder", "title")
SAID = ("lang", "xml:lang", "dir")


def web(data, directed):
    """As a browser builds it; white space within a line is one space."""
    parser = html5lib.HTMLParser(html5lib.getTreeBuilder("etree"), namespaceHTMLElements=False)
    declared = re.search(rb"<meta charset=[\"']?([\w-]+)", data[:1024])
    encoding = declared.group(1).decode() if declared else "utf-8"
    tree = parser.parse(data, transport_encoding=encoding)
    # The same mistakes as before, if any.
    places = [("faults", sorted(code for _, code, _ in parser.errors))]

    def walk(element):
        tag = element.tag if isinstance(element.tag, str) else "comment"
        attributes = []
        for name, value in sorted(element.attrib.items(), key=str):
            read = name in READ or (name == "content" and element.get("name") in ("description", "keywords"))
            # The result is in UTF-8 and says so, whatever the page was in.
            said = name in SAID or (tag == "meta" and name == "charset")
            attributes.append((name, "" if read or said else value))
            if read:
                places.append(Words(value))
        # A page from right to left gets the attribute that says so.
        kept = [a for a in attributes if not (directed and a[0] == "dir" and tag == "html")]
        places.append((tag, tuple(kept), element.text if tag == "comment" else ""))
        if tag != "comment":
            places.append(Words(" ".join((element.text or "").split(" "))))
        for child in element:
            walk(child)
            places.append(("close",))
            places.append(Words(child.tail or ""))

    walk(tree)
    return words(places)


NOTE = re.compile(r"\[!(NOTE|TIP|IMPORTANT|WARNING|CAUTION)\]")


def markdown(data, directed):
    """The tokens of another parser. Lines of a paragraph are words; emphasis may be written as HTML
    where Markdown would not see it."""
    parser = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    parser.use(front_matter_plugin).use(footnote_plugin).use(tasklists_plugin)
    places = []
    same = {"<em>": "em_open", "</em>": "em_close", "<strong>": "strong_open", "</strong>": "strong_close",
            "<del>": "s_open", "</del>": "s_close"}

    def walk(tokens):
        for token in tokens:
            if token.type == "text":
                # GitHub's mark of a note is none of its words.
                mark = NOTE.match(token.content)
                if mark:
                    places.append((mark[0],))
                places.append(Words(token.content[mark.end() if mark else 0:]))
            elif token.type == "softbreak":
                places.append(Words(" "))
            elif token.type == "inline":
                walk(token.children)
            elif token.type == "html_inline" and token.content in same:
                places.append((same[token.content], ()))
            elif token.type in ("html_block", "html_inline"):
                pieces = re.split(r"(<[^>]*>)", token.content)
                places.extend((piece,) if piece.startswith("<") else Words(piece) for piece in pieces)
            else:
                attributes = [(k, v) for k, v in token.attrs.items() if k not in ("alt", "title")]
                content = "" if token.type == "image" else token.content
                places.append((token.type, tuple(attributes), content, str(token.meta or "")))
                walk(token.children or [])

    walk(parser.parse(data.decode("utf-8-sig")))
    return words(places)


def subtitles(data, directed):
    """Numbers, times, lines and marks; byte order mark and ends of lines."""
    text = data.decode("utf-8")
    places = [("file", text.startswith("\ufeff"), text.count("\r\n"), text.count("\n"))]
    for entry in srt.parse(text.lstrip("\ufeff").replace("\r\n", "\n")):
        places.append((entry.index, entry.start, entry.end, entry.proprietary))
        for line in entry.content.split("\n"):
            pieces = re.split(r"(<[^>]*>|\{[^}]*\})", line)
            places.extend((piece,) if piece[:1] in ("<", "{") else Words(piece) for piece in pieces)
            places.append(("line",))
    return words(places)


def exchange(data, directed):
    """Everything but the targets of units and what says their state; the texts of targets beside
    their sources, with the same codes."""
    places = []

    def codes(element):
        found = [Words(element.text or "")]
        for child in element:
            tag = (str(child.tag), sorted(child.attrib.items()))
            if translated(child):
                found += [tag, *codes(child)]
            else:
                # With all that is in it, but not what follows.
                found.append((*tag, etree.tostring(child, with_tail=False)))
            found += [("close",), Words(child.tail or "")]
        return found

    def translated(element):
        kept = element.get("translate") == "no" or element.get("mtype") == "protected"
        return isinstance(element.tag, str) and XLIFF.sub("", element.tag) in ("g", "pc", "mrk") and not kept

    def walk(element):
        for child in element:
            name = XLIFF.sub("", str(child.tag))
            if name == "target":
                continue
            said = ("target-language", "trgLang") + (("state",) if name == "segment" else ())
            attributes = sorted((k, v) for k, v in child.attrib.items() if k not in said)
            places.append((str(child.tag), attributes, (child.text or "").strip(), child.tail if name in
                           ("g", "pc", "mrk", "x", "ph", "bpt", "ept") else ""))
            walk(child)

    root = etree.fromstring(data)
    walk(root)
    units = []
    for unit in root.iter():
        name = XLIFF.sub("", str(unit.tag))
        if name in ("trans-unit", "segment"):
            parts = {XLIFF.sub("", str(child.tag)): child for child in unit}
            source, target = parts.get("seg-source", parts.get("source")), parts.get("target")
            given = next((over.get("translate") for over in (unit, *unit.iterancestors())
                          if over.get("translate")), "yes")
            states = {unit.get("state"), None if target is None else target.get("state")}
            kept = given == "no" or "final" in states or unit.get("approved") == "yes"
            units.append((kept, words(codes(source)), None if target is None else words(codes(target))))
    return places, units


def compare(before, after, change):
    """What differs, in words, and how many texts were changed and how many are as they were."""
    faults, changed, same = [], 0, 0
    shape = [["words"] if isinstance(place, Words) else place for place in before]
    other = [["words"] if isinstance(place, Words) else place for place in after]
    if shape != other:
        a, b = [repr(x)[:160] for x in shape], [repr(x)[:160] for x in other]
        matcher = difflib.SequenceMatcher(None, a, b, autojunk=False)
        for kind, i, j, k, m in matcher.get_opcodes():
            if kind != "equal":
                faults.append(f"{kind}: {a[i:j][:4]} -> {b[k:m][:4]} near {before[max(0, i - 2):i]}"[:700])
        return faults, changed, same
    if getattr(before, "lengths", None) != getattr(after, "lengths", None):
        faults.append("spaces between words were lost or added")

    def squeeze(text):
        return "".join(text.split())

    for old, new in zip(before, after):
        if not isinstance(old, Words):
            continue
        if squeeze(new) == squeeze(change(old)) != squeeze(old):
            changed += 1
        elif squeeze(new) == squeeze(old):
            same += 1
        else:
            faults.append(f"words: {old[:200]!r} -> {new[:200]!r}")
    return faults, changed, same
