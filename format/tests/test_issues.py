"""The issue catalogue and what is made of it."""

from __future__ import annotations

import pickle
import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

import nmc_spec
from nmc_format.issues import FormatError, finding, first_error, refuse
from nmc_format.report import Report

CODES = sorted(nmc_spec.issues())
any_code = pytest.mark.parametrize("code", CODES)


def fields(*templates: str) -> set[str]:
    return {name for text in templates for _, name, _, _ in string.Formatter().parse(text) if name}


def filled(code: str, value: object = "x", **place):
    issue = nmc_spec.issues()[code]
    facts = dict.fromkeys(fields(issue.message, issue.hint), value)
    return finding(code, **(place or {"pointer": "/frames/3"}), **facts)


@any_code
def test_every_code_fills_in(code) -> None:
    issue = nmc_spec.issues()[code]
    assert re.fullmatch(r"[a-z]+/[a-z0-9-]+", code)
    assert re.fullmatch(r"-|([A-Z]|\d+)(\.\d+){0,2}", issue.clause)
    assert issue.severity in {"error", "warning"}
    found = filled(code)
    assert "{" not in found.message + found.hint
    assert (found.code, found.severity, found.clause) == (code, issue.severity, issue.clause)
    assert str(found).startswith(f"{issue.severity} {code} at /frames/3: ")
    assert "\n" not in str(found)


@any_code
def test_a_missing_fact_is_a_mistake_of_the_caller(code) -> None:
    issue = nmc_spec.issues()[code]
    if fields(issue.message):
        with pytest.raises(KeyError):
            finding(code, pointer="/")


def test_an_unknown_code_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(KeyError):
        finding("segment/no-such-code", pointer="/")


def test_exactly_one_place() -> None:
    for place in ({}, {"pointer": "/", "file": "x"}):
        with pytest.raises(ValueError, match="exactly one place"):
            finding("host/not-found", **place)
    assert str(filled("host/not-found", pointer="/a/b").place) == "/a/b"
    assert str(filled("host/not-found", file="x").place) == "x"
    assert str(filled("host/not-found", file="x", offset=0).place) == "x@0"


@given(st.text())
def test_untrusted_text_is_harmless_on_a_terminal(text) -> None:
    for found in (
        filled("package/member-unknown", text),
        filled("host/not-found", text, file=text or "x"),
        filled("host/not-found", text, pointer=text),
    ):
        assert str(found).isprintable()
        assert len(str(found)) < 1200


def test_escape_sequences_are_spelt_out() -> None:
    evil = "\x1b]0;owned\x07\x1b[2J\r\n\u202e\x9b31m"
    found = filled("package/member-unknown", evil, file=evil)
    assert r"\x1b]0;owned\x07" in found.message
    assert r"\u202e" in found.message
    assert str(found).isprintable()


def test_braces_of_untrusted_text_are_not_filled_in() -> None:
    found = finding("package/member-unknown", file="x", member="{member.__class__} {0} {")
    assert "{member.__class__} {0} {" in found.message


def test_errors_cross_process_borders() -> None:
    error = refuse("host/not-found", file="x")
    again = pickle.loads(pickle.dumps(error))
    assert isinstance(again, FormatError)
    assert again.finding == error.finding
    assert str(again) == str(error)


def test_warnings_do_not_refuse() -> None:
    warning = filled("package/member-unknown")
    error = filled("package/member-missing")
    assert first_error([warning]) is None
    assert first_error([warning, error]) is error
    assert Report("x", 1, 1, (warning,)).accepted
    assert not Report("x", 1, 1, (warning, error)).accepted
