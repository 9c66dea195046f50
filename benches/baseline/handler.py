"""The handler that most teams run: base64, zlib and json from the standard library.

As a program it takes the file of a payload, prints what it found, and then, for each line on standard
input, handles the payload again and prints the nanoseconds that it took.
"""

import base64
import json
import sys
import time
import zlib

MARKERS = ("[CRITICAL]", "[ALERT]")


def handler(event, context=None):
    events, matched = 0, []
    for record in event["Records"]:
        text = zlib.decompress(base64.b64decode(record["kinesis"]["data"]), 16 + zlib.MAX_WBITS)
        message = json.loads(text)
        if message["messageType"] != "DATA_MESSAGE":
            continue
        for log_event in message["logEvents"]:
            events += 1
            if any(marker in log_event["message"] for marker in MARKERS):
                matched.append((message["logGroup"], log_event))
    return events, matched


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        payload = file.read()
    events, matched = handler(json.loads(payload))
    print(events, len(matched), sum(len(event["message"].encode()) for _, event in matched), flush=True)
    for _ in sys.stdin:
        started = time.perf_counter_ns()
        handler(json.loads(payload))
        print(time.perf_counter_ns() - started, flush=True)


if __name__ == "__main__":
    main()
