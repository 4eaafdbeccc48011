"""One tensor of frames whose tensors share a code: of strong, max and sparse payloads."""

from __future__ import annotations

import numpy as np
import pytest
from bad_cases import flip
from nmc_samples import seal, segment_path

import nmc
from nmc.coding.arithmetic import adaptive, cells, coder, divided, static
from nmc.coding.arithmetic import static_chunk_kernel as kernels
from nmc.coding.arithmetic.selection import joined
from nmc.reading import seek
from nmc_format.issues import FormatError
from nmc_format.segment import parse

SIZES = {"a": (400, 100), "b": (90_001,), "c": (7, 13), "none": (0, 4), "d": (1100, 64), "e": (3,)}


def states(share: float = 1.0, seed: int = 1, frames: int = 6) -> list[dict[str, np.ndarray]]:
    """Return two groups of frames; some tensors stay, come late, go, or have slices pruned."""
    rng = np.random.default_rng(seed)
    whole = {n: (0.1 * rng.normal(size=shape)).astype("f4") for n, shape in SIZES.items()}
    whole["d"] = whole["d"].astype("f2")
    made = []
    for t in range(frames):
        state = dict(whole)
        if t == 2:
            del state["e"]
        if t >= 3:
            state["late"] = np.arange(5000, dtype="i4") * (t if t % 2 else 1)
        made.append(state)
        for name, array in whole.items():
            if not (name == "a" and t == 1):
                moved = rng.random(array.shape) < share
                step = 1e-3 * rng.normal(size=array.shape) * moved
                whole[name] = (array + step).astype(array.dtype)
    return made


def packed(path, made, **options):
    with nmc.Writer(path, key_every=4, directory=True, **options) as writer:
        for state in made:
            writer.append(state)
    return path


def variants(path) -> set[int]:
    found = set()
    with nmc.open(path) as sequence:
        for t in range(len(sequence)):
            stream = parse(sequence.coded(t), "").integer
            if stream is not None and stream.coding == "nmc":
                found.add(stream.data[0])
    return found


@pytest.fixture
def alone(monkeypatch) -> None:
    """Forbid that a state is decoded as a whole."""
    monkeypatch.setattr(seek.Seeker, "state", None)


@pytest.fixture
def portions(monkeypatch) -> None:
    """Have the encoder divide payloads of a few tens of thousand words."""
    monkeypatch.setattr(coder, "LARGE", 1 << 10)
    monkeypatch.setattr(divided, "_PORTION", divided.LEAST)


def check(path, made) -> None:
    for t, state in enumerate(made):
        for name in sorted({*state, "late"}):
            with nmc.open(path) as sequence:
                if name not in state:
                    with pytest.raises(KeyError):
                        sequence.tensor(t, name)
                    continue
                found = sequence.tensor(t, name)
                assert found.shape == state[name].shape
                assert found.tobytes() == state[name].tobytes(), (t, name)


@pytest.mark.parametrize(
    "effort", ["strong", pytest.param("max", marks=pytest.mark.slow(minutes=0.05))]
)
def test_of_one_code_for_all(tmp_path, alone, effort) -> None:
    made = states()
    path = packed(tmp_path / "x.nmc", made, effort=effort)
    assert variants(path) <= {1, 2 if effort == "strong" else 3}
    check(path, made)


def test_of_portions(tmp_path, alone, portions) -> None:
    made = states()
    path = packed(tmp_path / "x.nmc", made)
    assert 5 in variants(path)
    check(path, made)


@pytest.mark.parametrize("share", [0.02, 0.2])
def test_of_live_cells(tmp_path, alone, share) -> None:
    made = states(share)
    path = packed(tmp_path / "x.nmc", made, effort="fast")
    assert 4 in variants(path)
    check(path, made)


