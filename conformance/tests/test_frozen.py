"""What is frozen (clause 10.3.1): no sound package of format 1.0 changes or goes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from frozen import FROZEN, VECTORS, frozen, sound_packages

NAME = "08-arithmetic/stored"


def _copied(folder: Path) -> Path:
    place = folder / NAME
    shutil.copytree(VECTORS / NAME, place)
    return place / "vector.json"


def test_every_sound_package_is_frozen_as_it_is() -> None:
    text = FROZEN.read_text(encoding="utf-8")
    assert frozen(text) == text
    assert {v["id"] for v in sound_packages()} == json.loads(text)["packages"].keys()


@pytest.mark.parametrize("part", ["input", "expected"])
def test_a_package_that_changes_is_named(tmp_path: Path, part: str) -> None:
    path = _copied(tmp_path)
    text = frozen("", tmp_path)
    vector = json.loads(path.read_text(encoding="utf-8"))
    if part == "input":
        vector["input"]["sha256"] = "0" * 64
    else:
        vector["expected"]["state_digests"][-1] = "0" * 64
    path.write_text(json.dumps(vector), encoding="utf-8")
    with pytest.raises(ValueError, match=NAME):
        frozen(text, tmp_path)


def test_a_package_that_goes_is_named_and_one_that_comes_is_added(tmp_path: Path) -> None:
    path = _copied(tmp_path)
    text = frozen("", tmp_path)
    assert list(json.loads(text)["packages"]) == [NAME]
    assert frozen(text, tmp_path) == text
    path.unlink()
    with pytest.raises(ValueError, match=NAME):
        frozen(text, tmp_path)


def test_doors_for_later_versions_have_vectors() -> None:
    """Clause 10.3.2 lists what can be added; each row of its table has a vector."""
    opening = {"feature", "profile", "level", "dtype", "role", "coding", "distortion", "member"}
    frame = {"stream", "stream-coding", "mode", "segment", "variant", "bins-variant"}
    doors = opening | frame | {"objects", "folder", "minor"}
    found = {p.name.removeprefix("later-") for p in (VECTORS / "10-profiles").glob("later-*")}
    assert doors <= found
