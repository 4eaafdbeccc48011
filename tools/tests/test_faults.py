"""A short version of ``make faults``: calls fail one at a time, and nothing is lost."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

import nmc
from nmc.writing import journal, unfinished

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "faults"))

pytest.importorskip("fcntl")

from commands import BEFORE, Command
from every_command import all_commands, all_file_commands
from file_judging import expected_files, judge_files
from injection import Killed, injected
from judging import expected, judge, quiet

SHORT = [
    ("train", False),
    ("train", True),
    ("pack --resume", False),
    ("recover", False),
    ("recover", True),
    ("extract in place", False),
    ("extract in place", True),
    ("evaluate", True),
    ("sign", False),
    ("sign", True),
]
MODES = ["EIO", "ENOSPC", "half", "killed", "interrupted"]


def attempt(command: Command, root: Path, at: int, mode: str, patch) -> tuple[int | str, int, int]:
    """Carry a command out with one fault; return its code, finished frames and calls."""
    finished = [0]
    real = journal.Journal.append

    def append(self, entry) -> None:
        real(self, entry)
        finished[0] = len(self.content.entries)

    with patch.context() as inner, injected(at, mode) as injection:
        inner.setattr(journal.Journal, "append", append)
        try:
            code = quiet(lambda: command.run(root))
        except Killed:
            code = -9
        except KeyboardInterrupt:
            code = 130
    return code, finished[0], injection.count


@pytest.mark.slow
@pytest.mark.parametrize(("name", "directory"), SHORT, ids=str)
def test_no_failing_call_loses_anything(tmp_path, monkeypatch, name, directory) -> None:
    monkeypatch.setattr(unfinished, "SYNC_SECONDS", 0)
    command = next(c for c in all_commands() if (c.name, c.directory) == (name, directory))
    template = tmp_path / "template"
    template.mkdir()
    command.prepare(template)
    wanted = expected(command, template, tmp_path)
    before = BEFORE if any(template.glob("x.nmc*/journal.ndjson")) else 0
    root = tmp_path / "root"
    shutil.copytree(template, root)
    code, _, calls = attempt(command, root, -1, "none", monkeypatch)
    assert code == 0
    assert calls > 5
    assert nmc.check(root / "x.nmc").findings == ()
    shutil.rmtree(root)
    found = []
    for k, mode in enumerate(MODES):
        for at in range(k, calls, 9):  # each call by some of the modes; all in `make faults`
            shutil.copytree(template, root)
            code, finished, _ = attempt(command, root, at, mode, monkeypatch)
            for fault in judge(command, root, wanted, code, max(before, finished)):
                found.append((mode, at, code, *fault))
            shutil.rmtree(root)
    assert found == []


@pytest.mark.slow
def test_every_command_of_the_sweep_ends_well_without_faults(tmp_path) -> None:
    """Else ``make faults`` would stop in the middle."""
    names = {command.name for command in (*all_commands(), *all_file_commands())}
    assert {"sign", "push", "bridge import", "bridge export --to trl", "keygen"} < names
    assert {"present", "read, cached", "train --serve", "unpack --to spz"} < names
    assert {"encrypt", "decrypt", "pack --media", "pack PACKAGE", "unpack --media"} < names
    for k, command in enumerate(all_file_commands()):
        template = tmp_path / str(k) / "template"
        template.mkdir(parents=True)
        command.prepare(template)
        made = expected_files(command, template, tmp_path / str(k))
        root = tmp_path / str(k) / "root"
        shutil.copytree(template, root)
        code = quiet(lambda command=command, root=root: command.run(root))
        assert judge_files(command, root, made, code) == []


def test_half_a_file_under_its_name_is_found(tmp_path) -> None:
    command = next(c for c in all_file_commands() if c.name == "present")
    (tmp_path / "template").mkdir()
    command.prepare(tmp_path / "template")
    made = expected_files(command, tmp_path / "template", tmp_path)
    root = tmp_path / "root"
    shutil.copytree(tmp_path / "template", root)
    (root / "out" / "sequence.json").write_bytes(made["sequence.json"][:20])
    assert [kind for kind, _ in judge_files(command, root, made, 1)] == ["frames lost"]
