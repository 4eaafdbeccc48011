"""Mistaken commands: what a user reads says what is wrong and what to do."""

from __future__ import annotations

import json
import re
import shutil

import numpy as np
import pytest
import typer

import nmc
import nmc_spec
from nmc_tools import cli


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    path = tmp_path_factory.mktemp("p") / "x.nmc"
    rng = np.random.default_rng(0)
    with nmc.Writer(path, key_every=2) as writer:
        weight = rng.normal(size=200).astype("f4")
        for t in range(4):
            still = np.arange(9, dtype="f8")
            writer.append({"w": weight + np.float32(t > 1), "b": weight[:50] * (t + 1), "s": still})
    return path


@pytest.fixture(scope="module")
def other(tmp_path_factory, chain):
    path = tmp_path_factory.mktemp("p") / "y.nmc"
    with nmc.open(chain) as sequence, nmc.Writer(path, key_every=2) as writer:
        for t, state in enumerate(sequence):
            changed = state["b"].copy()
            changed[:5] += np.float32(0.5 if t == 3 else 0)
            writer.append({**state, "b": changed} | ({"new": np.ones(2)} if t == 2 else {}))
    return path


@pytest.mark.sweep(4)
@pytest.mark.parametrize(
    "command", ["check", "inspect", "unpack", "diff", "extract", "concat", "recover"]
)
@pytest.mark.parametrize(
    ("kind", "words", "todo"),
    [
        ("npz", "a numpy archive", "nmc pack"),
        ("page", "a web page", "again"),
        ("lfs", "Git LFS pointer", "git lfs pull"),
        ("cut", "cut off: ", "again"),
        ("empty", "it is empty", "again"),
        ("folder", "but checkpoints: a.npz", "nmc pack"),
        ("gone", "no such file", ""),
    ],
)
def test_what_is_no_package_is_named(run, chain, tmp_path, command, kind, words, todo) -> None:
    path = tmp_path / "given.nmc"
    if kind == "npz":
        with path.open("wb") as file:
            np.savez(file, w=np.ones(3))
    elif kind == "folder":
        path.mkdir()
        np.savez(path / "a.npz", w=np.ones(3))
    elif kind == "cut":
        data = chain.read_bytes()
        path.write_bytes(data[: len(data) * 2 // 3])
    elif kind != "gone":
        page, lfs = b"<html>Not found</html>", b"version https://git-lfs.github.com/spec/v1"
        path.write_bytes({"page": page, "lfs": lfs, "empty": b""}[kind])
    more = {
        "unpack": ["-o", tmp_path / "o"],
        "diff": [chain],
        "extract": ["-o", tmp_path / "o.nmc", "--frames", "0"],
        "concat": ["-o", tmp_path / "o.nmc"],
    }
    done = run(command, path, *more.get(command, []))
    assert done.code == (2 if command == "diff" else 1)
    assert words in done.err
    assert todo in done.err
    assert done.err.count("\n") == 1
    if command == "check":
        verdict = {"gone": "not found", "cut": "refused"}.get(kind, "not a package")
        assert verdict in done.out
        assert (kind == "cut") == ("refused" in done.out)


def test_a_part_of_a_package_is_no_checkpoint(run, chain, tmp_path) -> None:
    """No part of a package is packed, as if its segments were weights; a whole one is."""
    folder = tmp_path / "d.nmc"
    with nmc.open(chain) as sequence, nmc.Writer(folder, directory=True) as writer:
        for state in sequence:
            writer.append(state)
    segments = folder / "segments"
    manifest = (folder / "manifest.h5").rename(tmp_path / "renamed.h5")
    shutil.copy(manifest, folder / "manifest.h5")
    for given in (manifest, segments, segments / "00000001.safetensors"):
        done = run("pack", given, "-o", tmp_path / "o.nmc")
        assert done.code == 1
        assert "an NMC package" in done.err
        assert "nmc unpack" in done.err
        assert done.err.count("\n") == 1
        assert not (tmp_path / "o.nmc").exists()
    for given in (chain, folder):
        assert run("pack", given, "-o", tmp_path / "o.nmc", "-f").code == 0
        with nmc.open(chain) as sequence, nmc.open(tmp_path / "o.nmc") as again:
            digests = [frame.state_digest for frame in sequence.frames]
            assert [frame.state_digest for frame in again.frames] == digests


def test_a_complete_package_needs_no_recovery(run, chain) -> None:
    done = run("recover", chain)
    assert done.code == 1
    said = (
        "host/not-found at {}: it is a complete package: there is nothing to recover ('nmc check'"
    )
    assert said.format(chain) in done.err


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "cannot be read: No such file"),
        ("{", "is not JSON"),
        ("[" * 9000, "is not JSON"),
        ("[1]", "is not a JSON object"),
    ],
)
def test_a_configuration_that_is_none(run, tmp_path, text, words) -> None:
    np.savez(tmp_path / "a.npz", w=np.ones(3))
    path = tmp_path / "c.json"
    if text is not None:
        path.write_text(text)
    done = run("pack", tmp_path / "a.npz", "-o", tmp_path / "o.nmc", "--configuration", path)
    assert done.code == 1
    assert words in done.err
    assert "Errno" not in done.err
    assert done.err.count("\n") == 1


