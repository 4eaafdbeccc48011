"""Validation by the JSON Schemas of the standard, each compiled once."""

from __future__ import annotations

from functools import cache
from typing import Any

import jsonschema

from nmc_spec import schema


@cache
def _validator(name: str) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(dict(schema(name)))


def fault(value: Any, name: str) -> str:
    """Return how a value breaks a schema; empty where it keeps it."""
    error = next(_validator(name).iter_errors(value), None)
    return "" if error is None else f"{error.json_path}: {error.message}"