def test_of_cells_of_several_words_and_a_short_last_one(tmp_path, alone, monkeypatch) -> None:
    """Only its live cells say how many words such a tensor has in the inner payload."""
    rng = np.random.default_rng(4)
    whole = {n: rng.normal(size=(3001, 5)).astype("f4") for n in ("a", "b", "c")}
    made = []
    for _ in range(4):
        made.append(dict(whole))
        for name, array in whole.items():
            rows = rng.random(3001) < 0.05
            rows[-1] = True
            whole[name] = array + 1e-3 * rows[:, None].astype("f4")
    real = cells.live_cells

    def live(tensor, current, changes):
        found = real(tensor, current, changes)
        assert found.size in (0, 1, 5)
        words = np.flatnonzero(tensor.reference != current).astype(np.uint32)
        return cells.LiveCells(7, np.unique(words // np.uint32(7)), tensor.count)

    monkeypatch.setattr(cells, "live_cells", live)
    path = packed(tmp_path / "x.nmc", made, effort="fast")
    assert variants(path) == {4}
    check(path, made)


@pytest.mark.slow(minutes=0.04)
def test_of_variants_in_turn(tmp_path, alone, portions) -> None:
    """Frames of all kinds one after the other, as efforts and shares change."""
    rng = np.random.default_rng(9)
    whole = states()[0]
    made = []
    efforts = ["strong", "fast", "max", "strong", "fast", "strong", "strong"]
    path = tmp_path / "x.nmc"
    for t, effort in enumerate(efforts):
        share = (1.0, 0.01, 1.0, 0.02, 1.0, 1.0, 1.0)[t]
        for name, array in whole.items():
            step = 1e-3 * rng.normal(size=array.shape) * (rng.random(array.shape) < share)
            whole[name] = (array + step).astype(array.dtype)
        made.append(dict(whole))
        writer = nmc.Writer(path, key_every=0, effort=effort, resume=bool(t), directory=True)
        writer.append(made[-1])
        writer.close() if t == len(efforts) - 1 else writer._draft.close()
    assert len(variants(path)) >= 3
    check(path, made)


def test_slices_that_were_pruned(tmp_path, alone, portions) -> None:
    rng = np.random.default_rng(2)
    cloud = {"place": rng.normal(size=(9000, 3)).astype("f4"), "hue": rng.random((9000, 8), "f4")}
    made = []
    for _ in range(4):
        made.append(dict(cloud))
        kept = rng.permutation(len(cloud["hue"]))[:-90]
        cloud = {n: np.concatenate([a[kept], a[:40] + 3]) for n, a in cloud.items()}
        cloud = {n: (a + 1e-4 * rng.random(a.shape)).astype("f4") for n, a in cloud.items()}
    path = packed(tmp_path / "x.nmc", made)
    with nmc.open(path) as sequence:
        assert parse(sequence.coded(1), "").slices
    check(path, made)


@pytest.fixture
def decoded(monkeypatch) -> list[int]:
    """Return the numbers of words that the coders decode."""
    numbers: list[int] = []
    shares, chunks_of = adaptive._walk, static._decode_chunks

    def walk(encoding, some, *others):
        def counted():
            for share in some:
                numbers.append(share.last - share.first)
                yield share

        return shares(encoding, counted(), *others)

    def decode_chunks(section, chunks, *others):
        counts = section.rows[chunks[:, kernels.TENSOR], kernels.COUNT]
        numbers.extend(np.minimum(counts - chunks[:, kernels.FIRST], 1 << 16).tolist())
        chunks_of(section, chunks, *others)

    monkeypatch.setattr(adaptive, "_walk", walk)
    monkeypatch.setattr(static, "_decode_chunks", decode_chunks)
    return numbers


def test_portions_that_are_not_needed_are_not_decoded(tmp_path, portions, decoded) -> None:
    """The work is that of the portions that the tensor lies in, in each frame of its group."""
    rng = np.random.default_rng(5)
    whole = {f"t{k}": rng.normal(size=(200, 150)).astype("f4") for k in range(30)}
    made = []
    for _ in range(4):
        made.append(dict(whole))
        whole = {n: a + 1e-3 * rng.normal(size=a.shape).astype("f4") for n, a in whole.items()}
    path = packed(tmp_path / "x.nmc", made)
    decoded.clear()
    with nmc.open(path) as sequence:
        assert sequence.tensor(3, "t17").tobytes() == made[3]["t17"].tobytes()
    assert 0 < sum(decoded) <= 3 * 2 * (divided.LEAST + 30_000)  # of 3 times 900,000


def test_what_comes_after_in_the_last_frame_is_not_decoded(tmp_path, decoded) -> None:
    made = states()
    path = packed(tmp_path / "x.nmc", made, effort="max")
    assert variants(path) == {3}
    every = sum(a.size for a in made[0].values())
    decoded.clear()
    with nmc.open(path) as sequence:
        sequence.tensor(1, "a")
    assert sum(decoded) == made[0]["a"].size < every


def test_live_cells_alone_are_decoded(tmp_path, decoded) -> None:
    made = states(0.02)
    path = packed(tmp_path / "x.nmc", made, effort="fast")
    decoded.clear()
    with nmc.open(path, verify=False) as sequence:  # digests of all would be a large share of these
        sequence.tensor(2, "d")
    assert 0 < sum(decoded) < 2 * 0.03 * made[0]["d"].size


def test_damage_in_another_portion_is_not_seen_and_its_own_is(tmp_path, portions) -> None:
    made = states()
    path = packed(tmp_path / "x.nmc", made)
    with nmc.open(path) as sequence:
        stream = parse(sequence.coded(1), "").integer
    assert stream is not None and stream.data[0] == coder.DIVIDED
    flip(segment_path(path, 1), stream.offset + len(stream.data) - 40)
    seal(path)
    with nmc.open(path) as sequence:
        assert sequence.tensor(1, "a").tobytes() == made[1]["a"].tobytes()
        with pytest.raises(FormatError):
            sequence.tensor(1, "d")


@pytest.mark.parametrize(
    ("spans", "made"),
    [
        ((), ()),
        (((0, 0),), ((0, 0),)),
        (((5, 9), (0, 3)), ((0, 3), (5, 9))),
        (((0, 3), (3, 4)), ((0, 4),)),
        (((0, 9), (2, 4), (8, 12)), ((0, 12),)),
    ],
)
def test_spans_are_joined(spans, made) -> None:
    assert joined(spans) == made
