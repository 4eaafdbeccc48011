"""The commands that write, each with what lies there before and what it has to make."""

from __future__ import annotations

import contextlib
import io
import itertools
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from safetensors.numpy import save_file

import nmc
from nmc.writing import signing
from nmc.writing.unfinished import Unfinished
from nmc_tools import cli

FRAMES = 4
BEFORE = 2
"""Frames of the package that is replaced, or that were finished before."""

State = dict[str, Any]


def chain(frames: int, seed: int = 0) -> list[State]:
    """Return a few small states, as fine-tuning makes them."""
    rng = np.random.default_rng(seed)
    weight, head = rng.normal(size=(32, 16)).astype("f4"), rng.normal(size=8).astype("f4")
    states = []
    for t in range(frames):
        states.append({"body": weight, "head": head, "fixed": np.arange(64.0)})
        if t == 1:
            head = head + np.float32(0.5)
        weight = weight + 1e-3 * np.abs(weight) * rng.normal(size=weight.shape).astype("f4")
    return states


def call(*arguments: str | Path) -> None:
    """Run the command line in this process; it ends in SystemExit."""
    sys.argv = ["nmc", *map(str, arguments)]
    cli.main()


def call_quietly(*arguments: str | Path) -> None:
    """Run the command line in this process, to prepare something."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        try:
            call(*arguments)
        except SystemExit as end:
            if end.code:
                raise


def write(path: Path, states: list[State], **options: Any) -> None:
    """Write a package with all records, as a training does."""
    with nmc.Writer(path, key_every=3, **options) as writer:
        writer.set_cameras(cameras())
        for state in states[len(writer) :]:
            writer.append(state, iterations=5, seconds=0.5)


def cameras() -> nmc.Cameras:
    """Return two cameras."""
    return nmc.Cameras(
        ["left", "right"],
        np.full((2, 2), 64),
        np.full((2, 4), 32.0),
        np.tile(np.eye(3, 4), (2, 1, 1)),
        np.eye(4),
    )


def begin(path: Path, states: list[State], **options: Any) -> None:
    """Leave an unfinished package."""
    writer = nmc.Writer(path, key_every=3, **options)
    writer.set_cameras(cameras())
    for state in states:
        writer.append(state, iterations=5, seconds=0.5)
    del writer


def inputs(root: Path) -> None:
    """Write checkpoints, one for each frame."""
    (root / "run").mkdir()
    for t, state in enumerate(chain(FRAMES)):
        save_file(state, root / "run" / f"{t}.safetensors")


@dataclass(frozen=True)
class Command:
    """A command that writes.

    Attributes
    ----------
    name : str
        As users know it.
    directory : bool
        The form of the package.
    prepare : function of a folder
        Makes what lies there before.
    run : function of a folder
        Carries it out.
    again : function of a folder
        Carries it out once more after it failed: ``--resume`` or ``--force``.
    counts : bool
        Whether frames that it finished have to be there after it failed; else its input has them.
    replaces : bool
        Whether there is a package before, which stays until the new one is complete.
    in_place : bool
        Whether its input is the package that it replaces.
    sent : bool
        Whether the package goes into a store, where nothing is recovered: it is sent again.
    synced : bool
        Whether a frame is finished only when the disk was waited for, and not as each is written.
    timed : bool
        Whether its manifest says how long it took, so that two runs differ in that.
    """

    name: str
    directory: bool
    prepare: Callable[[Path], None]
    run: Callable[[Path], None]
    again: Callable[[Path], None]
    counts: bool = False
    replaces: bool = False
    in_place: bool = False
    sent: bool = False
    synced: bool = False
    timed: bool = False

    @property
    def title(self) -> str:
        """Name and form."""
        return f"{self.name}, {'directory' if self.directory else 'file'}"


def packing(*, directory: bool) -> list[Command]:
    """Return the commands that make packages of states."""
    form = ["--directory"] * directory

    def pack(*more: str) -> Callable[[Path], None]:
        return lambda root: call(
            "pack", root / "run", "-o", root / "x.nmc", "--key-every", "3", *form, *more
        )

    def train(root: Path) -> None:
        write(root / "x.nmc", chain(FRAMES), directory=directory, resume=True)

    def train_late(root: Path) -> None:
        turns = itertools.count()
        with mock.patch.object(Unfinished, "is_due", lambda _: next(turns) % 2 == 1):
            train(root)

    def evaluate(root: Path) -> None:
        from nmc.writing import amend

        quality = nmc.Quality(["left"], {"psnr": np.full((FRAMES, 1), 30.0)})
        amend.write_quality(root / "x.nmc", quality)

    def old(root: Path) -> None:
        inputs(root)
        write(root / "x.nmc", chain(BEFORE, seed=1), directory=directory)

    def begun(root: Path) -> None:
        inputs(root)
        begin(root / "x.nmc", chain(BEFORE), directory=directory)

    def whole(root: Path) -> None:
        write(root / "x.nmc", chain(FRAMES), directory=directory)

    return [
        Command("pack", directory, inputs, pack(), pack("--resume"), counts=True),
        Command("pack --force", directory, old, pack("--force"), pack("--force"), replaces=True),
        Command("pack --resume", directory, begun, pack("--resume"), pack("--resume"), counts=True),
        Command("train", directory, inputs, train, train, counts=True),
        Command(
            "train, every other frame synced",
            directory,
            inputs,
            train_late,
            train_late,
            counts=True,
            synced=True,
        ),
        Command("evaluate", directory, whole, evaluate, evaluate, replaces=True, in_place=True),
        Command(
            "recover",
            directory,
            lambda root: begin(root / "x.nmc", chain(BEFORE), directory=directory),
            lambda root: call("recover", root / "x.nmc"),
            lambda root: call("recover", root / "x.nmc"),
            counts=True,
        ),
    ]


def packing_lossy(*, directory: bool) -> list[Command]:
    """Return the options of ``nmc pack`` that write in another way."""
    form = ["--directory"] * directory

    def pack(*more: str) -> Callable[[Path], None]:
        return lambda root: call("pack", root / "run", "-o", root / "x.nmc", *form, *more)

    made = []
    for options in (["--quality", "30"], ["--quality", "30", "--refine", "12"], ["--jobs", "2"]):
        again = pack(*options, "--resume")
        name = " ".join(["pack", *options])
        made.append(Command(name, directory, inputs, pack(*options), again, counts=True))
    return made


def transmitting(*, directory: bool) -> list[Command]:
    """Return the commands that sign, send, serve and take in."""

    def whole(root: Path) -> None:
        write(root / "x.nmc", chain(FRAMES), directory=directory)
        nmc.PrivateKey.generate("studio").write(root / "key")

    def sign(root: Path) -> None:
        with mock.patch.object(signing, "_now", lambda: "2026-01-01T00:00:00Z"):
            call("sign", root / "x.nmc", "--key", root / "key")

    def source(root: Path) -> None:
        write(root / "in.nmc", chain(FRAMES), directory=directory)

    def sent_before(root: Path) -> None:
        source(root)
        write(root / "x.nmc", chain(BEFORE, seed=1), directory=directory)

    def push(*more: str) -> Callable[[Path], None]:
        return lambda root: call("push", root / "in.nmc", f"file://{root / 'x.nmc'}", *more)

    def deltas(root: Path) -> None:
        write(root / "in.nmc", chain(FRAMES), directory=directory)
        call_quietly("bridge", "export", root / "in.nmc", "-o", root / "deltas")

    def take(*more: str) -> Callable[[Path], None]:
        form = ["--directory"] * directory
        return lambda root: call(
            "bridge", "import", root / "deltas", "-o", root / "x.nmc", *form, *more
        )

    def train(root: Path) -> None:
        from nmc_tools.serve import in_thread

        with (
            mock.patch.object(in_thread, "IDLE_SECONDS", 0.0),
            in_thread.beside(root / "x.nmc", "127.0.0.1", 0),
        ):
            write(root / "x.nmc", chain(FRAMES), directory=directory, resume=True)

    return [
        Command("sign", directory, whole, sign, sign, replaces=True),
        Command("push", directory, source, push(), push(), sent=True),
        Command(
            "push --force", directory, sent_before, push("--force"), push("--force"), sent=True
        ),
        Command("bridge import", directory, deltas, take(), take("--resume"), counts=True),
        Command("train --serve", directory, inputs, train, train, counts=True),
    ]


def recutting(*, directory: bool) -> list[Command]:
    """Return the commands that make packages of packages, elsewhere and in place."""
    form = ["--directory"] * directory

    def source(root: Path) -> None:
        write(root / "in.nmc", chain(FRAMES), directory=directory)

    def here(root: Path) -> None:
        write(root / "x.nmc", chain(FRAMES), directory=directory)

    def cut(name: str, *arguments: str, place: str = "in.nmc") -> Callable[[Path], None]:
        def run(root: Path) -> None:
            packages = [root / place] * (2 if name == "concat" else 1)
            call(name, *packages, "-o", root / "x.nmc", *arguments, *form)

        return run

    made = []
    for name, arguments in (
        ("extract", ["--frames", "0,2-3"]),
        ("trim", ["--start", "1"]),
        ("concat", []),
    ):
        run = cut(name, *arguments)
        again = cut(name, *arguments, "--force")
        made.append(Command(name, directory, source, run, again))
        inside = cut(name, *arguments, "--force", place="x.nmc")
        made.append(
            Command(
                f"{name} in place", directory, here, inside, inside, replaces=True, in_place=True
            )
        )
    return made
