"""What a writer refuses leaves it as it was, and what is finished is kept."""

from __future__ import annotations

import numpy as np
import pytest
from nmc_samples import assert_states, chain, members, refused, write

import nmc


def test_without_a_frame_nothing_is_left(tmp_path) -> None:
    refused("manifest/value", lambda: nmc.Writer(tmp_path / "a.nmc").close())
    with pytest.raises(RuntimeError, match="mine"), nmc.Writer(tmp_path / "b.nmc"):
        raise RuntimeError("mine")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("directory", [False, True])
def test_an_exception_keeps_what_is_finished(tmp_path, directory) -> None:
    states = chain(4)
    path = tmp_path / "a.nmc"
    with pytest.raises(RuntimeError, match="mine"), nmc.Writer(path, directory=directory) as writer:
        writer.append(states[0])
        writer.append(states[1])
        raise RuntimeError("mine")
    assert refused("package/unfinished" if directory else "host/not-found", lambda: nmc.open(path))
    if not directory:
        refused("package/unfinished", lambda: nmc.Writer(path))
    with nmc.Writer(path, directory=directory, resume=True) as writer:
        assert len(writer) == 2
        assert writer.last_state["steps"] == 100
        for state in states[2:]:
            writer.append(state)
    assert_states(path, states)
    assert members(path) == members(write(tmp_path / "b.nmc", states))


def test_recover_closes_what_is_finished(tmp_path) -> None:
    states = chain(4)
    for directory in (False, True):
        path = tmp_path / f"{directory}.nmc"
        writer = nmc.Writer(path, directory=directory)
        for state in states[:3]:
            writer.append(state)
        del writer
        assert nmc.recover(path) == 3
        assert_states(path, states[:3])
        refused("host/not-found", lambda p=path: nmc.recover(p))
    refused("host/not-found", lambda: nmc.recover(tmp_path / "nothing.nmc"))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["False.nmc", "True.nmc"]


BAD_STATES = {
    "name empty": ({"": np.ones(2)}, "manifest/tensor-name"),
    "name too long": ({"x" * 1025: np.ones(2)}, "manifest/tensor-name"),
    "name with NUL": ({"a\0b": np.ones(2)}, "manifest/tensor-name"),
    "name with a surrogate": ({"\ud800": np.ones(2)}, "manifest/tensor-name"),
    "name reserved": ({"__metadata__": np.ones(2)}, "manifest/tensor-name"),
    "rank 33": ({"w": np.ones((1,) * 33)}, "manifest/tensor-shape"),
    "absurd dimensions": ({"w": np.zeros((2**28, 2**28, 0))}, "manifest/tensor-shape"),
    "type": ({"w": np.ones(2, "c16")}, "input/unsupported"),
    "text": ({"w": "hello"}, "input/unsupported"),
    "nothing": ({"w": None}, "input/unsupported"),
}


@pytest.mark.parametrize("name", BAD_STATES)
def test_a_refused_state_changes_nothing(tmp_path, name) -> None:
    if name == "rank 33":
        pytest.importorskip("numpy", "2")
    state, code = BAD_STATES[name]
    good = {"a": np.zeros(3, "f4")}
    with nmc.Writer(tmp_path / "a.nmc") as writer:
        writer.append(good)
        refused(code, lambda: writer.append({"new": np.ones(1), **state}))
        assert len(writer) == 1
        assert len(writer.rows) == 1
        writer.append({"a": np.ones(3, "f4")})
    assert_states(tmp_path / "a.nmc", [good, {"a": np.ones(3, "f4")}])


def test_an_existing_row_cannot_take_an_absurd_shape(tmp_path) -> None:
    with nmc.Writer(tmp_path / "a.nmc") as writer:
        writer.append({"w": np.zeros(3, "f4")})
        refused(
            "manifest/tensor-shape",
            lambda: writer.append({"w": np.zeros((2**28, 2**28, 0), "f4")}),
        )


def test_presentation_times(tmp_path) -> None:
    state = {"w": np.zeros(3)}
    with nmc.Writer(tmp_path / "a.nmc", timescale=1000) as writer:
        writer.append(state, presentation_time=-40)
        writer.append(state)
        found = refused("manifest/time-order", lambda: writer.append(state, presentation_time=-39))
        assert found.place.pointer == "/frames/2/presentation_time"
        refused("manifest/value", lambda: writer.append(state, presentation_time=2**63))
        writer.append(state, presentation_time=2**63 - 1)
        refused("manifest/value", lambda: writer.append(state))
    with nmc.open(tmp_path / "a.nmc") as sequence:
        assert [f.presentation_time for f in sequence.frames] == [-40, -39, 2**63 - 1]


def test_training_effort(tmp_path) -> None:
    state = {"w": np.zeros(3)}
    with nmc.Writer(tmp_path / "a.nmc") as writer:
        for bad in (float("nan"), float("inf"), -1.0):
            refused("manifest/not-a-number", lambda b=bad: writer.append(state, seconds=b))
        for bad in (-1, 2**63):
            refused("manifest/value", lambda b=bad: writer.append(state, iterations=b))
        writer.append(state, iterations=0, seconds=0.0)
        writer.append(state)
    with nmc.open(tmp_path / "a.nmc") as sequence:
        assert [(f.iterations, f.seconds) for f in sequence.frames] == [(0, 0.0), (None, None)]


