"""What ``fuzz_flips`` damages: small and large packages of every kind, and messages.

A target is one file of a package, and knows the stage of the check that sees a flip of it.
"""

from __future__ import annotations

import base64
import os
import shutil
import sys
from copy import copy
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from unittest import mock

import ml_dtypes
import numpy as np

import nmc
from nmc.coding.arithmetic import coder, divided
from nmc.coding.decode import check_segment
from nmc.writing import signing
from nmc_format.issues import FormatError, first_error
from nmc_format.manifest.read import parse_manifest
from nmc_format.package.form import open_package
from nmc_format.package.members import MANIFEST_NAME, MEDIA_FOLDER, segment_name

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "format" / "tests"))

from fixed_salts import fixed_salts

if TYPE_CHECKING:
    from collections.abc import Iterator

KINDS = (
    ("baseline", "none", "fast", ""),
    ("main", "none", "fast", ""),
    ("main", "zstd", "fast", ""),
    ("main", "nmc", "fast", ""),
    ("main", "nmc", "strong", ""),
    ("main", "nmc", "max", ""),
    ("lossy", "nmc", "strong", ""),
    ("lossy", "nmc", "fast", "refinements"),
    ("main", "nmc", "fast", "sparse"),
    ("main", "nmc", "strong", "slices"),
    ("main", "none", "fast", "signatures"),
    ("main", "nmc", "strong", "portions"),
    ("main", "none", "fast", "encryption"),
    ("main", "none", "fast", "media"),
)
"""Profile, entropy coding, effort, and what else is in it."""

Kind = tuple[str, str, str, str]
PKCS8_OF_ED25519 = bytes.fromhex("302e020100300506032b657004220420")
"""What comes before the 32 bytes of a private key (RFC 8410)."""
KEY = bytes(range(32))
"""Of packages that are encrypted."""
LARGE = 8
"""Elements of the weights of a large package are so many times those of a small one, squared."""


def write_package(path: Path, kind: Kind, scale: int = 1) -> Path:
    """Write a package that records all that a manifest can hold; the same bytes each time."""
    profile, entropy, effort, more = kind
    frames = 3 if scale == 1 else 12
    options: dict[str, Any] = {"directory": path.suffix == "", "layers": {"a": 0, "b": 1}}
    if profile == "lossy":
        refinements = [2, 3] if more == "refinements" else ()
        options["quantisation"] = nmc.Quantisation({"a": 0.01}, refinements=refinements)
    if more == "encryption":
        options["encrypt_key"] = KEY
    if more == "media":
        film = nmc.Media(bytes(range(64)) * scale**4, name="low.mp4", map={0: 0, 9: 1})
        options["media"] = [film, nmc.Media(b"sound", name="a.opus", role="sound")]
    least = 1 << 10 if more == "portions" else coder.LARGE
    with (
        fixed_salts(),
        mock.patch.multiple(coder, LARGE=least),
        mock.patch.multiple(divided, _PORTION=divided.LEAST),
        nmc.Writer(
            path, profile=profile, entropy=entropy, effort=effort, overwrite=True, **options
        ) as writer,
    ):
        for t, state in enumerate(_states(frames, scale, more)):
            writer.append(
                state,
                exclude_layers=[],
                iterations=10,
                seconds=0.5,
                source_name=f"epoch_{t}.pth",
                extras={"epoch": t},
                colour={"left": np.eye(3, 4) * (1 + t)},
            )
        writer.set_cameras(
            nmc.Cameras(
                ["left"],
                np.full((1, 2), 64),
                np.ones((1, 4)),
                np.eye(3, 4)[None],
                np.eye(4),
                ["opencv"],
                np.zeros((1, 5)),
            )
        )
        writer.set_quality(nmc.Quality(["left"], {"psnr": np.full((frames, 1), 30.0)}))
    if more == "signatures":
        _sign(path)
    return path


