"""The command line: exit codes, one-line errors, JSON by its schemas, quiet in a pipe."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from command_samples import FRAMES, refused, state
from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from safetensors.numpy import load_file

import nmc
import nmc_spec

COMMANDS = ["pack", "unpack", "check", "inspect", "diff", "extract", "trim", "concat", "recover"]
REGISTRY = Registry().with_resources(
    [
        (nmc_spec.schema(name)["$id"], Resource.from_contents(dict(nmc_spec.schema(name))))
        for name in nmc_spec.schema_names()
    ]
)


def validated(text: str, schema: str):
    value = json.loads(text)
    Draft202012Validator(dict(nmc_spec.schema(schema)), registry=REGISTRY).validate(value)
    return value


# --- what each command does -----------------------------------------------------------------------


def test_pack_and_unpack_are_inverse(run, checkpoints, tmp_path) -> None:
    packed = run("pack", checkpoints, "-o", tmp_path / "x.nmc", "--key-every", 2)
    assert packed.code == 0, packed.err
    assert packed.err == ""
    assert "5 frames (3 key)" in packed.out
    assert packed.out.count("\n") == 1
    done = run("unpack", tmp_path / "x.nmc", "-o", tmp_path / "out")
    assert (done.code, done.err) == (0, "")
    for t in range(FRAMES):
        found = load_file(tmp_path / "out" / f"frame_{t:08d}.safetensors")
        assert all(found[n].tobytes() == a.tobytes() for n, a in state(t).items())


@pytest.mark.parametrize(
    "options", [["--effort", "fast"], ["--profile", "baseline"], ["--directory"]]
)
def test_pack_options(run, checkpoints, tmp_path, options) -> None:
    assert run("pack", checkpoints, "-o", tmp_path / "x.nmc", *options).code == 0
    assert run("check", tmp_path / "x.nmc").code == 0
    with nmc.open(tmp_path / "x.nmc") as sequence:
        assert sequence.frames[1].exclude_layers == (1,)  # found by comparing


def test_pack_json(run, checkpoints, tmp_path) -> None:
    done = run("pack", checkpoints, "-o", tmp_path / "x.nmc", "--json")
    summary = json.loads(done.out)
    assert summary["frames"] == FRAMES
    assert summary["bytes"] == (tmp_path / "x.nmc").stat().st_size
    assert summary["raw_bytes"] == FRAMES * sum(a.nbytes for a in state(0).values())


def test_unpack_a_selection(run, package, tmp_path) -> None:
    assert run("unpack", package, "-o", tmp_path / "o", "--frames", "0,3-", "--to", "npz").code == 0
    assert sorted(p.name for p in (tmp_path / "o").iterdir()) == [
        f"frame_{t:08d}.npz" for t in (0, 3, 4)
    ]
    again = run("unpack", package, "-o", tmp_path / "o", "--to", "npz")
    refused(again, "host/exists")
    assert run("unpack", package, "-o", tmp_path / "o", "--to", "npz", "--resume").code == 0
    assert len(list((tmp_path / "o").iterdir())) == FRAMES
    assert (
        run("unpack", package, "-o", tmp_path / "o", "--frames=-1", "--to", "npz", "-f").code == 0
    )


def test_check(run, package) -> None:
    done = run("check", package)
    assert (done.code, done.err) == (0, "")
    assert done.out == f"{package}: accepted, 5 of 5 frames decoded and right\n"
    report = validated(run("check", package, "--json").out, "report")
    assert report["accepted"]
    assert report["findings"] == []
    assert json.loads(run("check", package, "--no-decode", "--json").out)["decoded"] == 0


@pytest.fixture
def damaged(package, tmp_path) -> Path:
    data = bytearray(package.read_bytes())
    for name in (b"00000001", b"00000002"):
        data[data.index(name + b".safetensors") + 400] ^= 1
    (tmp_path / "damaged.nmc").write_bytes(bytes(data))
    return tmp_path / "damaged.nmc"


def test_check_of_a_damaged_package(run, package, damaged) -> None:
    done = run("check", damaged)
    assert done.code == 1
    assert [line.split()[1] for line in done.err.splitlines()] == ["segment/sha256"] * 2
    assert "refused" in done.out
    report = validated(run("check", damaged, "--json").out, "report")
    assert [f["place"] for f in report["findings"]] == [
        {"file": f"segments/0000000{t}.safetensors", "offset": 0} for t in (1, 2)
    ]
    both = run("check", package, damaged)
    assert both.code == 1
    assert both.err.count(f"{damaged}: error ") == 2
    reports = json.loads(run("check", package, damaged, "--json").out)
    assert [r["accepted"] for r in reports] == [True, False]


def test_inspect(run, package) -> None:
    done = run("inspect", package, "--tensors")
    assert (done.code, done.err) == (0, "")
    for text in ("mlp: 2 tensors", "fc1.weight", "40x30", "main profile", "delta"):
        assert text in done.out
    view = validated(run("inspect", package, "--json").out, "inspect")
    assert len(view["frames"]) == FRAMES
    assert view["frames"][1]["exclude_layers"] == [1]
    assert view["model"]["parameters"] == ["fc1.weight", "fc2.weight"]


def test_inspect_of_many_frames(run, tmp_path) -> None:
    with nmc.Writer(tmp_path / "x.nmc") as writer:
        for t in range(60):
            writer.append({"w": np.full(3, t)})
    assert "… and 20 more; --all lists them" in run("inspect", tmp_path / "x.nmc").out
    assert "more" not in run("inspect", tmp_path / "x.nmc", "--all").out


def test_diff(run, package, tmp_path) -> None:
    same = run("diff", package, package)
    assert (same.code, same.out) == (0, "the same, bit for bit\n")
    assert run("diff", f"{package}@1", f"{package}@1").code == 0
    other = run("diff", f"{package}@0", f"{package}@-1")
    assert other.code == 1
    assert "fc1.weight: 1200 of 1200 words differ, by 0.0004" in other.out
    facts = json.loads(run("diff", f"{package}@0", f"{package}@4", "--json").out)
    assert facts["same"] is False
    assert facts["differences"][0]["changed"] == 1200
    nmc.extract(package, [0, 1], tmp_path / "short.nmc")
    shorter = run("diff", package, tmp_path / "short.nmc")
    assert (shorter.code, shorter.out) == (1, "the first has 5 frames, the second 2\n")
    assert run("diff", package, f"{package}@1").code == 2
    assert run("diff", f"{package}@0", f"{package}@9").code == 2


def test_diff_says_nothing_of_what_it_cannot_read(run, package, tmp_path) -> None:
    whole, damaged = tmp_path / "whole.nmc", tmp_path / "damaged.nmc"
    assert run("trim", package, "-o", whole, "--directory").code == 0
    shutil.copytree(whole, damaged)
    segment = sorted(damaged.rglob("*.safetensors"))[2]
    content = bytearray(segment.read_bytes())
    content[-1] ^= 1
    segment.write_bytes(content)
    assert run("diff", package, whole).code == 0
    refused = run("diff", whole, damaged)
    assert refused.code == 2 and "the same" not in refused.out
    assert segment.name in refused.err


def test_cutting_and_joining(run, package, tmp_path) -> None:
    a, b, c = (tmp_path / f"{x}.nmc" for x in "abc")
    assert run("extract", package, "-o", a, "--frames", "0-1").code == 0
    assert run("trim", package, "-o", b, "--start", 2).code == 0
    assert run("concat", a, b, "-o", c).code == 0
    assert run("diff", package, c).code == 0
    assert run("trim", package, "-o", a, "--start", 1, "--stop", 3, "-f").code == 0
    with nmc.open(a) as sequence:
        assert len(sequence) == 2


def test_recover(run, tmp_path) -> None:
    writer = nmc.Writer(tmp_path / "x.nmc")
    writer.append(state(0))
    done = run("recover", tmp_path / "x.nmc")
    assert (done.code, done.out) == (0, f"{tmp_path / 'x.nmc'}: 1 of 1 frames recovered\n")
    assert run("check", tmp_path / "x.nmc").code == 0


def test_pack_keeps_a_rate_exactly(run, checkpoints, tmp_path) -> None:
    assert run("pack", checkpoints, "-o", tmp_path / "a.nmc", "--fps", "29.97").code == 0
    with nmc.open(tmp_path / "a.nmc") as sequence:
        assert sequence.manifest.timescale == 30000
        assert [frame.presentation_time for frame in sequence.frames[:3]] == [0, 1001, 2002]


def test_pack_goes_on_after_an_interruption(run, checkpoints, tmp_path) -> None:
    whole, part = tmp_path / "whole.nmc", tmp_path / "part.nmc"
    assert run("pack", checkpoints, "-o", whole).code == 0
    bad = tmp_path / "bad"
    bad.mkdir()
    for t in range(FRAMES):
        data = (checkpoints / f"frame_{t}.safetensors").read_bytes()
        (bad / f"frame_{t}.safetensors").write_bytes(data if t != 3 else data[:-9])
    refused(run("pack", bad, "-o", part), "input/unreadable")
    refused(run("pack", checkpoints, "-o", part), "package/unfinished")
    refused(run("pack", checkpoints, "-o", part, "--resume", "--fps", 25), "input/unsupported")
    assert run("pack", checkpoints, "-o", part, "--resume").code == 0
    assert part.read_bytes() == whole.read_bytes()


# --- wrong use and bad input ----------------------------------------------------------------------


def test_what_is_not_there(run, tmp_path) -> None:
    nothing, out = tmp_path / "nothing.nmc", tmp_path / "o"
    for arguments in (
        ["inspect", nothing],
        ["unpack", nothing, "-o", out],
        ["extract", nothing, "-o", out, "--frames", "0"],
        ["trim", nothing, "-o", out],
        ["concat", nothing, "-o", out],
        ["recover", nothing],
    ):
        refused(run(*arguments), "host/not-found")
    assert run("check", nothing).code == 1
    refused(run("pack", nothing, "-o", out), "input/unreadable")
    assert not out.exists()


@pytest.mark.parametrize("kind", ["garbage", "empty", "folder", "text", "zip"])
def test_what_is_no_package(run, tmp_path, kind) -> None:
    path = tmp_path / "x.nmc"
    if kind == "folder":
        path.mkdir()
    else:
        content = {"garbage": os.urandom(5000), "empty": b"", "text": b"hello\n", "zip": b"PK\3\4"}
        path.write_bytes(content[kind])
    code = "package/zip-structure" if kind == "zip" else "package/not-a-package"
    for arguments in (
        ["inspect", path],
        ["inspect", path, "--json"],
        ["unpack", path, "-o", tmp_path / "o"],
        ["extract", path, "-o", tmp_path / "o", "--frames", "0"],
        ["concat", path, "-o", tmp_path / "o"],
    ):
        refused(run(*arguments), code)
    done = run("check", path)
    assert done.code == 1
    assert done.err.startswith(f"error {code} at {path}")
    assert not (tmp_path / "o").exists()


def test_what_is_no_checkpoint(run, tmp_path) -> None:
    (tmp_path / "x.pt").write_bytes(b"garbage")
    (tmp_path / "y.txt").write_text("hello")
    for name in ("x.pt", "y.txt", ""):
        refused(run("pack", tmp_path / name, "-o", tmp_path / "o.nmc"), "input/[a-z]+")
    refused(run("pack", str(tmp_path / "*.nothing"), "-o", tmp_path / "o.nmc"), "input/[a-z]+")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["x.pt", "y.txt"]


def test_outputs_that_cannot_be_written(run, package, checkpoints, tmp_path) -> None:
    (tmp_path / "file").write_text("x")
    inside = tmp_path / "file" / "x.nmc"
    for arguments in (
        ["pack", checkpoints, "-o", inside],
        ["unpack", package, "-o", inside],
        ["extract", package, "-o", inside, "--frames", "0"],
        ["concat", package, "-o", inside],
    ):
        refused(run(*arguments), "host/(path|exists)")
    refused(run("unpack", package, "-o", tmp_path / "file"), "host/(failed|exists)")
    for arguments in (
        ["pack", checkpoints, "-o", package],
        ["extract", package, "-o", package, "--frames", "0"],
        ["concat", package, "-o", package],
    ):
        refused(run(*arguments), "host/exists")
    assert run("check", package).code == 0


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--nonsense"],
        ["nonsense"],
        ["check"],
        ["pack", "x"],
        ["pack", "x", "-o", "y", "--effort", "lazy"],
        ["pack", "x", "-o", "y", "--key-every", "-1"],
        ["pack", "x", "-o", "y", "--profile", "studio"],
        ["extract", "PKG", "-o", "y", "--frames", "a-b"],
        ["extract", "PKG", "-o", "y", "--frames", "99"],
        ["unpack", "PKG", "-o", "y", "--frames", "3-1"],
        ["unpack", "PKG", "-o", "y", "--to", "docx"],
        ["check", "PKG", "--max-level", "9"],
        ["trim", "PKG", "-o", "y", "--start", "7"],
        ["pack", "RUN", "-o", "y", "--profile", "baseline", "--entropy", "zstd"],
        ["pack", "RUN", "-o", "y", "--fps", "5000000000"],
    ],
    ids=" ".join,
)
def test_wrong_usage(run, package, checkpoints, tmp_path, monkeypatch, arguments) -> None:
    monkeypatch.chdir(tmp_path)
    names = {"PKG": package, "RUN": checkpoints}
    done = run(*[names.get(a, a) for a in arguments])
    assert done.code == 2, done
    assert "Traceback" not in done.err
    assert "Value error" not in done.err
    assert list(tmp_path.iterdir()) == []


def test_a_package_of_a_higher_level(run, tmp_path) -> None:
    with nmc.Writer(tmp_path / "x.nmc", key_every=0) as writer:
        for _ in range(300):
            writer.append({"w": np.zeros(3)})
    done = run("check", tmp_path / "x.nmc", "--max-level", 1)
    assert done.code == 1
    assert "profile/level-refused" in done.err
    refused(
        run("unpack", tmp_path / "x.nmc", "-o", tmp_path / "o", "--max-level", 1),
        "profile/level-refused",
    )


def test_untrusted_names_are_harmless_on_a_terminal(run, tmp_path) -> None:
    """A tensor may have any name; what is printed of it commands no terminal."""
    evil = "\x1b]0;owned\x07[red]:boom:\u202e"
    with nmc.Writer(tmp_path / "x.nmc", family=evil, configuration={"x": "\x9b31m"}) as writer:
        writer.append({evil: np.zeros(3)})
        writer.append({evil: np.ones(3)})
    for arguments in (
        ["inspect", tmp_path / "x.nmc", "--tensors"],
        ["inspect", tmp_path / "x.nmc", "--json"],
        ["diff", f"{tmp_path / 'x.nmc'}@0", f"{tmp_path / 'x.nmc'}@1"],
        ["check", tmp_path / "x.nmc"],
        ["extract", tmp_path / "x.nmc", "-o", tmp_path / "y\x1b[2J.nmc", "--frames", "0"],
        ["check", tmp_path / "no\x1b[2J.nmc"],
    ):
        done = run(*arguments)
        for line in (done.out + done.err).splitlines():
            assert line.isprintable(), ascii(line)
    assert "[red]:boom:" in run("inspect", tmp_path / "x.nmc", "--tensors").out


# --- help, and life in a shell --------------------------------------------------------------------


def test_version(run) -> None:
    done = run("--version")
    assert (done.code, done.out) == (0, f"nmc {nmc.__version__} (format 1.0 and 1.1)\n")


def test_help_lists_the_commands(run) -> None:
    done = run("--help")
    assert done.code == 0
    for command in COMMANDS:
        assert command in done.out
    assert "Exit codes" in done.out


@pytest.mark.parametrize("command", [*COMMANDS, "demo"])
def test_help_has_examples(run, command) -> None:
    done = run(command, "--help")
    assert done.code == 0
    assert "Examples" in done.out
    assert f"nmc {command} " in done.out
    assert done.out == run(command, "-h").out
