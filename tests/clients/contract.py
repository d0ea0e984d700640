"""schemathesis over the OpenAPI document of a running server.

    python3 -m pip install schemathesis
    python3 tests/clients/contract.py --dragoman target/release/dragoman

Serves a model that writes nothing of sense (that of benches/serving/overhead.py) and an encoder, and
sends what the document allows and what it does not. Fails for a status of 500 or above that is not
in the document, and for an answer whose status, type or content is not.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "benches" / "serving"))

from client import dragoman  # noqa: E402
from overhead import make_model  # noqa: E402

CHECKS = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dragoman", required=True)
    parser.add_argument("--encoder", default="all-minilm-l6-v2", help="catalogue name or folder")
    parser.add_argument("--examples", type=int, default=150, help="for each operation")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("more", nargs="*", help="further options of `schemathesis run`, after --")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "nothing"
        model.mkdir()
        make_model(model)
        os.environ["DRAGOMAN_SERVER_DATA_DIR"] = str(Path(folder) / "data")
        log = Path(folder) / "log"
        with dragoman(args.dragoman, str(model), log, "--model", args.encoder) as server:
            run = ["schemathesis", "run", f"{server.url}/openapi.json", "--seed", str(args.seed)]
            run += ["--checks", ",".join(CHECKS), "--max-examples", str(args.examples)]
            run += ["--phases", "examples,coverage,fuzzing", "--continue-on-failure"]
            status = subprocess.run([*run, *args.more]).returncode
            if server.process.poll() is not None:
                raise SystemExit("the server ended")
    raise SystemExit(status)


main()
