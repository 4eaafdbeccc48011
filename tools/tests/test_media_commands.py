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


@pytest.mark.parametrize(
    ("asked", "served"),
    [
        ("0:0,48:2", nmc.MediaMap((0, 48), (0, 2))),
        ("3:1,9:-", nmc.MediaMap((3, 9), (1, None))),
        ("0s:0,1.6s:1", nmc.MediaMap((0, 144_000), (0, 1), 90_000)),
    ],
)
@pytest.mark.parametrize("again", [False, True], ids=["files", "package"])
def test_roles_and_maps_are_said_where_a_file_is_packed(
    film: Path, tmp_path: Path, asked: str, served: nmc.MediaMap, again: bool
) -> None:
    (tmp_path / "sound.opus").write_bytes(b"sound")
    inputs = [film] if again else [tmp_path / f"frame{t}.npz" for t in range(3)]
    options = ["--media", tmp_path / "sound.opus", "--media-role", "sound.opus=sound"]
    name = "small.mp4"
    (tmp_path / name).write_bytes(CLIP)
    options += ["--media", tmp_path / name, "--media-role", f"{name}=low-resolution"]
    options += ["--media-map", f"{name}={asked}"]
    run("pack", *inputs, "-o", tmp_path / "b.nmc", *options)
    with nmc.open(tmp_path / "b.nmc") as sequence:
        assert sequence.media["sound.opus"].role == "sound"
        assert sequence.media[name].role == "low-resolution"
        assert sequence.media[name].map == served


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--media-role", "preview"], "has to name one of the files"),
        (["--media", "low.mp4", "--media-role", "Low Res"], "a-z, 0-9"),
        (["--media", "low.mp4", "--media-role", "x=preview"], "low.mp4"),
        (["--media", "low.mp4", "--media-map", "0:0,48"], "such as 0:0,48:1"),
        (["--media", "low.mp4", "--media-map", "4:0,4:1"], "ascend"),
        (["--media", "low.mp4", "--media-map", "0s:0,4:1"], "all with times"),
        (["--media", "low.mp4", "--media-map", "0s:0,nans:1"], "all with times"),
        (["--media", "low.mp4", "--media-map", "0:3"], "frame 3; there are 3 frames"),
        (["--media", "low.mp4", "--media-map", "0:0", "--media-map", "0:1"], "named twice"),
    ],
)
def test_roles_and_maps_that_are_none_are_wrong_usage(
    film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], told: str
) -> None:
    monkeypatch.chdir(tmp_path)
    inputs = [f"frame{t}.npz" for t in range(3)]
    said = run("pack", *inputs, "-o", "b.nmc", *options, code=2)
    assert told in " ".join(said.replace("│", " ").split())
    assert not list(tmp_path.glob("b.nmc*")) and film.exists()


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


@pytest.fixture
def secret(tmp_path: Path) -> tuple[Path, Path]:
    """Return an encrypted package without media, and its key."""
    pytest.importorskip("cryptography")
    key, plain = tmp_path / "scene.key", package(tmp_path / "plain.nmc")
    run("keygen", "--symmetric", "-o", key)
    run("encrypt", plain, "-o", tmp_path / "secret.nmc", "--key", key)
    return tmp_path / "secret.nmc", key


def test_media_are_kept_out_of_encrypted_packages_before_anything_is_written(
    film: Path, secret: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package_, key = secret
    made = tmp_path / "made.nmc"
    commands: list[list[object]] = [
        ["concat", package_, film, "-o", made, "--decrypt-key", key],
        ["encrypt", film, "-o", made, "--key", key],
    ]
    with monkeypatch.context() as patched:
        patched.delattr(nmc.Writer, "append_coded")  # refused before a frame is written
        for command in (*commands, ["pack", film, "-o", made, "--encrypt-key", key]):
            found = CliRunner().invoke(app, [str(argument) for argument in command])
            assert isinstance(found.exception, nmc.FormatError)
            assert "--without-media" in found.exception.finding.hint
    assert not list(tmp_path.glob("made*"))
    for command in commands:
        assert "low.mp4" in run(*command, "--without-media", "--force")
        with nmc.open(made, key=key) as sequence:
            assert not sequence.media
            assert len(sequence) in {3, 6}


def test_media_are_left_out_where_that_is_asked_for(film: Path, tmp_path: Path) -> None:
    made = tmp_path / "made.nmc"
    for command in (["extract", film], ["trim", film, "--stop", 2], ["concat", film, film]):
        said = run(*command, "-o", made, "--without-media", "--force")
        assert "left out of" in said
        assert "low.mp4" in said
        with nmc.open(made) as sequence:
            assert not sequence.media
        assert nmc.check(made).findings == ()
    assert "left out" not in run("extract", film, "-o", made, "--force")


def compared(a: Path, b: Path) -> list[dict[str, object]]:
    made = CliRunner().invoke(app, ["diff", str(a), str(b), "--json"])
    assert made.exit_code == 1
    found = json.loads(made.stdout)
    assert found["same"] is False
    assert found["differences"] == []
    rows: list[dict[str, object]] = found["media"]
    return rows


def test_packages_with_other_media_differ(tmp_path: Path) -> None:
    def made(path: str, **said: object) -> Path:
        given = {"file": CLIP, "name": "a", "role": "source", "map": {0: 0, 9: 2}, **said}
        return package(tmp_path / path, nmc.Media(**given))  # type: ignore[arg-type]

    first = made("first.nmc")
    assert "the same" in run("diff", first, made("same.nmc"))
    assert compared(first, made("type.nmc", type="a/b")) == [
        {"medium": "a", "what": "type", "values": ["application/octet-stream", "a/b"]}
    ]
    assert compared(first, made("role.nmc", role="")) == [
        {"medium": "a", "what": "role", "values": ["source", ""]}
    ]
    maps = [{"timescale": 0, "positions": [0, 9], "frames": [0, t]} for t in (2, 1)]
    assert compared(first, made("map.nmc", map={0: 0, 9: 1})) == [
        {"medium": "a", "what": "map", "values": maps}
    ]
    other = CLIP[:-1] + b"?"
    assert compared(first, made("bytes.nmc", file=other)) == [
        {"medium": "a", "what": "bytes", "values": [len(CLIP)] * 2, "offset": 262144}
    ]
    assert compared(first, made("name.nmc", name="b")) == [
        {"medium": "a", "what": "only in the first"},
        {"medium": "b", "what": "only in the second"},
    ]
    assert compared(first, package(tmp_path / "none.nmc")) == [
        {"medium": "a", "what": "only in the first"}
    ]
    for option in ((), ("--stat",)):
        said = run("diff", first, tmp_path / "bytes.nmc", *option, code=1)
        assert "medium a: bytes differ from 262144 on" in " ".join(said.split())
    run("diff", f"{first}@0", f"{tmp_path / 'bytes.nmc'}@0")  # of one frame, media are no part


def test_media_that_fail_their_digest_cannot_be_compared(film: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        run("trim", film, "-o", tmp_path / name, "--directory")
    member = tmp_path / "b" / "media" / "00000000"
    member.write_bytes(CLIP[:-1] + b"?")
    assert "media/sha256" in run("diff", tmp_path / "a", tmp_path / "b", code=2)
