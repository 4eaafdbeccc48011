"""Processes of ours import nothing from where they are started, and have no environment."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

import nmc_format
import nmc_spec

HOSTILE = ("h5py", "json", "natsort", "numpy", "nmc_format", "resource", "runpy", "sitecustomize")
READ = """
import os, sys, pathlib
from nmc_format.manifest.sandbox import read_sandboxed
os.chdir(sys.argv[1])
print(len(read_sandboxed(pathlib.Path("m.h5"))))
"""
OWN = [str(Path(package.__file__).parents[1]) for package in (nmc_format, nmc_spec)]


@pytest.fixture
def room(tmp_path):
    """A folder with a sound file and a stranger's modules, each of which leaves a mark."""
    folder = tmp_path / "a download"
    folder.mkdir()
    with h5py.File(folder / "m.h5", "w", libver="latest") as file:
        file["x"] = np.arange(3)
    for name in HOSTILE:
        text = f"open({str(tmp_path / 'mark')!r}, 'a').write({name!r})"
        (folder / f"{name}.py").write_text(text)
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text(text)
    return folder


def read(room, python=sys.executable, environment=None):
    done = subprocess.run(
        [python, "-c", READ, str(room)],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    assert done.stdout == "1\n", done.stderr
    marks = room.parent / "mark"
    assert not marks.exists(), marks.read_text()


def test_nothing_is_taken_from_the_working_directory(room):
    read(room)


@pytest.mark.parametrize("kind", ["PYTHONPATH", "PYTHONSTARTUP", "LD_PRELOAD", "HDF5_PLUGIN_PATH"])
def test_nothing_is_taken_from_the_environment(room, kind, monkeypatch):
    """The caller's variables reach this process, and go no further."""
    from nmc_format.manifest import sandbox

    values = {"PYTHONSTARTUP": str(room / "numpy.py")}
    monkeypatch.setenv(kind, values.get(kind, str(room)))
    monkeypatch.setenv("PYTHONHOME", str(room))
    seen = {}

    def run(command, **options):
        seen.update(options)
        return subprocess.CompletedProcess(command, 1, b"", b"")

    monkeypatch.setattr(sandbox.subprocess, "run", run)
    with pytest.raises(nmc_format.issues.FormatError):
        sandbox.read_sandboxed(room / "m.h5")
    assert not {kind, "PYTHONHOME"} & seen["env"].keys()
    assert str(room) not in str(seen["env"])


def test_packages_that_only_a_variable_names_are_found(room, tmp_path):
    """As where somebody installs with ``--target``: the process is told where they are."""
    target = tmp_path / "a target"
    for package in (nmc_format, nmc_spec):
        source = Path(package.__file__).parent
        shutil.copytree(source, target / source.name, ignore=shutil.ignore_patterns("*.pyc"))
    bare = tmp_path / "venv"
    venv.create(bare, with_pip=False, symlinks=True)
    packages = str(Path(np.__file__).parents[1])
    path = os.pathsep.join([str(target), packages])
    python = bare / ("Scripts" if os.name == "nt" else "bin") / "python"
    read(room, str(python), os.environ | {"PYTHONPATH": path})


def test_an_installation_that_cannot_be_written(room, tmp_path):
    target = tmp_path / "read only"
    for package in (nmc_format, nmc_spec):
        source = Path(package.__file__).parent
        shutil.copytree(source, target / source.name, ignore=shutil.ignore_patterns("*.pyc"))
    folders = [target, *(p for p in target.rglob("*") if p.is_dir())]
    try:
        for folder in folders:
            folder.chmod(0o555)
        before = sorted(target.rglob("*"))
        environment = os.environ | {"PYTHONPATH": str(target), "PYTHONDONTWRITEBYTECODE": "1"}
        read(room, environment=environment)
        assert sorted(target.rglob("*")) == before
    finally:
        for folder in folders:
            folder.chmod(0o755)


def test_packages_in_a_zip_whose_path_has_spaces(room, tmp_path):
    archive = tmp_path / "an archive.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for root in OWN:
            for name in ("nmc_format", "nmc_spec"):
                for path in sorted(Path(root, name).rglob("*")):
                    if path.is_file() and path.suffix != ".pyc":
                        file.write(path, path.relative_to(root))
    read(room, environment=os.environ | {"PYTHONPATH": str(archive)})
