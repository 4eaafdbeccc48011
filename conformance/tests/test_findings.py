"""Findings that vectors expect, and how a report is compared with them."""

from __future__ import annotations

import tomllib
from fnmatch import fnmatchcase as fnmatch
from typing import Any

import pytest
from programs import CONFORMANCE, VECTORS, suite

from nmc_conformance.judge import ELSEWHERE, MATCH, MISMATCH, NO_CODE, judge_checker, places_agree
from nmc_conformance.process import Ending
from nmc_conformance.subject import Answer, Description
from nmc_conformance.vectors import load_suite

WHOLE = Description("x", "1", frozenset({"baseline", "main"}), frozenset({1, 2, 3, 4}), frozenset())


def pointer(text: str) -> dict[str, str]:
    return {"pointer": text}


def file(name: str) -> dict[str, str]:
    return {"file": name}


@pytest.mark.parametrize(
    ("expected", "reported", "same"),
    [
        ("/frames/1/coding", "/frames/1/coding", True),
        ("/frames/1/coding", "/frames/coding", True),
        ("/frames/1/coding", "/frames/coding/1", True),
        ("/frames/coding", "/frames/7/coding", True),
        ("/training/seconds", "/frames/1/seconds", True),
        ("/model/tensors/1/name", "/model/tensors/1", True),
        ("/frames/1/coding", "/frames/2/coding", False),
        ("/frames/1/coding", "/frames/1/state_bytes", False),
        ("/model/tensors/1/name", "/model/tensors", False),
        ("/frames/1/coding", "/", False),
        ("/@level", "/@profile", False),
        ("/", "/", True),
    ],
)
def test_pointers(expected: str, reported: str, same: bool) -> None:
    assert places_agree(pointer(expected), pointer(reported)) is same


def test_files() -> None:
    member = "segments/00000001.safetensors"
    assert places_agree(file(member), file(member))
    assert not places_agree(file(member), file("segments/00000002.safetensors"))
    assert not places_agree(file(member), pointer("/frames/1/coding"))
    assert not places_agree(pointer("/frames/1/coding"), file(member))
    assert places_agree(file(""), file("/anywhere/input.nmc"))
    assert places_agree(file(""), file(member))
    assert not places_agree(file(""), pointer("/"))


def report(*found: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    findings = [{"code": code, "severity": "error", "place": place} for code, place in found]
    return {"accepted": not found, "findings": findings}


@pytest.mark.parametrize(
    ("code", "place", "grade"),
    [
        ("manifest/frame-coding", pointer("/frames/1/coding"), MATCH),
        ("manifest/frame-coding", pointer("/frames/0/coding"), ELSEWHERE),
        ("manifest/frame-coding", file("input.nmc"), ELSEWHERE),
        ("manifest/value", pointer("/frames/1/coding"), MISMATCH),
    ],
)
def test_grades(code: str, place: dict[str, Any], grade: str) -> None:
    (vector,) = load_suite(VECTORS, ["05-package/coding-unknown"]).vectors
    answer = Answer(Ending("exit", 1), report((code, place)))
    assert judge_checker(vector, WHOLE, answer).diagnostics == grade
    assert grade != NO_CODE


def test_every_negative_vector_says_where_its_fault_is_or_why_not() -> None:
    """Where several places are as good, the reason is listed; no pattern is there for nothing."""
    text = (CONFORMANCE / "generators" / "left_open.toml").read_text(encoding="utf-8")
    patterns = [p for group in tomllib.loads(text).values() for p in group["vectors"]]
    negative = [vector for vector in suite().vectors if vector.expected.outcome == "reject"]
    placeless = [vector.id for vector in negative if not vector.expected.findings]
    assert [i for i in placeless if not any(fnmatch(i, p) for p in patterns)] == []
    assert [p for p in patterns if not any(fnmatch(i, p) for i in placeless)] == []
