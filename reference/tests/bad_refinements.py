"""Cases of bad input: refinements (clause 12.7)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bad_cases import SECOND, case
from bad_quantised import row_of
from nmc_samples import edit, restream

from nmc_format.segment import REFINE, SKIP


def refined_case(t: int) -> Callable[[Callable[[Path], None]], Callable[[Path], None]]:
    """The refinement of a frame of the first group is changed."""
    return case(("segment/refinement", "*"), on="refined", healthy=SECOND | set(range(t)))


def put_refined_mode(p: Path, t: int, name: str, mode: int) -> None:
    def change(streams: dict[str, bytes]) -> None:
        modes = bytearray(streams["stop1.modes"])
        modes[row_of(p, name)] = mode
        streams["stop1.modes"] = bytes(modes)

    restream(p, t, change, 1)


@refined_case(1)
def a_refinement_of_an_unknown_mode(p):
    put_refined_mode(p, 1, "body.weight", 3)


@refined_case(1)
def a_refinement_of_what_has_no_grid(p):
    put_refined_mode(p, 1, "body.bias", REFINE)


@refined_case(0)
def a_refinement_that_is_held_in_a_key_frame(p):
    put_refined_mode(p, 0, "body.weight", SKIP)


@refined_case(1)
def a_frame_without_its_refinement(p):
    def change(streams: dict[str, bytes]) -> None:
        for name in [n for n in streams if n.startswith("stop1.")]:
            del streams[name]

    restream(p, 1, change, 0)


@refined_case(1)
def a_refinement_that_begins_elsewhere(p):
    def later(array):
        array[1, 0] += 1

    edit(p, "/refinements/start", later)
