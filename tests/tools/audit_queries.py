#!/usr/bin/env python3
"""How long `stentor alerts`, `export` and `erase` take on a day with a million alerts, and how much memory.

    tests/tools/audit_queries.py target/release/stentor                                   # the embedded engine
    PGPASSWORD=… tests/tools/audit_queries.py target/release/stentor --store postgres://…  # an empty, migrated database

The alerts of 20 apps in 4 accounts are stored by `stentor run`, which takes minutes. `--data-dir DIR` keeps them, and
uses them again.

Standard library only.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from datetime import datetime, timezone
from pathlib import Path

DAY = "2026-11-26"
DAY_MS = 86_400_000
EVENTS = 200  # of one message of CloudWatch Logs
WORDS = "gateway ledger invoice basket session worker tenant mirror cursor bucket".split()


def write_messages(file, rows):
    """Decoded subscription messages, one a line. Each alert has some 300 bytes."""
    randoms = random.Random(7)
    start = int(datetime.fromisoformat(DAY).replace(tzinfo=timezone.utc).timestamp() * 1000)
    for first in range(0, rows, EVENTS):
        group = randoms.randrange(20)
        events = []
        for number in range(first, min(first + EVENTS, rows)):
            word = randoms.choice(WORDS)
            text = "%s ERROR [CRITICAL] %s %d of customer c-%05d answered %d after %d ms: %s" % (
                DAY, word, randoms.getrandbits(32), randoms.getrandbits(16), randoms.choice((401, 500, 503)),
                randoms.getrandbits(10), " ".join(randoms.choices(WORDS, k=24)),
            )  # fmt: skip
            if number % 100_000 == 50_000:
                text += " ann@example.org"
            at = start + number * DAY_MS // rows
            events.append({"id": f"{number:056}", "timestamp": at, "message": text})
        message = {
            "messageType": "DATA_MESSAGE", "owner": f"{group % 4 + 1}" * 12, "logGroup": f"/aws/lambda/app-{group}",
            "logStream": f"{DAY}/[$LATEST]{group}", "subscriptionFilters": ["all"], "logEvents": events,
        }  # fmt: skip
        file.write(json.dumps(message) + "\n")


def run(arguments, out=subprocess.DEVNULL):
    """The seconds, those of the processor, and the peak memory in MB of a command."""
    started = time.monotonic()
    process = subprocess.Popen(arguments, stdout=out, stderr=subprocess.PIPE)
    error = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - started
    if os.waitstatus_to_exitcode(status):
        sys.exit(f"{arguments}: {error.decode()}")
    return seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stentor", type=Path)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--store", help="PostgreSQL database")
    parser.add_argument("--data-dir", type=Path, help="keep the alerts here")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        measure(arguments, Path(scratch))


def measure(arguments, scratch):
    stentor, rows = arguments.stentor.resolve(), arguments.rows
    data = arguments.data_dir or scratch / "data"
    place = ["--store", arguments.store] if arguments.store else ["--data-dir", data]
    if arguments.store or not data.exists():
        messages = scratch / "messages.jsonl"
        with open(messages, "w") as file:
            write_messages(file, rows)
        store = ["--store", arguments.store] if arguments.store else []
        show("run (stores them)", run([stentor, "run", messages, "--data-dir", data, *store]))
        messages.unlink()
    day = ["--since", DAY, "--until", DAY]
    everything = [*day, "--limit", "0"]
    commands = {
        "alerts, the last 100": ["alerts", *day],
        "alerts, 100 of an app": ["alerts", *day, "--app", "app-7"],
        "alerts, 100 of an account": ["alerts", *day, "--account", "1" * 12],
        "alerts, a rare text": ["alerts", *everything, "--grep", "ann@example"],
        "alerts, one app, CSV": ["alerts", *everything, "--csv", "--app", "app-7"],
        "alerts, all, JSON": ["alerts", *everything, "--json"],
        "export, Parquet": ["export", *day, "--to", f"{scratch}/parquet/"],
        "export, JSON lines": ["export", *day, "--to", f"{scratch}/lines/", "--format", "jsonl"],
        "erase, dry run": ["erase", "--subject", "ann@example.org"],
        "erase": ["erase", "--subject", "ann@example.org", "--yes"],
    }
    for name, command in commands.items():
        lines = scratch / "out"
        with open(lines, "wb") as out:
            figures = run([stentor, *command, *place], out)
        count = sum(1 for _ in open(lines, "rb"))
        size = sum(file.stat().st_size for file in scratch.glob("parquet/**/*.*" if "Parquet" in name else "lines/**/*.*"))
        more = f"{size / 1e6:.0f} MB" if name.startswith("export") else f"{count} lines"
        show(name, figures, more)


def show(name, figures, more=""):
    seconds, processor, memory = figures
    print(f"{name:28} {seconds:8.2f} s {processor:8.2f} s of the processor {memory:6.0f} MB  {more}", flush=True)


if __name__ == "__main__":
    main()
