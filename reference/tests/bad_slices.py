"""Cases of bad input: slices that come from elsewhere (clause 6.2.6)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from bad_cases import FRAMES, SECOND, case
from nmc_samples import rebuild, segment_path

from nmc_format.segment import INTEGER, SKIP
from nmc_format.segment import parse as parse_segment
from nmc_format.slices import map_of, parse, serialize

MODES = [SKIP, INTEGER, INTEGER]
"""Of the tensors of frame 1."""


def splats() -> list[dict[str, np.ndarray]]:
    """Return frames of two tensors, rows 1 and 2, whose slices go to other places; row 0 stays."""
    rng = np.random.default_rng(7)
    state = {"colour": rng.normal(size=(200, 9)), "place": rng.normal(size=(200, 3))}
    states = []
    for _ in range(FRAMES):
        states.append({"seen": np.ones(3, "f4")} | {n: a.astype("f4") for n, a in state.items()})
        order = rng.permutation(200)
        state = {n: (a * (1 + 1e-6 * rng.normal(size=a.shape)))[order] for n, a in state.items()}
    return states


def slices_case(damage: Callable[[Path], None]) -> Callable[[Path], None]:
    """The stream of frame 1 is changed."""
    return case(("segment/slices", "*"), on="slices", healthy=SECOND | {0})(damage)


def put_slices(p: Path, change: Callable[[bytes], bytes]) -> None:
    rebuild(p, 1, payloads=lambda s: {**s, "slices": change(s["slices"])})


def put_map(p: Path, rows: tuple[int, ...], highest: int = 199) -> None:
    """Write one map of some rows, whose first slice comes from the highest origin."""
    assert parse_segment(segment_path(p, 1).read_bytes(), "x").modes.tolist() == MODES
    origins = np.arange(200)
    origins[0] = highest
    put_slices(p, lambda _: serialize([map_of(rows, origins)]))


@slices_case
def slices_of_no_bytes(p):
    put_slices(p, lambda _: b"")


@slices_case
def slices_cut_short(p):
    put_slices(p, lambda s: s[:-1])


@slices_case
def slices_of_one_row_in_two_maps(p):
    put_slices(p, lambda s: serialize([*parse(memoryview(s), "x", 0)] * 2))


@slices_case
def slices_from_beyond_the_frame_before(p):
    put_map(p, (1, 2), 200)


@slices_case
def slices_of_a_row_beyond_the_table(p):
    put_map(p, (1, 2, 3))


@slices_case
def slices_of_a_row_that_is_skipped(p):
    put_map(p, (0, 1, 2))


@case(("segment/slices", "*"), on="slices", healthy=SECOND)
def slices_in_a_key_frame(p):
    rebuild(p, 0, payloads=lambda s: {**s, "slices": serialize([map_of((1,), np.arange(200))])})
