"""Selections of files, and layer numbers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nmc_tools.checkpoints import CheckpointError, expand, layers_of, parse_layers


@pytest.fixture
def run(tmp_path):
    for i in (10, 2, 1):
        (tmp_path / f"frame{i}.pt").touch()
    (tmp_path / "notes.txt").touch()
    (tmp_path / ".frame3.pt.partial").touch()
    (tmp_path / ".hidden.pt").touch()
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "frame0.SAFETENSORS").touch()
    return tmp_path


def names(paths):
    return [path.name for path in paths]


def test_a_directory_in_natural_order(run):
    assert names(expand([run])) == ["frame1.pt", "frame2.pt", "frame10.pt"]


def test_globs(run):
    assert names(expand([str(run / "frame?.*")])) == ["frame1.pt", "frame2.pt"]
    assert names(expand([str(run / "**" / "*")])) == [
        "frame0.SAFETENSORS", "frame1.pt", "frame2.pt", "frame10.pt",
    ]  # fmt: skip


def test_lists_are_sorted_too(run):
    given = [run / "frame10.pt", run / "frame2.pt", run / "notes.txt"]
    assert names(expand(given)) == ["frame2.pt", "frame10.pt", "notes.txt"]
    assert names(expand(str(run / "frame2.pt"))) == ["frame2.pt"]


def test_a_file_whose_name_looks_like_a_glob(run):
    (run / "a[1].pt").touch()
    assert names(expand([run / "a[1].pt"])) == ["a[1].pt"]


def test_nothing_found(run):
    (run / "empty").mkdir()
    for given, what in (
        ([run / "empty"], r"no checkpoint in this directory; looked for \.safetensors \.pt"),
        ([run / "*.txt"], "among the 1 matches of this glob"),
        ([run / "frame7.pt"], "is no file"),
        ([], "names no files"),
    ):
        with pytest.raises(CheckpointError, match=what):
            expand(given)


def test_duplicates_are_refused(run):
    with pytest.raises(CheckpointError, match="twice"):
        expand([run, run / "frame2.pt"])
    (run / "z3.pt").symlink_to(run / "frame2.pt")
    with pytest.raises(CheckpointError, match="also as"):
        expand([run])


NAMES = ["pts.0.weight", "pts.0.bias", "pts.1.weight", "alpha.weight", "pts.1.bias", "beta"]


def test_layers_by_module():
    assert list(layers_of(NAMES).items()) == list(zip(NAMES, [0, 0, 1, 2, 1, 3], strict=True))
    keras = ["dense/dense/kernel:0", "dense/dense/bias:0", "out/vars/0"]
    assert list(layers_of(keras).values()) == [0, 0, 1]
    assert layers_of([]) == {}


def test_layers_by_rules():
    rules = parse_layers("1=pts.0, 0=pts.1.*,5 = b?ta")
    assert rules == {"pts.0": 1, "pts.1.*": 0, "b?ta": 5}
    assert list(layers_of(NAMES, rules).values()) == [1, 1, 0, -1, 0, 5]


def test_the_first_rule_that_fits_holds():
    assert layers_of(["a.b.c"], {"a.b.c": 4, "a": 1, "*": 2}) == {"a.b.c": 4}
    assert layers_of(["a.b.c", "ab"], {"a": 1, "a?": 2}) == {"a.b.c": 1, "ab": 2}


def test_rules_from_json(tmp_path):
    path = tmp_path / "layers.json"
    path.write_text(json.dumps({"pts.*": 3, "alpha": 0, "beta": 1}))
    for spec in (path, str(path)):
        assert list(layers_of(NAMES, parse_layers(spec)).values()) == [3, 3, 3, 0, 3, 1]


@pytest.mark.parametrize(
    "spec", ["", ",", "pts", "x=pts", "-1=pts", "0=", "=a", "0=a,1=a", "99999999999=a", "\u0663=a"]
)
def test_malformed_rules(spec):
    with pytest.raises(CheckpointError, match="write 0=name"):
        parse_layers(spec)


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", "[1]", '"a"', "3", '{"a": -1}', '{"a": 1.5}', '{"a": true}', '{"a": "1"}',
     '{"a": 1, "a": 2}', '{"a": {"b": 1}}', "[" * 100_000, "\xff", "1" * 5000],
)  # fmt: skip
def test_malformed_rule_files(tmp_path, text):
    path = tmp_path / "layers.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(CheckpointError):
        parse_layers(path)


def test_rule_files_that_cannot_be_read(tmp_path):
    with pytest.raises(CheckpointError, match="cannot be read"):
        parse_layers("missing.json")
    (tmp_path / "big.json").write_bytes(b" " * (2**20 + 1))
    with pytest.raises(CheckpointError, match="too many"):
        parse_layers(tmp_path / "big.json")


def test_a_rule_that_fits_nothing():
    with pytest.raises(CheckpointError, match=r"'ptss\.0' fits no parameter"):
        layers_of(NAMES, {"ptss.0": 0})


def test_paths_come_as_paths(run):
    assert all(isinstance(path, Path) for path in expand([str(run)]))
