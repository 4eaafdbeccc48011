"""Cutting and joining: the states are those of packing again, whole groups are copied."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nmc_samples import (
    LAYERS,
    assert_states,
    chain,
    members,
    same_state,
    segment_path,
    write,
    write_trained,
)

import nmc
from nmc_format.manifest.columns import camera_objects
from nmc_format.package.members import segment_name

FRAMES = 12


@pytest.fixture(scope="module")
def states():
    found = chain(FRAMES)
    for t in range(5, FRAMES):
        found[t] = found[t] | {"late": np.full(7, t, "f4")}
    return found


@pytest.fixture(scope="module")
def package(tmp_path_factory, states):
    """Groups of four frames; a tensor appears in frame 5."""
    path = tmp_path_factory.mktemp("p") / "x.nmc"
    with nmc.Writer(path, key_every=4, timescale=90_000, layers=LAYERS, buffers=["late"]) as writer:
        for t, state in enumerate(states):
            writer.append(state, presentation_time=3000 * t * t, iterations=t, seconds=t / 2)
    return path


def test_whole_groups_are_copied_byte_for_byte(tmp_path, package, states) -> None:
    nmc.extract(package, range(2, FRAMES), tmp_path / "cut.nmc")
    assert_states(tmp_path / "cut.nmc", states[2:])
    old, new = members(package), members(tmp_path / "cut.nmc")
    for t in range(4, FRAMES):
        assert new[segment_name(t - 2)] == old[segment_name(t)]
    with nmc.open(tmp_path / "cut.nmc") as cut:
        assert [f.coding for f in cut.frames][:3] == ["key", "delta", "key"]
        assert [f.iterations for f in cut.frames] == list(range(2, FRAMES))
        assert [f.trained_from for f in cut.frames] == [None, *range(FRAMES - 3)]


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    frames=st.lists(st.integers(0, FRAMES - 1), unique=True, min_size=1).map(sorted),
    form=st.booleans(),
)
def test_any_selection(tmp_path_factory, package, states, frames, form) -> None:
    target = tmp_path_factory.mktemp("e") / "cut.nmc"
    nmc.extract(package, frames, target, directory=form, effort="fast")
    assert_states(target, [states[t] for t in frames])
    with nmc.open(target) as cut, nmc.open(package) as whole:
        for i, t in enumerate(frames):
            follows = i > 0 and frames[i - 1] == t - 1
            assert cut.frames[i].trained_from == (i - 1 if follows else None)
            assert cut.frames[i].presentation_time == whole.frames[t].presentation_time
            assert cut.frames[i].seconds == whole.frames[t].seconds


def test_everything_is_the_same_package(tmp_path, package) -> None:
    nmc.extract(package, range(FRAMES), tmp_path / "cut.nmc")
    assert (tmp_path / "cut.nmc").read_bytes() == package.read_bytes()


def test_records_are_kept(tmp_path, states) -> None:
    whole = write_trained(tmp_path / "x.nmc", states[:5])
    nmc.extract(whole, [1, 2, 3], tmp_path / "cut.nmc")
    assert nmc.check(tmp_path / "cut.nmc").findings == ()
    with nmc.open(tmp_path / "cut.nmc") as cut, nmc.open(whole) as source:
        kept, given = camera_objects(cut.cameras), camera_objects(source.cameras)
        assert len(given) == 8
        assert kept.keys() == given.keys()
        assert all((kept[path] == column).all() for path, column in given.items())
        assert cut.quality.metrics["psnr"].shape == (3, 1)
        for i, t in enumerate([1, 2, 3]):
            assert cut.frames[i].requires_grad == source.frames[t].requires_grad
            assert cut.frames[i].exclude_layers == source.frames[t].exclude_layers == (2,)


def test_concat(tmp_path, package, states) -> None:
    other_states = chain(5, seed=7)
    other = write(tmp_path / "b.nmc", other_states, key_every=3, timescale=30)
    nmc.concat([package, other, package], tmp_path / "all.nmc")
    assert_states(tmp_path / "all.nmc", states + other_states + states)
    parts, joined = members(package), members(tmp_path / "all.nmc")
    for t in range(FRAMES):
        assert joined[segment_name(t)] == parts[segment_name(t)]
    with nmc.open(tmp_path / "all.nmc") as sequence:
        starts = [t for t, f in enumerate(sequence.frames) if f.trained_from is None]
        assert starts == [0, FRAMES, FRAMES + 5]
        times = [f.presentation_time for f in sequence.frames]
        assert times[:FRAMES] == [3000 * t * t for t in range(FRAMES)]
        assert np.diff(times)[FRAMES : FRAMES + 4].tolist() == [3000] * 4  # 1/30 s in 90 kHz
        assert (np.diff(times) > 0).all()


def test_parts_joined_again_are_the_whole(tmp_path, package, states) -> None:
    nmc.extract(package, range(8), tmp_path / "a.nmc")
    nmc.extract(package, range(8, FRAMES), tmp_path / "b.nmc")
    nmc.concat([tmp_path / "a.nmc", tmp_path / "b.nmc"], tmp_path / "c.nmc")
    assert_states(tmp_path / "c.nmc", states)
    old, new = members(package), members(tmp_path / "c.nmc")
    assert all(old[segment_name(t)] == new[segment_name(t)] for t in range(8))


def test_a_baseline_package_stays_one(tmp_path, states) -> None:
    whole = write(tmp_path / "x.nmc", states, profile="baseline", key_every=4)
    nmc.extract(whole, [1, 2, 5, 8, 9], tmp_path / "cut.nmc")
    with nmc.open(tmp_path / "cut.nmc") as cut:
        assert cut.manifest.profile == "baseline"
    main = write(tmp_path / "m.nmc", states, key_every=4)
    nmc.concat([whole, main], tmp_path / "both.nmc")
    with nmc.open(tmp_path / "both.nmc") as both:
        assert both.manifest.profile == "main"
    assert_states(tmp_path / "both.nmc", states + states)


def test_models_that_differ_in_their_tables(tmp_path) -> None:
    """Other layers, other roles, another order of names: coded again where they do not fit."""
    states = chain(4)
    backwards = [dict(reversed(s.items())) for s in chain(4, seed=3)]
    a = write(tmp_path / "a.nmc", states, layers={"frozen": 1}, detect_frozen=True)
    b = write(tmp_path / "b.nmc", backwards, layers={"frozen": 2}, buffers=["steps"])
    nmc.concat([a, b, a], tmp_path / "c.nmc")
    assert_states(tmp_path / "c.nmc", states + backwards + states)


@pytest.mark.parametrize(
    "frames",
    [[], [3, 2], [1, 1], [FRAMES], [-1]],
    ids=["none", "falling", "twice", "end", "negative"],
)
def test_selections_that_are_refused(tmp_path, package, frames) -> None:
    with pytest.raises(nmc.FormatError, match="manifest/value"):
        nmc.extract(package, frames, tmp_path / "cut.nmc")
    assert not list(tmp_path.iterdir())


def test_a_damaged_source_is_not_copied(tmp_path, states) -> None:
    """Damage does not get a new, right checksum by being copied; nothing half-made is left."""
    source = write(tmp_path / "x.nmc", states, directory=True, key_every=4)
    data = bytearray(segment_path(source, 9).read_bytes())
    data[-1] ^= 1
    segment_path(source, 9).write_bytes(bytes(data))
    for target, action in (
        ("a.nmc", lambda p: nmc.extract(source, range(FRAMES), p)),
        ("b.nmc", lambda p: nmc.extract(source, [1, 9], p)),
        ("c.nmc", lambda p: nmc.concat([source, source], p, directory=True)),
    ):
        with pytest.raises(nmc.FormatError):
            action(tmp_path / target)
        assert sorted(p.name for p in tmp_path.iterdir()) == ["x.nmc"]
    nmc.extract(source, range(8), tmp_path / "good.nmc")
    assert_states(tmp_path / "good.nmc", states[:8])


def test_a_target_that_exists_is_kept(tmp_path, package, states) -> None:
    target = write(tmp_path / "t.nmc", states[:1])
    with pytest.raises(nmc.FormatError, match="host/exists"):
        nmc.extract(package, [1], target)
    assert_states(target, states[:1])
    nmc.extract(package, [1], target, overwrite=True)
    assert_states(target, states[1:2])


def test_a_package_can_replace_itself(tmp_path, states) -> None:
    path = write(tmp_path / "x.nmc", states, key_every=4)
    nmc.extract(path, [4, 5, 6], path, overwrite=True)
    assert_states(path, states[4:7])


def test_progress(tmp_path, package) -> None:
    seen = []
    nmc.extract(package, [0, 1], tmp_path / "c.nmc", progress=lambda *done: seen.append(done))
    assert seen == [(1, 2), (2, 2)]


def test_states_of_a_cut_share_what_does_not_change(tmp_path, package, states) -> None:
    nmc.extract(package, [2, 3], tmp_path / "c.nmc")
    with nmc.open(tmp_path / "c.nmc") as cut:
        assert np.shares_memory(cut[0]["frozen"], cut[1]["frozen"])
        assert same_state(cut[1], states[3])


@pytest.mark.parametrize(
    "configuration",
    ['{"x": ' + "9" * 5000 + "}", '{"x": 1e999, "x": [1.10, -0]}', ' {"b":1 ,"a":2}'],
)
def test_a_configuration_is_copied_as_it_is(tmp_path, configuration) -> None:
    with nmc.Writer(tmp_path / "a.nmc", configuration=configuration) as writer:
        writer.append({"w": np.zeros(3, "f4")})
    nmc.concat([tmp_path / "a.nmc", tmp_path / "a.nmc"], tmp_path / "b.nmc")
    with nmc.open(tmp_path / "b.nmc") as sequence:
        assert sequence.manifest.model.configuration == configuration
