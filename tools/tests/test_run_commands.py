"""``nmc run`` of steps that are commands: kept, done again, refused; the examples without data."""

from __future__ import annotations

import json

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("yaml")

import nmc
from nmc_framework.pipeline import examples

STEPS = """\
work: out
files: {weights: w}
steps:
  pack: pack {weights} -o {pack}/a.nmc
  check: nmc check {pack}/a.nmc
  frames: unpack {pack}/a.nmc -o {frames}/all
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "w").mkdir()
    for t in range(2):
        np.savez(tmp_path / "w" / f"{t}.npz", w=np.full(9, t, np.float32))
    (tmp_path / "run.yaml").write_text(STEPS)
    return tmp_path


def test_steps_are_commands_that_are_kept_while_they_hold(run, folder):
    done = run("run", "run.yaml", "--dry-run")
    assert done.code == 0 and not (folder / "out").exists(), done
    assert "check unknown (depends on what pack will make)" in done.out
    done = run("run", "run.yaml")
    assert done.code == 0 and "3 ran" in done.out and "not done yet)\n" in done.out, done
    assert "  out/pack/a.nmc: accepted" in done.out.replace(f"{folder}/", "")
    assert len(list((folder / "out" / "frames" / "all").iterdir())) == 2
    assert "3 kept" in run("run", "run.yaml").out
    (folder / "run.yaml").write_text(STEPS.replace("nmc check", "check --json"))
    told = json.loads(run("run", "run.yaml", "--json").out)["steps"]
    assert [each["action"] for each in told] == ["kept", "ran", "kept"]
    assert json.loads("".join(told[1]["result"]["said"]))["accepted"] is True
    np.savez(folder / "w" / "2.npz", w=np.full(9, 5, np.float32))
    done = run("run", "run.yaml", "--until", "pack")
    assert "the content of files.weights" in done.out and "1 ran" in done.out
    done = run("run", "run.yaml", "--until", "none")
    assert done.code == 2 and "no step 'none'; there are pack" in done.err


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("files:", "sources:", "line 2: sources is unknown; allowed are work, files, steps"),
        ("weights: w", "weights: v", "line 2: files.weights: there is no v"),
        ("{weights: w}", "{pack: w}", "steps.pack: a file has that name too"),
        ("check {pack}", "check {frames}", "{frames} is no step before it and no file"),
        ("check {pack}", "check '{pack}", "steps.check: No closing quotation"),
        ("nmc check {pack}/a.nmc", "[3]", "steps.check: expected a text"),
        ("  pack:", "  Pack:", "steps.Pack: a name has a-z"),
        ("nmc check", "chekc", "steps.check: No such command 'chekc'"),
        ("nmc check", "check --lose", "steps.check: No such option: --lose"),
        ("nmc check {pack}/a.nmc", "sr", "it names no command; nmc --help"),
    ],
)
def test_a_step_that_is_none_is_one_line_before_the_first_is_done(run, folder, old, new, told):
    assert old in STEPS
    (folder / "run.yaml").write_text(STEPS.replace(old, new))
    done = run("run", "run.yaml")
    assert done.code == 1 and done.out == "" and done.err.count("\n") == 1, done
    assert told in done.err and not (folder / "out").exists()


def test_a_step_that_fails_ends_the_run_and_is_done_again(run, folder):
    np.savez(folder / "w" / "2.npz", other=np.zeros(3, np.float32))
    done = run("run", "run.yaml")
    assert done.code == 1 and done.err.startswith("error input/"), done
    (folder / "w" / "2.npz").unlink()
    with nmc.Writer(folder / "a.nmc") as writer:
        writer.append({"w": np.zeros(3, np.float32)})
    text = (folder / "a.nmc").read_bytes()
    (folder / "a.nmc").write_bytes(text[: len(text) // 2] + b"x" + text[len(text) // 2 + 1 :])
    (folder / "run.yaml").write_text("files: {p: a.nmc}\nsteps: {check: 'check {p}'}\n")
    done = run("run", "run.yaml")
    assert done.code == 1 and "check" in done.err and "ended with 1" in done.err, done


def test_examples_are_printed_by_name(run, folder):
    assert set(examples()) == {"depth", "inverse", "sr"}
    for name, text in examples().items():
        assert run("run", "--example", name).out == text
        (folder / f"{name}.yaml").write_text(text)
        done = run("run", f"{name}.yaml", "--dry-run")
        assert done.code == 0 and "to run (not done yet)" in done.out, done
    done = run("run", "--example", "clouds")
    told = " ".join(done.err.replace("│", " ").split())
    assert done.code == 2 and "there are scene, depth, inverse, sr" in told


@pytest.mark.slow(minutes=1)
@pytest.mark.parametrize("name", sorted(examples()))
def test_an_example_needs_no_data(run, folder, name):
    for module in ("av", "PIL"):
        pytest.importorskip(module)
    (folder / f"{name}.yaml").write_text(examples()[name])
    done = run("run", f"{name}.yaml")
    assert done.code == 0 and "7 ran" in done.out and "accepted" in done.out, done
    made = {path.name for path in (folder / f"{name}-work").rglob("*") if path.is_file()}
    wanted = {
        "depth": {"rooms.nmc", "room.png", "room.colours.png", "room.mp4"},
        "inverse": {"cars.nmc", "car.glb", "car.mp4", "seen.png"},
        "sr": {"film.mp4", "base.nmc", "film.nmc", "large.mp4", "compared.png"},
    }
    assert wanted[name] <= made
    assert "7 kept" in run("run", f"{name}.yaml").out
