#!/usr/bin/env python3
"""Asks CloudWatch Logs about the cases of filter-pattern-undecided.json, which AWS does not document.

Each is a pattern, a message, and Stentor's choice: true, false, or null for a pattern that Stentor rejects.
TestMetricFilter reads nothing in the account and changes nothing. It needs boto3, credentials, a Region, and the
permission logs:TestMetricFilter. Exits with 1 if an answer differs.

    pip install boto3
    AWS_REGION=eu-west-1 scripts/filter-pattern-oracle.py
"""

import json
import sys
from pathlib import Path

import boto3
from botocore.exceptions import ClientError

CASES = Path(__file__).with_name("filter-pattern-undecided.json")


def ask(logs, pattern, message):
    """AWS's answer in the form of the rows."""
    try:
        answer = logs.test_metric_filter(filterPattern=pattern, logEventMessages=[message])
    except ClientError as error:
        if error.response["Error"]["Code"] != "InvalidParameterException":
            raise
        return None
    return bool(answer["matches"])


def main():
    logs = boto3.client("logs")
    words = {True: "match", False: "no match", None: "rejected"}
    differences = 0
    for pattern, message, choice in json.loads(CASES.read_text(encoding="utf-8")):
        # TestMetricFilter refuses an empty message.
        answer = ask(logs, pattern, message or " ")
        differences += answer != choice
        sign = "=" if answer == choice else "DIFFERS"
        print(f"{sign:7}  AWS: {words[answer]:8}  Stentor: {words[choice]:8}  {pattern!r} on {message!r}")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
