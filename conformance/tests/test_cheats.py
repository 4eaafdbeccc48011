"""Programs that know the suite and do not do the work do not pass it."""

from __future__ import annotations

import shlex
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import cheat
import pytest
from programs import CONFORMANCE, VECTORS, plain, reference, suite

from nmc_conformance import commands, ed25519, runner, sealing
from nmc_conformance.compact import NotCompactError, parse
from nmc_conformance.results import Run
from nmc_conformance.staging import Stage, place
from nmc_conformance.subject import SubjectError, parse_description
from nmc_conformance.vectors import Vector, load_suite

GOOD = "07-decoding/there-and-back"
BAD = "05-package/must-understand"
"""A vector that the plain decoder does not refuse."""


def judged(how: str, *select: str, role: str = "decoder", **options: object) -> Run:
    words = [sys.executable, str(CONFORMANCE / "selftest" / "cheat.py"), how]
    made = commands.RunOptions(
        role=role,
        command=shlex.join(words),
        vectors=VECTORS,
        select=select,
        jobs=1,
        quiet=True,
        arbiter=reference(),
        **options,
    )  # type: ignore[arg-type]
    return commands.run(made)


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ("nothing", "no profile"),
        ("no-level", "the levels"),
        ("strange-profile", "the profile extended"),
        ("strange-level", "the levels"),
        ("high-level-alone", "each lower one"),
        ("main-alone", "not baseline"),
        ("truth-for-a-level", "no description"),
        ("other-protocol", "no description"),
    ],
)
def test_what_is_claimed_is_a_class_of_the_standard(how: str, why: str) -> None:
    with pytest.raises(SubjectError, match=why):
        judged(how, GOOD)


@pytest.mark.parametrize(
    "names", [["baseline"], ["baseline", "main"], ["baseline", "main", "lossy"]]
)
def test_each_class_of_the_standard_can_be_claimed(names: list[str]) -> None:
    said = {"protocol": 1, "name": "x", "version": "1", "profiles": names, "levels": [1]}
    assert parse_description({**said, "features": []}).profiles == {*names}


def test_a_lossy_decoder_is_a_main_decoder() -> None:
    said = {"protocol": 1, "name": "x", "version": "1", "profiles": ["baseline", "lossy"]}
    with pytest.raises(SubjectError, match="not main"):
        parse_description({**said, "levels": [1], "features": []})


@pytest.mark.slow(minutes=0.02)
def test_unsupported_is_no_answer_to_what_is_claimed() -> None:
    run = judged("every-vector-unsupported", GOOD, "06-segment/zstd")
    assert {r.verdict for r in run.results} == {"fail"}


def test_a_run_needs_a_vector_of_each_profile_that_passes() -> None:
    alone = commands.run(
        commands.RunOptions("decoder", plain(), VECTORS, ["06-segment/zstd"], quiet=True)
    )
    assert {r.verdict for r in alone.results} == {"unsupported"}
    assert not alone.passed
    claims = {"profiles": ["baseline", "main", "lossy"]}
    both = Run("decoder", claims, "", alone.results)
    assert both.unproven == ("baseline", "main", "lossy")
    assert replace(both, selection=("06*",)).unproven == ("main",)
    assert replace(both, role="encoder").unproven == ("main",)
    known = tuple(replace(r, verdict="xfail") for r in alone.results)
    assert replace(both, results=known, selection=("06*",)).unproven == ("main",)


@pytest.mark.slow(minutes=0.05)
def test_a_list_of_inputs_does_not_help() -> None:
    assert judged("list-of-inputs", GOOD, BAD, seal="").passed
    run = judged("list-of-inputs", GOOD, BAD)
    assert {r.vector: r.verdict for r in run.results} == {GOOD: "pass", BAD: "fail"}
    assert not run.passed


def test_inputs_and_their_order_follow_from_the_seal(tmp_path: Path) -> None:
    vectors = load_suite(VECTORS, ["07-decoding/*"]).vectors
    seen = []
    for number, seal in enumerate(("a", "b", "a", "")):
        folder = tmp_path / str(number)
        folder.mkdir()
        with Stage(folder, seal) as stage:
            stage.put(vectors[0])
            seen.append(stage.input.read_bytes())
    assert seen[0] == seen[2] != seen[1]
    assert seen[3] == vectors[0].input.read_bytes()
    orders = [[v.id for v in runner._shuffled(vectors, seal)] for seal in ("a", "b", "a", "")]
    assert orders[0] == orders[2] != orders[1]
    assert orders[3] == [v.id for v in vectors]


def test_what_is_signed_is_signed_again_and_what_is_wrong_stays_wrong(tmp_path: Path) -> None:
    for name in ("one", "two", "directory", "form-upper", "form-twice", "other-sha256"):
        source = VECTORS / "13-signatures" / name / "package.nmc"
        copy = tmp_path / name
        shutil.copytree(source, copy) if source.is_dir() else shutil.copyfile(source, copy)
        assert sealing.reseal(copy, "seal")
        files = [copy] if copy.is_file() else sorted(p for p in copy.rglob("*") if p.is_file())
        first = {p: p.read_bytes() for p in files}
        assert b"signature: " in b"".join(first.values())
        assert sealing.reseal(copy, "seal")
        assert {p: p.read_bytes() for p in files} == first


@pytest.mark.slow
def test_what_is_wrong_with_a_signature_stays_wrong_in_the_same_way(tmp_path: Path) -> None:
    """Every package with a signature is sealed anew, and checked for the finding of its vector."""
    vectors = load_suite(VECTORS, ["13-signatures/*"]).vectors
    left = []
    for vector in vectors:
        copy = tmp_path / vector.id.partition("/")[2]
        place(vector, copy)
        if not sealing.reseal(copy, "seal"):
            left.append(vector.id)
    assert left == []
    first = VECTORS / "13-signatures" / "wrong-order" / "package.nmc"
    old, new = first.read_bytes(), (tmp_path / "wrong-order").read_bytes()
    assert _answer(new) >= ed25519.ORDER <= _answer(old)
    assert _answer(new) != _answer(old)


