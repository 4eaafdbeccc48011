"""Flips bits of sound packages and messages; demands that the check refuses every one of them.

Small packages of every profile, coding and effort, in both forms, and small messages lose every bit
in turn; larger ones lose random bytes. A flip goes through the stage of the check that sees it, in
this process: the ZIP structure and the checksums of members, the manifest, or the SHA-256 of a
segment. What a stage lets pass is put to the whole check, whose word counts.

Run as ``python reference/tests/fuzz_flips.py -o FOLDER --count N``. It goes on where it stopped.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import os
import random
import sys
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from unittest import mock

import ml_dtypes
import numpy as np

import nmc
from nmc.coding.decode import check_segment
from nmc.writing import signing
from nmc_format.issues import FormatError, first_error
from nmc_format.manifest.read import parse_manifest
from nmc_format.package.form import open_package
from nmc_format.package.members import MANIFEST_NAME, segment_name

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "format" / "tests"))

from fuzz_progress import Run, Tally

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
)
"""Profile, entropy coding, effort, and what else is in it."""

Kind = tuple[str, str, str, str]
PKCS8_OF_ED25519 = bytes.fromhex("302e020100300506032b657004220420")
"""What comes before the 32 bytes of a private key (RFC 8410)."""
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
    with nmc.Writer(
        path, profile=profile, entropy=entropy, effort=effort, overwrite=True, **options
    ) as writer:
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
    large = {"sparse": 120, "slices": 12}.get(more, 1) if scale == 1 else 2
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


def _whole_check(path: Path) -> str:
    error = first_error(nmc.check(path).findings)
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
        damaged = self.data[:at] + bytes([self.data[at] ^ mask]) + self.data[at + 1 :]
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
        damaged = self.data[:at] + bytes([self.data[at] ^ mask]) + self.data[at + 1 :]
        try:
            check_segment(self._frame, damaged)
        except FormatError as refused:
            return refused.finding.code
        return _checked_with(self.folder, segment_name(self.index), damaged)


@dataclass
class SignatureTarget:
    """A signature of the directory form: what it signs itself."""

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
        damaged = self.data[:at] + bytes([self.data[at] ^ mask]) + self.data[at + 1 :]
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
        damaged = self.data[:at] + bytes([self.data[at] ^ mask]) + self.data[at + 1 :]
        try:
            nmc.apply(self.before, damaged)
        except FormatError as refused:
            return refused.finding.code
        return ""


def messages(scale: int = 1) -> list[Target]:
    """Return a key message, and deltas of every coding, of words that are few, and of slices."""
    made: list[Target] = []
    for profile, entropy, effort, more in KINDS:
        if profile == "lossy" or more == "signatures":
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
        with nmc.open(directory) as sequence:
            frames = len(sequence)
        made += [SegmentTarget(directory, t) for t in range(frames)]
        with open_package(directory) as package:
            made += [SignatureTarget(directory, member) for member in package.signatures()]
    for target in made:
        assert target.code(0, 0) == "", f"{target.name} is refused as it is"
    return made


def every_flip(
    small: list[Target], stride: int = 1, first: int = 0
) -> Iterator[tuple[Target, int, int]]:
    """Yield every bit of every target, or one in so many from the first on."""
    number = stride - first
    for target in small:
        for bit in range(8 * target.size):
            if number % stride == 0:
                yield target, bit // 8, 1 << bit % 8
            number += 1


def sampled_flips(large: list[Target], count: int) -> Iterator[tuple[Target, int, int]]:
    """Yield changes of single bytes, the same ones each time; longer targets get more."""
    rng = random.Random(20260101)
    weights = [target.size for target in large]
    for _ in range(count):
        (target,) = rng.choices(large, weights)
        yield target, rng.randrange(target.size), rng.randrange(1, 256)


def attempt(tally: Tally, target: Target, at: int, mask: int) -> None:
    """Try one flip."""
    code = target.code(at, mask)
    tally.add(code, "" if code else f"{target.name} byte {at} xor {mask:#04x}")


def run(
    title: str, flips: Iterator[tuple[Target, int, int]], total: int, note: Path, mark: str
) -> Tally:
    """Try flips, go on where an earlier run of the same mark stopped, and say how far it is."""
    progress = Run(title, total, note, mark)
    for target, at, mask in islice(flips, progress.tally.done, None):
        attempt(progress.tally, target, at, mask)
        progress.tick(target.name)
    progress.save()
    return progress.tally


def _mark(made: list[Target], *more: object) -> str:
    """Return what a run is about: the bytes of all targets, and its options."""
    digest = hashlib.sha256(repr(more).encode())
    for target in made:
        digest.update(target.name.encode() + getattr(target, "data", b""))
    return digest.hexdigest()


def main() -> int:
    """Run from the command line; 1 where a flip goes unseen."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("-o", "--output", type=Path, default=Path("out/fuzz"))
    parser.add_argument("--count", type=int, default=1_000_000, help="flips of large packages")
    parser.add_argument("--stride", type=int, default=1, help="of small ones, one bit in so many")
    parser.add_argument("--first", type=int, default=0, help="the first of these")
    options = parser.parse_args()
    folder: Path = options.output
    small = targets(folder / "small", KINDS[::-1]) + messages()
    large = targets(folder / "large", (KINDS[0], KINDS[2], KINDS[4], *KINDS[6:]), LARGE)
    large += messages(LARGE)
    bits = -((options.first - 8 * sum(target.size for target in small)) // options.stride)
    tallies = {}
    sampled = f"bytes of {len(large)} members of larger packages and messages"
    every = "every bit" if options.stride == 1 else f"one bit in {options.stride}"
    for name, title, made, flips, total in (
        ("sampled", sampled, large, sampled_flips(large, options.count), options.count),
        (
            "exhaustive",
            f"{every} of small packages and messages",
            small,
            every_flip(small, options.stride, options.first),
            bits,
        ),
    ):
        mark = _mark(made, *((options.stride, options.first) if name == "exhaustive" else ()))
        tallies[name] = run(title, flips, total, folder / f"{name}.json", mark)
    for name, tally in tallies.items():
        print(f"{name}: {tally.done:,} flips, {len(tally.faults)} unseen")
        for code, count in tally.codes.most_common():
            print(f"  {count:>9,}  {code}")
        for line in tally.faults[:20]:
            print(f"  UNSEEN {line}")
    return int(any(tally.faults for tally in tallies.values()))


if __name__ == "__main__":
    sys.exit(main())
