"""Media by the commands: packed, shown, unpacked, joined, cut, recovered."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import nmc
from nmc_tools.cli import app

CLIP = bytes(range(256)) * 2000


def run(*arguments: object, code: int = 0) -> str:
    made = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert made.exit_code == code, made.output
    return made.output


def package(path: Path, *media: nmc.Media) -> Path:
    with nmc.Writer(path, media=media) as writer:
        for t in range(3):
            writer.append({"w": np.full(50, t, np.float32)})
    return path


@pytest.fixture
def film(tmp_path: Path) -> Path:
    (tmp_path / "low.mp4").write_bytes(CLIP)
    for t in range(3):
        np.savez(tmp_path / f"frame{t}.npz", w=np.full(50, t, np.float32))
    inputs = [tmp_path / f"frame{t}.npz" for t in range(3)]
    run("pack", *inputs, "-o", tmp_path / "film.nmc", "--media", tmp_path / "low.mp4")
    return tmp_path / "film.nmc"


def test_a_file_is_packed_shown_and_unpacked(film: Path, tmp_path: Path) -> None:
    assert "low.mp4, video/mp4" in run("inspect", film)
    (medium,) = json.loads(run("inspect", film, "--json"))["media"]
    assert (medium["file"], medium["length"]) == ("low.mp4", len(CLIP))
    run("unpack", film, "-o", tmp_path / "out", "--media")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["low.mp4"]
    assert (tmp_path / "out" / "low.mp4").read_bytes() == CLIP
    run("unpack", film, "-o", tmp_path / "out", "--media", code=1)
    run("unpack", film, "-o", tmp_path / "out", "--media", "--force")
    run("check", film)


def test_a_file_that_is_not_there_leaves_nothing(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", w=np.zeros(3, np.float32))
    run("pack", tmp_path / "a.npz", "-o", tmp_path / "a.nmc", "--media", tmp_path / "no", code=1)
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]


def test_cut_and_joined_packages_keep_their_media(film: Path, tmp_path: Path) -> None:
    other = package(tmp_path / "b.nmc", nmc.Media(b"b", name="low.mp4", map={0: 0, 7: 2}))
    run("concat", film, other, "-o", tmp_path / "both.nmc")
    with nmc.open(tmp_path / "both.nmc") as sequence:
        assert sequence.media["low.mp4"].read() == CLIP
        assert sequence.media["low-2.mp4"].map == nmc.MediaMap((0, 7), (3, 5))
    run("trim", other, "-o", tmp_path / "cut.nmc", "--start", 1)
    with nmc.open(tmp_path / "cut.nmc") as sequence:
        assert sequence.media["low.mp4"].map == nmc.MediaMap((0, 7), (None, 1))
    run("pack", other, "-o", tmp_path / "again.nmc")
    with nmc.open(tmp_path / "again.nmc") as sequence:
        assert sequence.media["low.mp4"].map == nmc.MediaMap((0, 7), (0, 2))


@pytest.mark.parametrize("directory", [False, True])
def test_media_are_pushed_with_the_frames(film: Path, tmp_path: Path, directory: bool) -> None:
    source = film
    if directory:
        run("trim", film, "-o", tmp_path / "folder.nmc", "--directory")
        source = tmp_path / "folder.nmc"
    run("push", source, (tmp_path / "store" / "film.nmc").as_uri())
    assert nmc.check(tmp_path / "store" / "film.nmc").findings == ()
    with nmc.open(tmp_path / "store" / "film.nmc") as sequence:
        assert sequence.media["low.mp4"].read() == CLIP


def test_a_medium_that_is_damaged_before_recovery_is_named(tmp_path: Path) -> None:
    media = [nmc.Media(b"first", name="a"), nmc.Media(b"second", name="b")]
    writer = nmc.Writer(tmp_path / "a.nmc", media=media)
    writer.append({"w": np.zeros(3, np.float32)})
    writer._draft.close()
    del writer
    (tmp_path / "a.nmc.partial" / "media" / "00000000").write_bytes(b"other")
    assert "'a'" in run("recover", tmp_path / "a.nmc", code=1)
    with nmc.open(tmp_path / "a.nmc") as sequence:
        assert {name: medium.read() for name, medium in sequence.media.items()} == {"b": b"second"}
    assert nmc.check(tmp_path / "a.nmc").findings == ()
