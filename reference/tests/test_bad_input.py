"""Bad input: each way of damage gives its code and its place, and never a wrong state.

A case is a valid package, damaged in one way, with all findings that ``nmc.check`` makes of it:
what merely follows from a finding is not among them. Frames of other groups stay readable, and a
frame that cannot be decoded is refused. ``test_every_code_has_a_case`` keeps the table complete.
"""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

import bad_hdf5
import bad_manifests
import bad_media
import bad_packages
import bad_quantised
import bad_refinements
import bad_segments
import bad_slices
import bad_streams
import numpy as np
import pytest
from bad_cases import CASES, FRAMES
from nmc_samples import chain, edit, put_objects, rebuild, refused, same_state, write, write_trained

import nmc
import nmc_spec
from nmc.writing import folder

TABLES = (
    *(bad_segments, bad_slices, bad_streams, bad_quantised, bad_refinements),
    *(bad_packages, bad_hdf5, bad_manifests, bad_media),
)
"""The modules that hold the cases; importing them has filled CASES."""


@pytest.fixture(scope="module")
def states():
    return chain(FRAMES)


@pytest.fixture(scope="module")
def sources(tmp_path_factory, states) -> dict[str, Path]:
    """Valid packages to damage."""
    root = tmp_path_factory.mktemp("sources")
    kinds = {
        "folder": {"entropy": "none", "directory": True},
        "baseline": {"profile": "baseline", "directory": True},
        "zstd": {"entropy": "zstd", "directory": True},
        "nmc": {"entropy": "nmc", "directory": True},
        "file": {"entropy": "none"},
    }
    made = {n: write_trained(root / f"{n}.nmc", states, **o) for n, o in kinds.items()}
    quantised = {"profile": "lossy", "quantisation": nmc.Quantisation(bad_quantised.STEPS)}
    made["lossy"] = write_trained(root / "lossy.nmc", states, directory=True, **quantised)
    finer = nmc.Quantisation(bad_quantised.STEPS, refinements=[2])
    refined = {"profile": "lossy", "quantisation": finer}
    made["refined"] = write_trained(root / "refined.nmc", states, directory=True, **refined)
    clip = nmc.Media(bad_media.CLIP, name="clip.mp4")
    made["media"] = write_trained(root / "media.nmc", states, directory=True, media=[clip])
    moving = {"key_every": 3, "directory": True}
    made["slices"] = write(root / "slices.nmc", bad_slices.splats(), **moving)
    growing = [dict(s) for s in states]
    for state in growing[2:]:
        state["late"] = np.ones(3, "f4")
    made["growing"] = write(root / "growing.nmc", growing, key_every=3, directory=True)
    return made


@pytest.fixture(scope="module")
def more_sources(sources, tmp_path_factory):
    """Packages that only a few cases need."""
    root = tmp_path_factory.mktemp("more")
    rng = np.random.default_rng(0)
    retyped = [{"w": rng.normal(size=(3,)).astype("f4" if t < 3 else "f8")} for t in range(6)]
    retyped[1]["w"] = retyped[0]["w"]
    path = write(root / "retyped.nmc", retyped, key_every=3, directory=True, entropy="none")
    edit(path, "/model/tensors/first_frame", np.zeros_like)
    for t in range(3):
        rebuild(path, t, modes=lambda m: np.append(m, np.uint8(0)))
    vanishing = root / "vanishing.nmc"
    with nmc.Writer(vanishing, key_every=3, directory=True) as writer:
        for t in range(6):
            state = {"a": np.full(3, t, "f4")} | ({"b": np.full(3, t, "f4")} if t < 2 else {})
            writer.append(state, requires_grad=dict.fromkeys(state, True))
    return {**sources, "retyped": path, "vanishing": vanishing}


@pytest.fixture(scope="module")
def right_states(more_sources):
    found = {}
    for name, path in more_sources.items():
        with nmc.open(path) as sequence:
            found[name] = list(sequence)
    return found


def copy_of(source: Path, folder: Path) -> Path:
    target = folder / source.name
    if source.is_dir():
        shutil.copytree(source, target)
    else:
        shutil.copy(source, target)
    return target


