"""The worked example of annex E: made again it is the same, and the reference accepts it."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import worked_example
from safetensors.numpy import load
from writers import package_writer

from nmc_spec import manifest_layout

PACKAGE = worked_example.VECTOR / worked_example.PACKAGE


def committed() -> dict[str, Any]:
    text = (worked_example.VECTOR / "vector.json").read_text(encoding="utf-8")
    content: dict[str, Any] = json.loads(text)
    return content


def python(code: str, *arguments: str) -> Any:
    """Run the reference as a program of its own, since conformance never imports it."""
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    package: Path = tmp_path_factory.mktemp("worked") / "package.nmc"
    worked_example.write_package(package)
    return package


def test_made_anew_the_segments_are_the_same(fresh: Path) -> None:
    names = sorted(path.name for path in (PACKAGE / "segments").iterdir())
    assert names == sorted(path.name for path in (fresh / "segments").iterdir())
    for name in names:
        old, new = PACKAGE / "segments" / name, fresh / "segments" / name
        assert old.read_bytes() == new.read_bytes()


def test_made_anew_the_manifest_holds_the_same(fresh: Path) -> None:
    old = package_writer.read_manifest(PACKAGE / "manifest.h5")
    new = package_writer.read_manifest(fresh / "manifest.h5")
    wanted = worked_example.objects()
    assert old.keys() == new.keys() == wanted.keys()
    for path, array in wanted.items():
        assert old[path].shape == new[path].shape == array.shape
        assert old[path].tolist() == new[path].tolist() == array.tolist()


def test_made_anew_the_vector_is_the_same(fresh: Path) -> None:
    old, new = committed(), worked_example.vector(fresh)
    for content in (old, new):  # the HDF5 library may lay out the same manifest in another way
        del content["input"]["sha256"]["manifest.h5"]
    assert old == new


def test_the_vector_names_the_files_that_are_there() -> None:
    wanted = committed()["input"]["sha256"]
    found = {
        path.relative_to(PACKAGE).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in PACKAGE.rglob("*")
        if path.is_file()
    }
    assert found == wanted


def test_nothing_on_disk_is_stale() -> None:
    assert worked_example.stale() == []


def test_the_command_agrees() -> None:
    command = [sys.executable, worked_example.__file__, "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_manifest_is_in_the_layout_of_the_standard() -> None:
    layout = manifest_layout()
    for path, array in worked_example.objects().items():
        assert layout[path].type == package_writer.type_name(array)
        assert len(layout[path].dims) == array.ndim


def test_any_safetensors_reader_reads_the_segments() -> None:
    for path in sorted((PACKAGE / "segments").iterdir()):
        streams = load(path.read_bytes())
        assert {array.dtype for array in streams.values()} == {np.dtype("u1")}


def test_the_reference_accepts_it() -> None:
    report = python(
        "import json, nmc, sys; print(json.dumps(nmc.check(sys.argv[1]).to_json()))", str(PACKAGE)
    )
    assert report["findings"] == []
    assert (report["accepted"], report["frames"], report["decoded"]) == (True, 2, 2)


def test_the_reference_reads_the_manifest_without_the_hdf5_library() -> None:
    code = (
        "import json, pathlib, sys; from nmc_format.manifest.compact.reader import read_compact; "
        "print(json.dumps(sorted(read_compact(pathlib.Path(sys.argv[1]).read_bytes()))))"
    )
    assert python(code, str(PACKAGE / "manifest.h5")) == sorted(worked_example.objects())


def test_the_reference_decodes_the_states() -> None:
    code = (
        "import json, nmc, sys; sequence = nmc.open(sys.argv[1]); "
        "print(json.dumps([{n: [str(a.dtype), a.shape, a.tobytes().hex()] "
        "for n, a in state.items()} for state in sequence]))"
    )
    dtypes = {"float32": "F32", "int64": "I64"}
    for t, state in enumerate(python(code, str(PACKAGE))):
        digests = {
            name: hashlib.sha256(
                package_writer.tensor_preimage(dtypes[dtype], tuple(shape), bytes.fromhex(data))
            ).digest()
            for name, (dtype, shape, data) in state.items()
        }
        digest = hashlib.sha256(package_writer.state_preimage(digests)).hexdigest()
        assert digest == committed()["expected"]["state_digests"][t]
