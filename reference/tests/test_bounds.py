"""Bombs: what declares much and holds little is refused in bounded memory and time."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import zstandard
from nmc_samples import chain, edit, members, objects_of, put_objects, rebuild, segment_path, write

from nmc_format.package import zip64

resource = pytest.importorskip("resource")

MEMORY = 3 * 2**30
"""Address space of the process under test: the libraries alone take about one GiB of it."""

SECONDS = 60


def zeros(path: str, shape: tuple[int, ...], dtype: str) -> Callable[[Path], None]:
    """Replace an object by one of many zeros, which compress to almost nothing."""

    def damage(p: Path) -> None:
        with h5py.File(p / "manifest.h5", "r+") as file:
            del file[path]
            file.create_dataset(path, shape, dtype, chunks=True, compression="gzip")

    return damage


def sparse_segment(p: Path) -> None:
    os.truncate(segment_path(p, 1), 2**40)


def sparse_file(p: Path) -> None:
    size = 2**40
    with p.open("r+b") as file:
        file.seek(size)
        file.write(zip64._end_records(2**33, size - 1000, 1000))


def shape_bomb(p: Path) -> None:
    rebuild(p, 0, shapes={0: (2**23, 2**23)})


def zstd_bomb(p: Path) -> None:
    edit(p, "/frames/state_bytes", lambda a: a.__setitem__(0, 2**40))
    edit(p, "/@level", lambda a: a.__setitem__((), 4))
    rebuild(p, 0, payloads=lambda _: {"raw.zstd": zstandard.compress(bytes(2**27))})


def many_rows(p: Path) -> None:
    objects = objects_of(p)
    count = 4_000_000
    for path in [x for x in objects if x.startswith("/model/tensors")]:
        objects[path] = np.zeros((count, *objects[path].shape[1:]), objects[path].dtype)
    put_objects(p, objects)


def long_configuration(p: Path) -> None:
    """A JSON text that is small as bytes, and large as Python objects."""
    text = b'{"x":[' + b"[]," * 10_000_000 + b"[]]}"
    edit(p, "/model@configuration", lambda _: np.array(text))


BOMBS: dict[str, tuple[Callable[[Path], None], str]] = {
    "rows of zeros": (zeros("model/tensors/name", (2**40,), "S1"), "manifest/too-large"),
    "frames of zeros": (zeros("frames/coding", (200 * 2**20,), "u1"), "manifest/object-shape"),
    "digests of zeros": (zeros("frames/state_digest", (2**20, 2**20), "u1"), "manifest/too-large"),
    "texts of a gigabyte": (zeros("model/tensors/name", (4,), "S1000000000"), "manifest/too-large"),
    "four million rows": (many_rows, "profile/level-exceeded"),
    "shape of 2^46 elements": (shape_bomb, "segment/state-bytes"),
    "a segment of a terabyte of holes": (sparse_segment, "segment/length"),
    "a level that was not asked for": (zstd_bomb, "profile/level-refused"),
    "a configuration of ten million lists": (long_configuration, "manifest/value"),
}


def limit() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


def check(path: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "nmc_tools.cli", "check", str(path)]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, preexec_fn=limit, timeout=SECONDS
    )


#: Those of one kind with another, and of seconds: ``make test-all`` has them.
LONG = {
    "four million rows": 0.08,
    "frames of zeros": 0.05,
    "a configuration of ten million lists": 0.03,
    "texts of a gigabyte": 0.02,
}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow(minutes=LONG[name])] if name in LONG else [])
        for name in BOMBS
    ],
)
def test_a_bomb_in_a_folder(tmp_path, name) -> None:
    damage, code = BOMBS[name]
    path = write(tmp_path / "x.nmc", chain(3), directory=True, entropy="none")
    try:
        damage(path)
    except OSError:
        pytest.skip("this file system has no files of that size with holes")
    done = check(path)
    assert done.returncode == 1
    told = [line for line in done.stderr.splitlines() if not line.startswith("progress ")]
    assert len(told) == 1 and told[0].startswith(f"error {code} at "), done.stderr


def test_a_bomb_in_a_file(tmp_path) -> None:
    path = write(tmp_path / "x.nmc", chain(3))
    assert len(members(path)) == 4
    try:
        sparse_file(path)
    except OSError:
        pytest.skip("this file system has no files of that size with holes")
    done = check(path)
    assert done.returncode == 1
    assert done.stderr.startswith("error package/zip-structure at ")
