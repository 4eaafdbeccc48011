"""Manifests on disk: the plain-Python reader, the library in its sandbox, and h5py agree."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import nmc_spec
from nmc_format.issues import FormatError
from nmc_format.manifest.compact.headers import OutsideSubset
from nmc_format.manifest.compact.lookup3 import lookup3
from nmc_format.manifest.compact.reader import read_compact
from nmc_format.manifest.digest import manifest_digest
from nmc_format.manifest.objects import text_scalar
from nmc_format.manifest.read import parse_manifest, read_objects
from nmc_format.manifest.sandbox import read_sandboxed
from nmc_format.manifest.write import write_manifest

LAYOUT = nmc_spec.manifest_layout()
in_any_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def same(a, b) -> None:
    assert a.keys() == b.keys()
    for path, array in a.items():
        assert array.dtype == b[path].dtype, path
        assert array.shape == b[path].shape, path
        assert array.tobytes() == b[path].tobytes(), path


def with_h5py(path: Path) -> dict[str, np.ndarray]:
    """Read everything with the high-level interface."""
    objects = {}

    def visit(name: str, node) -> None:
        place = f"/{name}" if name else ""
        for key, value in node.attrs.items():
            objects[f"{place or '/'}@{key}"] = np.asarray(value)
        if isinstance(node, h5py.Dataset):
            objects[place] = np.asarray(node[()])

    with h5py.File(path) as file:
        visit("", file)
        file.visititems(visit)
    return objects


@st.composite
def columns(draw):
    """Some objects of the layout, of the types it says, of any shape that it allows."""
    sizes = draw(st.fixed_dictionaries({d: st.integers(0, 5) for d in "TDNBECVPKSMLR"}))
    objects = {}
    for path in draw(st.lists(st.sampled_from(sorted(LAYOUT)), unique=True, max_size=12)):
        column = LAYOUT[path]
        shape = tuple(int(d) if d.isdigit() else sizes[d] for d in column.dims)
        kind = {"u1": "|u1"}.get(column.type, f"<{column.type}")
        if column.type == "str":
            kind = f"S{draw(st.integers(1, 300))}"
        objects[path] = draw(hnp.arrays(kind, shape))
    objects.pop("/@manifest_digest", None)
    return objects


@in_any_folder
@given(columns())
def test_compact_manifests_read_the_same_in_three_ways(tmp_path, objects) -> None:
    path = tmp_path / "m.h5"
    write_manifest(path, objects)
    data = path.read_bytes()
    ours = read_compact(data)
    assert ours.pop("/@manifest_digest").shape == (32,)
    same({p: objects[p] for p in sorted(objects)}, {p: ours[p] for p in sorted(ours)})
    library = with_h5py(path)
    library.pop("/@manifest_digest")
    assert library.keys() == ours.keys()
    for name, array in ours.items():
        assert library[name].shape == array.shape
        assert library[name].tolist() == array.tolist() or np.isnan(array).any()


def test_the_sandbox_reads_the_compact_form_alike(tmp_path, objects_of) -> None:
    path = tmp_path / "m.h5"
    write_manifest(path, objects_of(4))
    same(
        dict(sorted(read_compact(path.read_bytes()).items())),
        dict(sorted(read_sandboxed(path).items())),
    )


def test_bytes_are_deterministic(tmp_path, objects_of) -> None:
    objects = objects_of(4)
    write_manifest(tmp_path / "a.h5", objects)
    write_manifest(tmp_path / "b.h5", dict(reversed(objects.items())))
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


def test_a_valid_manifest_has_no_finding(tmp_path, objects_of) -> None:
    path = tmp_path / "m.h5"
    write_manifest(path, objects_of(3))
    manifest, findings = parse_manifest(path.read_bytes(), path)
    assert findings == []
    assert len(manifest) == 3
    assert manifest.root.sequence_id == "순서 1"
    assert [row.shape for row in manifest.tensors] == [(2, 3), (2,), ()]


def by_high_level(
    path: Path, objects, *, vlen: bool, chunked: bool, libver: str, big: bool
) -> None:
    """Write a manifest as somebody else's program would."""
    options = (
        {"chunks": True, "compression": "gzip", "shuffle": True, "fletcher32": True}
        if chunked
        else {}
    )
    with h5py.File(path, "w", libver=libver) as file:
        for name, array in objects.items():
            value = array
            if array.dtype.kind == "S" and vlen:
                texts = np.array([t.decode() for t in array.reshape(-1).tolist()], object)
                value = texts.reshape(array.shape) if array.ndim else texts[0]
            elif big and array.dtype.kind in "iuf":
                value = array.astype(array.dtype.newbyteorder(">"))
            parent, _, attribute = name.partition("@")
            if attribute:
                file.require_group(parent).attrs[attribute] = value
            elif vlen and array.dtype.kind == "S":
                file.create_dataset(name, data=value, dtype=h5py.string_dtype())
            else:
                file.create_dataset(name, data=value, **(options if array.size else {}))


