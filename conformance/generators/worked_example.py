"""Makes the worked example of annex E with numpy, h5py and hashlib alone: vector, package, listing.

Run ``python conformance/generators/worked_example.py --check`` or ``--write`` in a checkout. It
makes the vector ``05-package/worked-example`` and a part of annex E.
Every byte but those of ``manifest.h5``, which the HDF5 library lays out, is the same on each run.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from writers.listing import dump, elements, extents, header_note, table
from writers.package_writer import (
    Array,
    manifest_entry,
    manifest_preimage,
    read_manifest,
    segment,
    state_preimage,
    tensor_preimage,
    type_name,
    write_manifest,
)

from nmc_spec.annex import replaced
from nmc_spec.generated import command

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).resolve().parents[2]
VECTOR = ROOT / "conformance" / "vectors" / "05-package" / "worked-example"
ANNEX = ROOT / "spec" / "text" / "annex-e-worked-example.md"
PART = "worked-example"
PACKAGE = "package.nmc"
MANIFEST = "manifest.h5"

SKIP, RAW, INTEGER = 1, 2, 3
MODE_NAMES = {SKIP: "skip", RAW: "raw", INTEGER: "integer"}


@dataclass(frozen=True)
class Row:
    """One row of the tensor table, with the words of both frames (clause 5.4.3)."""

    name: str
    dtype: str
    role: int
    layer: int
    shape: tuple[int, ...]
    words: tuple[Array, Array]


def _f32(*values: float) -> Array:
    return np.array(values, "<f4").view("<u4")


_BIAS = _f32(0.5, -0.0)

ROWS = (
    Row("front.bias", "F32", 0, 0, (2,), (_BIAS, _BIAS)),
    Row(
        "rear.weight",
        "F32",
        0,
        1,
        (2, 2),
        (_f32(1.0, -2.0, 0.25, 3.0), _f32(1.0 + 2.0**-23, -2.5, 0.125, 3.0)),
    ),
    Row("step", "I64", 1, -1, (), (np.array([1000], "<u8"), np.array([1100], "<u8"))),
)

MODES = ((RAW, RAW, RAW), (SKIP, INTEGER, INTEGER))

REQUIRES_GRAD = ((1, 1, 0), (0, 1, 0))
EXCLUDE_LAYERS: tuple[tuple[int, ...], ...] = ((), (0,))


def _tensor_preimage(row: Row, frame: int) -> bytes:
    return tensor_preimage(row.dtype, row.shape, row.words[frame].tobytes())


def _state_preimage(frame: int) -> bytes:
    digests = {row.name: hashlib.sha256(_tensor_preimage(row, frame)).digest() for row in ROWS}
    return state_preimage(digests)


def state_digest(frame: int) -> bytes:
    """Return the state digest of one frame of the example (clause 4.5.2)."""
    return hashlib.sha256(_state_preimage(frame)).digest()


def segments() -> list[bytes]:
    """Return the segments of the example."""
    made = []
    for t, modes in enumerate(MODES):
        streams = {"modes": bytes(modes)}
        raw = b"".join(
            row.words[t].tobytes() for row, mode in zip(ROWS, modes, strict=True) if mode == RAW
        )
        differences = b"".join(
            np.subtract(row.words[1], row.words[0]).tobytes()  # unsigned: modulo 2^w
            for row, mode in zip(ROWS, modes, strict=True)
            if mode == INTEGER
        )
        if raw:
            streams["raw"] = raw
        if differences:
            streams["integer"] = differences
        made.append(segment(state_digest(t - 1) if t else None, state_digest(t), streams))
    return made


def _text(*values: str) -> Array:
    encoded = [value.encode() for value in values]
    return np.array(encoded, f"S{max(map(len, encoded)) or 1}")


def _scalar_text(value: str) -> Array:
    return _text(value).reshape(())


def objects() -> dict[str, Array]:
    """Return every object of the manifest by path, the digest included (clause 5.3)."""
    coded = segments()
    rank = max(len(row.shape) for row in ROWS)
    shape = np.full((len(ROWS), rank), -1, "<i8")
    for i, row in enumerate(ROWS):
        shape[i, : len(row.shape)] = row.shape
    listed = [layer for layers in EXCLUDE_LAYERS for layer in layers]
    sizes = [sum(row.words[t].nbytes for row in ROWS) for t in range(len(coded))]
    made: dict[str, Array] = {
        "/@format": _scalar_text("nmc"),
        "/@format_version": _scalar_text("1.0"),
        "/@profile": _scalar_text("baseline"),
        "/@level": np.array(1, "<u4"),
        "/@must_understand": _scalar_text(""),
        "/@sequence_id": _scalar_text("worked-example"),
        "/@creator": _scalar_text("worked_example.py"),
        "/model@family": _scalar_text("example"),
        "/model@configuration": _scalar_text("{}"),
        "/model/tensors/name": _text(*(row.name for row in ROWS)),
        "/model/tensors/dtype": _text(*(row.dtype for row in ROWS)),
        "/model/tensors/role": np.array([row.role for row in ROWS], "u1"),
        "/model/tensors/layer": np.array([row.layer for row in ROWS], "<i4"),
        "/model/tensors/shape": shape,
        "/frames@timescale": np.array(30, "<u4"),
        "/frames/coding": np.array([0, 1], "u1"),
        "/frames/presentation_time": np.array([0, 1], "<i8"),
        "/frames/segment_length": np.array([len(data) for data in coded], "<u8"),
        "/frames/segment_sha256": _bytes(*(hashlib.sha256(data).digest() for data in coded)),
        "/frames/state_bytes": np.array(sizes, "<u8"),
        "/frames/state_digest": _bytes(*(state_digest(t) for t in range(len(coded)))),
        "/training/trained_from": np.array([-1, 0], "<i8"),
        "/training/iterations": np.array([2000, 200], "<i8"),
        "/training/requires_grad": np.packbits(
            np.array(REQUIRES_GRAD, "u1"), axis=1, bitorder="little"
        ),
        "/training/requires_grad_known": np.array([1, 1], "u1"),
        "/training/exclude_layers": np.array(listed, "<i4"),
        "/training/exclude_layers_count": np.array([len(e) for e in EXCLUDE_LAYERS], "<i4"),
    }
    digest = hashlib.sha256(manifest_preimage(made)).digest()
    made["/@manifest_digest"] = np.frombuffer(digest, "u1")
    return made


def _bytes(*digests: bytes) -> Array:
    return np.frombuffer(b"".join(digests), "u1").reshape(len(digests), -1)


def vector(package: Path) -> dict[str, Any]:
    """Return the content of ``vector.json``, given the package on disk."""
    members = sorted(p.relative_to(package).as_posix() for p in package.rglob("*") if p.is_file())
    return {
        "id": "05-package/worked-example",
        "summary": "the package of annex E decodes to the states of annex E",
        "clauses": [
            "4.5.1",
            "4.5.2",
            "5.1.2",
            "5.3.3",
            "5.3.4",
            "6.1.3",
            "6.2.2",
            "7.2.2",
            "9.3.2",
        ],
        "profile": "baseline",
        "level": 1,
        "requires": [],
        "input": {
            "path": PACKAGE,
            "sha256": {
                name: hashlib.sha256((package / name).read_bytes()).hexdigest() for name in members
            },
        },
        "generator": {"name": "worked_example", "case": "worked-example", "seed": None},
        "derived_from": None,
        "expected": {
            "outcome": "accept",
            "state_digests": [state_digest(t).hex() for t in range(len(MODES))],
        },
    }


def write_package(package: Path) -> None:
    """Write the package as a directory (clause 5.1.1)."""
    (package / "segments").mkdir(parents=True)
    for t, data in enumerate(segments()):
        (package / "segments" / f"{t:08d}.safetensors").write_bytes(data)
    write_manifest(package / MANIFEST, objects())


def _sequence_table() -> str:
    rows = []
    for row in ROWS:
        for t, words in enumerate(row.words):
            kind = "<f4" if row.dtype == "F32" else "<i8"
            decimals = ", ".join(str(v) for v in words.view(kind).tolist())
            width = 2 * words.itemsize
            bits = ", ".join(f"`{int(word):0{width}X}`" for word in words)
            rows.append(
                (f"`{row.name}`", str(t), MODE_NAMES[MODES[t][ROWS.index(row)]], decimals, bits)
            )
    return table(("Tensor", "Frame", "Mode", "Elements", "Words"), rows)


def _difference_table() -> str:
    rows = []
    for row, mode in zip(ROWS, MODES[1], strict=True):
        if mode != INTEGER:
            continue
        width = 2 * row.words[0].itemsize
        for x, z in zip(*row.words, strict=True):
            y = (int(z) - int(x)) % 2 ** (8 * row.words[0].itemsize)
            cells = (f"`{number:0{width}X}`" for number in (int(x), y, int(z)))
            rows.append((f"`{row.name}`", *cells))
    return table(("Tensor", "Word x of frame 0", "Difference y", "(x + y) mod 2^w"), rows)


def _digest_table() -> str:
    rows = []
    for t in range(len(MODES)):
        rows += [
            (f"`{row.name}`", str(t), f"`{hashlib.sha256(_tensor_preimage(row, t)).hexdigest()}`")
            for row in ROWS
        ]
        rows.append(("**state**", str(t), f"`{state_digest(t).hex()}`"))
    return table(("Of", "Frame", "SHA-256"), rows)


def listing() -> str:
    """Return the generated part of annex E."""
    coded = segments()
    made = objects()
    preimage = manifest_preimage(made)
    first = sorted(made)[:2]
    names = [f"segments/{t:08d}.safetensors" for t in range(len(coded))]
    members = [
        (f"`{n}`", str(len(d)), f"`{hashlib.sha256(d).hexdigest()}`")
        for n, d in zip(names, coded, strict=True)
    ]
    values = [
        (f"`{path}`", f"`{type_name(array)}`", extents(array), elements(array))
        for path, array in sorted(made.items())
    ]
    step = _tensor_preimage(ROWS[2], 0)
    parts = [
        "## E.2 States\n",
        _sequence_table(),
        "## E.3 Members\n",
        table(("Member", "Bytes", "SHA-256"), [(f"`{MANIFEST}`", "—", "—"), *members]),
        "The bytes of `manifest.h5` are not given: HDF5 files with the same values differ.\n",
        f"## E.4 `{names[0]}`, a key frame\n",
        dump(coded[0]),
        (
            f"{header_note(coded[0])} Then `modes`: 02 02 02, and `raw`: the bytes of the three "
            "tensors.\n"
        ),
        f"## E.5 `{names[1]}`, a delta frame\n",
        dump(coded[1]),
        (
            f"{header_note(coded[1])} Streams are in the order of their names: `integer`, then "
            "`modes`: 01 03 03. `front.bias` is skipped. The differences are:\n"
        ),
        _difference_table(),
        "## E.6 Digests\n",
        _digest_table(),
        f"The tensor digest of `step` in frame 0 is the SHA-256 of these {len(step)} bytes:\n",
        dump(step),
        (
            "The digest of the state of frame 0 is the SHA-256 of these "
            f"{len(_state_preimage(0))} bytes:\n"
        ),
        dump(_state_preimage(0)),
        "## E.7 Objects of the manifest\n",
        "In the order in which the manifest digest takes them.\n",
        table(("Object", "Type", "Dimensions", "Values"), values),
        (
            f"The manifest digest is the SHA-256 of {len(preimage)} bytes. They begin with the tag "
            f"and the entries of `{first[0]}` and `{first[1]}`:\n"
        ),
        dump(preimage[: 15 + sum(len(manifest_entry(path, made[path])) for path in first)]),
    ]
    return "\n".join(parts)


def vector_text(package: Path) -> str:
    """Return the bytes of ``vector.json``, given the package on disk."""
    return json.dumps(vector(package), indent=2) + "\n"


def stale() -> list[str]:
    """Return what on disk is not as this program would make it.

    A manifest is compared by its objects, since the HDF5 library may lay them out in another way.
    """
    package = VECTOR / PACKAGE
    found = []
    for t, data in enumerate(segments()):
        path = package / "segments" / f"{t:08d}.safetensors"
        if not path.is_file() or path.read_bytes() != data:
            found.append(str(path))
    path = package / MANIFEST
    if not path.is_file() or not _holds(path, objects()):
        found.append(str(path))
    path = VECTOR / "vector.json"
    if not path.is_file() or path.read_text(encoding="utf-8") != vector_text(package):
        found.append(str(path))
    annex = ANNEX.read_text(encoding="utf-8")
    if replaced(annex, PART, listing()) != annex:
        found.append(str(ANNEX))
    return found


def _holds(path: Path, wanted: dict[str, Array]) -> bool:
    found = read_manifest(path)
    return found.keys() == wanted.keys() and all(
        found[name].shape == array.shape and found[name].tolist() == array.tolist()
        for name, array in wanted.items()
    )


def write() -> None:
    """Write vector and annex."""
    shutil.rmtree(VECTOR, ignore_errors=True)
    write_package(VECTOR / PACKAGE)
    (VECTOR / "vector.json").write_text(vector_text(VECTOR / PACKAGE), encoding="utf-8")
    annex = ANNEX.read_text(encoding="utf-8")
    ANNEX.write_text(replaced(annex, PART, listing()), encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    """Check or write the example; return the exit status."""
    options = command(__doc__).parse_args(arguments)
    files = stale()
    if files and options.write:
        write()
    for name in files:
        print(f"{'written' if options.write else 'stale'}: {name}")
    return 1 if files and options.check else 0


if __name__ == "__main__":
    sys.exit(main())