def _sign(path: Path) -> None:
    """Sign with two keys, at one time, so that the bytes are the same each time."""
    for number, name in enumerate(("studio", "archive")):
        file = path.with_name(f"{name}.pem")
        body = base64.b64encode(PKCS8_OF_ED25519 + bytes([number]) * 32).decode()
        file.write_text(f"-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n")
        with mock.patch.object(signing, "_now", lambda: "2026-01-01T00:00:00Z"):
            nmc.sign(path, file, signer=name)


def _states(frames: int, scale: int, more: str) -> Iterator[dict[str, Any]]:
    """Yield states that are trained; few words of sparse ones change, slices come and go."""
    rng = np.random.default_rng(7)
    large = {"sparse": 120, "slices": 12, "portions": 100}.get(more, 1) if scale == 1 else 2
    weight = rng.normal(size=(5 * scale * large, 7 * scale)).astype("f4")
    half = rng.normal(size=5 * scale * large).astype(ml_dtypes.bfloat16)
    for t in range(frames):
        yield {"a": weight, "b": half, "c": np.arange(3, dtype="i8"), "d": np.array(t, "u1")}
        step = (rng.normal(size=weight.shape) / 999).astype("f4")
        if more == "sparse":
            step *= rng.random(weight.shape) < 0.02
        weight = weight + step
        if more == "slices":
            kept = np.sort(rng.permutation(len(weight))[: len(weight) - 2])
            fresh = rng.normal(size=(2, weight.shape[1])).astype("f4")
            weight = np.concatenate([weight[kept], fresh])
        elif more != "sparse":
            half = (half.astype("f4") * 1.01).astype(ml_dtypes.bfloat16)


class Target(Protocol):
    """Bytes that can be damaged, and whether that is found."""

    name: str
    size: int

    def code(self, at: int, mask: int) -> str:
        """Return the code that refuses the package with a byte changed; empty where none does."""


def _damaged(data: bytes, at: int, mask: int) -> bytes:
    """Return bytes of which one is changed."""
    return data[:at] + bytes([data[at] ^ mask]) + data[at + 1 :]


def _whole_check(path: Path) -> str:
    key = KEY if path.stem.endswith("-encryption") else None
    error = first_error(nmc.check(path, key=key).findings)
    return error.code if error else ""


@dataclass
class FileTarget:
    """The file form: its structure and the CRC-32 of its members."""

    path: Path
    name: str = ""
    size: int = field(init=False)

    def __post_init__(self) -> None:
        self.name = self.path.name
        self.data = self.path.read_bytes()
        self.size = len(self.data)

    def code(self, at: int, mask: int) -> str:
        """See :class:`Target`."""
        with self.path.open("r+b", buffering=0) as file:
            os.pwrite(file.fileno(), bytes([self.data[at] ^ mask]), at)
            try:
                return self._staged() or _whole_check(self.path)
            finally:
                os.pwrite(file.fileno(), self.data[at : at + 1], at)

    def _staged(self) -> str:
        try:
            with open_package(self.path) as package:
                error = first_error(package.findings(len(self.data)))
        except FormatError as refused:
            return refused.finding.code
        return error.code if error else ""


@dataclass
class ManifestTarget:
    """The manifest of the directory form, which no checksum covers as a whole."""

    folder: Path
    name: str = ""
    size: int = field(init=False)

    def __post_init__(self) -> None:
        self.name = f"{self.folder.name}/{MANIFEST_NAME}"
        self.data = (self.folder / MANIFEST_NAME).read_bytes()
        self.size = len(self.data)

    def code(self, at: int, mask: int) -> str:
        """See :class:`Target`."""
        damaged = _damaged(self.data, at, mask)
        error = first_error(parse_manifest(damaged)[1])
        return error.code if error else _checked_with(self.folder, MANIFEST_NAME, damaged)


