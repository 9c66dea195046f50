#!/usr/bin/env python3
"""Runs the contract of the store on every engine, and prints the matrix.

    tests/tools/conformance.py [--engines dynoxide,postgres,dynamodb_local]

The tests are those of tests/it/store.rs. An engine that cannot be started fails its tests. Exits with 1 if a
test failed, and with 2 if the tests could not run.
"""

import argparse
import re
import subprocess
import sys

ENGINES = ["dynoxide", "postgres", "dynamodb_local"]
LINE = re.compile(r"^test (?:simulation|store)::(?:on_(\w+)::)?(\w+) \.\.\. (\w+)")
SIMULATED = {
    "the_production_store_keeps_the_invariants": "dynoxide",
    "the_store_on_postgres_keeps_the_invariants": "postgres",
    "the_store_on_dynamodb_local_keeps_the_invariants": "dynamodb_local",
}


def outcomes(engines: list[str]) -> tuple[dict[tuple[str, str], str], str]:
    """The outcome of each test and engine, and the output."""
    filters = [f"store::on_{engine}::" for engine in engines]
    filters += [f"simulation::{test}" for test, engine in SIMULATED.items() if engine in engines]
    command = ["cargo", "test", "--locked", "--test", "it", "--", "--include-ignored", *filters]
    run = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    found = {}
    for line in run.stdout.splitlines():
        if match := LINE.match(line):
            engine, test, outcome = match.groups()
            if not engine:
                engine, test = SIMULATED.get(test), "every_schedule_of_the_simulator"
            if engine in engines:
                found[test, engine] = outcome
    return found, run.stdout


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engines", default=",".join(ENGINES), help="engines, separated by commas")
    engines = parser.parse_args().engines.split(",")
    if unknown := [engine for engine in engines if engine not in ENGINES]:
        parser.error(f"unknown engines: {', '.join(unknown)}; expected {', '.join(ENGINES)}")
    found, output = outcomes(engines)
    tests = list(dict.fromkeys(test for test, _ in found))
    if not tests:
        print(output, "no test ran", sep="\n", file=sys.stderr)
        return 2
    width = max(map(len, tests))
    print(f"| {'test':<{width}} | {' | '.join(engines)} |")
    print(f"|{'-' * (width + 2)}|{'|'.join('-' * (len(engine) + 2) for engine in engines)}|")
    for test in sorted(tests):
        cells = (f"{found.get((test, engine), 'missing'):<{len(engine)}}" for engine in engines)
        print(f"| {test:<{width}} | {' | '.join(cells)} |")
    failed = sum(found.get((test, engine)) != "ok" for test in tests for engine in engines)
    print(f"\n{len(tests)} tests on {len(engines)} engines: {len(tests) * len(engines) - failed} passed, {failed} failed")
    if failed:
        print(output[output.find("\nfailures:") :], file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
