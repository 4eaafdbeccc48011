"""Negative vectors are sound but for one thing; a vector that is not is found."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import make_vectors
import numpy as np
import pytest
from bases import ONE
from columns import scalar_text, text
from package.manifest_cases import put_all

import soundness as soundness_tool

if TYPE_CHECKING:
    from cases import Case

TOOL = Path(__file__).resolve().parents[1] / "soundness" / "soundness.py"


def soundness(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(TOOL), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def told(root: Path, case: Case) -> subprocess.CompletedProcess[str]:
    """Return what the tool says of one vector."""
    make_vectors.write(root / case.id, make_vectors.made("made", case))
    return soundness("--vectors", root)


@pytest.mark.slow
def test_a_sample_of_the_suite_is_sound() -> None:
    done = soundness("--every", "40")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "    0  masked" in done.stdout


@pytest.mark.long
def test_the_suite_is_sound_and_nothing_is_listed_in_vain() -> None:
    done = soundness()
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_second_reason_to_refuse_is_found(tmp_path: Path) -> None:
    """The state is still that of a tensor with a name: its digest stands in for the check."""
    edits = put_all({"/model/tensors/name": text("")})
    case = ONE.reject(
        "05-package/made",
        "a tensor without a name is rejected",
        "5.4.3",
        "manifest/tensor-name",
        edits,
    )
    done = told(tmp_path, case)
    assert done.returncode == 1
    assert "    1  masked" in done.stdout
    assert "manifest/tensor-name at /model/tensors/0/name, then " in done.stdout
    assert "decoding/state-digest-mismatch at /frames/0/state_digest" in done.stdout


@pytest.mark.slow(minutes=0.05)
def test_the_same_fault_with_states_that_fit_is_sound(tmp_path: Path) -> None:
    rows = (replace(ONE.chain.rows[0], name=""),)
    case = ONE.reject(
        "05-package/made", "a tensor without a name is rejected", "5.4.3", "manifest/tensor-name"
    )
    done = told(tmp_path, replace(case, chain=replace(ONE.chain, rows=rows)))
    assert done.returncode == 0, done.stdout
    assert "    1  accepted, the check being off" in done.stdout


@pytest.mark.slow(minutes=0.05)
def test_two_faults_of_one_code_are_not_one_check(tmp_path: Path) -> None:
    """A decoder without the one check is told by the other, though both have the same code."""
    edits = put_all(
        {"/model@configuration": scalar_text("["), "/frames@timescale": np.array(0, "<u4")}
    )
    case = ONE.reject("05-package/made", "two faults of one code", "5.4.2", "manifest/value", edits)
    done = told(tmp_path, case)
    assert done.returncode == 1, done.stdout
    assert "    1  masked" in done.stdout


def test_a_part_of_the_suite_is_not_published(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("<!-- soundness -->\n<!-- /soundness -->\n", encoding="utf-8")
    with pytest.raises(SystemExit) as refused:
        soundness_tool.main(["--every", "200", "--into", str(page)])
    assert refused.value.code == 2
    assert len(page.read_text(encoding="utf-8").splitlines()) == 2


def test_the_table_has_a_row_for_each_fate() -> None:
    reason = soundness_tool.Reason("zstd", "A library decodes it.", ("06-*",), (), lenient=False)
    fates = ["zstd", soundness_tool.SOUND, soundness_tool.SOUND, soundness_tool.MASKED]
    found = {soundness_tool.Trial(f"06-segment/{i}", (), ""): f for i, f in enumerate(fates)}
    assert soundness_tool.published(found, [reason]).splitlines()[2:] == [
        "| all negative vectors | 4 |",
        "| accepted, the check being off | 2 |",
        "| accepted by the lenient decoder, the check being off | 0 |",
        "| listed: A library decodes it. | 1 |",
        "| masked | 1 |",
    ]


def test_nothing_that_is_chosen_is_an_error(tmp_path: Path) -> None:
    done = soundness("--vectors", tmp_path)
    assert done.returncode == 2
    assert "holds no vectors" in done.stderr
