"""Small chains and packages for tests, and tools that take packages apart and forge them."""

from __future__ import annotations

import hashlib
import io
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np
import pytest

import nmc
from nmc_format import segment
from nmc_format.dtypes import PackedArray, dtype_of, to_words
from nmc_format.manifest.read import read_objects
from nmc_format.manifest.write import write_manifest
from nmc_format.package import zip64
from nmc_format.package.members import segment_name
from nmc_format.segment_header import canonical_header, parse_header

if TYPE_CHECKING:
    from collections.abc import Callable

State = dict[str, Any]

LAYERS = {"body.weight": 0, "body.bias": 0, "head.weight": 1, "frozen": 2}
FROZEN = {"body.weight": True, "body.bias": True, "head.weight": True, "frozen": False}
CAMERAS = nmc.Cameras(
    ["left", "right"],
    np.full((2, 2), 64),
    np.full((2, 4), 32.0),
    np.tile(np.eye(3, 4), (2, 1, 1)),
    np.eye(4),
)


def chain(frames: int = 6, seed: int = 0) -> list[State]:
    """Return states as fine-tuning makes them: most change a little, some not at all."""
    rng = np.random.default_rng(seed)
    weight = rng.normal(size=(32, 16)).astype("f4")
    head = rng.normal(size=(16, 8)).astype(ml_dtypes.bfloat16)
    bias = np.zeros(16, "f2")
    fixed = {
        "frozen": rng.normal(size=400).astype("f8"),
        "empty": np.zeros((0, 3), "f4"),
        "table": np.arange(64, dtype="u1"),
    }
    states = []
    for t in range(frames):
        states.append(
            {
                "body.weight": weight,
                "body.bias": bias,
                "head.weight": head,
                **fixed,
                "steps": np.array(100 * t, "i8"),
            }
        )
        step = (1e-3 * rng.normal(size=weight.shape)).astype("f4")
        weight = weight + step * np.abs(weight)
        bias = bias + rng.normal(size=16).astype("f2") / 100
        head = (head.astype("f4") * 1.01).astype(ml_dtypes.bfloat16)
    return states


def write(path: Path, states: list[State], **options: Any) -> Path:
    """Write a package of some states."""
    with nmc.Writer(path, **options) as writer:
        for state in states:
            writer.append(state)
    return path


def write_trained(path: Path, states: list[State], **options: Any) -> Path:
    """Write a package of a chain with everything that a manifest may record."""
    cameras = nmc.Cameras(
        ["left", "right"],
        np.full((2, 2), 64),
        np.ones((2, 4)),
        np.tile(np.eye(3, 4), (2, 1, 1)),
        np.eye(4),
        ["opencv", "none"],
        np.zeros((2, 5)),
    )
    defaults = {"key_every": 3, "layers": LAYERS, "buffers": ["steps", "table", "empty"]}
    with nmc.Writer(path, **(defaults | options)) as writer:
        for t, state in enumerate(states):
            flags = {name: FROZEN[name] or t == 0 for name in FROZEN}
            writer.append(state, requires_grad=flags, iterations=10 + t, seconds=0.5)
        writer.set_cameras(cameras)
        writer.set_quality(nmc.Quality(["left"], {"psnr": np.full((len(states), 1), 30.0)}))
    return path


def begun(path: Path, states: list[State], **options: Any) -> None:
    """Leave an unfinished package, as a writer that was killed leaves it."""
    writer = nmc.Writer(path, key_every=3, layers=LAYERS, **options)
    writer.set_cameras(CAMERAS)
    for t, state in enumerate(states):
        writer.append(state, iterations=10 + t, seconds=0.5 * t, exclude_layers=[2])


def bits(array: Any) -> tuple[str, tuple[int, ...], bytes]:
    """Return all that makes a tensor what it is."""
    return dtype_of(array).name, tuple(array.shape), to_words(array).tobytes()


def same_state(a: State, b: State) -> bool:
    """Whether two states are equal, bit for bit (clause 4.4)."""
    return a.keys() == b.keys() and all(bits(a[name]) == bits(b[name]) for name in a)


