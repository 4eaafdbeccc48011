"""HDF5 files that are known to have crashed readers: refused, each in bounded memory and time."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

resource = pytest.importorskip("resource")

ROOT = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get("NMC_SHARED_DATA", ROOT.parent / "shared" / "data"))
HOSTILE = SHARED / "hostile"
FILES = sorted(p for p in HOSTILE.rglob("*") if p.is_file() and p.suffix not in {".txt", ".yml"})

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not FILES, reason=f"{HOSTILE} is absent (NMC_SHARED_DATA says where the data lies)"
    ),
]

MEMORY = 6 * 2**30
SECONDS = 240


def limit() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "nmc_tools.cli", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, preexec_fn=limit, timeout=SECONDS
    )


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> list[Path]:
    """Each file as the manifest of a package."""
    root = tmp_path_factory.mktemp("hostile")
    made = []
    for file in FILES:
        package = root / f"{file.name}.nmc"
        (package / "segments").mkdir(parents=True)
        shutil.copy(file, package / "manifest.h5")
        made.append(package)
    return made


def test_as_files() -> None:
    done = run("check", "--json", *map(str, FILES))
    assert done.returncode == 1, done.stderr
    assert done.stderr == ""
    reports = json.loads(done.stdout)
    assert [r["path"] for r in reports] == list(map(str, FILES))
    for report in reports:
        assert [f["code"] for f in report["findings"]] == ["package/not-a-package"]


def test_as_manifests(folders) -> None:
    done = run("check", *map(str, folders))
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    errors = done.stderr.splitlines()
    assert len(errors) == len(folders)
    for package, line in zip(folders, errors, strict=True):
        assert line.startswith(f"{package}: error manifest/")
        assert line.isprintable()
    assert done.stdout.count("refused") == len(folders)


def test_the_files_are_the_known_ones() -> None:
    assert len(FILES) > 20
