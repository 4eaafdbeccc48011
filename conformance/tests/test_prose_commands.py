"""The commands and programs of the prose: shell lines, Python, CI steps and the adapter are run."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from typing import TYPE_CHECKING

import numpy as np
import prose
import pytest
from programs import CONFORMANCE, VECTORS

import make_archive
from nmc_conformance import commands

if TYPE_CHECKING:
    from pathlib import Path

FEW = ["04-model/scalar"]
"""Vector for the commands of the prose, which name none and would take all."""

LIBRARY = """\
import sys
sys.path.insert(0, {selftest!r})
import plain_decoder as plain

Refused, Unsupported = plain.RejectedError, plain.UnsupportedError


class _Package:
    def __init__(self, path):
        self._decoder = plain.Decoder(path)

    def __len__(self):
        return len(self._decoder.coding)

    def state(self, t):
        made = self._decoder.frame(t).items()
        return [(name, tensor.dtype, tensor.shape, tensor.data) for name, tensor in made]


def open_package(path):
    from pathlib import Path

    return _Package(Path(path))
"""
"""The library that the adapter of the protocol stands before."""


def adapter() -> prose.Block:
    """Return the adapter of the protocol."""
    (block,) = (b for b in prose.BLOCKS if "PROTOCOL" in b.file and b.language == "python")
    return block


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with what the commands of the prose take for granted."""
    folder: Path = tmp_path_factory.mktemp("desk")
    (folder / "my_decoder.py").write_text(LIBRARY.format(selftest=str(CONFORMANCE / "selftest")))
    program = folder / "my-decoder"
    program.write_text(f"#!{sys.executable}\n{adapter().text}")
    program.chmod(0o755)
    (folder / "my-decoder.js").write_text("// started by the name below\n")
    node = folder / "bin" / "node"
    node.parent.mkdir()
    node.write_text(f'#!/bin/sh\nshift\nexec "{program}" "$@"\n')
    node.chmod(0o755)
    for name, module in (("nmc", "nmc_tools.cli"), ("python", "")):
        script = node.with_name(name)
        rest = f"-m {module}" if module else ""
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}" {rest} "$@"\n')
        script.chmod(0o755)
    make_archive.write(folder)
    rng = np.random.default_rng(5)
    (folder / "run").mkdir()
    for t in range(9):
        weight = rng.standard_normal((4, 3)).astype("<f4")
        np.savez(folder / "run" / f"frame_{t:03d}.npz", **{"layers.0.weight": weight})
    return folder


def started(folder: Path, words: list[str]) -> subprocess.CompletedProcess[str]:
    path = f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        words,
        cwd=folder,
        env={**os.environ, "PATH": path, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )


def shell_lines() -> list[tuple[str, str]]:
    """Return every command of the prose with its first place, those of CI steps too."""
    found: dict[str, str] = {}
    for block in prose.BLOCKS:
        lines = block.text.splitlines() if block.language in {"sh", "yaml"} else []
        for number, line in enumerate(lines, 1):
            command = line.partition(" # ")[0].strip().removeprefix("- run: ")
            if command != "if: always()":
                found.setdefault(
                    shlex.join(shlex.split(command)), f"{block.file}:{block.line + number}"
                )
    return [(place, command) for command, place in found.items()]


LINES = shell_lines()


def test_every_command_is_of_a_kind_that_is_run() -> None:
    kinds = {shlex.split(command)[0] for _, command in LINES}
    assert kinds == {"make", "nmc", "python", "pip"}


