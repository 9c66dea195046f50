"""Checks that the Markdown files name what exists: the targets of links, paths of this repository, and tests."""

import re
import subprocess
import sys
from pathlib import Path

TRACKED = subprocess.run(["git", "ls-files"], check=True, capture_output=True, text=True).stdout.splitlines()
CODE = "\n".join(Path(file).read_text() for file in TRACKED if file.endswith(".rs"))
FUNCTIONS = set(re.findall(r"\bfn (\w+)", CODE))
FOLDERS = {file.split("/")[0] for file in TRACKED if "/" in file}

LINK = re.compile(r"\]\((?!\w+:)([^)#\s]+)(?:#[^)]*)?\)|^\[[^\]]+\]: (?!\w+:)([^#\s]+)", re.M)
PATH = re.compile(rf"`((?:{'|'.join(map(re.escape, FOLDERS))})/(?!NAME)[\w./-]*\w)/?`")
# A name of four words or more is a test's. `…` stands for the rest of several names.
TEST = re.compile(r"`([a-z0-9]+(?:_[a-z0-9]+){3,})(_…)?`")

# events/README.md is written by the sample generator.
DOCS = [Path(file) for file in TRACKED if file.endswith(".md") and not file.startswith("events/")]

faults = []
for file in DOCS:
    for number, line in enumerate(file.read_text().splitlines(), 1):
        links = [Path(file.parent, link or reference) for link, reference in LINK.findall(line)]
        missing = [str(path) for path in [*links, *map(Path, PATH.findall(line))] if not path.exists()]
        for name, several in TEST.findall(line):
            if not (any(known.startswith(name) for known in FUNCTIONS) if several else name in FUNCTIONS):
                missing.append(f"fn {name}")
        faults += [f"{file}:{number}: there is no {name}" for name in missing]
print(*faults, f"{len(faults)} references to nothing", sep="\n")
sys.exit(bool(faults))