def assert_states(path: Path, states: list[State]) -> None:
    """Check that a package is accepted and holds exactly these states."""
    report = nmc.check(path)
    assert report.findings == (), report.findings
    with nmc.open(path) as sequence:
        assert len(sequence) == len(states)
        for t, (found, expected) in enumerate(zip(sequence, states, strict=True)):
            assert same_state(found, expected), f"frame {t}"


def code(action: Callable[[], object]) -> str:
    """Return the code of the catalogue with which an action is refused."""
    with pytest.raises(nmc.FormatError) as caught:
        action()
    return caught.value.finding.code


def refused(expected: str, action: Callable[[], object]) -> nmc.Finding:
    """Check that an action is refused with a code of the catalogue; return the finding."""
    with pytest.raises(nmc.FormatError) as caught:
        action()
    assert caught.value.finding.code == expected, caught.value
    return caught.value.finding


def members(path: Path) -> dict[str, bytes]:
    """Return the members of a package of either form."""
    if path.is_dir():
        files = sorted(p for p in path.rglob("*") if p.is_file())
        return {p.relative_to(path).as_posix(): p.read_bytes() for p in files}
    import zipfile

    with zipfile.ZipFile(path) as file:
        return {name: file.read(name) for name in file.namelist()}


def zipped(path: Path, parts: list[tuple[str, bytes]]) -> Path:
    """Write a file package of these members, whatever their names."""
    folder = path.with_suffix(".members")
    folder.mkdir()
    sources = []
    for i, (name, data) in enumerate(parts):
        (folder / str(i)).write_bytes(data)
        sources.append((name, folder / str(i)))
    stream = io.BytesIO()
    zip64.write(stream, sources)
    path.write_bytes(stream.getvalue())
    shutil.rmtree(folder)
    return path


def objects_of(package: Path) -> dict[str, np.ndarray]:
    """Return the objects of the manifest of a directory package."""
    return read_objects((package / "manifest.h5").read_bytes())


def put_objects(package: Path, objects: dict[str, np.ndarray]) -> None:
    """Write another manifest; its digest is right."""
    write_manifest(package / "manifest.h5", objects)


def edit(package: Path, path: str, change: Any) -> None:
    """Change one object of the manifest in place, or by its return value; the digest is right."""
    objects = objects_of(package)
    array = objects[path].copy()
    result = change(array)
    objects[path] = array if result is None else result
    put_objects(package, objects)


def segment_path(package: Path, t: int) -> Path:
    """Return where the segment of one frame lies in a directory package."""
    return package / segment_name(t)


def seal(package: Path) -> None:
    """Make the manifest say of each segment what is on disk."""
    objects = objects_of(package)
    for t in range(len(objects["/frames/coding"])):
        data = segment_path(package, t).read_bytes()
        objects["/frames/segment_length"][t] = len(data)
        digest = hashlib.sha256(data).digest()
        objects["/frames/segment_sha256"][t] = np.frombuffer(digest, "u1")
    put_objects(package, objects)


def rebuild(package: Path, t: int, **changes: Any) -> None:
    """Serialise one segment again with some parts replaced, and seal the package."""
    data = segment_path(package, t).read_bytes()
    found, header = segment.parse(data, "x"), parse_header(data, "x")
    payloads = {n: data[a:b] for n, (a, b) in header.spans.items() if n not in ("modes", "shapes")}
    parts = {
        "parent": found.parent,
        "state": found.state,
        "modes": found.modes,
        "shapes": found.shapes,
        "payloads": payloads,
    }
    for name, value in changes.items():
        parts[name] = value(parts[name]) if callable(value) else value
    segment_path(package, t).write_bytes(b"".join(map(bytes, segment.serialize(**parts))))
    seal(package)


def restream(package: Path, t: int, change: Callable[[dict[str, bytes]], Any], stops: int) -> None:
    """Change the streams of one segment in place, keep some of its stops, and seal the package."""
    data = segment_path(package, t).read_bytes()
    header = parse_header(data, "x")
    streams = {name: data[start:end] for name, (start, end) in header.spans.items()}
    change(streams)
    sizes = {name: len(stream) for name, stream in streams.items()}
    made = canonical_header(sizes, header.parent, header.states[: 1 + stops])
    segment_path(package, t).write_bytes(made + b"".join(streams[n] for n in sorted(streams)))
    seal(package)


PACKED = PackedArray("F4", (3, 4), np.arange(6, dtype=np.uint8))