@pytest.mark.parametrize("libver", ["earliest", "latest"])
@pytest.mark.parametrize("vlen", [False, True], ids=["fixed", "vlen"])
@pytest.mark.parametrize("chunked", [False, True], ids=["plain", "gzip"])
def test_other_forms_of_hdf5_read_the_same(tmp_path, objects_of, libver, vlen, chunked) -> None:
    """The digest is over values, so it holds however the file is laid out (clause 5.3.4)."""
    path = tmp_path / "m.h5"
    write_manifest(path, objects_of(3))
    expected = read_compact(path.read_bytes())
    other = tmp_path / "other.h5"
    by_high_level(other, expected, vlen=vlen, chunked=chunked, libver=libver, big=chunked)
    same(dict(sorted(expected.items())), dict(sorted(read_objects(other.read_bytes()).items())))
    manifest, findings = parse_manifest(other.read_bytes(), other)
    assert findings == []
    assert len(manifest) == 3


def test_large_attributes_are_read(tmp_path, objects_of) -> None:
    """A configuration of over 64 KiB cannot lie in a compact attribute."""
    path = tmp_path / "m.h5"
    text = '{"names": [' + ", ".join(f'"layer {i}"' for i in range(9000)) + "]}"
    objects = objects_of(2) | {"/model@configuration": text_scalar(text)}
    write_manifest(path, objects)
    manifest, findings = parse_manifest(path.read_bytes(), path)
    assert findings == []
    assert manifest.model.configuration == text


def add_unknown(path: Path) -> None:
    """Add objects of a later version, and the digest that covers them."""
    with h5py.File(path, "r+") as file:
        file["mine/numbers"] = np.arange(3, dtype=">i2")
        file["frames"].attrs["colour"] = "blue"
    digest = manifest_digest(read_objects(path.read_bytes()))
    with h5py.File(path, "r+") as file:
        file.attrs["manifest_digest"] = np.frombuffer(digest, "u1")


def test_what_is_not_in_the_table_is_ignored_with_a_warning(tmp_path, objects_of) -> None:
    path = tmp_path / "m.h5"
    write_manifest(path, objects_of(2))
    add_unknown(path)
    manifest, findings = parse_manifest(path.read_bytes(), path)
    assert manifest.timescale == 30
    assert {(f.code, f.place.pointer) for f in findings} == {
        ("manifest/object-unknown", "/mine/numbers"),
        ("manifest/object-unknown", "/frames@colour"),
    }


def test_what_is_not_in_the_table_is_covered_by_the_digest(tmp_path, objects_of) -> None:
    path = tmp_path / "m.h5"
    write_manifest(path, objects_of(2))
    add_unknown(path)
    with h5py.File(path, "r+") as file:
        file["mine/numbers"][1] = 7
    _, findings = parse_manifest(path.read_bytes(), path)
    assert [f.code for f in findings if f.severity == "error"] == ["manifest/digest"]


