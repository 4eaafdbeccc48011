"""The packages that are damaged: one of each kind that a writer can make, and all that it said.

Every coding and effort; a loss, with and without refinements; few changed words; slices that come
and go; payloads in portions; signatures; encryption; media.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

import ml_dtypes
import numpy as np
from blake3 import blake3

import nmc
from nmc.coding.arithmetic import coder, divided
from nmc_format.dtypes import dtype_of, to_words
from nmc_format.encryption import SALT_BYTES, SegmentCipher, chunks_of
from nmc_format.manifest.read import read_objects
from nmc_format.package.members import segment_name

FRAMES = 5
"""Frames of each package that is damaged."""

MEDIA = (bytes(range(256)) * 1030, b"sound", b"")
"""What the package with media carries: two chunks, one, and none."""

KEY = bytes(range(32))
"""Of the package that is encrypted."""

KINDS = (
    ("baseline", "none", "fast", ""),
    ("main", "zstd", "fast", ""),
    ("main", "nmc", "fast", ""),
    ("main", "nmc", "strong", ""),
    ("main", "nmc", "max", ""),
    ("lossy", "nmc", "strong", ""),
    ("lossy", "nmc", "fast", "refinements"),
    ("main", "nmc", "fast", "sparse"),
    ("main", "zstd", "fast", "slices"),
    ("main", "nmc", "strong", "slices"),
    ("main", "nmc", "strong", "portions"),
    ("main", "nmc", "fast", "signatures"),
    ("main", "nmc", "fast", "encryption"),
    ("main", "zstd", "fast", "media"),
)
"""Profile, entropy coding, effort, and what else is in it."""

Members = dict[str, bytes]


@dataclass
class Source:
    """A valid package.

    Attributes
    ----------
    members : dict of str to bytes
        Its members; segments as they are before encryption.
    objects : dict of str to numpy.ndarray
        The objects of its manifest.
    key : bytes or None
        Of the segments, where they are encrypted.
    signer : PublicKey or None
        Who signed it.
    parents : sequence of bytes or None
        State digest that each frame builds on; None of a key frame.
    """

    members: Members
    objects: dict[str, np.ndarray] = field(default_factory=dict)
    key: bytes | None = None
    signer: nmc.PublicKey | None = None
    parents: Sequence[bytes | None] = ()


def digest(state) -> bytes:
    """Return the digest of a state, from the text of clause 4.5."""

    def framed(text: str) -> bytes:
        return struct.pack("<I", len(text.encode())) + text.encode()

    entries = []
    for name, array in state.items():
        shape = tuple(array.shape)
        head = framed(dtype_of(array).name) + struct.pack(f"<I{len(shape)}Q", len(shape), *shape)
        head += blake3(to_words(array).tobytes()).digest()
        entries.append((name.encode(), hashlib.sha256(b"nmc tensor 1\0" + head).digest()))
    body = b"".join(struct.pack("<I", len(n)) + n + d for n, d in sorted(entries))
    return hashlib.sha256(b"nmc state 1\0" + struct.pack("<I", len(entries)) + body).digest()


def chain(seed: int, more: str = "") -> Iterator[dict[str, np.ndarray]]:
    """Yield states with all that a segment can say: changed, frozen, late, lost, reshaped."""
    rng = np.random.default_rng(seed)
    rows = {"sparse": 240, "slices": 60, "portions": 300}.get(more, 24)
    weight = rng.normal(size=(rows, 16)).astype("f4")
    half = rng.normal(size=60).astype(ml_dtypes.bfloat16)
    for t in range(FRAMES):
        state = {
            "weight": weight,
            "half": half,
            "frozen": np.arange(300, dtype="f8"),
            "steps": np.array(t, "i8"),
            "empty": np.zeros((0, 4), "u1"),
        }
        if t != 1:
            state["sometimes"] = np.full(3 + t % 2, t, "f2")
        yield state
        step = (1e-3 * rng.normal(size=weight.shape)).astype("f4")
        weight = weight + (step * (rng.random(step.shape) < 0.02) if more == "sparse" else step)
        if more == "slices":
            kept = np.sort(rng.permutation(len(weight))[:-3])
            weight = np.concatenate([weight[kept], rng.normal(size=(4, 16)).astype("f4")])
        half = (half.astype("f4") * 1.01).astype(ml_dtypes.bfloat16)


def make_sources(folder: Path) -> tuple[list[Source], set[bytes]]:
    """Write the packages to damage; return them, and the digests of all their states."""
    sources, known = [], set()
    for i, kind in enumerate(KINDS):
        path = folder / f"{i}.nmc"
        known |= _write(path, i, kind)
        key = KEY if kind[-1] == "encryption" else None
        if kind[0] != "lossy":  # what was written, whatever a reader says
            assert {digest(state) for state in chain(i, kind[-1])} <= known
        signer = _sign(path) if kind[-1] == "signatures" else None
        members = {
            p.relative_to(path).as_posix(): p.read_bytes() for p in path.rglob("*") if p.is_file()
        }
        with nmc.open(path, key=key) as sequence:
            states = [frame.state_digest for frame in sequence.frames]
            deltas = [frame.coding == "delta" for frame in sequence.frames]
        parents = [states[t - 1] if deltas[t] else None for t in range(FRAMES)]
        for t in range(FRAMES) if key else ():
            name = segment_name(t)
            members[name] = _plain(members[name], t, parents[t])
        objects = read_objects(members["manifest.h5"])
        if kind[-1] == "refinements":  # of the base, and of each stop after it
            for column in ("/frames/state_digest", "/refinements/state_digest"):
                known |= {row.tobytes() for row in objects[column].reshape(-1, 32)}
        sources.append(Source(members, objects, key, signer, parents))
    return sources, known


def _write(path: Path, seed: int, kind: tuple[str, str, str, str]) -> set[bytes]:
    """Write a package; return the digests of its states."""
    profile, entropy, effort, more = kind
    steps = [2] if more == "refinements" else ()
    lossy = nmc.Quantisation({"weight": 0.01}, refinements=steps) if profile == "lossy" else None
    known: set[bytes] = set()
    least = 1 << 10 if more == "portions" else coder.LARGE
    with (
        mock.patch.multiple(coder, LARGE=least),
        mock.patch.multiple(divided, _PORTION=divided.LEAST),
        nmc.Writer(
            path,
            directory=True,
            profile=profile,
            entropy=entropy,
            effort=effort,
            key_every=3,
            layers={"weight": 0, "half": 1, "frozen": 2},
            buffers=["steps", "empty"],
            detect_frozen=True,
            quantisation=lossy,
            encrypt_key=KEY if more == "encryption" else None,
            media=_media() if more == "media" else (),
        ) as writer,
    ):
        for state in chain(seed, more):
            writer.append(state)
            known.add(digest(writer.last_state))
    return known


def _media() -> list[nmc.Media]:
    film, sound, empty = MEDIA
    return [
        nmc.Media(film, name="low.mp4", role="low-resolution", map={0: 0, 3: 2, 9: None}),
        nmc.Media(sound, name="a.opus", role="sound"),
        nmc.Media(empty, name="empty.bin"),
    ]


def _sign(path: Path) -> nmc.PublicKey:
    key = nmc.PrivateKey.generate("fuzz")
    nmc.sign(path, key)
    return key.public


def _plain(segment: bytes, t: int, parent: bytes | None) -> bytes:
    salt, chunks = segment[:SALT_BYTES], chunks_of(len(segment))
    cipher = SegmentCipher(KEY)
    return bytes(cipher.decrypted(t, parent, salt, segment[SALT_BYTES:], 0, chunks, "x"))


def encrypted(source: Source, segment: bytes, t: int) -> bytes:
    """Return a segment as a package has it that is encrypted, bound to its place in the chain."""
    cipher = SegmentCipher(KEY)
    return b"".join(cipher.encrypted(t, source.parents[t], [segment], len(segment)))
