#!/usr/bin/env python3
"""How long a function takes from spawn to its first poll of the runtime API, and how much memory it has then.

The function, built as it is shipped, and a Python handler (benches/baseline/cold.py) are started in turn,
against a runtime API that is played here. AWS is a port on this machine that takes connections and says nothing:
the TLS stack is set up as in an account, and nothing leaves the machine.

The ratio is a matter of one run; milliseconds are only as good as the machine is idle. Standard library only.
"""

import argparse
import os
import re
import socket
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
POLL = "GET /2018-06-01/runtime/invocation/next "
# However loaded the machine is: what takes longer does not start at all.
START_MAX_S = 30

# The goals.
POLL_MS_MAX = 10
RATIO_MIN = 20
RANDOMNESS_MS_MAX = 1


class Start:
    """One process, from its spawn to its first poll."""

    def __init__(self, command, environment):
        listener = socket.create_server(("127.0.0.1", 0))
        listener.settimeout(START_MAX_S)
        address = "127.0.0.1:%d" % listener.getsockname()[1]
        started = time.monotonic_ns()
        process = subprocess.Popen(
            command,
            env={**environment, "AWS_LAMBDA_RUNTIME_API": address},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        try:
            connection, _ = listener.accept()
            with connection:
                self.poll_ms = (polled(connection) - started) / 1e6
                self.resident_mb, self.peak_mb = memory(process.pid)
        except TimeoutError:
            process.kill()
            sys.exit("%s does not poll:\n%s" % (command, process.communicate()[0].decode()))
        finally:
            process.kill()
            process.communicate()
            listener.close()


def polled(connection):
    """The moment at which the poll is here."""
    connection.settimeout(START_MAX_S)
    request = b""
    while b"\r\n" not in request:
        request += connection.recv(4096)
    moment = time.monotonic_ns()
    assert request.decode().startswith(POLL), request
    return moment


def memory(pid):
    """Resident memory and its peak so far, in MB."""
    status = Path("/proc/%d/status" % pid).read_text()
    kib = {name: int(value) for name, value in re.findall(r"(Vm\w+):\s+(\d+) kB", status)}
    return kib["VmRSS"] * 1024 / 1e6, kib["VmHWM"] * 1024 / 1e6


def silent():
    """The port of a server that takes connections and never answers."""
    listener = socket.create_server(("127.0.0.1", 0))
    held = []

    def hold():
        while True:
            held.append(listener.accept()[0])

    threading.Thread(target=hold, daemon=True).start()
    return listener.getsockname()[1]


def build():
    """The function as it is shipped (CargoLambda.toml), and the question for randomness."""
    features = ["--no-default-features", "--features", "lambda,libdeflate,postgres"]
    cargo = ["cargo", "build", "--profile", "dist", "--locked", "--quiet", *features]
    subprocess.run([*cargo, "--bin", "stentor-lambda", "--example", "randomness"], cwd=ROOT, check=True)


def table(starts):
    print("| start to first poll | median ms | least ms | resident MB | peak MB |")
    print("|---|---|---|---|---|")
    for name, runs in starts.items():
        middle = lambda of: statistics.median(getattr(run, of) for run in runs)
        least = min(run.poll_ms for run in runs)
        row = (name, middle("poll_ms"), least, middle("resident_mb"), middle("peak_mb"))
        print("| %s | %.1f | %.1f | %.1f | %.1f |" % row)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=21, help="starts of each (%(default)s)")
    parser.add_argument("--binary", type=Path, help="measure this one instead of building one")
    parser.add_argument("--also", type=Path, help="measure this one, too, such as one with other features")
    parser.add_argument("--check", action="store_true", help="fail when a goal is missed")
    options = parser.parse_args()
    if options.binary is None:
        build()
    binary = options.binary or TARGET / "dist/stentor-lambda"
    randomness = TARGET / "dist/examples/randomness"
    environment = {
        "PATH": os.environ["PATH"],
        "AWS_LAMBDA_FUNCTION_NAME": "stentor-consumer",
        "AWS_LAMBDA_FUNCTION_VERSION": "1",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1769",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ENDPOINT_URL": "https://127.0.0.1:%d" % silent(),
        "DLQ_URL": "https://127.0.0.1/dlq",
        "DUE_QUEUE_URL": "https://127.0.0.1/due",
        "STENTOR_SECRET_ID": "none",
    }
    commands = {
        "Stentor": [binary],
        "Python handler": [TARGET / "venv/bin/python", ROOT / "benches/baseline/cold.py"],
    }
    if options.also:
        commands[options.also.name] = [options.also]
    starts = {name: [] for name in commands}
    # The first of each reads files that are in no cache yet; Lambda's are not either, but that is Lambda's time.
    for run in range(options.runs + 1):
        for name, command in commands.items():
            start = Start(command, environment)
            if run:
                starts[name].append(start)

    table(starts)
    poll_ms, python_ms, *also_ms = (statistics.median(run.poll_ms for run in runs) for runs in starts.values())
    print("\n%.1f times as fast as the Python handler; the binary has %.1f MB" %
          (python_ms / poll_ms, binary.stat().st_size / 1e6))
    for ms in also_ms:
        print("%.2f times the time of %s, which has %.1f MB" %
              (poll_ms / ms, options.also.name, options.also.stat().st_size / 1e6))
    goals = [
        ("first poll after %.1f ms" % poll_ms, poll_ms <= POLL_MS_MAX, "at most %d" % POLL_MS_MAX),
        ("%.1f times the Python handler" % (python_ms / poll_ms), python_ms >= RATIO_MIN * poll_ms, "at least %d" % RATIO_MIN),
    ]
    if randomness.exists():
        ask = lambda: int(subprocess.run([randomness], check=True, capture_output=True).stdout) / 1e6
        first_ms = statistics.median(ask() for _ in range(options.runs))
        print("first TLS randomness of a process: %.3f ms" % first_ms)
        goals.append(("first randomness after %.3f ms" % first_ms, first_ms <= RANDOMNESS_MS_MAX, "at most %d" % RANDOMNESS_MS_MAX))
    elif options.check:
        sys.exit("there is no %s to ask: build the example" % randomness)
    missed = ["%s, goal: %s" % (what, goal) for what, met, goal in goals if not met]
    if options.check and missed:
        sys.exit("missed: " + "; ".join(missed))


if __name__ == "__main__":
    main()