def test_modules_beside_the_package_are_not_imported(tmp_path, objects_of) -> None:
    """``python -m`` would import from the working directory, such as where a download lies."""
    path = tmp_path / "m.h5"
    by_high_level(path, objects_of(2), vlen=True, chunked=False, libver="latest", big=False)
    mark = tmp_path / "mark"
    for name in ("h5py", "numpy", "json", "nmc_format", "resource"):
        (tmp_path / f"{name}.py").write_text(f"open({str(mark)!r}, 'w').close()")
    code = (
        "import os, sys, pathlib; from nmc_format.manifest.sandbox import read_sandboxed; "
        "os.chdir(sys.argv[1]); print(len(read_sandboxed(pathlib.Path('m.h5'))))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) == len(objects_of(2))
    assert not mark.exists()


@in_any_folder
@given(st.data())
def test_damage_is_refused(objects_of, tmp_path, data) -> None:
    """Every byte counts: it is found by a checksum, by the digest, or for being no zero."""
    path = tmp_path / "m.h5"
    if not path.exists():
        write_manifest(path, objects_of(3))
    good = path.read_bytes()
    damaged = bytearray(good)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(good) - 1))
        damaged[at] ^= data.draw(st.integers(1, 255))
    damaged = bytes(damaged[: data.draw(st.sampled_from([len(good), len(good), at]))])
    try:
        objects = read_compact(damaged)
    except (OutsideSubset, FormatError):
        return
    if damaged != good:
        digest = objects["/@manifest_digest"].tobytes()
        assert digest != manifest_digest(objects)


@pytest.mark.parametrize("data", [b"", b"\x89HDF\r\n\x1a\n", bytes(100), b"\x89HDF\r\n\x1a\n" * 20])
def test_garbage_is_unreadable(data) -> None:
    manifest, (found,) = parse_manifest(data)
    assert manifest is None
    assert found.code == "manifest/unreadable"


def test_a_child_that_dies_is_no_traceback(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(FormatError, match="manifest/unreadable"):
        read_sandboxed(tmp_path / "m.h5")


def test_a_child_that_hangs_is_ended(tmp_path, monkeypatch) -> None:
    from nmc_format.manifest import sandbox

    script = tmp_path / "sleeper"
    script.write_text("#!/bin/sh\nexec sleep 60\n")
    script.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(script))
    monkeypatch.setattr(sandbox, "_SECONDS", 0.2)
    with pytest.raises(FormatError, match=r"took over 0\.2 s"):
        read_sandboxed(tmp_path / "m.h5")


def test_lookup3_has_the_published_values() -> None:
    """The values of driver5() in Jenkins' lookup3.c, initial value 0, and of the HDF5 sources."""
    assert lookup3(b"") == 0xDEADBEEF
    assert lookup3(b"Four score and seven years ago") == 0x17770551


@given(st.binary(max_size=80))
def test_lookup3_looks_at_every_byte(data) -> None:
    value = lookup3(data)
    assert 0 <= value < 2**32
    for i in range(len(data)):
        changed = bytearray(data)
        changed[i] ^= 0x10
        assert lookup3(bytes(changed)) != value


@pytest.mark.parametrize("tail", range(13))
def test_lookup3_is_the_checksum_of_the_library(tail) -> None:
    """The library writes superblocks and object headers whose checksum ours has to be."""
    stream = io.BytesIO()
    with h5py.File(stream, "w", libver="latest") as file:
        file.attrs["x" * (tail + 1)] = np.arange(tail, dtype="u1")
    data = stream.getvalue()
    assert read_compact(data)[f"/@{'x' * (tail + 1)}"].tolist() == list(range(tail))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes with names")
def test_paths_with_odd_names(tmp_path, objects_of) -> None:
    folder = tmp_path / "-x 모델 \n"
    folder.mkdir()
    write_manifest(folder / "m.h5", objects_of(2))
    with h5py.File(folder / "m.h5", "r+") as file:
        file.attrs["more"] = "so that the library reads it"
    objects = read_objects((folder / "m.h5").read_bytes(), folder / "m.h5")
    assert "/@more" in objects


def test_a_manifest_of_every_object_is_compact(tmp_path) -> None:
    """A group of more than eight datasets went into a heap, where no checksum covers all bits."""
    sizes = dict.fromkeys("TDNBECVPKSMLR", 1)
    objects = {}
    for path, column in LAYOUT.items():
        shape = tuple(int(d) if d.isdigit() else sizes[d] for d in column.dims)
        kind = "S3" if column.type == "str" else f"<{column.type}"
        objects[path] = np.zeros(shape, kind)
    del objects["/@manifest_digest"]
    write_manifest(tmp_path / "m.h5", objects)
    assert read_compact((tmp_path / "m.h5").read_bytes()).keys() == LAYOUT.keys()
