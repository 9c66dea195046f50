#!/usr/bin/env python3
"""How fast `stentor run FILE` is, as a share of the speed of `grep -c` on the same file in the same run.

    tests/tools/local_run.py target/release/stentor            # print the figures
    tests/tools/local_run.py --check target/release/stentor    # and fail below the floors

Both read a log of 2 million lines, with no match and with one match in 1,000 lines, in turn. A third log has
40,000 alerts. Each run of Stentor begins without a data directory, so its start and the creation of the
database count. The best round of each counts: whatever else the machine does only makes a round slower.

Standard library only.
"""

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LINES = 2_000_000
BLOCK_LINES = 10_000
ALERTS = 40_000
ROUNDS = 5

# Slightly below what was measured: docs/performance.md.
FLOORS = {"none": 0.25, "one in 1,000": 0.10}
# Of processor time: the disk and other programs take a large part of the rest.
ALERTS_PER_CPU_S_MIN = 7_500
PEAK_MB_MAX = 64


def line(randoms, number, marker):
    """A line of 116 bytes or so."""
    return "2026-11-26T10:%02d:%02d.%03dZ %s order %010d of customer %05d handled by worker %03d in %04d ms, queue length %02d\n" % (
        number // 60_000 % 60,
        number // 1_000 % 60,
        number % 1_000,
        marker,
        randoms.getrandbits(32),
        randoms.getrandbits(16),
        randoms.getrandbits(8),
        randoms.getrandbits(10),
        randoms.getrandbits(6),
    )


def write_logs(directory):
    randoms = random.Random(7)
    logs = {}
    for name, every in (("none", 0), ("one in 1,000", 1_000)):
        is_match = lambda n: every and n % every == every - 1
        block = "".join(line(randoms, n, "[CRITICAL]" if is_match(n) else "[INFO]") for n in range(BLOCK_LINES))
        logs[name] = directory / (name.replace(" ", "-") + ".log")
        with open(logs[name], "w") as file:
            for _ in range(LINES // BLOCK_LINES):
                file.write(block)
    logs["alerts"] = directory / "alerts.log"
    logs["alerts"].write_text("".join(line(randoms, n, "[CRITICAL]") for n in range(ALERTS)))
    return logs


def seconds_of_grep(log, expected):
    started = time.monotonic()
    done = subprocess.run(["grep", "-c", r"\[CRITICAL\]", log], capture_output=True, text=True)
    seconds = time.monotonic() - started
    assert int(done.stdout) == expected, done
    return seconds


def run(stentor, directory, log, lines, expected):
    """The seconds, those of the processor, and the peak memory in MB of one run. Its counts have to add up."""
    data = directory / "data"
    shutil.rmtree(data, ignore_errors=True)
    report = directory / "report.json"
    with open(report, "w") as out:
        started = time.monotonic()
        process = subprocess.Popen([stentor, "run", "--json", "--data-dir", data, log], stdout=out)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    counts = json.loads(report.read_text())
    found = process.returncode, counts["events"], counts["unmatched"], counts["kept"]
    assert found == (0, lines, lines - expected, expected), found
    return seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("stentor", help="the program, built with the release profile")
    arguments.add_argument("--check", action="store_true", help="fail below the floors")
    arguments.add_argument("--rounds", type=int, default=ROUNDS)
    options = arguments.parse_args()
    stentor = Path(options.stentor).resolve()
    below, peaks = [], []
    with tempfile.TemporaryDirectory(prefix="stentor-local-run-") as scratch:
        directory = Path(scratch)
        logs = write_logs(directory)
        print("%-14s %8s %10s %12s %10s" % ("matches", "grep, s", "stentor, s", "stentor MB/s", "of grep"))
        for name, expected in (("none", 0), ("one in 1,000", LINES // 1_000)):
            grep, own = [], []
            for _ in range(options.rounds):
                grep.append(seconds_of_grep(logs[name], expected))
                seconds, _, peak = run(stentor, directory, logs[name], LINES, expected)
                own.append(seconds)
                peaks.append(peak)
            ratio = min(grep) / min(own)
            megabytes = logs[name].stat().st_size / 1e6
            print("%-14s %8.3f %10.3f %12.0f %10.3f" % (name, min(grep), min(own), megabytes / min(own), ratio))
            if ratio < FLOORS[name]:
                below.append("%s: %.3f of the speed of grep, expected %.3f" % (name, ratio, FLOORS[name]))
        rounds = [run(stentor, directory, logs["alerts"], ALERTS, ALERTS) for _ in range(min(options.rounds, 3))]
        peaks.extend(peak for *_, peak in rounds)
        per_s = ALERTS / min(seconds for seconds, *_ in rounds)
        per_cpu_s = ALERTS / min(cpu for _, cpu, _ in rounds)
        print("%d alerts: %.0f a second, %.0f a second of processor time" % (ALERTS, per_s, per_cpu_s))
        print("at most %.0f MB of memory" % max(peaks))
        if per_cpu_s < ALERTS_PER_CPU_S_MIN:
            below.append("%.0f alerts a second of processor time, expected %d" % (per_cpu_s, ALERTS_PER_CPU_S_MIN))
        if max(peaks) > PEAK_MB_MAX:
            below.append("%.0f MB of memory, expected at most %d" % (max(peaks), PEAK_MB_MAX))
    if options.check and below:
        sys.exit("\n".join(below))


if __name__ == "__main__":
    main()