@pytest.mark.sweep(8)
@pytest.mark.parametrize("case_", CASES, ids=lambda c: c.name)
@pytest.mark.filterwarnings("default::UserWarning")
def test_damage(case_, more_sources, right_states, tmp_path) -> None:
    path = copy_of(more_sources[case_.source], tmp_path)
    case_.damage(path)

    report = nmc.check(path)
    found = sorted((f.code, str(f.place)) for f in report.findings)
    expected = sorted((code, place.replace("PKG", str(path))) for code, place in case_.findings)
    assert [code for code, _ in found] == [code for code, _ in expected], report.findings
    for (_, actual), (_, place) in zip(found, expected, strict=True):
        assert place in {"*", actual}, report.findings
    assert all(str(f).isprintable() for f in report.findings)
    errors = [f for f in report.findings if f.severity == "error"]
    assert report.accepted == (not errors)

    right = right_states[case_.source]
    readable = set()
    try:
        sequence = nmc.open(path)
    except nmc.FormatError as error:
        assert error.finding.code in {f.code for f in errors}, error
    else:
        with sequence:
            for t in [5, 0, 2, 1, 4, 3][: len(sequence)]:
                try:
                    state = sequence[t]
                except nmc.FormatError:
                    continue
                assert same_state(state, right[t]), f"a wrong state of frame {t} was returned"
                readable.add(t)
    assert readable == case_.healthy


def test_the_sources_are_valid(more_sources) -> None:
    for path in more_sources.values():
        assert nmc.check(path).findings == ()


# --- codes that come from writing and from the host ---


def test_writing_over_something(tmp_path, states) -> None:
    path = write(tmp_path / "a.nmc", states[:1])
    before = path.read_bytes()
    assert refused("host/exists", lambda: nmc.Writer(path)).place.file == str(path)
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "precious").write_text("x")
    refused("host/exists", lambda: nmc.Writer(folder, directory=True))
    refused("host/exists", lambda: nmc.Writer(folder))
    refused("host/exists", lambda: nmc.Writer(folder, overwrite=True))
    assert path.read_bytes() == before
    assert (folder / "precious").exists()
    refused("host/exists", lambda: nmc.Writer(path / "inside.nmc"))


def test_a_full_disk(tmp_path, states, monkeypatch) -> None:
    path = tmp_path / "a.nmc"
    writer = nmc.Writer(path)
    writer.append(states[0])

    def full(handle, piece):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(folder, "write_all", full)
    found = refused("host/no-space", lambda: writer.append(states[1]))
    assert found.place.file == str(path)
    monkeypatch.undo()
    assert len(writer) == 1
    writer.append(states[1])
    writer.close()
    assert nmc.check(path).findings == ()
    assert nmc.check(path).frames == 2


@pytest.mark.slow(minutes=0.03)
def test_findings_without_end(sources, tmp_path) -> None:
    """A manifest of a few kilobytes can declare a million frames that are not there."""
    path = copy_of(sources["folder"], tmp_path)
    objects = bad_manifests.long_sequence(path, 200_000)
    objects["/frames/coding"][:] = 0
    objects["/@level"][...] = 2
    put_objects(path, objects)
    report = nmc.check(path)
    assert report.findings[-1].code == "host/more-findings"
    assert len(report.findings) == 10_002
    assert not report.accepted


SEEN_ELSEWHERE = {"host/exists", "host/no-space", "host/more-findings"}
"""Codes of the three tests before."""

SEEN_IN_HOST_TESTS = {"host/denied", "host/device", "host/changed", "host/failed", "host/no-memory"}
"""Codes of ``test_host_errors.py``, ``test_sharing.py`` and ``test_messages.py``."""

SEEN_WITH_SERVERS = {"host/connection", "host/server"}
"""Codes of ``test_remote_servers.py`` and ``test_remote_sockets.py``."""


SEEN_IN_SIGNATURES = {"host/not-verified"}
"""Codes of ``test_signatures.py``, as those of the chapter ``signature`` are."""


SEEN_IN_ENCRYPTION = {"host/not-decrypted"}
"""Codes of ``test_encryption.py``, as those of the chapter ``encryption`` are."""


def test_every_code_has_a_case() -> None:
    """A code of the catalogue that no damage gives is not a code."""
    chapters = {
        "package",
        "manifest",
        "profile",
        "segment",
        "decoding",
        "freezing",
        "media",
        "host",
    }
    codes = {code for code in nmc_spec.issues() if code.partition("/")[0] in chapters}
    seen = (
        {code for case_ in CASES for code, _ in case_.findings}
        | SEEN_ELSEWHERE
        | SEEN_IN_HOST_TESTS
        | SEEN_WITH_SERVERS
        | SEEN_IN_SIGNATURES
        | SEEN_IN_ENCRYPTION
    )
    assert codes - seen == set()
    assert seen - codes == set()
