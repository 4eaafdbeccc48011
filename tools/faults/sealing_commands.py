"""The commands that encrypt, that carry media, and that code a package anew."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from unittest import mock

from commands import FRAMES, Command, begin, call, call_quietly, chain, inputs, write

import nmc
from nmc.writing import signing

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "format" / "tests"))

from fixed_salts import fixed_salts

KEY = bytes(range(32))
MEDIUM = bytes(range(256)) * 1100
"""Two chunks, the second of them short."""


def _key_file(place: Path) -> None:
    """Write a key; what judges a package takes the one of its name beside it."""
    place.write_text(f"{KEY.hex()}\n", encoding="ascii")
    place.chmod(0o600)


def encrypting(*, directory: bool) -> list[Command]:
    """Return the commands that encrypt and decrypt."""
    form = ["--directory"] * directory

    def plain(root: Path) -> None:
        write(root / "in.nmc", chain(FRAMES), directory=directory)
        _key_file(root / "x.key")

    def closed(root: Path, name: str = "in") -> None:
        with fixed_salts():
            write(root / f"{name}.nmc", chain(FRAMES), directory=directory, encrypt_key=KEY)
        _key_file(root / f"{name}.key")

    def states(root: Path) -> None:
        inputs(root)
        _key_file(root / "x.key")

    def signed(root: Path) -> None:
        closed(root, "x")
        nmc.PrivateKey.generate("studio").write(root / "key")

    def salted(*words: str, key: str = "x.key") -> Callable[[Path], None]:
        name, source, option, *more = words

        def run(root: Path) -> None:
            with fixed_salts():
                call(
                    *(name, root / source, "-o", root / "x.nmc", option, root / key),
                    *(*form, *more),
                )

        return run

    def sign(root: Path) -> None:
        with mock.patch.object(signing, "_now", lambda: "2026-01-01T00:00:00Z"):
            call("sign", root / "x.nmc", "--key", root / "key")

    encrypt, decrypt = ("encrypt", "in.nmc", "--key"), ("decrypt", "in.nmc", "--key")
    pack = ("pack", "run", "--encrypt-key")
    return [
        Command("encrypt", directory, plain, salted(*encrypt), salted(*encrypt, "--force")),
        Command(
            "decrypt",
            directory,
            closed,
            salted(*decrypt, key="in.key"),
            salted(*decrypt, "--force", key="in.key"),
        ),
        Command(
            "pack --encrypt-key",
            directory,
            states,
            salted(*pack),
            salted(*pack, "--resume"),
            counts=True,
        ),
        Command("sign encrypted", directory, signed, sign, sign, replaces=True),
    ]


def _media(root: Path) -> list[nmc.Media]:
    return [
        nmc.Media(root / "low.mp4", map={0: 0, 9: 1}),
        nmc.Media(b"sound", name="a.opus", role="sound"),
    ]


def carrying(*, directory: bool) -> list[Command]:
    """Return the commands that carry media."""
    form = ["--directory"] * directory

    def files(root: Path) -> None:
        inputs(root)
        (root / "low.mp4").write_bytes(MEDIUM)

    def begun(root: Path) -> None:
        files(root)
        begin(root / "x.nmc", chain(2), directory=directory, media=_media(root))

    def whole(root: Path, name: str = "in.nmc") -> None:
        (root / "low.mp4").write_bytes(MEDIUM)
        write(root / name, chain(FRAMES), directory=directory, media=_media(root))

    def pack(*more: str) -> Callable[[Path], None]:
        return lambda root: call(
            *("pack", root / "run", "-o", root / "x.nmc", "--key-every", "3"),
            *("--media", root / "low.mp4", *form, *more),
        )

    def train(root: Path) -> None:
        write(root / "x.nmc", chain(FRAMES), directory=directory, resume=True, media=_media(root))

    def cut(name: str, *more: str, place: str = "in.nmc") -> Callable[[Path], None]:
        def run(root: Path) -> None:
            packages = [root / place] * (2 if name == "concat" else 1)
            call(name, *packages, "-o", root / "x.nmc", *more, *form)

        return run

    trim = ("trim", "--start", "1")
    return [
        Command("pack --media", directory, files, pack(), pack("--resume"), counts=True),
        Command("train with media", directory, files, train, train, counts=True),
        Command("train with media, resumed", directory, begun, train, train, counts=True),
        Command("trim with media", directory, whole, cut(*trim), cut(*trim, "--force")),
        Command("concat with media", directory, whole, cut("concat"), cut("concat", "--force")),
        Command(
            "trim with media in place",
            directory,
            lambda root: whole(root, "x.nmc"),
            cut(*trim, "--force", place="x.nmc"),
            cut(*trim, "--force", place="x.nmc"),
            replaces=True,
            in_place=True,
        ),
        Command(
            "recover with media",
            directory,
            begun,
            lambda root: call("recover", root / "x.nmc"),
            lambda root: call("recover", root / "x.nmc"),
            counts=True,
        ),
    ]


def recoding(*, directory: bool) -> list[Command]:
    """Return ``nmc pack`` of a package, and of whole training checkpoints."""
    form = ["--directory"] * directory

    def whole(root: Path) -> None:
        write(root / "in.nmc", chain(FRAMES), directory=directory)

    def recode(*more: str) -> Callable[[Path], None]:
        return lambda root: call(
            "pack", root / "in.nmc", "-o", root / "x.nmc", "--effort", "fast", *form, *more
        )

    def keep(*more: str) -> Callable[[Path], None]:
        return lambda root: call(
            "pack", root / "run", "-o", root / "x.nmc", "--keep", "all", *form, *more
        )

    return [
        Command("pack PACKAGE", directory, whole, recode(), recode("--force")),
        Command("pack --keep all", directory, runs, keep(), keep("--resume"), counts=True),
    ]


def runs(root: Path) -> None:
    """Write whole checkpoints of a training, with optimizer and scalars."""
    import torch

    (root / "run").mkdir()
    for t, state in enumerate(chain(FRAMES)):
        weights = {name: torch.from_numpy(array.copy()) for name, array in state.items()}
        moments = {0: {"step": t, "exp_avg": weights["head"] * 2}}
        content = {"model": weights, "epoch": t, "optimizer": {"state": moments, "lr": [0.1]}}
        torch.save(content, root / "run" / f"epoch_{t}.pt")


def kept(root: Path) -> None:
    """Pack whole checkpoints, of which each frame knows the name."""
    runs(root)
    call_quietly("pack", root / "run", "-o", root / "in.nmc", "--keep", "all")
