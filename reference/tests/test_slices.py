"""Slices that were pruned, added and shuffled between frames (clause 6.2.6)."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nmc
from nmc.coding import matching
from nmc_format.issues import FormatError
from nmc_format.slices import FRESH, map_of, parse, serialize


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(FRESH, 40), max_size=60), st.sets(st.integers(0, 300), min_size=1))
def test_maps_come_back(origins, rows):
    wanted = np.array(origins, np.int64)
    data = serialize([map_of(tuple(sorted(rows)), wanted)])
    (found,) = parse(memoryview(data), "f", 0)
    assert found.rows == tuple(sorted(rows))
    np.testing.assert_array_equal(found.origin_of_each(), wanted)
    for size in range(len(data)):
        with pytest.raises(FormatError):
            parse(memoryview(data[:size]), "f", 0)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60))
def test_junk_is_refused_or_read(junk):
    try:
        maps = parse(memoryview(junk), "f", 0)
    except FormatError:
        return
    assert all(int(each.lengths.sum()) == each.count for each in maps)


def splats(rng, count):
    return {
        "place": rng.normal(size=(count, 3)).astype("f4"),
        "colour": rng.normal(size=(count, 9)).astype("f4"),
        "opacity": rng.normal(size=(count, 1)).astype("f4"),
        "flat": np.zeros((count, 3), "f4"),
        "network": rng.normal(size=(40, 30)).astype("f4"),
    }


def next_frame(rng, state, *, churn, shuffle):
    count = len(state["place"])
    keep = np.sort(rng.permutation(count)[: count - churn])
    order = rng.permutation(count) if shuffle else np.arange(count)
    new = splats(rng, churn)
    made = {}
    for name, values in state.items():
        if name == "network":
            made[name] = values + np.float32(1e-4)
            continue
        moved = values[keep] * (1 + 1e-5 * rng.normal(size=values[keep].shape))
        made[name] = np.concatenate([moved, new[name]]).astype("f4")[order]
    return made


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("effort", ["fast", "strong"])
def test_splats_that_come_and_go_stay_small(tmp_path, shuffle, effort):
    rng = np.random.default_rng(1)
    states = [splats(rng, 2000)]
    for _ in range(3):
        states.append(next_frame(rng, states[-1], churn=20, shuffle=shuffle))
    states.append({name: v[:1500] if name != "network" else v for name, v in states[-1].items()})
    with nmc.Writer(tmp_path / "a.nmc", effort=effort) as writer:
        for state in states:
            writer.append(state)
    assert nmc.check(tmp_path / "a.nmc").accepted
    with nmc.open(tmp_path / "a.nmc") as sequence:
        sizes = sequence.manifest.frames.segment_length
        assert sizes[1:4].max() < 0.55 * sizes[0]
        assert sizes[4] < 0.1 * sizes[0]
        for t in (4, 0, 2, 3, 1):
            for name, values in states[t].items():
                assert sequence[t][name].tobytes() == values.tobytes()
                assert sequence.tensor(t, name).tobytes() == values.tobytes()


def test_names_of_slices_are_used(tmp_path):
    """Splats that move too far to be known again are found by a tensor of names."""
    rng = np.random.default_rng(2)
    names = rng.permutation(5000)[:800].astype("i8")
    values = rng.normal(size=(800, 20)).astype("f4")
    order = rng.permutation(800)
    with nmc.Writer(tmp_path / "a.nmc", effort="fast") as writer:
        writer.append({"name": names, "value": values})
        writer.append({"name": names[order], "value": values[order] + np.float32(0.01)})
    with nmc.open(tmp_path / "a.nmc") as sequence:
        sizes = sequence.manifest.frames.segment_length
        assert sizes[1] < 0.75 * sizes[0]
        np.testing.assert_array_equal(sequence[1]["name"], names[order])


def moved_far(rng, state, *, churn):
    """Return points that are shuffled, and whose values tell nothing of where they went."""
    count = len(state["place"])
    keep = rng.permutation(count)[churn:]
    fresh = int(state["id"].max()) + 1 + np.arange(churn, dtype=state["id"].dtype)
    made = {"id": np.concatenate([state["id"][keep], fresh])}
    for name in ("place", "colour"):
        values = state[name][keep]
        moved = values + 0.2 * rng.normal(size=values.shape)
        new = rng.normal(size=(churn, *values.shape[1:]))
        made[name] = np.concatenate([moved, new]).astype("f4")
    return made


def named_points(rng, count, ids):
    return {
        "id": ids,
        "place": rng.normal(size=(count, 3)).astype("f4"),
        "colour": rng.normal(size=(count, 9)).astype("f4"),
    }


@pytest.mark.parametrize("width", [1, 2])
def test_points_are_matched_by_their_names(tmp_path, width):
    rng = np.random.default_rng(2)
    ids = np.arange(3000, dtype=np.int32)
    states = [named_points(rng, 3000, ids)]
    for _ in range(2):
        states.append(moved_far(rng, states[-1], churn=30))
    if width == 2:  # a name of two numbers, none of which is enough
        for state in states:
            state["id"] = np.stack([state["id"] % 50, state["id"] // 50], 1)
    sizes = {}
    for name in (None, "id"):
        path = tmp_path / f"{name}.nmc"
        with nmc.Writer(path, row_id=name) as writer:
            for state in states:
                writer.append(state)
            matched = writer.slices
        with nmc.open(path) as sequence:
            sizes[name] = int(sequence.manifest.frames.segment_length[1:].sum())
            for t, state in enumerate(states):
                for key, values in state.items():
                    np.testing.assert_array_equal(sequence[t][key], values)
        assert nmc.check(path).accepted
    assert [(each.frame, each.count, each.found, each.by) for each in matched] == [
        (1, 3000, 2970, "ids"),
        (2, 3000, 2970, "ids"),
    ]
    assert set(matched[0].tensors) >= {"place", "colour"}
    if width == 1:  # whole numbers that differ are taken for names unasked
        assert sizes["id"] == sizes[None]
    else:
        assert sizes["id"] < 0.95 * sizes[None]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda state: state.pop("id"), "there is no tensor 'id'"),
        (lambda state: state.update(id=state["id"] // 2), "slices 0 and 1 are equal"),
        (lambda state: state.update(id=np.int32(3)), "is a single number"),
    ],
)
def test_names_that_name_nothing_are_refused(tmp_path, change, words):
    rng = np.random.default_rng(3)
    state = named_points(rng, 100, np.arange(100, dtype=np.int32))
    with nmc.Writer(tmp_path / "a.nmc", row_id="id") as writer:
        writer.append(state)
        wrong = dict(state)
        change(wrong)
        with pytest.raises(FormatError, match=words) as error:
            writer.append(wrong)
        assert error.value.finding.code == "input/unsupported"
        writer.append(state)
    with nmc.open(tmp_path / "a.nmc") as sequence:
        assert len(sequence) == 2


def test_a_writer_says_where_it_fell_back(tmp_path):
    rng = np.random.default_rng(4)
    first, other = (splats(rng, count) for count in (300, 280))
    other["network"] = first["network"]
    with nmc.Writer(tmp_path / "a.nmc", entropy="zstd") as writer:
        big = {"big": np.zeros((400, 400), "f4")}  # which makes a delta frame worth it
        writer.append(first | big)
        writer.append(other | big)
        (found,) = writer.slices
    assert (found.frame, found.count, found.found) == (1, 280, 0)
    assert set(found.tensors) == {"place", "colour", "opacity", "flat"}


@pytest.mark.parametrize("spread", [1.0, 0.05])
def test_slices_that_stay_are_not_looked_for(tmp_path, monkeypatch, spread):
    """Small weights whose signs change go as far as those that went elsewhere, and stay."""
    rng = np.random.default_rng(7)
    tables = [rng.normal(0, 1e-4, (5000, 2)).astype("f4")]
    for _ in range(3):
        tables.append((tables[-1] + rng.normal(0, 1e-4 * spread, (5000, 2))).astype("f4"))
    tried = []
    match = matching.match
    monkeypatch.setattr(matching, "match", lambda *a: tried.append(1) or match(*a))
    with nmc.Writer(tmp_path / "c.nmc", key_every=0) as writer:
        for table in tables:
            writer.append({"table": table})
    assert tried == []
    with nmc.Writer(tmp_path / "s.nmc", key_every=0) as writer:
        writer.append({"table": tables[0]})
        writer.append({"table": tables[0][rng.permutation(5000)]})
    assert tried == [1]
