"""Kept machine code: used where it is sound and ours, made again where it is not."""

from __future__ import annotations

import importlib.util
import os
import pickle
import re
import subprocess
import sys
from pathlib import Path

import pytest

from nmc import machine_code

ROOT = Path(__file__).parents[2]
KERNEL = """
from nmc.machine_code import compiled

@compiled(nogil=True)
def plus(a, b):
    return a + b
"""


@pytest.fixture
def module(tmp_path) -> Path:
    path = tmp_path / "source" / "kernel_of_a_test.py"
    path.parent.mkdir()
    path.write_text(KERNEL)
    return path


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "kept"))
    monkeypatch.setenv("XDG_CACHE_HOME", "/dev/null/nowhere")
    monkeypatch.setattr(machine_code.tempfile, "gettempdir", lambda: "/dev/null/nowhere")
    machine_code._sources.cache_clear()
    return tmp_path / "kept" / "nmc"


def run(module: Path) -> bool:
    """Load the kernel again and call it; return whether its machine code was at hand."""
    spec = importlib.util.spec_from_file_location(module.stem, module)
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[module.stem] = loaded  # machine code is kept with the name of its module
    spec.loader.exec_module(loaded)
    assert loaded.plus(2, 3) == 5
    return bool(loaded.plus.stats.cache_hits)


def only_file(folder: Path) -> Path:
    (path,) = folder.iterdir()
    return path


def test_the_second_process_need_not_compile(module, folder) -> None:
    assert not run(module)
    assert run(module)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert only_file(folder).stat().st_mode & 0o777 == 0o600


def test_what_is_at_hand_is_called_without_the_compiler(module, folder) -> None:
    run(module)
    code = (
        "import sys, kernel_of_a_test as k\n"
        "assert k.plus(2, 3) == 5 and k.plus.stats.cache_hits\n"
        "assert 'numba.typed.typeddict' not in sys.modules\n"
        "assert k.plus(2.5, 3.0) == 5.5 and len(k.plus.stats.cache_misses) == 1\n"
    )
    path = {**os.environ, "PYTHONPATH": str(module.parent)}
    subprocess.run([sys.executable, "-c", code], env=path, check=True)


def test_every_truncation_and_flip_counts_as_missing(module, folder) -> None:
    run(module)
    path = only_file(folder)
    data = path.read_bytes()
    assert machine_code._read(path) is not None
    for length in [*range(200), *range(200, len(data), 61), len(data) - 1]:
        path.write_bytes(data[:length])
        assert machine_code._read(path) is None, length
    for at in [*range(200), *range(200, len(data), 61)]:
        path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        assert machine_code._read(path) is None, at
    path.write_bytes(data + b"\0")
    assert machine_code._read(path) is None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x80\x05",
        os.urandom(2000),
        machine_code._framed(b""),
        machine_code._framed(b"\x80\x05K\x07."),
        machine_code._framed(pickle.dumps(("no", "compile", "result"))),
        machine_code._framed(pickle.dumps((("no", "object", b"code"),) * 9)),
    ],
    ids=["empty", "cut", "noise", "no pickle", "a number", "other things", "no code"],
)
def test_what_cannot_be_used_is_made_again(module, folder, content) -> None:
    run(module)
    path = only_file(folder)
    path.write_bytes(content)
    assert not run(module)
    assert run(module)
    assert only_file(folder) == path


