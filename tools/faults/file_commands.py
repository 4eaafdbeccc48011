"""The commands that write files beside packages, and what of these may be there after a fault."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from commands import FRAMES, call, chain, write
from sealing_commands import MEDIUM, kept

import nmc
from nmc.reading.keys import read_public_keys

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import fsspec
from gaussian_samples import gaussians

OUT = "out"
"""Where they write, below the folder of a trial."""


@dataclass(frozen=True)
class FileCommand:
    """A command that writes files other than packages.

    Attributes
    ----------
    name : str
        As users know it.
    directory : bool
        The form of the package that it reads.
    prepare, run, again : functions of a folder
        As of a ``Command``.
    fingerprint : function of bytes
        What two runs of the command have in common of a file: all of it, or that it is whole.
    never_fails : bool
        Whether what it writes is an aid, whose loss is no reason to fail.
    """

    name: str
    directory: bool
    prepare: Callable[[Path], None]
    run: Callable[[Path], None]
    again: Callable[[Path], None]
    fingerprint: Callable[[Path], bytes] = Path.read_bytes
    never_fails: bool = False
    counts: bool = False

    @property
    def title(self) -> str:
        """Name and form."""
        return f"{self.name}, {'directory' if self.directory else 'file'}"


Files = Mapping[str, bytes]


def files(command: FileCommand, root: Path) -> Files:
    """Return what lies below the output of a command, by its path."""
    out = root / OUT
    return {
        path.relative_to(out).as_posix(): command.fingerprint(path)
        for path in sorted(out.rglob("*"))
        if path.is_file()
    }


def is_litter(name: str) -> bool:
    """Whether a file is one that was not finished: it has another name than the result."""
    return name.endswith((".partial", ".new")) or "/." in f"/{name}"


def _source(*, directory: bool) -> Callable[[Path], None]:
    def prepare(root: Path) -> None:
        write(root / "in.nmc", chain(FRAMES), directory=directory)
        (root / OUT).mkdir()

    return prepare


def _splats(*, directory: bool) -> Callable[[Path], None]:
    def prepare(root: Path) -> None:
        with nmc.Writer(root / "in.nmc", directory=directory) as writer:
            for t in range(2):
                state = gaussians(6, 1)
                state["xyz"] += np.float32(0.01 * t)
                writer.append(state)
        (root / OUT).mkdir()

    return prepare


def unpacking(*, directory: bool) -> list[FileCommand]:
    """Return the targets of ``nmc unpack``."""

    def unpack(to: str, *more: str) -> Callable[[Path], None]:
        return lambda root: call("unpack", root / "in.nmc", "-o", root / OUT, "--to", to, *more)

    def carried(root: Path) -> None:
        media = [nmc.Media(MEDIUM, name="low.mp4"), nmc.Media(b"sound", name="a.opus")]
        write(root / "in.nmc", chain(2), directory=directory, media=media)
        (root / OUT).mkdir()

    def trained(root: Path) -> None:
        kept(root)
        (root / OUT).mkdir()

    made = [
        FileCommand(
            f"unpack --to {to}",
            directory,
            (_splats if to in ("ply", "spz", "gltf") else _source)(directory=directory),
            unpack(to),
            unpack(to, "--resume"),
        )
        for to in ("safetensors", "npz", "pt", "ply", "spz", "gltf")
    ]
    for name, prepare, options in (
        ("unpack --media", carried, ("npz", "--media")),
        ("unpack --names source", trained, ("pt", "--names", "source")),
    ):
        run, again = unpack(*options), unpack(*options, "--resume")
        made.append(FileCommand(name, directory, prepare, run, again))
    return made


def bridging(*, directory: bool) -> list[FileCommand]:
    """Return the targets of ``nmc bridge export``."""

    def export(to: str) -> Callable[[Path], None]:
        return lambda root: call(
            "bridge", "export", root / "in.nmc", "-o", root / OUT / "chain", "--to", to
        )

    def again(to: str) -> Callable[[Path], None]:
        def run(root: Path) -> None:
            shutil.rmtree(root / OUT / "chain", ignore_errors=True)
            export(to)(root)

        return run

    return [
        FileCommand(
            f"bridge export --to {to}",
            directory,
            _source(directory=directory),
            export(to),
            again(to),
        )
        for to in ("xor", "overwrite", "trl", "messages")
    ]


def describing(*, directory: bool) -> list[FileCommand]:
    """Return ``nmc present``, and reading through a cache."""

    def qualities(root: Path) -> None:
        (root / OUT).mkdir()
        for name, effort in (("low.nmc", "fast"), ("high.nmc", "strong")):
            write(root / OUT / name, chain(FRAMES), directory=directory, effort=effort)

    def present(*more: str) -> Callable[[Path], None]:
        def run(root: Path) -> None:
            out = root / OUT
            places = [out / "low.nmc", out / "high.nmc"]
            call("present", *places, "-o", out / "sequence.json", "--group", "0.01", *more)

        return run

    def stored(root: Path) -> None:
        _source(directory=directory)(root)
        store = fsspec.filesystem("memory")
        store.put(str(root / "in.nmc"), f"/faults/{directory}.nmc", recursive=True)

    def read(root: Path) -> None:
        with nmc.open(f"memory://faults/{directory}.nmc", cache=root / OUT) as sequence:
            for t, state in enumerate(chain(FRAMES)):
                found = sequence[t]
                if any(found[name].tobytes() != array.tobytes() for name, array in state.items()):
                    raise AssertionError("another state")

    return [
        FileCommand("present", directory, qualities, present(), present("--force")),
        FileCommand("read, cached", directory, stored, read, read, never_fails=True),
    ]


def key_files(root: Path) -> bytes:
    """Return whether a file of a key is whole; keys are new ones each time."""
    try:
        if root.name.endswith(".pub"):
            return b"public" if read_public_keys(root) else b""
        return b"private" if nmc.PrivateKey.read(root) else b""
    except nmc.FormatError:
        return b"damaged"


def keys() -> list[FileCommand]:
    """Return ``nmc keygen``."""

    def prepare(root: Path) -> None:
        (root / OUT).mkdir()

    def keygen(*more: str) -> Callable[[Path], None]:
        return lambda root: call("keygen", "-o", root / OUT / "key", "--no-passphrase", *more)

    return [FileCommand("keygen", False, prepare, keygen(), keygen("--force"), key_files)]
