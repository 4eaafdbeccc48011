"""The labelled data set of NYU Depth V2: one .mat of MATLAB 7.3, which is HDF5.

The library that reads it runs in a process of its own (:mod:`nmc_framework.depth.nyu_process`): a
file that crashes, hangs or exhausts it ends that process and no other.
"""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from nmc_format.isolated import isolated_command, isolated_environment, isolated_folder
from nmc_framework.depth.errors import DepthError
from nmc_framework.depth.pairs import Pair

_MODULE = "nmc_framework.depth.nyu_process"
_NEEDS = ("nmc_spec", "nmc_format", "nmc_framework", "numpy", "h5py")
#: Seconds for one answer: opening a file, or reading one picture.
_PATIENCE = 60
#: Most bytes of an answer's line: the scenes of all pictures.
_LONGEST_LINE = 1 << 26
#: The Kinect's colour camera, in pixels of 640 columns (the data set's toolbox).
_FOCAL, _COLUMNS = 518.86, 640


@dataclass(eq=False)
class NyuPictures:
    """An open .mat: ``scenes`` has the place of each picture."""

    path: Path
    scenes: list[str]
    size: tuple[int, int]
    process: subprocess.Popen[bytes]

    def __len__(self) -> int:
        return len(self.scenes)

    def pair(self, index: int) -> Pair:
        """Read a picture and its depth; where depth is no number above 0, it is missing.

        Raises
        ------
        DepthError
            When the file is damaged there.
        """
        if not 0 <= index < len(self):
            raise DepthError(f"{self.path.name}: it has {len(self)} pictures, no picture {index}")
        stdin, stdout = self.process.stdin, self.process.stdout
        assert stdin is not None
        assert stdout is not None
        height, width = self.size
        with _hurried(self.process):
            try:
                stdin.write(f"{index}\n".encode())
                stdin.flush()
            except OSError:
                raise DepthError(f"{self.path.name}: reading it failed") from None
            _answer(self.path, stdout)
            picture = _exactly(self.path, stdout, height * width * 3)
            depth = _exactly(self.path, stdout, height * width * 4)
        metres = np.frombuffer(depth, "<f4").reshape(height, width)
        with np.errstate(invalid="ignore"):
            metres = np.where(np.isfinite(metres) & (metres > 0), metres, 0).astype(np.float32)
        return Pair(
            np.frombuffer(picture, np.uint8).reshape(height, width, 3),
            metres,
            f"{self.path.name}, picture {index}",
            self.scenes[index] or self.path.stem,
            _FOCAL * width / _COLUMNS,
        )


@contextmanager
def open_nyu(path: Path) -> Iterator[NyuPictures]:
    """Open the labelled data set; the file is closed with the block.

    Raises
    ------
    DepthError
        When it is no such file.
    """
    if not path.is_file():
        raise DepthError(f"{path.name}: there is no such file")
    process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
        isolated_command(_MODULE, _NEEDS, path),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=isolated_environment(),
        cwd=isolated_folder(),
    )
    try:
        assert process.stdout is not None
        with _hurried(process):
            said = _answer(path, process.stdout)
        scenes = [str(name)[:200] for name in said["scenes"]]
        yield NyuPictures(path, scenes, (int(said["height"]), int(said["width"])), process)
    finally:
        process.kill()
        process.communicate()


@contextmanager
def _hurried(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """End a process that does not answer in time; what reads from it sees its end."""
    timer = threading.Timer(_PATIENCE, process.kill)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _answer(path: Path, stdout: IO[bytes]) -> dict[str, Any]:
    line = stdout.readline(_LONGEST_LINE)
    if not line.endswith(b"\n"):
        raise DepthError(f"{path.name}: the HDF5 library fails on it; copy the file again")
    said: dict[str, Any] = json.loads(line)
    if "refused" in said:
        raise DepthError(f"{path.name}: {said['refused']}")
    return said


def _exactly(path: Path, stdout: IO[bytes], count: int) -> bytes:
    data = stdout.read(count)
    if len(data) != count:
        raise DepthError(f"{path.name}: the HDF5 library fails on it; copy the file again")
    return data
