"""Reading a checkpoint imports nothing that lies beside it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

HOSTILE = (
    "natsort", "numpy", "h5py", "nmc_tools", "nmc_format", "json", "ml_dtypes", "safetensors",
    "sitecustomize", "usercustomize", "runpy", "resource", "multiprocessing", "socket",
)  # fmt: skip
_ALONE = ("-P", "-I", "*_OPTIONS")
SCRIPT = str(Path(sys.executable).with_name("nmc"))


@pytest.fixture
def room(tmp_path):
    """A downloaded folder: a checkpoint, and modules that leave a mark when they are imported."""
    folder = tmp_path / "a download"
    folder.mkdir()
    for name in HOSTILE:
        text = f"open({str(tmp_path / 'mark')!r}, 'a').write({name!r})\n"
        (folder / f"{name}.py").write_text(text)
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text(text)
    with h5py.File(folder / "model.weights.h5", "w") as file:
        file["layers/dense/vars/0"] = np.arange(6, dtype="<f4")
    return folder


def test_no_process_of_ours_takes_modules_from_where_the_user_stands() -> None:
    """Every interpreter is started with -P or -I: a downloaded numpy.py stays a file."""
    house = Path(__file__).resolve().parents[2]
    started = re.compile(r"\[\s*sys\.executable,\s*(\S+)|\{sys\.executable\}( \S+)")
    found = {}
    for floor in ("format", "reference", "tools/nmc_tools", "conformance/nmc_conformance"):
        for path in sorted((house / floor).rglob("*.py")):
            if "tests" not in path.parts:
                for first in started.findall(path.read_text(encoding="utf-8")):
                    found[path.name] = "".join(first).strip(' ",')
    assert len(found) >= 6
    assert {name: option for name, option in found.items() if option not in _ALONE} == {}


def marks(room):
    path = room.parent / "mark"
    return path.read_text() if path.exists() else ""


@pytest.mark.sweep(2)
@pytest.mark.parametrize("polluted", [False, True])
def test_packing_where_hostile_modules_lie(room, polluted):
    environment = dict(os.environ)
    if polluted:  # the user's own Python starts with these; the reader of the file does not
        environment["PYTHONUSERBASE"] = environment["HDF5_PLUGIN_PATH"] = str(room)
    done = subprocess.run(
        [SCRIPT, "pack", "model.weights.h5", "-o", "out.nmc"],
        cwd=room,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert marks(room) == ""


@pytest.mark.slow(minutes=0.08)
def test_the_server_of_the_render_workers(room):
    """It is started as ``python -c``, which would look in the working directory first."""
    pytest.importorskip("torch")
    code = """
import os, sys
from nmc_framework.rendering.parallel import worker_pool
sys.path.remove("")
os.chdir(sys.argv[1])
os.environ["PYTHONPATH"] = sys.argv[1]
with worker_pool(1) as pool:
    print(pool.submit(os.getpid).result() != os.getpid())
print(os.environ["PYTHONPATH"] == sys.argv[1], "PYTHONSAFEPATH" in os.environ)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(room)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "True\nTrue False\n", done.stderr
    assert marks(room) == ""


def test_a_reader_that_does_not_start_blames_no_file(tmp_path, monkeypatch):
    """What it needs is told to it by name; where a module of ours is missing, that is said."""
    from nmc_tools.checkpoints import CheckpointError, keras_files, read

    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["w"] = np.ones(3)
    monkeypatch.setattr(keras_files, "_NEEDS", ("nmc_spec", "nmc_format"))
    with pytest.raises(CheckpointError, match="does not run") as caught:
        read(tmp_path / "a.h5")
    assert "not to blame" in caught.value.hint
