"""Each case of bad input has its vector in the suite, so that other programs are asked, too."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import bad_hdf5
import bad_manifests
import bad_media
import bad_packages
import bad_quantised
import bad_refinements
import bad_segments
import bad_slices
import bad_streams
import pytest
from bad_cases import CASES

import nmc_spec

HERE = Path(__file__).parent
VECTORS = HERE.parents[1] / "conformance" / "vectors"
TABLES = (
    *(bad_segments, bad_slices, bad_streams, bad_quantised, bad_refinements),
    *(bad_packages, bad_hdf5, bad_manifests, bad_media),
)
"""The modules that hold the cases; importing them has filled CASES."""

TABLE = tomllib.loads((HERE / "bad_vectors.toml").read_text(encoding="utf-8"))
WITHOUT = {name for group in TABLE["without"] for name in group["cases"]}


def alike(one: str, other: str) -> bool:
    """Say whether two places are of one kind: rows and frames differ from package to package."""
    return _column(one) == _column(other) or (
        one.startswith(f"{other.rpartition('/')[0]}/") and (other.rpartition("/")[2].isdecimal())
    )


def _column(place: str) -> str:
    """Return the last name of a pointer that is no row, or the kind of a file."""
    if not place.startswith("/"):
        return "segment" if place.startswith("segments/") else "package"
    names = [part for part in place.split("/") if not part.isdecimal()]
    return names[-1].rpartition("@")[2]


def test_every_case_is_in_the_table_once() -> None:
    names = [case.name for case in CASES]
    assert len(names) == len(set(names))
    assert set(names) == TABLE["vectors"].keys() | WITHOUT
    assert not TABLE["vectors"].keys() & WITHOUT
    assert all(group["why"] for group in TABLE["without"])


@pytest.mark.parametrize("case", [c for c in CASES if c.name not in WITHOUT], ids=lambda c: c.name)
def test_a_vector_shows_what_the_case_shows(case) -> None:
    text = (VECTORS / TABLE["vectors"][case.name] / "vector.json").read_text(encoding="utf-8")
    expected = json.loads(text)["expected"]
    if expected["outcome"] == "accept" or expected["stage"] == "check":
        shown = [*expected.get("warnings", ()), *expected.get("codes", ())]
    else:
        shown = expected["codes"]
        assert nmc_spec.issues()[case.findings[0][0]].severity == "error"
    codes = {code for code, _ in case.findings}
    assert codes & set(shown), f"the vector shows {shown}"
    for finding in expected.get("findings", ()):
        told = finding["place"].get("pointer") or finding["place"].get("file") or "package"
        places = [p for code, p in case.findings if code == finding["code"] and p != "*"]
        assert not places or any(alike(told, place) for place in places), told
