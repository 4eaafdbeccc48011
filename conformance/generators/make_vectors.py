"""Makes the conformance vectors. Run with ``--write``, or with ``--check`` to name what is stale.

Every byte is the same on each run, except for manifests that the HDF5 library lays out: of those
vectors the expectations are compared, the segments, and the digest of the manifest's values.
"""

from __future__ import annotations

import importlib
import io
import json
import shutil
import sys
import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
from cases import PACKAGE, Case, input_files, vector, vector_text
from chain import MANIFEST
from findings import expected_findings

from nmc_spec.generated import command

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_GZIP = zlib.MAX_WBITS | 16
VECTORS = Path(__file__).resolve().parents[1] / "vectors"

MODULES = (
    "bases",
    "package.package_cases",
    "package.zip_cases",
    "package.manifest_cases",
    "package.table_cases",
    "package.record_cases",
    "package.hdf5_cases",
    "package.object_cases",
    "package.library_cases",
    "package.forbidden_cases",
    "package.source_cases",
    "package.text_cases",
    "package.number_cases",
    "package.link_cases",
    "package.misread_cases",
    "package.column_cases",
    "package.compact_cases",
    "package.similarity_cases",
    "package.structure_cases",
    "segment.segment_cases",
    "segment.shape_cases",
    "segment.slices_cases",
    "segment.slice_origin_cases",
    "segment.zstd_cases",
    "segment.zstd_block_cases",
    "segment.zstd_damage_cases",
    "segment.header_cases",
    "segment.misread_cases",
    "segment.entry_cases",
    "segment.alike_cases",
    "segment.digests_cases",
    "decoding.decoding_cases",
    "decoding.seek_cases",
    "arithmetic.arithmetic_cases",
    "arithmetic.payload_cases",
    "arithmetic.ending_cases",
    "arithmetic.way_cases",
    "arithmetic.branch_cases",
    "arithmetic.variant_cases",
    "arithmetic.sparse_cases",
    "arithmetic.divided_cases",
    "arithmetic.chunk_cases",
    "quantised.quantised_cases",
    "quantised.state_cases",
    "quantised.payload_cases",
    "quantised.bound_cases",
    "quantised.mode_cases",
    "quantised.refinement_cases",
    "quantised.refinement_faults",
    "quantised.refinement_rows",
    "worked_trace",
    "freezing.freezing_cases",
    "freezing.frozen_cases",
    "freezing.frozen_bytes_cases",
    "freezing.misread_cases",
    "profiles.profile_cases",
    "profiles.bound_cases",
    "profiles.later_cases",
    "profiles.large_cases",
    "signatures.signature_cases",
    "signatures.form_cases",
    "signatures.demand_cases",
    "encryption.encryption_cases",
    "encryption.check_cases",
    "messages.message_cases",
    "messages.refused_cases",
    "media.media_cases",
    "media.table_cases",
    "model.model_cases",
    "model.digest_cases",
)
"""Generators, each a module with ``cases()``. The worked example has a program of its own."""

OWN = ("05-package/worked-example",)
"""Vectors that other programs make."""


def all_cases() -> Iterator[tuple[str, Case]]:
    """Yield every case with the name of its generator."""
    for name in MODULES:
        for case in importlib.import_module(name).cases():
            yield name.rpartition(".")[2], case


def made(name: str, case: Case, bases: Mapping[str, Case] | None = None) -> dict[str, bytes]:
    """Return the files of a vector by their paths in its folder; ``bases`` has cases by id."""
    files = input_files(case)
    findings = expected_findings(case, bases or {}) if case.stage else []
    content = vector(case, name, files, findings)
    named = {f"{PACKAGE}/{path}" if path else PACKAGE: data for path, data in files.items()}
    return {"vector.json": vector_text(content).encode(), **named}


def _comparable(text: bytes) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(text)
    if "library" in content["generator"]:
        content["input"].pop("sha256")
    if _is_compressed(content):
        content["input"] = content["input"]["path"]
    return content


def _inflated(text: bytes, data: bytes) -> bytes:
    for _ in json.loads(text)["input"].get("prepare", ()):
        data = zlib.decompress(data, _GZIP)
    return data


def _is_compressed(content: Mapping[str, Any]) -> bool:
    return any(step["do"] == "inflate" for step in content["input"].get("prepare", ()))


def _laid_out(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return the members of a package, of the manifest only the digest of its values."""
    members = dict(files)
    text = members.pop("vector.json")
    if PACKAGE in members:
        data = _inflated(text, members[PACKAGE])
        with zipfile.ZipFile(io.BytesIO(data)) as file:
            members = {name: file.read(name) for name in file.namelist()}
    with h5py.File(io.BytesIO(members[MANIFEST])) as file:
        members[MANIFEST] = file.attrs["manifest_digest"].tobytes()
    return members


def is_current(folder: Path, files: Mapping[str, bytes], *, library: bool) -> bool:
    """Whether a folder holds what was made."""
    there = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    if there != files.keys():
        return False
    if library:
        stored = {name: (folder / name).read_bytes() for name in there}
        same = _comparable(stored["vector.json"]) == _comparable(files["vector.json"])
        return same and _laid_out(stored) == _laid_out(files)
    if _is_compressed(json.loads(files["vector.json"])):  # in bytes that depend on zlib's version
        text, stored = (folder / "vector.json").read_bytes(), (folder / PACKAGE).read_bytes()
        same = _inflated(text, stored) == _inflated(files["vector.json"], files[PACKAGE])
        return same and _comparable(text) == _comparable(files["vector.json"])
    return all((folder / name).read_bytes() == data for name, data in files.items())


def write(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write one vector again."""
    shutil.rmtree(folder, ignore_errors=True)
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def run(root: Path, *, writing: bool) -> list[str]:
    """Return the ids that are stale; write them if asked to."""
    stale = []
    wanted = set(OWN)
    cases = list(all_cases())
    bases = {case.id: case for _, case in cases}
    for generator, case in cases:
        if case.id in wanted:
            raise ValueError(f"two cases have the id {case.id}")
        wanted.add(case.id)
        files = made(generator, case, bases)
        if not is_current(root / case.id, files, library=bool(case.library)):
            stale.append(case.id)
            if writing:
                write(root / case.id, files)
    for path in sorted(root.glob("*/*/vector.json")):
        name = path.parent.relative_to(root).as_posix()
        if name not in wanted:
            stale.append(name)
            if writing:
                shutil.rmtree(path.parent)
    return stale


def main(arguments: Sequence[str] | None = None) -> int:
    """Check or write the vectors; return the exit status."""
    options = command(__doc__).parse_args(arguments)
    stale = run(VECTORS, writing=options.write)
    for name in stale:
        print(f"{'written' if options.write else 'stale'}: {name}")
    return 1 if stale and options.check else 0


if __name__ == "__main__":
    sys.exit(main())