@pytest.mark.slow
@pytest.mark.parametrize("file", sorted({place.partition(":")[0] for place, _ in LINES}))
def test_the_commands_run(file: str, desk: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """All commands of a document, in their order; --suite where no checkout is at hand."""
    for place, command in LINES:
        words = shlex.split(command)
        if not place.startswith(f"{file}:"):
            continue
        if words[0] == "make":
            done = started(prose.ROOT, ["make", "--dry-run", *words[1:]])
        elif words[0] == "pip":
            names = tomllib.loads((prose.ROOT / "pyproject.toml").read_text(encoding="utf-8"))
            assert words == ["pip", "install", names["project"]["name"]]
            continue
        else:
            few = FEW if "run" in words[1:4] else []
            done = started(desk, words + few)
        assert done.returncode == 0, (place, command, done.stdout, done.stderr)
    for made in ("frames", "scene.nmc"):  # the next document makes its own
        if (desk / made).exists():
            (desk / made).rename(tmp_path_factory.mktemp("made") / made)


@pytest.mark.slow(minutes=0.04)
def test_the_adapter_is_short_and_a_decoder(desk: Path) -> None:
    assert 50 <= len(adapter().text.splitlines()) <= 60
    made = commands.RunOptions(
        role="decoder",
        command=str(desk / "my-decoder"),
        vectors=VECTORS,
        select=["04-model/s*", "07-decoding/parent*", "06-segment/zstd"],
        quiet=True,
    )
    os.environ["PYTHONPATH"], before = str(desk), os.environ.get("PYTHONPATH", "")
    try:
        run = commands.run(made)
    finally:
        os.environ["PYTHONPATH"] = before
    verdicts = {r.vector: (r.verdict, r.detail) for r in run.results}
    assert verdicts.pop("06-segment/zstd")[0] == "unsupported"
    assert {name: v for name, v in verdicts.items() if v[0] != "pass"} == {}
    assert len(verdicts) > 4


def test_the_adapter_knows_a_frame_that_is_not_there(desk: Path) -> None:
    package = str(VECTORS / "04-model" / "scalar" / "package.nmc")
    words = [str(desk / "my-decoder"), "decode", "--input", package, "--output", str(desk)]
    assert started(desk, [*words, "--frames", "99"]).returncode == 2
    assert started(desk, [str(desk / "my-decoder"), "dance"]).returncode == 2


def test_the_transcript_of_the_persistent_mode(desk: Path) -> None:
    """The requests of the protocol get answers with the keys that it shows."""
    lines = [
        json.loads(re.sub(r", …\}", "}", line).replace("{…}", "{}"))
        for line in prose.marked("json serve").text.splitlines()
    ]
    package = VECTORS / "07-decoding" / "raw-bit" / "package.nmc"
    states = desk / "states"
    (desk / "output").mkdir()
    states.mkdir()
    places = {"input": str(package), "output": str(desk / "output"), "frames": [0]}
    given: list[dict[str, object]] = []
    for line in lines:
        if "do" in line:
            given.append({key: places.get(key, value) for key, value in line.items()})
    encode = given[-1]
    assert encode["do"] == "encode"
    encode.update(input=str(states), output=str(desk / "made.nmc"))
    program = subprocess.run(
        [str(desk / "bin" / "nmc"), "serve"],
        input="".join(json.dumps(request) + "\n" for request in given),
        capture_output=True,
        text=True,
        check=False,
    )
    answers = [json.loads(line) for line in program.stdout.splitlines()]
    assert [request["do"] for request in given] == ["describe", "decode", "check", "encode"]
    assert len(answers) == len(given)
    shown = [line for line in lines if "exit" in line]
    for line, answer in zip(shown, answers, strict=False):
        assert line["exit"] == answer["exit"] or line["exit"] == 1
        assert line.keys() <= answer.keys() | {"report"}
    assert answers[2]["exit"] == 1
    assert answers[3]["exit"] == 2


README_PYTHON = [
    pytest.param(b, id=str(b), marks=[pytest.mark.slow(minutes=0.05)] * (".ko." in b.file))
    for b in prose.BLOCKS
    if b.language == "python" and "README" in b.file
]


@pytest.mark.parametrize("block", README_PYTHON)
def test_the_python_of_the_readme(block: prose.Block, tmp_path: Path) -> None:
    """It runs as it is, given states of two frozen layers and a model that takes them."""
    lines = [
        "import numpy as np",
        "rng = np.random.default_rng(1)",
        "frozen = {f'layers.{i}.weight': np.ones((2, 2), 'f4') for i in range(2)}",
        "states = [{**frozen, 'layers.2.weight': rng.standard_normal((3, 2)).astype('f4')}",
        "          for _ in range(9)]",
        "class model:",
        "    def load_state_dict(given):",
        "        assert {n: t.tolist() for n, t in given.items()} == wanted",
        "wanted = {n: a.tolist() for n, a in states[7].items()}",
    ]
    after = "assert {n: a.tolist() for n, a in state.items()} == wanted\n"
    code = "\n".join(lines) + "\n" + block.text + after
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
