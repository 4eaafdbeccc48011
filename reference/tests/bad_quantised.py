"""Cases of bad input: quantised tensors (chapter 12)."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import numpy as np
from bad_cases import SECOND, case
from nmc_samples import edit, objects_of, rebuild

from nmc_format.segment import QUANTISED, UPDATE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

STEPS = {"body.weight": [(8, 0.0001), (24, 0.0003)], "head.weight": 0.001}
"""What of the chain is quantised."""


def row_of(package: Path, name: str) -> int:
    """Return the row of a tensor."""
    names = [bytes(n).rstrip(b"\0").decode() for n in objects_of(package)["/model/tensors/name"]]
    return names.index(name)


@case(("profile/mode-refused", "*"), ("profile/mode-refused", "*"), on="lossy")
def quantised_in_a_main_package(p):
    edit(p, "/@profile", lambda a: np.array("main", a.dtype))


def mode_case(function):
    return case(("segment/mode-quantised", "*"), on="lossy", healthy=SECOND)(function)


def put_mode(p: Path, t: int, name: str, mode: int) -> None:
    row = row_of(p, name)
    rebuild(p, t, modes=lambda m: np.where(np.arange(len(m)) == row, mode, m).astype("u1"))


@mode_case
def an_integer_tensor_is_quantised(p):
    put_mode(p, 0, "table", QUANTISED)


@mode_case
def an_empty_tensor_is_quantised(p):
    put_mode(p, 0, "empty", QUANTISED)


@case(("segment/mode-quantised", "*"), on="lossy", healthy=SECOND | {0})
def an_update_of_what_has_no_grid(p):
    put_mode(p, 1, "body.bias", UPDATE)


def stream_case(function):
    """The stream of frame 1 is changed."""
    return case(("segment/bins", "*"), on="lossy", healthy=SECOND | {0})(function)


def forged(p: Path, t: int, change: Callable[[bytes], bytes]) -> None:
    rebuild(p, t, payloads=lambda s: {**s, "bins.nmc": change(s["bins.nmc"])})


@stream_case
def bins_cut_short(p):
    forged(p, 1, lambda s: s[:-1])


@stream_case
def bins_with_a_byte_after_them(p):
    forged(p, 1, lambda s: s + b"\0")


@stream_case
def bins_of_an_unknown_variant(p):
    forged(p, 1, lambda s: b"\x01" + s[1:])


@stream_case
def bins_without_substreams(p):
    forged(p, 1, lambda s: s[:1] + b"\0" + s[2:])


@stream_case
def bins_with_more_substreams_than_are_used(p):
    forged(p, 1, lambda s: s[:1] + b"\x02" + s[2:])


@stream_case
def bins_with_an_unknown_flag(p):
    forged(p, 1, lambda s: s[:2] + b"\x10" + s[3:])


@stream_case
def bins_shifted_too_far(p):
    forged(p, 1, lambda s: s[:3] + b"\x19" + s[4:])


@case(("segment/bins", "*"), on="lossy", healthy=SECOND)
def a_scale_of_zero(p):
    """Frame 0: variant, substreams, flags, parts, rows, mantissa."""
    forged(p, 0, lambda s: s[:5] + bytes(3) + s[8:])


@case(("segment/bins", "*"), on="lossy", healthy=SECOND)
def elements_beyond_the_finite_numbers(p):
    forged(p, 0, lambda s: s[:8] + struct.pack("<h", 1000) + s[10:])


@case(("segment/bins", "*"), on="lossy", healthy=SECOND)
def parts_without_rows(p):
    forged(p, 0, lambda s: s[:4] + b"\0" + s[5:])


@case(("segment/stream-missing", "*"), on="lossy", healthy=SECOND | {0})
def bins_left_out(p):
    rebuild(p, 1, payloads=lambda s: {n: d for n, d in s.items() if n != "bins.nmc"})


def bounds_case(function):
    return case(("segment/bounds", "*"), on="lossy", healthy=SECOND | {0})(function)


@bounds_case
def no_declared_errors(p):
    rebuild(p, 1, payloads=lambda s: {n: d for n, d in s.items() if n != "bounds"})


@bounds_case
def a_declared_error_too_few(p):
    rebuild(p, 1, payloads=lambda s: {**s, "bounds": s["bounds"][4:]})


@bounds_case
def a_declared_error_of_nan(p):
    rebuild(p, 1, payloads=lambda s: {**s, "bounds": b"\0\0\xc0\x7f" + s["bounds"][4:]})


@bounds_case
def a_declared_error_below_zero(p):
    rebuild(p, 1, payloads=lambda s: {**s, "bounds": b"\0\0\0\x80" + s["bounds"][4:]})