def test_hints_of_the_command_line_name_its_options(run, chain, tmp_path) -> None:
    np.savez(tmp_path / "a.npz", w=np.ones(3))
    done = run("pack", tmp_path / "a.npz", "-o", chain)
    assert "--force" in done.err
    done = run("unpack", chain, "-o", tmp_path / "a.npz")
    assert "directory" in done.err
    assert "host/exists" in done.err


def test_what_is_not_replaced_is_named_and_force_is_not_asked_for_twice(
    run, chain, tmp_path
) -> None:
    np.savez(tmp_path / "a.npz", w=np.ones(3))
    run("extract", chain, "--frames", "0", "-o", tmp_path / "d.nmc", "--directory")
    run("extract", chain, "--frames", "0", "-o", tmp_path / "f.nmc")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "precious").write_text("x")
    for name, more, told in (
        ("d.nmc", [], "choose the directory form"),
        ("f.nmc", ["--directory"], "choose the file form"),
        ("folder", [], "not a package is never replaced"),
    ):
        done = run("pack", tmp_path / "a.npz", "-o", tmp_path / name, "--force", *more)
        assert (done.code, told in done.err, "--force" in done.err) == (1, True, False), done.err
    assert (tmp_path / "folder" / "precious").exists()


def test_the_library_speaks_of_no_options(chain) -> None:
    with pytest.raises(nmc.FormatError) as caught:
        nmc.Writer(chain)
    assert "--" not in str(caught.value)
    for code, issue in nmc_spec.issues().items():
        assert not re.search(r"(^|\s)--[a-z]", issue.message + issue.hint), code


def test_memory_that_is_not_there(run, chain, monkeypatch) -> None:
    def hungry(*arguments, **options):
        raise MemoryError

    monkeypatch.setattr(nmc, "open", hungry)
    done = run("inspect", chain)
    assert (done.code, done.err.startswith("error host/no-memory")) == (1, True)


@pytest.mark.parametrize(
    ("option", "value"),
    [("--to", "docx"), ("--max-level", "9"), ("--max-level", "two"), ("--frames", "x")],
)
def test_no_word_of_the_libraries_inside(run, chain, tmp_path, option, value) -> None:
    done = run("unpack", chain, "-o", tmp_path / "o", option, value)
    assert done.code == 2
    assert not re.search(r"[Vv]alue error|Traceback|pydantic|click", done.err)
    assert option in done.err


def test_no_arguments_show_the_help(run) -> None:
    done = run()
    assert "check" in done.out + done.err
    assert run("--version").code == 0
    assert run("check", "--help").code == 0


def test_diff_says_where_and_in_sum(run, chain, other) -> None:
    done = run("diff", chain, other)
    assert done.code == 1
    assert "frame 3, b: 5 of 50 words differ, by 0.5 at most" in done.out
    assert "frame 2, new: only in the second" in done.out
    assert done.out.endswith("2 of 4 frames differ, in 2 tensors\n")


def test_diff_by_tensor(run, chain, other) -> None:
    done = run("diff", chain, other, "--stat")
    assert done.code == 1
    lines = done.out.splitlines()
    assert lines[-1] == "2 of 4 frames differ, in 2 tensors"
    assert "b: 1 frame, the first is 3; 10 % of their words, by 0.5 at most" in lines
    assert "new: 1 frame, the first is 2; only in the second" in lines
    facts = json.loads(run("diff", chain, other, "--json").out)
    assert (facts["frames_different"], facts["tensors_different"], facts["same"]) == (2, 2, False)
    assert run("diff", chain, chain, "--stat").code == 0


