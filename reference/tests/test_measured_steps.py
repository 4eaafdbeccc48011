"""Steps that a function of distortion says, and what a writer is told of it (chapter 12)."""

from __future__ import annotations

import numpy as np
import pytest
from quantised_samples import interrupted, nearness, packed, trained

import nmc
from nmc.writing.remembered import Remembered, is_line, line_of, of_line
from nmc.writing.sensitivity import SensitivePart, Sensitivity


def _chain(frames):
    rng = np.random.default_rng(2)
    state = {name: rng.standard_normal((64, 40)) for name in ("seen", "unseen")}
    found = []
    for _ in range(frames):
        found.append({name: array.astype(np.float32) for name, array in state.items()})
        state = {n: a + 0.01 * rng.standard_normal(a.shape) for n, a in state.items()}
    return found


def _looks(state, original):
    """One tensor is seen a hundred times as much as the other one."""
    error = sum(
        weight * float(np.mean((state[name].astype(np.float64) - original[name]) ** 2))
        for name, weight in (("seen", 1.0), ("unseen", 1e-4))
    )
    return float(-10 * np.log10(error)) if error else float("inf")


def test_what_is_hardly_seen_has_coarser_steps(tmp_path) -> None:
    states = _chain(3)
    asked = nmc.Quantisation(target_psnr=50.0, distortion=_looks)
    packed(tmp_path / "measured.nmc", states, asked, key_every=0)
    by_size = nmc.Quantisation(quality=50, target_psnr=50.0, distortion=_looks)
    packed(tmp_path / "by-size.nmc", states, by_size, key_every=0)
    with nmc.open(tmp_path / "measured.nmc") as sequence:
        declared = sequence.declared_errors(0)
        assert all(_looks(sequence[t], state) >= 50 for t, state in enumerate(states))
    assert declared["unseen"] > 20 * declared["seen"]
    sizes = {path.stem: path.stat().st_size for path in tmp_path.glob("*.nmc")}
    assert sizes["measured"] < 0.8 * sizes["by-size"]


@pytest.mark.parametrize("stop", [1, 3])
def test_steps_are_measured_once_also_by_a_writer_that_resumes(tmp_path, stop) -> None:
    calls = []

    def looks(state, original):
        calls.append(1)
        return _looks(state, original)

    states, options = _chain(5), {"key_every": 2}
    options["quantisation"] = nmc.Quantisation(target_psnr=40.0, distortion=looks)
    packed(tmp_path / "a.nmc", states, options["quantisation"], key_every=2)
    interrupted(tmp_path / "b.nmc", states, stop, options)
    assert (tmp_path / "a.nmc").read_bytes() == (tmp_path / "b.nmc").read_bytes()


def test_a_writer_may_have_the_distortion(tmp_path) -> None:
    states = list(trained(2))
    for name, options in (
        ("a", {"quantisation": nmc.Quantisation(target_psnr=30.0, distortion=nearness)}),
        ("b", {"quantisation": nmc.Quantisation(target_psnr=30.0), "distortion": nearness}),
    ):
        with nmc.Writer(tmp_path / f"{name}.nmc", **options) as writer:
            for state in states:
                writer.append(state)
    assert (tmp_path / "a.nmc").read_bytes() == (tmp_path / "b.nmc").read_bytes()
    with nmc.Writer(tmp_path / "c.nmc", profile="lossy", distortion=nearness) as writer:
        writer.append(states[0], quantisation=nmc.Quantisation(target_psnr=30.0))
    with nmc.open(tmp_path / "c.nmc") as sequence:
        assert sequence.frames[0].declared_psnr >= 30
    with pytest.raises(ValueError, match="needs a distortion"):
        nmc.Writer(tmp_path / "d.nmc", quantisation=nmc.Quantisation(target_psnr=30.0))
    with pytest.raises(TypeError, match="function of two states"):
        nmc.Writer(
            tmp_path / "d.nmc", quantisation=nmc.Quantisation(target_psnr=30.0), distortion=30.0
        )
    assert not (tmp_path / "d.nmc").exists()


def test_a_writer_that_resumes_notices_a_curvature_of_each_frame(tmp_path) -> None:
    states = _chain(2)

    def seen(state):
        return nmc.Curvature(elements={name: np.ones_like(a) for name, a in state.items()})

    curved = nmc.Quantisation(0.01, curvature=seen)
    writer = nmc.Writer(tmp_path / "a.nmc", quantisation=curved)
    writer.append(states[0])
    del writer
    with pytest.raises(nmc.FormatError, match="quantisation"):
        nmc.Writer(tmp_path / "a.nmc", quantisation=nmc.Quantisation(0.01), resume=True)
    with nmc.Writer(tmp_path / "a.nmc", quantisation=curved, resume=True) as writer:
        writer.append(states[1])
    assert nmc.check(tmp_path / "a.nmc").decoded == 2


def test_a_journal_has_the_steps() -> None:
    known = Remembered(steps={3: [(5, 0.25), (7, 0.5)]})
    assert of_line(line_of(known)) == known and is_line(line_of(known))
    assert "steps" not in line_of(Remembered()) and is_line(line_of(Remembered()))
    for wrong in ([[5, 0.0]], [[0, 0.5]], [], [[5, 0.5, 1]], [[5, "x"]]):
        assert not is_line(line_of(Remembered()) | {"steps": [[3, wrong]]})


def test_a_table_is_cut_where_what_is_seen_changes() -> None:
    rows = 1 << 15
    elements = np.ones((rows, 2))
    elements[rows // 2 :] = 1e-4
    state = {"table": np.random.default_rng(0).standard_normal((rows, 2)).astype(np.float32)}
    (steps,) = nmc.Curvature(elements={"table": elements}).sensitivity(state).steps(50).values()
    assert sum(count for count, _ in steps) == rows and 2 <= len(steps) <= 4
    assert steps[-1][1] == pytest.approx(100 * steps[0][1], rel=0.1)
    alike = nmc.Curvature(elements={"table": np.ones((rows, 2))}).sensitivity(state)
    assert [part.rows for part in alike.parts] == [rows]
    named = nmc.Curvature(elements={"table": elements}).sensitivity(state, {"table": [8, rows - 8]})
    assert [part.rows for part in named.parts] == [8, rows - 8]


def test_the_fidelity_of_steps_that_take_as_many_bits() -> None:
    seen = Sensitivity([SensitivePart("a", 4, 40, 1e-2), SensitivePart("b", 1, 10, 1.0)])
    own = {name: parts[0][1] for name, parts in seen.steps(47.0).items()}
    assert seen.fidelity_like(own) == pytest.approx(47.0)
    assert seen.fidelity_like({name: step / 2 for name, step in own.items()}) == pytest.approx(
        47.0 + 20 * np.log10(2)
    )
    swapped = {"a": own["a"] * 2, "b": own["b"] / 16}  # 40 elements lose what 10 take
    assert seen.fidelity_like(swapped) == pytest.approx(47.0)
    with pytest.raises(ValueError, match="no tensor"):
        seen.fidelity_like({"c": 1.0})
