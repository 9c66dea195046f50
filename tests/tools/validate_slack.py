#!/usr/bin/env python3
"""Checks Slack messages: `validate_slack.py MESSAGE.json…`, each the body of a webhook call.

slack_sdk (see tests/requirements.txt) must know every block, find it valid and return it unchanged. Slack's documented
limits are counted here, independently of Stentor. Prints each problem with its place. Exit code 1 if there is a problem,
2 if a file cannot be read.
"""

import json
import re
import sys
import warnings

from slack_sdk.errors import SlackObjectFormationError
from slack_sdk.models.blocks import Block

BLOCKS_MAX = 50
TEXT_MAX = 3_000
HEADER_MAX = 150
BUTTONS_MAX = 25
BUTTON_TEXT_MAX = 75
CONTEXT_ELEMENTS_MAX = 10
CONTEXT_TEXT_MAX = 2_000
URL_MAX = 3_000
# Not documented: about 12,000 are refused (msg_blocks_too_long).
CHARACTERS_MAX = 9_000
# Control characters except the newline, marks of direction, characters without width.
ACTS_UNSEEN = re.compile("[\\x00-\\x09\\x0b-\\x1f\\x7f-\\x9f\\xad\\u061c\\u200b-\\u200f\\u2028-\\u202e\\u2060-\\u206f\\ufeff]")
RICH_TEXT = {"rich_text_section", "rich_text_preformatted", "rich_text_list", "rich_text_quote"}


def problems_of(message):
    yield from problems_of_text(message.get("text"))
    blocks = message.get("blocks") or []
    if not 1 <= len(blocks) <= BLOCKS_MAX:
        yield "blocks", f"{len(blocks)} of them, expected 1 to {BLOCKS_MAX}"
    for at, block in enumerate(blocks):
        place = f"blocks[{at}]"
        yield from by_slack_sdk(place, block)
        yield from by_limits(place, block)
        yield from by_strings(place, block)
    characters = utf16(message.get("text") or "") + sum(utf16(text) for _, key, text in strings("", blocks) if key != "type")
    if characters > CHARACTERS_MAX:
        yield "message", f"{characters} characters, expected at most {CHARACTERS_MAX}"


def problems_of_text(text):
    if not text or not text.strip():
        yield "text", "missing: notifications would be empty"
    elif utf16(text) > TEXT_MAX or "\n" in text:
        yield "text", f"expected one line of at most {TEXT_MAX} characters"
    elif mentions(text):
        yield "text", f"unescaped markup: {text}"


def by_slack_sdk(place, block):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            parsed = Block.parse(block)
            if parsed is None or type(parsed) is Block:
                yield place, f"slack_sdk does not know the type {block.get('type')!r}"
                return
            parsed.validate_json()
            # That checks the block itself. An error further inside shows in the JSON that slack_sdk makes of it.
            again = json.loads(json.dumps(parsed.to_dict()))
        except (SlackObjectFormationError, TypeError, ValueError, KeyError) as error:
            yield place, f"slack_sdk: {error}"
            return
    if again != block:
        yield place, f"slack_sdk changes it to {json.dumps(again, ensure_ascii=False)}"
    for warning in caught:
        yield place, f"slack_sdk warns: {warning.message}"


