"""Ten web pages, ten Markdown files and ten files of subtitles."""

import base64
import html
import pathlib

import pypandoc
from declaration import articles
from make_word import formatted, markdown, office, picture, plain

ROOT = pathlib.Path(__file__).resolve().parents[2]


def page(head, body, language="en", attributes=""):
    return (f'<!DOCTYPE html>\n<html lang="{language}"{attributes}>\n<head>\n<meta charset="utf-8">\n'
            f"<title>Universal Declaration</title>\n{head}</head>\n<body>\n{body}</body>\n</html>\n")


def loose(texts):
    """Ends of elements left out as the standard allows, lists and tables within each other."""
    rows = "".join(f"<tr><td>{title}<td>{paragraphs[0]}\n" for title, paragraphs in texts[:6])
    items = "".join(f"<li>{title}<ul><li>{text}<li>and <b>more</b> of it</ul>\n"
                    for title, (text, *_) in texts[6:12])
    body = (f"<p>{texts[0][1][0]}\n<ol>{items}</ol><table><caption>Rights</caption><tr><th>Article<th>"
            f"Text\n{rows}<tr><td colspan=2>All <em>of them</em></table>\n<dl><dt>Asylum<dd>protection"
            "<dt>Torture<dd>prohibited</dl><p>The end")
    return page("", body)


def rich(texts):
    """Forms, pictures, scripts, what must not be translated, words for those who cannot see."""
    data = base64.b64encode(picture()).decode()
    head = ('<meta name="description" content="Rights of everyone">\n<style>p > b { color: red }</style>\n'
            '<script type="application/ld+json">{"name": "Declaration"}</script>\n')
    body = "".join(
        f'<section id="a{at}"><h2>{title}</h2><p title="Of {title}">{html.escape(text)} '
        f'<a href="#a{at}" hreflang="en">See <i>also</i></a>, <code>res/217</code> and '
        f'<span translate="no">UNESCO</span>.</p><figure><img src="data:image/png;base64,{data}" '
        f'alt="A square"><figcaption>Figure {at}</figcaption></figure></section>\n'
        for at, (title, (text, *_)) in enumerate(texts[:8]))
    form = ('<form action="/q"><label for="q">Search</label> <input id="q" placeholder="A word"> '
            "<select><optgroup label='Articles'><option value=3>Article 3<option>Article 4</optgroup>"
            '</select><button>Find it</button></form>\n<details><summary>More</summary><p>Less is more.'
            "</p></details>\n<pre>  left as it is\n</pre><svg width=9 height=9><title>x</title></svg>\n"
            "<p>Water &amp; <ruby>人<rt>じん</rt></ruby>, 5&nbsp;% of a &lt;tag&gt;</p>\n"
            "<script>if (1 < 2) document.title = '<p>no</p>';</script>\n<!-- no word of this -->\n")
    return page(head, body + form)


def letter(texts):
    """As programs for mail write: tables for layout, styles in line, comments for one browser."""
    rows = "".join(
        f'<tr><td align="left" style="padding:0 8px"><font color="#333333"><b>{title}</b><br>'
        f"{text}</font></td></tr>\n" for title, (text, *_) in texts[:10])
    return page("<!--[if mso]><style>td { font-family: Arial }</style><![endif]-->\n",
                f'<table role="presentation" width="600" cellpadding="0">{rows}</table>\n'
                '<p style="font-size:9px">Sent to you by <a href="mailto:a@un.org">a@un.org</a>.</p>\n')


def make_html(folder, udhr):
    folder, work = pathlib.Path(folder), pathlib.Path(folder) / "work"
    work.mkdir(parents=True, exist_ok=True)
    english, french = articles(udhr, "eng"), articles(udhr, "fra")
    made = {}
    # Real pages as they are published.
    for code, language in (("eng", "en"), ("arb", "ar"), ("hin", "hi"), ("rus", "ru")):
        path = folder / f"{code}.html"
        path.write_bytes((pathlib.Path(udhr) / f"{code}.html").read_bytes())
        made[path] = language
    for maker in (loose, rich, letter):
        path = folder / f"{maker.__name__}.html"
        path.write_text(maker(english), encoding="utf-8")
        made[path] = "en"
    latin = page("", "".join(f"<h2>{title}</h2><p>{text}</p>\n" for title, (text, *_) in french[:12]), "fr")
    path = folder / "latin1.html"
    latin = latin.replace("utf-8", "iso-8859-1")
    path.write_bytes(latin.encode("iso-8859-1", errors="xmlcharrefreplace"))
    made[path] = "fr"
    path = folder / "pandoc.html"
    pypandoc.convert_text(markdown(english), "html5", format="markdown", outputfile=str(path),
                          extra_args=["--standalone", "--mathml", "--toc", "--metadata=title:Rights"])
    made[path] = "en"
    formatted(english).save(work / "office.docx")
    made[office(work / "office.docx", "html:HTML (StarWriter)", folder)] = "en"
    return sorted(made.items())


