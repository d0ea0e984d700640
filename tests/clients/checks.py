"""What the scripts of this folder share: their checks, one line for each, and the count."""

import argparse
import sys
import traceback

CHECKS = []


def check(function):
    CHECKS.append(function)
    return function


def raises(kind, call):
    try:
        call()
    except kind as error:
        return error
    raise AssertionError(f"{kind.__name__} was not raised")


def main(about, context, required, optional=()):
    """Runs a script: all its checks, on what `context` makes of its arguments. Those that are
    optional come with what stands for them."""
    parser = argparse.ArgumentParser(description=about.splitlines()[0])
    for name in required:
        parser.add_argument(name, required=True)
    for name, default in dict(optional).items():
        parser.add_argument(name, default=default)
    sys.exit(run(context(parser.parse_args())))


def run(context):
    """Runs all checks; what a script exits with."""
    failed = 0
    for function in CHECKS:
        name = function.__name__.replace("_", " ")
        try:
            function(context)
            print(f"ok      {name}")
        except Exception:
            failed += 1
            print(f"FAILED  {name}")
            traceback.print_exc()
    print(f"{len(CHECKS) - failed} passed, {failed} failed")
    return 1 if failed else 0