@pytest.mark.parametrize(
    "options",
    [
        {"profile": "studio"},
        {"entropy": "gzip"},
        {"effort": "lazy"},
        {"profile": "baseline", "entropy": "zstd"},
        {"key_every": -1},
        {"timescale": 0},
        {"timescale": 2**32},
        {"configuration": [1]},
        {"configuration": {"x": float("nan")}},
        {"configuration": {"x": 1 << 20_000}},
        {"configuration": "[1]"},
        {"configuration": '{"x": "\ud800"}'},
        {"family": "a\0b"},
        {"sequence_id": "\ud800"},
        {"layers": {"w": -2}},
        {"layers": {"w": 2**31}},
        {"layers": {"w": True}},
    ],
    ids="-".join,
)
def test_bad_options_are_refused_before_anything_is_written(tmp_path, options) -> None:
    with pytest.raises(ValueError, match=r"."):
        nmc.Writer(tmp_path / "a.nmc", **options)
    assert list(tmp_path.iterdir()) == []


def test_a_closed_writer_writes_no_more(tmp_path) -> None:
    with nmc.Writer(tmp_path / "a.nmc") as writer:
        writer.append({"w": np.zeros(3)})
    writer.close()
    with pytest.raises(ValueError, match="closed"):
        writer.append({"w": np.zeros(3)})


def test_a_quality_record_of_another_length_is_refused_and_can_be_mended(tmp_path) -> None:
    states = chain(2)
    writer = nmc.Writer(tmp_path / "a.nmc")
    for state in states:
        writer.append(state)
    writer.set_quality(nmc.Quality(["v"], {"psnr": np.zeros((3, 1))}))
    refused("manifest/object-shape", writer.close)
    writer.set_quality(nmc.Quality(["v"], {"psnr": np.array([[30.0], [np.nan]])}))
    writer.close()
    assert_states(tmp_path / "a.nmc", states)


def test_records_that_a_manifest_would_change_are_refused_at_once(tmp_path) -> None:
    """An unknown metric, a size with a sign, a name with a NUL behind: nothing gets lost."""
    given = {
        "names": ["a"],
        "size": np.array([[8, 8]]),
        "intrinsics": np.ones((1, 4)),
        "camera_to_world": np.eye(3, 4)[None],
        "normalisation": np.eye(4),
    }
    states = chain(2)
    with nmc.Writer(tmp_path / "a.nmc") as writer:
        for state in states:
            writer.append(state)
        for change in ({"size": -given["size"]}, {"size": given["size"] + 0.5}, {"names": ["a\0"]}):
            cameras = nmc.Cameras(**given | change)
            refused("manifest/value", lambda cameras=cameras: writer.set_cameras(cameras))
        for views, name in ((["v"], "vmaf"), (["v\0"], "psnr")):
            quality = nmc.Quality(views, {name: np.zeros((2, 1))})
            refused("manifest/value", lambda quality=quality: writer.set_quality(quality))
    assert_states(tmp_path / "a.nmc", states)
    with nmc.open(tmp_path / "a.nmc") as sequence:
        assert (sequence.cameras, sequence.quality) == (None, None)


@pytest.mark.parametrize(
    "number", [1.5, float("nan"), float("inf"), "7", np.float32(0.25)], ids=repr
)
def test_times_and_counts_are_whole_or_refused(tmp_path, number) -> None:
    states = chain(1)
    with nmc.Writer(tmp_path / "a.nmc") as writer:
        for name in ("presentation_time", "iterations"):
            refused("manifest/value", lambda name=name: writer.append(states[0], **{name: number}))
        writer.append(states[0], presentation_time=2.0, iterations=np.float64(3))
    with nmc.open(tmp_path / "a.nmc") as sequence:
        frame = sequence.frames[0]
        assert (frame.presentation_time, frame.iterations) == (2, 3)


def test_a_large_configuration(tmp_path) -> None:
    configuration = {"names": [f"layer {i}" for i in range(20_000)]}
    path = write(tmp_path / "a.nmc", chain(1), configuration=configuration)
    assert nmc.check(path).findings == ()
    with nmc.open(path) as sequence:
        assert sequence.configuration == configuration


def test_replacing_a_package(tmp_path) -> None:
    for directory in (False, True):
        path = write(tmp_path / f"{directory}.nmc", chain(5), directory=directory)
        write(path, chain(2, seed=1), directory=directory, overwrite=True)
        assert_states(path, chain(2, seed=1))
    writer = nmc.Writer(tmp_path / "c.nmc")
    writer.append(chain(1)[0])
    write(tmp_path / "c.nmc", chain(2), overwrite=True)
    assert_states(tmp_path / "c.nmc", chain(2))
    assert not (tmp_path / "c.nmc.partial").exists()


def test_a_replaced_package_is_there_until_the_new_one_is(tmp_path) -> None:
    path = write(tmp_path / "a.nmc", chain(2))
    writer = nmc.Writer(path, overwrite=True)
    writer.append(chain(1, seed=1)[0])
    assert_states(path, chain(2))
    writer.close()
    assert_states(path, chain(1, seed=1))