GITHUB = """---
title: Rights
tags: [un, rights]
---

Rights of everyone
==================

Some *soft* and **hard** words, ~~none~~ ***both***, `code`.\\
A line after a break, and  
another. <https://un.org>, <a@un.org>, https://un.org/x_y and [ref], [text][ref], [ref][].

![A *square*](a.png "Title") and [a link with `code` in **it**](<a b.html>)[^n].

- [ ] to do
- [x] done
  1. first

     with a paragraph
  2. second
     * third
* * *

> [!NOTE]
> A note of one line
> in two.

| Left | Middle | Right |
|:--|:-:|--:|
| a \\| b | `x|y` | 1.5 |
| *c* | [d](e) | **f** |

<details open>
<summary>More of <b>this</b></summary>

Hidden *words*.

</details>

    code by its place

~~~python
def left(): "as it is"
~~~

Term with <kbd>Ctrl</kbd> &copy; &amp; 5 \\* 3, snake_case_name, 2*3*4.

[ref]: https://un.org "The site"
[^n]: A note

    of two paragraphs.
"""


def nested(texts):
    """Lists and quotations within each other, of real sentences."""
    parts = []
    for at, (title, paragraphs) in enumerate(texts[:12]):
        parts.append(f"{'#' * (at % 4 + 1)} {title}\n\n")
        for number, text in enumerate(paragraphs, 1):
            words = text.split(" ")
            middle = len(words) // 2
            words[middle] = ["*{}*", "**{}**", "_{}_", "[{}](#x)"][number % 4].format(words[middle])
            parts.append("   " * (number % 3) + f"{number}. {' '.join(words)}\n")
        parts.append("\n> " + "\n> ".join(paragraphs[0].split(", ")) + "\n>\n> > Again.\n\n")
    return "".join(parts)


def make_markdown(folder, udhr):
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    made = {}

    def put(name, text, language="en"):
        (folder / name).write_bytes(text.encode())
        made[folder / name] = language

    # Real ones: what this project writes about itself.
    for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "benches/rivals.md"):
        put(pathlib.Path(name).name, (ROOT / name).read_text(encoding="utf-8"))
    put("github.md", GITHUB)
    put("nested.md", nested(articles(udhr, "eng")))
    put("spanish.md", nested(articles(udhr, "spa")).replace("\n", "\r\n"), "es")
    put("arabic.md", nested(articles(udhr, "arb")), "ar")
    put("pandoc.md", pypandoc.convert_text((pathlib.Path(udhr) / "fra.html").read_text("utf-8"), "gfm",
                                           format="html"), "fr")
    document = folder / "work.docx"
    plain(articles(udhr, "eng")).save(document)
    put("word.md", pypandoc.convert_file(str(document), "gfm"))
    document.unlink()
    return sorted(made.items())


def make_srt(folder, udhr):
    """Subtitles in ten languages, with the markup that players know."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    codes = {"eng": "en", "fra": "fr", "spa": "es", "rus": "ru", "arb": "ar", "hin": "hi",
             "cmn_hans": "zh", "deu_1996": "de", "por_PT": "pt", "swh": "sw"}
    made = {}
    for index, (code, language) in enumerate(codes.items()):
        blocks, second = [], 1
        for number, (title, paragraphs) in enumerate(articles(udhr, code)[:20], 1):
            words = paragraphs[0].split(" ")[:14]
            lines = [" ".join(words[:7]), " ".join(words[7:])] if len(words) > 7 else [words[0]]
            mark = number % 5
            if mark == 1:
                lines = [f"<i>{line}</i>" for line in lines]
            elif mark == 2:
                lines[0] = f"{{\\an8}}{lines[0]}"
            elif mark == 3:
                lines = [f'<font color="#ffff00">{title}</font>', *lines]
            elif mark == 4:
                lines = [f"- {line}" for line in lines]
            times = f"00:00:{second % 60:02},{number:03} --> 00:00:{(second + 2) % 60:02},500"
            blocks.append("\n".join([str(number), times, *lines]))
            second += 3
        text = "\n\n".join(blocks) + "\n"
        if index % 3 == 1:
            text = "\ufeff" + text.replace("\n", "\r\n")
        path = folder / f"{code}.srt"
        path.write_bytes(text.encode())
        made[path] = language
    return sorted(made.items())
