"""Checks spelling (with typos) and wording, and names each fault as file:line. The rules: docs/STYLE.md.

    target/venv/bin/python tests/tools/check_prose.py              checks all files
    target/venv/bin/python tests/tools/check_prose.py src/redact   checks these files and folders only
"""

import re
import subprocess
import sys
from pathlib import Path

PATHS = "."
SUFFIXES = {".md", ".rs", ".py", ".sh", ".toml", ".yaml", ".yml"}
SKIPPED = re.compile(r"(target|node_modules|\.\w+)/|.*(check_prose\.py|fixtures/scenario\.rs)$")  # both quote the words

WORDS = re.compile(r"""\b(?:whoever|whom(?:ever)?|(?:no|some|any|every)body|(?<![@§])everyone|for\ ever|once\s+more
    |at\s+the\s+(?:most|least)(?!\s+recent)|in\s+the\s+place\s+of)\b""", re.I | re.X)
# A clause as the subject: "What comes in is stored." A question, a heading or a label may open so.
CLAUSE = re.compile(r"""(?:§|[.!?][)"'*]*\s)\s*(?P<hit>(?:What|Who|Whose|Whatever|Whichever|Of\ which)\b
    |That\ (?:an?|the|it|they|there|its|their|no|nobody|every|each)\b)[^.!?:§]*(?=\.[\s)"'§])""", re.X)


def prose(path):
    """The text of a file without its code, line for line. § stands where a sentence may begin."""
    lines, fenced = [], False
    for line in path.read_text().splitlines():
        comment = re.search(r"(?:^|\s)//[/!]?(?=\s|$)(.*)" if path.suffix == ".rs" else r"^\s*#+(?=\s|$)(.*)", line)
        if path.suffix == ".rs" and not comment:
            line = "§".join(["", *re.findall(r'"((?:[^"\\]|\\.)*)"', line), ""])
        elif path.suffix != ".md":
            line = comment[1] if comment else re.sub(r"^[^:=]*[:=]\s*[\"']?|$", "§", line)
        fenced ^= line.lstrip().startswith("```")
        line = "" if fenced else re.sub(r"`[^`]*`|\]\([^)]*\)", "x", line)
        lines.append(re.sub(r"^\s*(?:[-*>#]+|\d+\.)\s|\|", "§", line) if line.strip("` ") else "§")
    return "\n".join(["§", *lines, "§"])


paths = [Path(path) for path in sys.argv[1:] or PATHS.split()]
files = [file for path in paths for file in (sorted(path.rglob("*")) if path.is_dir() else [path])]
files = [file for file in files if file.suffix in SUFFIXES and not SKIPPED.match(str(file))]
faults, words = [], 0
for file, text in ((file, prose(file)) for file in files):
    hits = [(hit.start(), hit[0]) for hit in WORDS.finditer(text)]
    hits += [(hit.start("hit"), f"{hit['hit']} …") for hit in CLAUSE.finditer(text)]
    faults += [f"{file}:{text.count(chr(10), 0, at)}: avoid “{' '.join(hit.split())}”" for at, hit in sorted(hits)]
    words += len(re.findall(r"[A-Za-z][\w'-]*", text))
print(*faults, f"{len(faults)} faults in {words} words of {len(files)} files", sep="\n", flush=True)
spelling = [Path(sys.executable).with_name("typos"), "--force-exclude", "--format", "brief", *paths]
sys.exit(subprocess.run(spelling).returncode or bool(faults))