class Payload:
    """Does what it likes when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return (Path.touch, (self.mark,))


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="owners and modes of POSIX")
@pytest.mark.parametrize("way", ["file", "folder", "link", "folder link", "owner", "folder owner"])
def test_what_others_may_write_is_never_unpickled(module, folder, tmp_path, way) -> None:
    run(module)
    path = only_file(folder)
    mark = tmp_path / "was here"
    path.write_bytes(machine_code._framed(pickle.dumps(Payload(mark))))
    if way == "file":
        path.chmod(0o666)
    elif way == "folder":
        folder.chmod(0o777)
    elif way == "link":
        path.rename(tmp_path / "elsewhere")
        path.symlink_to(tmp_path / "elsewhere")
    elif way == "folder link":
        folder.rename(tmp_path / "elsewhere")
        folder.symlink_to(tmp_path / "elsewhere")
    elif os.geteuid():
        pytest.skip("only root may give files away")
    else:
        os.chown(path if way == "owner" else folder, 12345, 12345)
    assert not run(module)
    assert not mark.exists()


def test_the_test_above_would_see_it(module, folder, tmp_path) -> None:
    run(module)
    mark = tmp_path / "was here"
    only_file(folder).write_bytes(machine_code._framed(pickle.dumps(Payload(mark))))
    assert not run(module)
    assert mark.exists()


def test_a_change_of_any_module_beside_it_counts(module, folder) -> None:
    run(module)
    module.with_name("inlined.py").write_text("x = 1\n")
    machine_code._sources.cache_clear()
    assert not run(module)
    assert len(list(folder.iterdir())) == 2


def test_old_files_of_a_kernel_go(module, folder, monkeypatch) -> None:
    monkeypatch.setattr(machine_code, "_KEPT", 3)
    for count in range(machine_code._KEPT + 3):
        module.with_name("inlined.py").write_text(f"x = {count}\n")
        machine_code._sources.cache_clear()
        assert not run(module)
    assert run(module)
    assert len(list(folder.iterdir())) == machine_code._KEPT


PROGRAM = """
import os, resource, sys
if "FULL" in os.environ:
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
sys.path.insert(0, sys.argv[1])
import kernel_of_a_test as module
assert module.plus(2, 3) == 5
print(sum(module.plus.stats.cache_hits.values()))
"""


def start(module: Path, **environment: str) -> subprocess.Popen[str]:
    kept = {k: v for k, v in os.environ.items() if k in {"PATH", "PYTHONPATH", "LANG"}}
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", PROGRAM, str(module.parent)],
        env=kept | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(process: subprocess.Popen[str]) -> int:
    output, errors = process.communicate(timeout=200)
    assert (process.returncode, errors) == (0, "")
    return int(output)


@pytest.mark.slow
def test_four_first_runs_at_once(module, tmp_path) -> None:
    environment = {"HOME": str(tmp_path / "home")}
    for process in [start(module, **environment) for _ in range(4)]:
        ended(process)
    assert ended(start(module, **environment)) == 1
    assert len(list((tmp_path / "home/.cache/nmc").iterdir())) == 1


@pytest.mark.slow(minutes=0.02)
def test_without_a_home_the_temporary_folder_serves(module, tmp_path) -> None:
    (tmp_path / "t").mkdir()
    nowhere = tmp_path / "a file"
    nowhere.touch()
    environment = {"HOME": str(nowhere), "TMPDIR": str(tmp_path / "t")}
    assert ended(start(module, **environment)) == 0
    assert ended(start(module, **environment)) == 1


@pytest.mark.slow(minutes=0.1)
def test_without_any_place_kernels_are_compiled(module, tmp_path) -> None:
    places = dict.fromkeys(("HOME", "XDG_CACHE_HOME", "NUMBA_CACHE_DIR"), "/dev/null/nowhere")
    assert ended(start(module, **places, FULL="1", TMPDIR=str(tmp_path))) == 0
    assert ended(start(module, HOME=str(tmp_path), FULL="1", TMPDIR=str(tmp_path))) == 0
    assert not [p for p in tmp_path.rglob("*") if p.is_file() and p != module]


@pytest.mark.slow(minutes=0.1)
def test_another_processor_has_files_of_its_own(module, tmp_path) -> None:
    home = {"HOME": str(tmp_path)}
    assert ended(start(module, **home)) == 0
    assert ended(start(module, **home, NUMBA_CPU_NAME="generic", NUMBA_CPU_FEATURES="")) == 0
    assert ended(start(module, **home)) == 1
    assert len(list((tmp_path / ".cache/nmc").iterdir())) == 2


def test_a_user_whom_the_system_does_not_know(monkeypatch, tmp_path) -> None:
    """Without HOME and an entry of the password file, "~" stays as it is."""
    monkeypatch.setenv("HOME", "~")
    for name in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    assert all(place.is_absolute() for place in machine_code.folders())


def test_every_kernel_is_kept_here() -> None:
    """numba's own cache, cache=True, breaks every later run once one of its files is damaged."""
    sources = [p for top in ("format", "reference", "tools") for p in (ROOT / top).rglob("*.py")]
    assert len(sources) > 100
    found = [
        p
        for p in sources
        if "tests" not in p.parts and re.search(r"njit\([^)]*cache=True", p.read_text())
    ]
    assert not found
