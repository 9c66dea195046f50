#!/usr/bin/env python3
"""Measures grouping, messages and redaction with the reference data beside the checkout, which is not part of the repository.

    tests/tools/reference.py STENTOR

Prints the figures and fails below the floors, which are slightly below the values reached. Without the data it does nothing."""

import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
DATA = ROOT.parent / "shared"
PYTHON = ROOT / "target/reference-venv/bin/python"
PACKAGES = ["drain3==0.9.11", "exrex==0.12.0"]

# Program, a line of its output, and the lowest (or, for false alarms, the highest) value of each number in that line.
FLOORS = [
    ("bench/grouping.py", r"^mean +\| +([\d.]+) +([\d.]+)", (0.95, 0.94)),
    ("cases/check.py", r"^(\d+) of 20 right", (20,)),
    ("bench/secrets.py", r"^self-identifying: (\d+) of 109", (103,)),
    ("bench/secrets.py", r"^contextual: (\d+) of 101", (85,)),
    ("bench/secrets.py", r"^false alarms: (\d+) of", (-2,)),
]


def main():
    if not all((DATA / program).exists() for program, _, _ in FLOORS):
        return 0
    if not PYTHON.exists():
        subprocess.run([sys.executable, "-m", "venv", PYTHON.parents[1]], check=True)
    subprocess.run([PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *PACKAGES], check=True)
    outputs = {}
    for program, _, _ in FLOORS:
        if program not in outputs:
            ran = subprocess.run([PYTHON, DATA / program, sys.argv[1]], stdout=subprocess.PIPE, text=True)
            outputs[program] = ran.stdout
            print(ran.stdout, end="", flush=True)
    failed = [wrong for floor in FLOORS for wrong in below(outputs[floor[0]], *floor)]
    for wrong in failed:
        print(wrong, file=sys.stderr)
    return int(bool(failed))


def below(output, program, line, floors):
    """A negative floor is a limit with its sign turned around."""
    found = re.search(line, output, re.MULTILINE)
    if not found:
        yield f"{program}: no line matches {line}"
        return
    for value, floor in zip(map(float, found.groups()), floors):
        if (-value if floor < 0 else value) < floor:
            limit = f"more than {-floor}" if floor < 0 else f"less than {floor}"
            yield f"{program}: {value:g} is {limit}: {found[0]}"


if __name__ == "__main__":
    sys.exit(main())
