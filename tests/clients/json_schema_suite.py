"""Asks a running server for texts that follow the schemas of the JSON Schema test suite.

    pip install jsonschema && pip download --no-deps --no-binary jsonschema jsonschema
    tar -xzf jsonschema-*.tar.gz      # its sdist carries the suite
    python tests/clients/json_schema_suite.py --url http://127.0.0.1:8080/v1 \
        --model smollm2-135m-instruct --suite jsonschema-*/json/tests/draft2020-12

Each schema is asked for a few times, at temperature 1. A text that came to its end must be valid,
as the `jsonschema` package has it; a schema that cannot be held to must be refused with the
keyword's name. Texts that were cut off at their length are counted, and say nothing. Prints a line
for each file and `N passed, N failed` at the end, of texts; exits with 1 when one failed.
"""

import argparse
import json
import sys
import urllib.error
import urllib.request
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from jsonschema import Draft202012Validator

# What the suite has of objects, arrays, enumerations, strings and numbers. These may not be
# refused as a whole.
CORE = """properties required additionalProperties items prefixItems minItems maxItems enum const type
pattern minLength maxLength minimum maximum exclusiveMinimum exclusiveMaximum""".split()
# What is of other files on the network, or of vocabularies, and not of texts.
APART = "refRemote dynamicRef vocabulary anchor format content defs".split()


def ask(args, schema, seed):
    """What became of a request, and the text or the message."""
    request = {
        "model": args.model,
        "messages": [{"role": "user", "content": "Write a short example in JSON."}],
        "max_tokens": args.tokens,
        "temperature": 1,
        "seed": seed,
        "structured_outputs": {"json": schema},
    }
    body = json.dumps(request).encode()
    headers = {"Content-Type": "application/json"}
    sent = urllib.request.Request(f"{args.url}/chat/completions", body, headers)
    try:
        with urllib.request.urlopen(sent, timeout=300) as answer:
            choice = json.load(answer)["choices"][0]
    except urllib.error.HTTPError as error:
        said = json.load(error)["error"]
        return ("refused" if error.code == 400 else "failed"), said["message"]
    text = choice["message"]["content"]
    if choice["finish_reason"] == "length":
        return "cut", text
    try:
        value = json.loads(text)
    except ValueError:
        return "failed", text
    return ("valid" if Draft202012Validator(schema).is_valid(value) else "failed"), text


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--suite", type=Path, required=True)
    parser.add_argument("--texts", type=int, default=2, help="of each schema")
    parser.add_argument("--tokens", type=int, default=100)
    parser.add_argument("--verbose", action="store_true", help="show what was refused, and why")
    args = parser.parse_args()

    total, faults, reasons = Counter(), [], Counter()
    with ThreadPoolExecutor(16) as pool:
        for file in sorted(args.suite.glob("*.json")):
            if file.stem in APART:
                continue
            groups = json.loads(file.read_text())
            asked = [(group, seed) for group in groups for seed in range(args.texts)]
            found = pool.map(lambda one: ask(args, one[0]["schema"], one[1]), asked)
            counts = Counter()
            for (group, _), (what, text) in zip(asked, found):
                counts[what] += 1
                if what == "refused":
                    reasons[f"{file.stem}: {group['description']}: {text}"] += 1
                if what == "failed":
                    faults.append(f"{file.stem}: {group['description']}: {text!r}")
            if file.stem in CORE and not counts["valid"] + counts["cut"]:
                faults.append(f"{file.stem}: everything is refused")
            total += counts
            shown = ", ".join(f"{counts[what]} {what}" for what in ("valid", "cut", "refused"))
            print(f"{file.stem:24} {len(groups):3} schemas: {shown}, {counts['failed']} failed")
    if args.verbose:
        print("\n".join(sorted(reasons)))
    print("\n".join(faults))
    print(", ".join(f"{count} {what}" for what, count in total.items()))
    print(f"{total['valid']} passed, {len(faults)} failed")
    return 1 if faults or not total["valid"] else 0


if __name__ == "__main__":
    sys.exit(main())