def by_limits(place, block):
    kind = block.get("type")
    if kind == "header":
        text = block.get("text", {})
        if text.get("type") != "plain_text" or utf16(text.get("text", "")) > HEADER_MAX:
            yield place, f"a header is plain_text of at most {HEADER_MAX} characters"
    elif kind == "section":
        if utf16(block.get("text", {}).get("text", "")) > TEXT_MAX:
            yield place, f"a section has at most {TEXT_MAX} characters"
    elif kind == "context":
        elements = block.get("elements", [])
        if not 1 <= len(elements) <= CONTEXT_ELEMENTS_MAX:
            yield place, f"{len(elements)} elements, expected 1 to {CONTEXT_ELEMENTS_MAX}"
        for element in elements:
            if utf16(element.get("text", "")) > CONTEXT_TEXT_MAX:
                yield place, f"a text in a context has at most {CONTEXT_TEXT_MAX} characters"
    elif kind == "rich_text":
        elements = block.get("elements", [])
        if not elements:
            yield place, "an empty rich_text"
        for at, element in enumerate(elements):
            yield from by_rich_text(f"{place}.elements[{at}]", element)
    elif kind == "actions":
        # https://docs.slack.dev/reference/block-kit/blocks/actions-block
        buttons = block.get("elements", [])
        if not 1 <= len(buttons) <= BUTTONS_MAX:
            yield place, f"{len(buttons)} buttons, expected 1 to {BUTTONS_MAX}"
        for button in buttons:
            if button.get("type") != "button" or utf16(button.get("text", {}).get("text", "")) > BUTTON_TEXT_MAX:
                yield place, f"a button has a text of at most {BUTTON_TEXT_MAX} characters"
            if not button.get("url", "").startswith("https://") or utf16(button["url"]) > URL_MAX:
                yield place, f"a button leads to a URL of at most {URL_MAX} characters"
    elif kind != "divider":
        yield place, f"a block of type {kind!r} was not expected"


def by_rich_text(place, element):
    kind = element.get("type")
    if kind in RICH_TEXT:
        if not element.get("elements"):
            yield place, f"an empty {kind}"
        for at, inner in enumerate(element.get("elements", [])):
            inner_place = f"{place}.elements[{at}]"
            if kind == "rich_text_preformatted" and inner.get("type") not in ("text", "link"):
                yield inner_place, "preformatted text holds only text and links"
            yield from by_rich_text(inner_place, inner)
    elif kind == "date":
        if not (isinstance(element.get("timestamp"), int) and element.get("fallback")):
            yield place, "a date needs a timestamp in whole seconds, and a fallback"
    elif kind not in ("text", "link"):
        yield place, f"{kind!r} may mention a user; only text, link and date were expected"


def by_strings(place, block):
    for where, key, text in strings(place, block):
        if not text:
            yield where, "empty"
        elif utf16(text) > (URL_MAX if key == "url" else TEXT_MAX):
            yield where, f"{utf16(text)} characters"
        elif ACTS_UNSEEN.search(text):
            yield where, f"control characters or invisible ones: {text!r}"
    for where, markup in mrkdwn(place, block):
        if mentions(markup):
            yield where, f"unescaped markup: {markup}"


def mentions(markup):
    """Whether there is `<!channel>`, `<@U1>` or `<#C1>`. Links and dates are allowed."""
    return any(sign in markup.replace("<!date^", "") for sign in ("<!", "<@", "<#"))


def mrkdwn(place, value):
    if isinstance(value, dict) and value.get("type") == "mrkdwn":
        yield place, value.get("text", "")
    for where, _, inner in children(place, value):
        yield from mrkdwn(where, inner)


def strings(place, value):
    for where, key, inner in children(place, value):
        if isinstance(inner, str):
            yield where, key, inner
        yield from strings(where, inner)


def children(place, value):
    if isinstance(value, dict):
        yield from ((f"{place}.{key}", key, inner) for key, inner in value.items())
    elif isinstance(value, list):
        yield from ((f"{place}[{at}]", None, inner) for at, inner in enumerate(value))


def utf16(text):
    """Slack does not document how it counts. There are never fewer UTF-16 units than code points."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def main(paths):
    if not paths:
        print(__doc__, file=sys.stderr)
        return 2
    found = 0
    for path in paths:
        try:
            with open(path, encoding="utf-8") as file:
                message = json.load(file)
        except (OSError, ValueError) as error:
            print(f"{path}: {error}", file=sys.stderr)
            return 2
        for place, problem in problems_of(message):
            found += 1
            print(f"{path}: {place}: {problem}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
