"""The runner: programs that are wrong on purpose fail, each on the vectors that find it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from programs import VECTORS, plain, wrong

from nmc_conformance import __main__ as main
from nmc_conformance import commands, results, runner
from nmc_conformance.process import Limits
from nmc_conformance.subject import Subject, SubjectError
from nmc_conformance.vectors import SuiteError

if TYPE_CHECKING:
    from nmc_conformance.results import Run

GOOD = "07-decoding/there-and-back"
BAD_STATE = "07-decoding/raw-bit"
BAD_OPEN = "05-package/digest-wrong"


def judged(command: str, *select: str, **options: object) -> Run:
    made = commands.RunOptions(
        role="decoder", command=command, vectors=VECTORS, select=select, quiet=True, **options
    )  # type: ignore[arg-type]
    return commands.run(made)


def verdicts(run: Run) -> dict[str, str]:
    return {result.vector: result.verdict for result in run.results}


@pytest.fixture(scope="module")
def plain_run() -> Run:
    return judged(plain(), "04-model/no-*", "04-model/name-order*", "07-decoding/[ps]*")


def test_a_right_decoder_passes(plain_run: Run) -> None:
    assert {r.vector: r.detail for r in plain_run.results if r.verdict != "pass"} == {}
    assert plain_run.passed


ARITHMETIC = [
    ("accept-all", BAD_STATE, GOOD),
    ("digest-unchecked", BAD_STATE, "07-decoding/parent-digest-mismatch"),
    ("previous-frame", GOOD, "04-model/scalar"),
    ("delta-ignored", GOOD, "04-model/scalar"),
    ("delta-twice", GOOD, "04-model/scalar"),
    ("float", "04-model/dtype-f32", "04-model/dtype-f64"),
    ("reject-all", GOOD, BAD_STATE),
    ("nothing", GOOD, None),
    ("truncated", GOOD, BAD_OPEN),
    ("surplus", GOOD, None),
    ("unsupported-all", GOOD, None),
    ("outside", GOOD, None),
    ("input-changed", GOOD, None),
    ("children", GOOD, None),
]
"""Faults, a vector that finds each, and one that it passes."""


@pytest.mark.sweep(3)
@pytest.mark.parametrize(("fault", "found_by", "passes"), ARITHMETIC, ids=str)
def test_a_wrong_decoder_fails(fault: str, found_by: str, passes: str | None) -> None:
    wanted = {found_by: "fail"} | ({passes: "pass"} if passes else {})
    run = judged(wrong(fault), *wanted)
    found = verdicts(run)
    if passes == BAD_OPEN:  # the plain decoder does not check the digest of the manifest
        found.pop(BAD_OPEN)
        wanted.pop(BAD_OPEN)
    assert found == wanted
    assert not run.passed


@pytest.mark.parametrize(
    ("fault", "verdict", "why"),
    [
        ("hang", "timeout", "no answer"),
        pytest.param("stubborn", "timeout", "no answer", marks=pytest.mark.slow(minutes=0.05)),
        ("crash", "crash", "signal"),
        ("exit-code", "crash", "exit code 70"),
        ("flood", "crash", "printed"),
        ("memory", "crash", "memory"),
    ],
)
def test_a_decoder_that_misbehaves(
    monkeypatch: pytest.MonkeyPatch, fault: str, verdict: str, why: str
) -> None:
    monkeypatch.setattr(runner, "WARM_UP", 1)  # it would hang ten times as long as it is given
    run = judged(wrong(fault), GOOD, seconds=4.0 if verdict == "crash" else 1.0, memory_mib=300)
    (result,) = run.results
    assert result.verdict == verdict, result.detail
    assert why in result.detail


def test_what_was_left_behind_is_ended() -> None:
    run = judged(wrong("children"), GOOD, jobs=1)
    assert "left 1 processes" in run.results[0].detail
    alive = [
        path
        for path in Path("/proc").glob("[0-9]*/cmdline")
        if b"import time; time.sleep(600)" in _bytes(path)
    ]
    assert alive == []


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def test_trespass_is_named() -> None:
    assert "work/cache.bin was written" in judged(wrong("outside"), GOOD).results[0].detail
    changed = judged(wrong("input-changed"), GOOD).results[0].detail
    assert "work/input.nmc was changed" in changed


def test_unsupported_counts_where_it_was_said(plain_run: Run) -> None:
    assert "unsupported" not in verdicts(plain_run).values()
    found = verdicts(judged(plain(), "06-segment/zstd", "06-segment/zstd-cut"))
    assert set(found.values()) == {"unsupported"}


def test_expected_failures(tmp_path: Path) -> None:
    known = tmp_path / "known"
    known.write_text(f"{BAD_OPEN} no digest of the manifest\n{GOOD} never seen\n# comment\n")
    run = judged(plain(), BAD_OPEN, GOOD, BAD_STATE, expected_failures=known)
    assert verdicts(run) == {BAD_OPEN: "xfail", GOOD: "xpass", BAD_STATE: "pass"}
    assert not run.passed
    known.write_text(f"{BAD_OPEN} no digest of the manifest\n")
    assert judged(plain(), BAD_OPEN, GOOD, expected_failures=known).passed
    known.write_text(f"{BAD_OPEN}\n")
    with pytest.raises(ValueError, match="has no reason"):
        judged(plain(), BAD_OPEN, expected_failures=known)


def test_a_program_that_cannot_be_used(tmp_path) -> None:
    kept = tmp_path / "results.ndjson"
    kept.write_text("results of before")
    with pytest.raises(SubjectError, match="missing"):
        judged("/no/such/program", GOOD, output=kept)
    assert kept.read_text() == "results of before"
    with pytest.raises(SubjectError, match="describe"):
        judged("echo hello", GOOD)
    with pytest.raises(SubjectError, match="empty"):
        judged("", GOOD)


def test_nothing_selected() -> None:
    with pytest.raises(SuiteError, match="holds no vectors that match none"):
        judged(plain(), "none/*")


def test_nothing_of_what_was_selected_is_for_the_program(tmp_path: Path) -> None:
    with pytest.raises(SuiteError, match="for this kind of program"):
        commands.run(
            commands.RunOptions("encoder", plain(), vectors=VECTORS, select=[BAD_STATE], jobs=1)
        )
    output = tmp_path / "results.ndjson"
    assert main.main(["run", "--decoder", plain(), "-q", "-o", str(output), "none/*"]) == 2
    assert not output.exists()


@pytest.fixture
def damaged(tmp_path: Path) -> Path:
    root = tmp_path / "vectors"
    for name in (GOOD, BAD_STATE, "07-decoding/all-key", "07-decoding/long-group"):
        shutil.copytree(VECTORS / name, root / name)
    package = root / BAD_STATE / "package.nmc"
    package.write_bytes(package.read_bytes() + b"\0")
    (root / "07-decoding/all-key/vector.json").write_text("{")
    twice = root / "07-decoding/long-group/vector.json"
    content = json.loads(twice.read_text())
    twice.write_text(json.dumps({**content, "id": GOOD}))
    (root / "07-decoding" / "no-vector-file").mkdir()
    for name, text in (("deep", "[" * 100_000), ("other", "{}"), ("binary", "\0")):
        (root / "07-decoding" / name).mkdir()
        (root / "07-decoding" / name / "vector.json").write_text(text)
    return root


def test_a_damaged_suite(damaged: Path, tmp_path: Path) -> None:
    output = tmp_path / "results.ndjson"
    run = commands.run(
        commands.RunOptions("decoder", plain(), vectors=damaged, output=output, quiet=True)
    )
    found = verdicts(run)
    assert found.pop(GOOD) == "pass"
    assert set(found.values()) == {"broken"}
    why = {r.vector.partition("/")[2]: r.detail for r in run.results if r.verdict == "broken"}
    assert why.keys() == {
        "raw-bit",
        "all-key",
        "long-group",
        "no-vector-file",
        "deep",
        "other",
        "binary",
    }
    assert "not the file that the vector names" in why["raw-bit"]
    assert f"its id is {GOOD}" in why["long-group"]
    assert "is missing" in why["no-vector-file"]
    assert "required property" in why["other"]
    assert not run.passed
    assert results.read(output) == run.__class__(
        **{
            **run.__dict__,
            "seconds": round(run.seconds, 3),
            "results": results.read(output).results,
        }
    )


def test_results_are_whole_or_none(tmp_path: Path) -> None:
    output = tmp_path / "results.ndjson"
    judged(plain(), GOOD, BAD_STATE, output=output)
    assert results.read(output).passed
    lines = output.read_text().splitlines(keepends=True)
    output.write_text("".join(lines[:-1]))
    with pytest.raises(results.ResultsError, match="without header and footer"):
        results.read(output)
    output.write_text("".join([lines[0], *lines[2:]]))
    with pytest.raises(results.ResultsError, match="1 results of 2"):
        results.read(output)
    output.write_text("".join([lines[0], '{"kind": "other"}\n', lines[-1]]))
    with pytest.raises(results.ResultsError, match="line 2"):
        results.read(output)


def test_reports(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "results.ndjson"
    html, junit, badge = (tmp_path / name for name in ("m.html", "j.xml", "b.svg"))
    command = ["run", "--decoder", wrong("crash"), "--vectors", str(VECTORS), "-q"]
    assert main.main([*command, "-o", str(output), GOOD, "06-segment/zstd"]) == 1
    paths = ["--html", str(html), "--junit", str(junit), "--badge", str(badge)]
    assert main.main(["report", str(output), *paths, "--vectors", str(VECTORS)]) == 1
    assert "crash" in html.read_text(encoding="utf-8")
    assert GOOD in html.read_text(encoding="utf-8")
    assert "<code>7.2.3-a</code>" in html.read_text(encoding="utf-8")
    assert "exempt: is about what people write" in html.read_text(encoding="utf-8")
    assert '<error message="crash:' in junit.read_text(encoding="utf-8")
    assert "0 of" in badge.read_text(encoding="utf-8")
    assert "failed" in capsys.readouterr().out


def test_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    vectors = ["--vectors", str(VECTORS)]
    assert main.main(["list", *vectors, GOOD]) == 0
    assert capsys.readouterr().out.startswith(GOOD)
    assert main.main(["list", *vectors, "--json", GOOD]) == 0
    assert json.loads(capsys.readouterr().out)["outcome"] == "accept"
    assert main.main(["list", *vectors, "--coverage"]) == 0
    assert json.loads(capsys.readouterr().out)["missing_codes"] == []
    assert main.main(["list", *vectors, "none"]) == 2
    assert main.main(["report", "/no/such/file"]) == 2
    assert "error:" in capsys.readouterr().err


def test_limits_are_generous_by_default() -> None:
    assert Limits().seconds >= 10


def test_the_files_of_a_command_are_those_of_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each request starts in a folder of its own; ``python decoder.py`` is found from there."""
    (tmp_path / "decoder.py").write_text("")
    (tmp_path / "python").write_text("")
    monkeypatch.chdir(tmp_path)
    words = Subject("python decoder.py ./decoder.py --mode none").words
    file = str(tmp_path / "decoder.py")
    assert words == ["python", file, file, "--mode", "none"]
    assert Subject("./python").words == [str(tmp_path / "python")]