@dataclass
class SegmentTarget:
    """A segment of the directory form: its SHA-256."""

    folder: Path
    index: int
    name: str = ""
    size: int = field(init=False)

    def __post_init__(self) -> None:
        member = segment_name(self.index)
        self.name = f"{self.folder.name}/{member}"
        self.data = (self.folder / member).read_bytes()
        self.size = len(self.data)
        with nmc.open(self.folder) as sequence:
            self._frame = sequence.frames[self.index]

    def code(self, at: int, mask: int) -> str:
        """See :class:`Target`."""
        damaged = _damaged(self.data, at, mask)
        try:
            check_segment(self._frame, damaged)
        except FormatError as refused:
            return refused.finding.code
        return _checked_with(self.folder, segment_name(self.index), damaged)


@dataclass
class MemberTarget:
    """A signature or a medium of the directory form, which the whole check reads."""

    folder: Path
    member: str
    name: str = ""
    size: int = field(init=False)

    def __post_init__(self) -> None:
        self.name = f"{self.folder.name}/{self.member}"
        self.data = (self.folder / self.member).read_bytes()
        self.size = len(self.data)

    def code(self, at: int, mask: int) -> str:
        """See :class:`Target`."""
        damaged = _damaged(self.data, at, mask)
        return _checked_with(self.folder, self.member, damaged)


@dataclass
class MessageTarget:
    """A message (clause 15), which has no file: applied to the state that it builds on."""

    name: str
    before: dict[str, Any]
    data: bytes
    size: int = field(init=False)

    def __post_init__(self) -> None:
        self.size = len(self.data)

    def code(self, at: int, mask: int) -> str:
        """See :class:`Target`."""
        damaged = _damaged(self.data, at, mask)
        try:
            nmc.apply(self.before, damaged)
        except FormatError as refused:
            return refused.finding.code
        return ""


def messages(scale: int = 1) -> list[Target]:
    """Return a key message, and deltas of every coding, of words that are few, and of slices."""
    made: list[Target] = []
    for profile, entropy, effort, more in KINDS:
        if profile == "lossy" or more in ("signatures", "portions", "encryption", "media"):
            continue
        options: dict[str, Any] = {"profile": profile, "entropy": entropy, "effort": effort}
        first, second, *_ = _states(2, scale, more)
        name = "-".join(("message", profile, entropy, effort, more)).strip("-")
        delta = nmc.encode_delta(first, second, **options)
        made.append(MessageTarget(f"{name}-delta", first, delta))
        made.append(MessageTarget(f"{name}-key", {}, nmc.encode_delta(None, first, **options)))
    return made


def _checked_with(folder: Path, member: str, damaged: bytes) -> str:
    place = folder / member
    right = place.read_bytes()
    try:
        place.write_bytes(damaged)
        return _whole_check(folder)
    finally:
        place.write_bytes(right)


def targets(folder: Path, kinds: tuple[Kind, ...], scale: int = 1) -> list[Target]:
    """Write packages of some kinds in both forms; return all that can be damaged in them."""
    folder.mkdir(parents=True, exist_ok=True)
    made: list[Target] = []
    for kind in kinds:
        name = "-".join(kind).strip("-")
        made.append(FileTarget(write_package(folder / f"{name}.nmc", kind, scale)))
        directory = write_package(folder / name, kind, scale)
        made.append(ManifestTarget(directory))
        with nmc.open(directory, key=KEY if kind[-1] == "encryption" else None) as sequence:
            frames = len(sequence)
        made += [SegmentTarget(directory, t) for t in range(frames)]
        with open_package(directory) as package:
            made += [MemberTarget(directory, member) for member in package.signatures()]
        media = sorted(path.name for path in (directory / MEDIA_FOLDER).glob("*"))
        made += [MemberTarget(directory, f"{MEDIA_FOLDER}/{name}") for name in media]
    for target in made:
        assert target.code(0, 0) == "", f"{target.name} is refused as it is"
    return made


def moved(target: Target, place: Path) -> Target:
    """Return the same target with files of its own, in another folder."""
    twin = copy(target)
    for name in ("path", "folder"):
        source = getattr(target, name, None)
        if source is not None:
            to = place / source.name
            if source.is_dir() and not to.exists():
                shutil.copytree(source, to)
            elif source.is_file():
                shutil.copy(source, to)
            setattr(twin, name, to)
    return twin
