#!/usr/bin/env python3
"""Asks the matcher of LocalStack about random JSON patterns, and prints its answers.

    pip install aws-json-term-matcher==0.1.5
    scripts/filter-pattern-localstack.py > src/filter_pattern/tests/localstack.json

A second opinion: a test compares our evaluator with these answers. The patterns are of the forms that the matcher
answers as AWS documents them. Left out are IS, EXISTS, regular expressions, `[*]` and `4*`, which it cannot parse; `!=`
with a wildcard or an absent value, and `&&` next to `||` without parentheses, which it gets wrong; and comparisons of a
text with a number, where nothing is documented.
"""

import json
import random

from aws_json_term_matcher.matcher import match

CASES = 400
TEXTS = ["ERROR", "a b", "x-1", "Überlauf", "10.0.7.9", "10.0.8.9", "192.168.0.1", ""]
NUMBERS = [0, 1, 4, 7.5, 404, 500, 1200, 1e6]


def event(randoms):
    """An event with texts and numbers at fixed places. Some are absent."""
    places = {
        "level": randoms.choice(TEXTS), "ip": randoms.choice(TEXTS), "code": randoms.choice(NUMBERS),
        "size": randoms.choice(NUMBERS), "http": {"status": randoms.choice(NUMBERS), "verb": randoms.choice(TEXTS)},
        "tags": randoms.sample(TEXTS, 2), "times": randoms.sample(NUMBERS, 3),
    }  # fmt: skip
    for name in list(places):
        if randoms.random() < 0.1:
            del places[name]
    return places


TEXT_PLACES = ["$.level", "$.ip", "$.http.verb", "$.tags[0]", "$.tags[1]"]
NUMBER_PLACES = ["$.code", "$.size", "$.http.status", "$.times[0]", "$.times[2]"]


def number(randoms):
    value = randoms.choice(NUMBERS)
    return randoms.choice([f"{value:g}", f"{value}"]) if value < 1e5 else randoms.choice(["1e6", "1000000", "1.0e+6"])


def comparison(randoms):
    kind = randoms.randrange(5)
    if kind == 0:
        return f"{randoms.choice(TEXT_PLACES)} = {json.dumps(randoms.choice(TEXTS), ensure_ascii=False)}"
    if kind == 1:
        return f"{randoms.choice(TEXT_PLACES)} = {randoms.choice(['10.*', '10.0.*', '10.0.7.*', '10.0.7.9'])}"
    if kind == 2:
        return f'{randoms.choice(TEXT_PLACES)} = "*"'
    return f"{randoms.choice(NUMBER_PLACES)} {randoms.choice(['=', '>', '>=', '<', '<='])} {number(randoms)}"


def pattern(randoms, depth=0):
    if depth == 2 or randoms.random() < 0.5:
        return comparison(randoms)
    left, right = pattern(randoms, depth + 1), pattern(randoms, depth + 1)
    return f"({left}) {randoms.choice(['&&', '||'])} ({right})"


def main():
    randoms, cases = random.Random(7), []
    while len(cases) < CASES:
        text = "{ %s }" % pattern(randoms)
        one = {name: value for name, value in event(randoms).items() if f"$.{name}" in text}
        try:
            answer = match(one, text)
        except Exception:  # It compares an absent number, or cannot parse the pattern.
            continue
        cases.append([text, json.dumps(one, ensure_ascii=False, separators=(",", ":")), answer])
    print("[\n" + ",\n".join(json.dumps(case, ensure_ascii=False) for case in cases) + "\n]")


if __name__ == "__main__":
    main()