def _answer(package: bytes) -> int:
    at = package.index(b"\nsignature: ") + len(b"\nsignature: ") + 64
    return int.from_bytes(bytes.fromhex(package[at : at + 64].decode()), "little")


MESSAGES = [v for v in suite().vectors if v.id.startswith("15-messages/")]


def _messages(vector: Vector, seal: str) -> tuple[list[bytes], Vector]:
    with Stage(None, seal) as stage:
        made = stage.put(vector)
        return [path.read_bytes() for path in sorted(stage.input.iterdir())], made


@pytest.mark.sweep(8)
@pytest.mark.parametrize("vector", MESSAGES, ids=lambda v: v.id.partition("/")[2])
def test_messages_are_others_in_each_run(vector: Vector) -> None:
    """A message of no tensor alone has nothing that could be another one."""
    plain, _ = _messages(vector, "")
    once, made = _messages(vector, "a")
    twice, again = _messages(vector, "a")
    assert (once, made) == (twice, again)
    assert [len(data) for data in once] == [len(data) for data in plain]
    other = [a != b for a, b in zip(plain, once, strict=True)]
    assert other == [any(state) for state in vector.tensors]
    old, new = vector.expected.state_digests, made.expected.state_digests
    assert [d is None for d in old] == [d is None for d in new]
    shown = [(a, b) for a, b, t in zip(old, new, vector.tensors, strict=True) if a and t]
    assert all(a != b for a, b in shown)


@pytest.mark.slow(minutes=0.1)
def test_a_list_of_messages_does_not_help() -> None:
    select = ("15-messages/key-and-delta", "15-messages/parent-other", "15-messages/length-less")
    assert judged("list-of-messages", *select, seal="").passed
    run = judged("list-of-messages", *select)
    assert {r.verdict for r in run.results} == {"fail"}


@pytest.mark.slow
def test_what_is_wrong_with_a_message_stays_wrong() -> None:
    """The reference refuses each, sealed anew, for the reason that the vector names."""
    select = ["15-messages/[dlprs]*"]
    run = commands.run(
        commands.RunOptions("decoder", reference(), VECTORS, select, jobs=1, quiet=True)
    )
    assert run.passed
    assert run.diagnostics[0] == run.diagnostics[1] > 20


@pytest.mark.slow
@pytest.mark.parametrize("stride", [7, pytest.param(1, marks=pytest.mark.long)])
def test_most_inputs_are_sealed_anew_and_keep_what_is_wrong_with_them(
    tmp_path: Path, stride: int
) -> None:
    count, vectors = 0, suite().vectors[::stride]
    for vector in vectors:
        copy = tmp_path / "copy"
        place(vector, copy)
        count += sealing.reseal(copy, "seal")
        shutil.rmtree(copy) if copy.is_dir() else copy.unlink()
    assert count >= 0.9 * len(vectors)


def test_what_is_no_compact_manifest_is_left_alone(tmp_path: Path) -> None:
    for data in (b"", b"PK\3\4", b"\x89HDF\r\n\x1a\n", b"\x89HDF\r\n\x1a\n\2\x08\x08" + bytes(99)):
        assert sealing.resealed(data, "x") is None
        with pytest.raises(NotCompactError):
            parse(data)
    assert not sealing.reseal(tmp_path, "x")


@pytest.mark.sweep(5)
@pytest.mark.parametrize(
    ("how", "why"),
    [
        ("done-but-refused", "refuses the package, and it ended with 0"),
        ("refused-without-an-error", "names no error"),
        ("accepted-with-an-error", "names an error"),
        ("report-of-no-schema", "none by the schema"),
        ("report-of-no-json", "none by the schema"),
    ],
)
def test_a_report_is_judged_where_it_is_given(how: str, why: str) -> None:
    (result,) = judged(how, GOOD).results
    assert (result.verdict, why in result.detail) == ("fail", True), result.detail


@pytest.mark.sweep(5)
@pytest.mark.parametrize(
    ("how", "vector", "why"),
    [
        ("check-no-report", GOOD, "no report"),
        ("check-refused-no-report", BAD, "no report"),
        ("check-refused-no-error", BAD, "accepts the package, and it ended with 1"),
        ("check-done-but-refused", GOOD, "refuses the package, and it ended with 0"),
        ("check-unsupported", "06-segment/zstd", "every profile"),
    ],
)
def test_a_checker_gives_a_report_and_keeps_to_it(how: str, vector: str, why: str) -> None:
    (result,) = judged(how, vector, role="checker").results
    assert (result.verdict, why in result.detail) == ("fail", True), result.detail


@pytest.mark.slow(minutes=0.05)
@pytest.mark.parametrize(
    ("how", "why"),
    [
        ("encode-unsupported", "'unsupported'"),
        ("encode-frame-more", "3 frames, it was given 2"),
        ("encode-frame-fewer", "1 frames, it was given 2"),
        ("encode-main-always", "of profile main, not baseline"),
    ],
)
def test_an_encoder_makes_what_it_was_asked_for(how: str, why: str) -> None:
    (result,) = judged(how, "06-segment/key-and-delta", role="encoder").results
    assert (result.verdict, why in result.detail) == ("fail", True), result.detail


def test_every_cheat_is_tested() -> None:
    text = Path(__file__).read_text(encoding="utf-8")
    assert [name for name in {*cheat.HOW, *cheat.CLAIMS} if f'"{name}"' not in text] == []
