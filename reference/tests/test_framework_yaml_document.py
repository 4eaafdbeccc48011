"""Configurations as YAML that need not be trusted: plain values, their lines, what is refused."""

import pytest

from nmc_framework.pipeline import (
    ConfigurationError,
)
from nmc_framework.pipeline.yaml_document import MAX_BYTES, read_document


def test_plain_values_and_their_lines():
    text = b"# first\na:\n  b: [1, two, 3.5, true, null]\n'on': off\n"
    document = read_document(text, "x.yaml")
    assert document.values == {"a": {"b": [1, "two", 3.5, True, None]}, "on": False}
    assert document.where(("a", "b", 1)) == "x.yaml, line 3: a.b[1]"
    assert document.where(("on",)) == "x.yaml, line 4: on"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: &x [1]\nb: *x\n", r"line 2: aliases \(\*x\) are refused"),
        ("a: !!python/object/apply:os.system [echo]\n", "line 1: it is taken for a python/obj"),
        ("a: !mine 3\n", "line 1: '3' is taken for a !mine; write a text in quotes"),
        ("a: 2024-01-01\n", "line 1: '2024-01-01' is taken for a timestamp"),
        ("a: 1\nb: 2\na: 3\n", "line 3: 'a' is there twice"),
        ("a: .nan\n", "not a finite number"),
        ("a: [1\nb: 2\n", "line 2: not YAML"),
        ("[" * 30, "nested deeper than 20"),
        ("a: 1\n---\nb: 2\n", "one document"),
        ("? [1]\n: 2\n", "line 1: a key is a text"),
        ("", "is empty"),
        ("a: \x07\n", "not YAML"),
    ],
)
def test_documents_that_are_refused(text, told):
    with pytest.raises(ConfigurationError, match=told):
        read_document(text.encode(), "x.yaml")


def test_documents_are_bounded():
    with pytest.raises(ConfigurationError, match="at most 131072 are read"):
        read_document(b"a" * (MAX_BYTES + 1), "x.yaml")
    with pytest.raises(ConfigurationError, match="not UTF-8"):
        read_document(b"a: \xff\n", "x.yaml")
    lines = [b"a0: &a0 [x]"]
    lines += [b"a%d: &a%d [%s]" % (k, k, b", ".join([b"*a%d" % (k - 1)] * 9)) for k in range(1, 9)]
    with pytest.raises(ConfigurationError, match="line 2: aliases"):  # a billion laughs
        read_document(b"\n".join(lines), "x.yaml")
