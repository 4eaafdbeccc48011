"""JSON objects in a manifest (clause 5.4.2): every value that is written counts."""

from __future__ import annotations

import pytest

from nmc_format.manifest.json_object import object_fault, parse_object

DEEP = "[" * 100 + "]" * 100


@pytest.mark.parametrize(
    "text",
    [
        '{"x": ' + DEEP + "}",
        '{"x": ' + DEEP + ', "x": 1}',
        '{"x": "\\ud800", "x": 1}',
        '{"x": {"\\udc00": 1, "a": 2}, "x": 1}',
        '{"a": 1, "x": {"y": [{"z": "\\ud800", "z": 0}]}}',
    ],
)
def test_a_value_that_another_one_of_its_name_follows_is_looked_at(text: str) -> None:
    assert object_fault(text)


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        '{"x": 1, "x": 2}',
        '{"x": ' + DEEP[1:-1] + "}",
        '{"x": ' + "9" * 5000 + "}",
        '{"x": -' + "9" * 5000 + "}",
        '{"x": 0.' + "9" * 5000 + "}",
        '{"x": 1e' + "9" * 5000 + "}",
        '{"x": "\\ud83d\\ude00"}',
    ],
)
def test_numbers_of_any_size_and_names_that_occur_twice_are_allowed(text: str) -> None:
    assert object_fault(text) == ""
    assert isinstance(parse_object(text), dict)
