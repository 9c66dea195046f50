#!/usr/bin/env python3
"""Validates the bodies of webhooks against docs/webhook.schema.json, and fails on a field that the schema does not name."""

import json
import pathlib
import sys

import jsonschema


def closed(schema):
    """The schema in which an object has no other properties than those that it names."""
    if isinstance(schema, list):
        return [closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    schema = {key: closed(value) for key, value in schema.items()}
    if "properties" in schema and isinstance(schema.get("required"), list):
        schema.setdefault("additionalProperties", False)
    return schema


root = pathlib.Path(__file__).resolve().parents[2]
schema = closed(json.loads((root / "docs/webhook.schema.json").read_text()))
validator = jsonschema.Draft202012Validator(schema, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER)
faults = [
    f"{path}: {error.json_path}: {error.message}"
    for path in sys.argv[1:]
    for error in validator.iter_errors(json.loads(pathlib.Path(path).read_text()))
]
sys.exit("\n".join(faults) or None)
