"""A short run of ``make fuzz``: flipped bits of packages of every kind, in both forms."""

from __future__ import annotations

import shutil
from pathlib import Path

import fuzz_flips
import fuzz_progress
import fuzz_targets
import pytest


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> list[fuzz_targets.Target]:
    return fuzz_targets.targets(tmp_path_factory.mktemp("flips"), fuzz_targets.KINDS)


@pytest.mark.slow
def test_one_bit_in_499_of_every_package_is_missed(small: list[fuzz_targets.Target]) -> None:
    tally = fuzz_flips.Tally()
    for flip in fuzz_flips.every_flip(small, 499):
        fuzz_flips.attempt(tally, *flip)
    assert tally.faults == []
    assert len(tally.codes) >= 5


@pytest.mark.slow
def test_every_bit_of_a_superblock_and_of_what_follows_it(small: list[fuzz_targets.Target]) -> None:
    """The manifest of the directory form has no checksum of its own: each of its bits counts."""
    target = next(t for t in small if isinstance(t, fuzz_targets.ManifestTarget))
    tally = fuzz_flips.Tally()
    for bit in range(8 * 100):
        fuzz_flips.attempt(tally, target, bit // 8, 1 << bit % 8)
    assert tally.faults == []


def test_sampled_flips_can_be_repeated(small: list[fuzz_targets.Target]) -> None:
    first = list(fuzz_flips.sampled_flips(small, 20))
    assert first == list(fuzz_flips.sampled_flips(small, 20))


def test_a_run_goes_on_where_it_stopped(
    small: list[fuzz_targets.Target], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flips():
        return fuzz_flips.sampled_flips(small, 30)

    whole = fuzz_flips.run("flips", flips(), 30, tmp_path / "a.json", "x")
    monkeypatch.setattr(fuzz_progress, "SECONDS", 0.0)
    stopped = fuzz_flips.sampled_flips(small, 30)
    fuzz_flips.run("flips", (next(stopped) for _ in range(11)), 30, tmp_path / "b.json", "x")
    again = fuzz_flips.run("flips", flips(), 30, tmp_path / "b.json", "x")
    assert (again.done, again.codes, again.faults) == (whole.done, whole.codes, whole.faults)


def test_two_processes_find_what_one_finds(tmp_path: Path) -> None:
    made = fuzz_targets.targets(tmp_path / "p", fuzz_targets.KINDS[-2:])
    assert {"MemberTarget"} < {type(target).__name__ for target in made}
    found = []
    for jobs in (1, 2):
        flips = fuzz_flips.sampled_flips(made, 40)
        note = tmp_path / f"{jobs}.json"
        found.append(fuzz_flips.run("flips", flips, 40, note, "x", made, jobs))
    assert found[0] == found[1]
    assert found[0].faults == []
    assert sum(found[0].codes.values()) == 40


def test_an_unseen_flip_is_reported(
    small: list[fuzz_targets.Target], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader that does not look at bytes between structures is found out."""
    from nmc_format.manifest.compact import headers
    from nmc_format.manifest.compact.lookup3 import lookup3

    source = next(t for t in small if isinstance(t, fuzz_targets.ManifestTarget))
    folder = Path(shutil.copytree(source.folder, tmp_path / "package"))
    data = bytearray(source.data) + bytes(8)
    data[28:36] = len(data).to_bytes(8, "little")
    data[44:48] = lookup3(bytes(data[:44])).to_bytes(4, "little")
    (folder / "manifest.h5").write_bytes(data)
    target = fuzz_targets.ManifestTarget(folder)
    assert target.code(0, 0) == ""
    assert target.code(target.size - 1, 1) == "manifest/unreadable"
    monkeypatch.setattr(headers.Blocks, "check_rest", lambda _: None)
    assert target.code(target.size - 1, 1) == ""


def test_the_table_says_what_was_tried(tmp_path: Path) -> None:
    run = fuzz_progress.Run("odd bits", 5, tmp_path / "a.json", "x")
    run.tally.add("segment/sha256")
    run.tally.add("", "byte 3 goes unseen")
    run.save()
    assert "| odd bits | 2 | 1 | 1 |" in fuzz_progress.table(tmp_path)
    assert fuzz_progress.Run("odd bits", 5, tmp_path / "a.json", "y").tally.done == 0
