"""Media of a package (clause 16): written, read back verified, checked, recovered."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import nmc
from nmc.writing import media as writing_media
from nmc_format.json_view import json_view
from nmc_format.manifest.media_table import CHUNK_BYTES

CLIP = bytes(range(256)) * 3000
"""Bytes of three chunks, the last of which is shorter."""

FORMS = pytest.mark.parametrize("directory", [False, True], ids=["file", "directory"])


def states(count: int = 3) -> list[dict[str, np.ndarray]]:
    return [{"w": np.full(50, t, np.float32)} for t in range(count)]


def clip_at(folder: Path, name: str = "clip.mp4", data: bytes = CLIP) -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def package_with(path: Path, *media: nmc.Media, frames: int = 3, **options: object) -> Path:
    with nmc.Writer(path, media=media, **options) as writer:  # type: ignore[arg-type]
        for state in states(frames):
            writer.append(state)
    return path


@FORMS
def test_media_come_back_as_they_were(tmp_path: Path, directory: bool) -> None:
    media = (
        nmc.Media(clip_at(tmp_path), role="low-resolution", map={0: 0, 48: 2, 60: None}),
        nmc.Media(b"", name="nothing.txt"),
        nmc.Media(io.BytesIO(b"a sound"), name="소리.flac", map={0: 1}, timescale=48_000),
    )
    path = package_with(tmp_path / "a.nmc", *media, directory=directory)
    assert nmc.check(path).findings == ()
    with nmc.open(path) as sequence:
        assert list(sequence.media) == ["clip.mp4", "nothing.txt", "소리.flac"]
        clip, nothing, sound = sequence.media.values()
        assert (clip.type, clip.role, clip.size) == ("video/mp4", "low-resolution", len(CLIP))
        assert clip.read() == CLIP
        assert nothing.read() == b""
        assert nothing.open().read() == b""
        assert (nothing.type, nothing.map) == ("text/plain", None)
        assert (sound.type, sound.read()) == ("audio/flac", b"a sound")
        assert clip.map is not None
        assert [clip.map.frame_at(t) for t in (-1, 0, 47, 48, 59, 60, 10**20)] == [
            *(None, 0, 0, 2, 2, None, None)
        ]
        assert sound.map == nmc.MediaMap((0,), (1,), 48_000)
        with clip.open() as file:
            assert file.seek(-5, os.SEEK_END) == len(CLIP) - 5
            assert file.read() == CLIP[-5:]
            file.seek(CHUNK_BYTES - 2)
            assert file.read(4) == CLIP[CHUNK_BYTES - 2 : CHUNK_BYTES + 2]
        np.testing.assert_array_equal(sequence[2]["w"], states()[2]["w"])


def test_a_package_without_media_is_what_it_was(tmp_path: Path) -> None:
    path = package_with(tmp_path / "a.nmc")
    with nmc.open(path) as sequence:
        assert dict(sequence.media) == {}
        assert json_view(sequence.manifest)["media"] == []
        assert sequence.manifest.media is None


def damaged(path: Path, change: Callable[[bytes], bytes | None]) -> Path:
    """Change a medium of a package directory."""
    member = path / "media" / "00000000"
    made = change(member.read_bytes())
    if made is None:
        member.unlink()
    else:
        member.write_bytes(made)
    return path


FAULTS = {
    "missing": (lambda data: None, "package/member-missing"),
    "longer": (lambda data: data + b"x", "media/length"),
    "shorter": (lambda data: data[:-1], "media/length"),
    "changed": (lambda data: data[:-1] + b"?", "media/sha256"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_bytes_that_fail_their_digest_are_never_given(tmp_path: Path, name: str) -> None:
    change, code = FAULTS[name]
    clip = nmc.Media(clip_at(tmp_path))
    path = damaged(package_with(tmp_path / "a.nmc", clip, directory=True), change)
    assert [f.code for f in nmc.check(path).findings] == [code]
    assert not nmc.check(path, decode=False).accepted
    with nmc.open(path) as sequence:  # a chain decodes without its media
        assert sequence[2]["w"][0] == 2
        medium = sequence.media["clip.mp4"]
        with pytest.raises(nmc.FormatError) as refused:
            medium.read()
        assert refused.value.finding.code == code
        if name == "changed":
            assert refused.value.finding.place.offset == 2 * CHUNK_BYTES
            assert medium.chunk(0) == CLIP[:CHUNK_BYTES]  # the rest is as it was
        with medium.open() as file, pytest.raises(nmc.FormatError):
            file.seek(-1, os.SEEK_END)
            file.read(1)


def test_members_of_no_medium_are_warned_of(tmp_path: Path) -> None:
    path = package_with(tmp_path / "a.nmc", directory=True)
    (path / "media").mkdir()
    (path / "media" / "00000000").write_bytes(b"surplus")
    report = nmc.check(path)
    assert report.accepted
    assert [f.code for f in report.findings] == ["package/member-unknown"]


def test_a_link_in_place_of_a_medium_is_not_followed(tmp_path: Path) -> None:
    path = package_with(tmp_path / "a.nmc", nmc.Media(clip_at(tmp_path)), directory=True)
    member = path / "media" / "00000000"
    member.unlink()
    member.symlink_to(tmp_path / "clip.mp4")
    assert [f.code for f in nmc.check(path).findings] == ["package/not-a-file"]


@pytest.mark.parametrize(
    ("media", "words"),
    [
        (nmc.Media(b"x"), "give it one"),
        (nmc.Media(b"x", name="a/b"), "name of a file alone"),
        (nmc.Media(b"x", name=".."), "name of a file alone"),
        (nmc.Media(b"x", name="a\nb"), "control characters"),
        (nmc.Media(b"x", name="é" * 128), "256 bytes"),
        (nmc.Media(b"x", name="a", type="video"), "not a media type"),
        (nmc.Media(b"x", name="a", type="Video/MP4"), "not a media type"),
        (nmc.Media(b"x", name="a", role="Low Resolution"), "role"),
        (nmc.Media(b"x", name="a", map={5: 0, 5.5: 1}), "positions"),  # type: ignore[dict-item]
        (nmc.Media(b"x", name="a", map={5: 0, 3: 1}), "do not ascend"),
        (nmc.Media(b"x", name="a", map={5: -1}), "frames or None"),
        (nmc.Media("nowhere.mp4"), "no such file"),
    ],
)
def test_what_no_manifest_may_say_is_refused_at_once(
    tmp_path: Path, media: nmc.Media, words: str
) -> None:
    with pytest.raises(nmc.FormatError, match=words):
        nmc.Writer(tmp_path / "a.nmc", media=[media])
    assert list(tmp_path.iterdir()) == []


def test_two_media_of_one_name_are_refused(tmp_path: Path) -> None:
    with nmc.Writer(tmp_path / "a.nmc", media=[nmc.Media(b"x", name="a")]) as writer:
        with pytest.raises(nmc.FormatError, match="another medium of this name"):
            writer.add_media(nmc.Media(b"y", name="a"))
        writer.append(states()[0])
    assert nmc.check(tmp_path / "a.nmc").findings == ()


def test_a_map_beyond_the_frames_is_refused_when_the_package_is_closed(tmp_path: Path) -> None:
    writer = nmc.Writer(tmp_path / "a.nmc", media=[nmc.Media(b"x", name="a", map={0: 3})])
    for state in states():
        writer.append(state)
    with pytest.raises(nmc.FormatError, match="frame 3 of a map"):
        writer.close()
    writer.append(states()[0])  # nothing is lost: the frame that it names can still come
    writer.close()
    assert nmc.check(tmp_path / "a.nmc").findings == ()


class _Growing(io.FileIO):
    """A file that somebody else writes to while it is read."""

    def read(self, size: int = -1) -> bytes:
        data = super().read(size)
        with Path(self.name).open("ab") as file:
            file.write(b"more")
        return data


@FORMS
def test_a_file_that_changes_while_it_is_copied_is_refused(tmp_path: Path, directory: bool) -> None:
    path = clip_at(tmp_path)
    writer = nmc.Writer(tmp_path / "a.nmc", directory=directory)
    with (
        _Growing(path) as file,
        pytest.raises(nmc.FormatError, match="changed while it was copied"),
    ):
        writer.add_media(nmc.Media(file))
    for state in states():
        writer.append(state)
    writer.close()
    assert nmc.check(tmp_path / "a.nmc").findings == ()
    with nmc.open(tmp_path / "a.nmc") as sequence:
        assert not sequence.media


@FORMS
def test_a_full_disk_leaves_the_writer_as_it_was(
    tmp_path: Path, directory: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = nmc.Writer(tmp_path / "a.nmc", directory=directory)
    writer.append(states()[0])

    def full(self: writing_media.Copying) -> object:
        yield CLIP[:10]
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(writing_media.Copying, "chunks", full)
        with pytest.raises(nmc.FormatError) as refused:
            writer.add_media(nmc.Media(CLIP, name="clip.mp4"))
    assert refused.value.finding.code == "host/no-space"
    writer.add_media(nmc.Media(CLIP, name="clip.mp4"))
    writer.close()
    with nmc.open(tmp_path / "a.nmc") as sequence:
        assert sequence.media["clip.mp4"].read() == CLIP


@FORMS
def test_media_are_recovered_with_the_frames_that_are_there(
    tmp_path: Path, directory: bool
) -> None:
    media = nmc.Media(CLIP, name="clip.mp4", map={0: 0, 5: 1, 9: 2})
    writer = nmc.Writer(tmp_path / "a.nmc", media=[media], directory=directory)
    for state in states(2):
        writer.append(state)
    writer._draft.close()
    del writer
    assert nmc.recover(tmp_path / "a.nmc") == 2
    assert nmc.check(tmp_path / "a.nmc").findings == ()
    with nmc.open(tmp_path / "a.nmc") as sequence:
        assert sequence.media["clip.mp4"].read() == CLIP
        assert sequence.media["clip.mp4"].map == nmc.MediaMap((0, 5, 9), (0, 1, None))


@FORMS
def test_resumed_work_keeps_its_media_and_their_maps(tmp_path: Path, directory: bool) -> None:
    media = nmc.Media(CLIP, name="clip.mp4", map={0: 0, 5: 1, 9: 2})
    writer = nmc.Writer(tmp_path / "a.nmc", media=[media], directory=directory)
    writer.append(states()[0])
    writer._draft.close()
    del writer
    with nmc.Writer(tmp_path / "a.nmc", media=[media], directory=directory, resume=True) as writer:
        assert len(writer) == 1
        for state in states()[1:]:
            writer.append(state)
    with nmc.open(tmp_path / "a.nmc") as sequence:
        assert len(sequence.media) == 1
        assert sequence.media["clip.mp4"].map == nmc.MediaMap((0, 5, 9), (0, 1, 2))
    assert nmc.check(tmp_path / "a.nmc").findings == ()


def test_a_directory_that_is_replaced_leaves_no_media_behind(tmp_path: Path) -> None:
    path = package_with(tmp_path / "a.nmc", nmc.Media(CLIP, name="a"), directory=True)
    package_with(path, directory=True, overwrite=True)
    assert sorted(entry.name for entry in path.iterdir()) == ["manifest.h5", "segments"]
    assert nmc.check(path).findings == ()


def test_an_encrypted_package_takes_no_media_in_the_clear(tmp_path: Path) -> None:
    key = hashlib.sha256(b"key").digest()
    with pytest.raises(nmc.FormatError, match="not encrypted"):
        nmc.Writer(tmp_path / "a.nmc", encrypt_key=key, media=[nmc.Media(b"x", name="a")])
    assert list(tmp_path.iterdir()) == []
