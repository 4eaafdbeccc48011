"""Media of packages whose recovery is itself interrupted (clauses 5.1.5 and 16): none is lost."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nmc
from nmc.writing.folder import Folder
from nmc_format.manifest.media_table import CHUNK_BYTES

STEPS = ("move", "write", "sync", "remove", "create", "remove_folder")
"""What a recovery changes on the disk."""

SAME = b"two media of the same bytes"
BYTES = {
    "a": b"first",
    "b": SAME,
    "c": bytes(CHUNK_BYTES + 5),
    "d": SAME,
    "e": b"",
    "f": b"last",
}


class _Killed(BaseException):
    """The process ends here."""


def unfinished(path: Path, *, directory: bool, damaged: str) -> Path:
    """Leave an unfinished package behind, some of whose media are not what was copied."""
    media = [nmc.Media(data, name=name) for name, data in BYTES.items()]
    writer = nmc.Writer(path, media=media, directory=directory)
    writer.append({"w": np.zeros(3, np.float32)})
    writer._draft.close()
    folder = path if (path / "media").is_dir() else path.with_name(path.name + ".partial")
    for name in damaged:
        (folder / "media" / f"{list(BYTES).index(name):08d}").write_bytes(b"other")
    return path


def killed_at(step: int, patched: pytest.MonkeyPatch) -> None:
    """End the process before a step; nothing that follows reaches the disk."""
    done = 0

    def ending(original: Callable[..., Any]) -> Callable[..., Any]:
        def call(self: Folder, *arguments: Any, **options: Any) -> Any:
            nonlocal done
            done += 1
            if done > step:
                raise _Killed
            return original(self, *arguments, **options)

        return call

    for name in STEPS:
        patched.setattr(Folder, name, ending(getattr(Folder, name)))


@pytest.mark.sweep(2)
@pytest.mark.parametrize(
    ("damaged", "directory"), [("a", False), ("bd", True)], ids=["file", "directory"]
)
def test_a_recovery_that_is_killed_at_any_step_loses_no_medium(
    tmp_path: Path, damaged: str, directory: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = {name: data for name, data in BYTES.items() if name not in damaged}
    for step in itertools.count():
        path = unfinished(tmp_path / f"{step}.nmc", directory=directory, damaged=damaged)
        killed = False
        with monkeypatch.context() as patched:
            killed_at(step, patched)
            try:
                nmc.recover(path)
            except _Killed:
                killed = True
        if killed and any(path.parent.glob(f"{step}.nmc*/journal.ndjson")):
            nmc.recover(path)
        assert nmc.check(path).findings == ()
        with nmc.open(path) as sequence:
            assert {name: medium.read() for name, medium in sequence.media.items()} == left
        if not killed:
            break
    assert step > len(left)


def test_a_second_damage_after_an_interruption_takes_its_medium_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = unfinished(tmp_path / "a.nmc", directory=False, damaged="a")
    moved = Folder.move

    def last_but_one(self: Folder, name: str, target: Folder, new: str) -> None:
        if name == "00000005":
            raise _Killed
        moved(self, name, target, new)

    with monkeypatch.context() as patched:
        patched.setattr(Folder, "move", last_but_one)
        with pytest.raises(_Killed):
            nmc.recover(path)
    first = tmp_path / "a.nmc.partial" / "media" / "00000000"
    assert first.read_bytes() == SAME  # "b" lies there now
    first.write_bytes(b"other")
    nmc.recover(path)
    with nmc.open(path) as sequence:
        assert {name: medium.read() for name, medium in sequence.media.items()} == {
            name: BYTES[name] for name in "cdef"
        }