def test_usage_errors_are_found_without_a_name() -> None:
    """typer gives no public name to the class of all usage errors; this is the one we take."""
    assert cli._USAGE.__name__ == "ClickException"


def test_scalars_that_are_kept_are_not_said_to_be_left_out(run, tmp_path) -> None:
    torch = pytest.importorskip("torch")
    for t in range(2):
        model = {"w": torch.full((3,), float(t))}
        held = {"model": model, "epoch": t, "tag": "x", "optimizer": {"state": {}}}
        torch.save(held, tmp_path / f"{t}.pt")
    done = run("pack", tmp_path / "0.pt", tmp_path / "1.pt", "-o", tmp_path / "x.nmc")
    assert "kept beside the tensors, as extras of each frame: epoch, tag\n" in done.out
    left_out = [line for line in done.out.splitlines() if line.startswith("left out")]
    assert left_out and not any("epoch" in line or "tag" in line for line in left_out)
    told = json.loads(run("pack", tmp_path / "0.pt", "-o", tmp_path / "y.nmc", "--json").out)
    assert told["skipped"] == [line.partition(": ")[2] for line in left_out]


def test_how_nesting_changes_is_not_shown(run, tmp_path) -> None:
    torch = pytest.importorskip("torch")
    for t in range(2):
        torch.save({"model": {"w": torch.ones(3)}, "epoch": t, "list": [t]}, tmp_path / f"{t}.pt")
    run("pack", tmp_path / "0.pt", tmp_path / "1.pt", "-o", tmp_path / "x.nmc", "--keep", "all")
    shown = run("inspect", tmp_path / "x.nmc").out
    assert "tree_ch" not in shown and shown.count('{"epoch":') == 2
    with nmc.open(tmp_path / "x.nmc") as sequence:
        assert "tree_changes" in sequence.frames[1].extras_text


def test_one_thing_is_one_thing(run, tmp_path) -> None:
    np.savez(tmp_path / "a.npz", w=np.ones(1))
    path = tmp_path / "x.nmc"
    assert "x.nmc: 1 frame (1 key), " in run("pack", tmp_path / "a.npz", "-o", path).out
    assert "1 tensor, 1 weight " in run("inspect", path).out
    assert run("trim", path, "-o", tmp_path / "y.nmc").out.startswith(
        f"{tmp_path / 'y.nmc'}: 1 frame, "
    )
    assert run("unpack", path, "-o", tmp_path / "u").out == f"{tmp_path / 'u'}: 1 file\n"


def _commands(command, before=()):
    """Return the words of every command of the command line."""
    for name, each in sorted(getattr(command, "commands", {}).items()):
        yield from _commands(each, (*before, name))
    if not hasattr(command, "commands"):
        yield before, command


COMMANDS = list(_commands(typer.main.get_command(cli.app)))


@pytest.mark.sweep(4)
@pytest.mark.parametrize(("words", "command"), COMMANDS, ids=[" ".join(w) for w, _ in COMMANDS])
def test_every_help_page_has_one_layout(run, words, command) -> None:
    text = run(*words, "--help").out
    lines = [line.strip() for line in text.splitlines()]
    head = lines.index("Examples")
    assert lines[head + 1] == "--------"
    assert lines[head + 2].startswith(f"nmc {' '.join(words)}"), lines[head + 2]
    assert "``" not in text and "Examples:" not in text
    for parameter in command.params:
        assert getattr(parameter, "help", None), f"{parameter.name} has no help"


@pytest.mark.parametrize(
    "option",
    [["--fps", "25"], ["--family", "x"], ["--keep", "all"], ["--order", "time"], ["--unrelated"]],
)
def test_an_option_that_says_nothing_of_a_package_is_not_ignored(run, chain, tmp_path, option):
    done = run("pack", chain, "-o", tmp_path / "o.nmc", *option)
    assert done.code == 2
    assert option[0] in done.err and not (tmp_path / "o.nmc").exists()


def test_a_key_that_check_does_not_decrypt_with_is_not_ignored(run, chain) -> None:
    done = run("check", chain, "--key", "secret.key")
    assert done.code == 2
    assert "--decrypt-key" in done.err
