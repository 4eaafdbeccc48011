"""Vectors of clause 10: profiles, levels and their bounds."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from bases import ONE, PAIR
from cases import Case
from chain import DELTA, KEY, RAW, SKIP, Cell, Chain, Edits, Frame, Row
from columns import scalar_text
from model.model_cases import SEED
from package.manifest_cases import put_all

if TYPE_CHECKING:
    from chain import Objects

EXCEEDED = "profile/level-exceeded"


def _profiles() -> list[Case]:
    """Return packages of profiles that are unknown, or whose codings are not theirs."""

    def unknown(name: str, value: str) -> Case:
        return ONE.reject(
            f"10-profiles/profile-{name}",
            f"a profile named {value!r} is rejected",
            "10.1",
            "profile/unknown",
            put_all({"/@profile": scalar_text(value)}),
            or_unsupported=True,
        )

    zstd = Chain(
        PAIR.chain.rows,
        (replace(PAIR.chain.frames[0], raw="zstd"), PAIR.chain.frames[1]),
        profile="main",
    )
    integer = replace(
        zstd, frames=(PAIR.chain.frames[0], replace(PAIR.chain.frames[1], integer="zstd"))
    )

    def baseline(name: str, base: Case, t: int) -> Case:
        return base.reject(
            f"10-profiles/baseline-{name}",
            f"a {name.replace('-', ' ')} stream in a Baseline package is rejected",
            "10.1",
            "profile/coding-refused",
            stage="frame",
            frame=t,
            chain=replace(base.chain, profile="baseline"),
        )

    raw_case = Case(
        "10-profiles/main-zstd-raw",
        "a Main package with a zstd stream of raw bytes",
        ("10.1",),
        zstd,
        seed=SEED,
    )
    integer_case = Case(
        "10-profiles/main-zstd-integer",
        "a Main package with a zstd stream of differences",
        ("10.1",),
        integer,
        seed=SEED,
    )
    return [
        unknown("unknown", "extended"),
        unknown("case", "Main"),
        unknown("empty", ""),
        PAIR.vary(
            "10-profiles/main-plain",
            "a Main package can be without entropy coding",
            "10.1",
            chain=replace(PAIR.chain, profile="main"),
        ),
        raw_case,
        integer_case,
        baseline("zstd-raw", raw_case, 0),
        baseline("zstd-integer", integer_case, 1),
    ]


def _levels() -> list[Case]:
    def level(value: int) -> Chain:
        return replace(ONE.chain, level=value)

    def unknown(value: int) -> Case:
        # the vector itself is of level 1: a program can have no level that there is not
        return ONE.reject(
            f"10-profiles/level-{value}",
            f"level {value} is rejected",
            "10.2",
            "profile/level-unknown",
            put_all({"/@level": np.array(value, "<u4")}),
            or_unsupported=True,
        )

    named = [
        ONE.vary(
            f"10-profiles/level-{value}",
            f"a package can name level {value} though a lower one would do",
            "10.2",
            chain=level(value),
        )
        for value in (2, 3, 4)
    ]
    made = [unknown(0), unknown(5), unknown((1 << 32) - 1), *named]
    made.append(
        ONE.reject(
            "10-profiles/level-refused",
            "a package of a higher level than the user accepts is rejected",
            ("10.2", "7.1.1"),
            "profile/level-refused",
            chain=level(2),
            max_level=1,
            requires=("max-level",),
        )
    )
    made.append(
        ONE.vary(
            "10-profiles/level-accepted",
            "a package of the level that the user accepts is decoded",
            "10.2",
            chain=level(2),
            max_level=2,
            requires=("max-level",),
        )
    )
    return made


def _bounds() -> list[Case]:
    def claimed(path: str, value: int, index: int = 0) -> Edits:
        def change(objects: Objects) -> Objects:
            column = objects[path].copy()
            column[index] = value
            return {**objects, path: column}

        return Edits(objects=change)

    rows = _rows(1024)
    group = _group(256)
    size = 64 << 20
    bytes_path, length_path = "/frames/state_bytes", "/frames/segment_length"
    bound = 16 + 65536 + 273
    return [
        rows,
        rows.reject(
            "10-profiles/rows-1025",
            "1025 rows at level 1 are rejected",
            "10.2",
            EXCEEDED,
            chain=_rows(1025).chain,
        ),
        _rows(1025, 2),
        group,
        group.reject(
            "10-profiles/group-257",
            "a group of 257 frames at level 1 is rejected",
            "10.2",
            EXCEEDED,
            chain=_group(257).chain,
            inflate=True,
        ),
        _two_groups(),
        ONE.reject(
            "10-profiles/state-bytes",
            "a state beyond the bound of level 1 is rejected",
            ("10.2", "7.5"),
            EXCEEDED,
            claimed(bytes_path, size + 1),
        ),
        ONE.reject(
            "10-profiles/state-bytes-huge",
            "a state of 2^63 bytes is rejected",
            ("10.2", "7.5"),
            EXCEEDED,
            claimed(bytes_path, 1 << 63),
        ),
        ONE.reject(
            "10-profiles/state-bytes-wraps",
            "a state of 2^64 - 1 bytes is rejected",
            ("10.2", "7.5"),
            EXCEEDED,
            claimed(bytes_path, (1 << 64) - 1),
        ),
        ONE.reject(
            "10-profiles/state-bytes-claimed",
            "a claim of 64 MiB for a state of 16 bytes is rejected before memory is taken",
            ("6.2.3", "7.1.2"),
            "segment/state-bytes",
            claimed(bytes_path, size),
            stage="frame",
            frame=0,
        ),
        ONE.reject(
            "10-profiles/segment-length",
            "a segment length of a byte beyond its bound is rejected",
            ("10.2", "7.5"),
            EXCEEDED,
            claimed(length_path, bound + 1),
        ),
        ONE.reject(
            "10-profiles/segment-length-huge",
            "a segment of 2^64 - 1 bytes is rejected",
            ("10.2", "7.5"),
            EXCEEDED,
            claimed(length_path, (1 << 64) - 1),
        ),
        ONE.reject(
            "10-profiles/segment-length-claimed",
            "a segment length at its bound that the segment does not have is rejected",
            ("10.2", "6.1.1"),
            "segment/length",
            claimed(length_path, bound),
            stage="frame",
            frame=0,
        ),
    ]


def _rows(count: int, level: int = 1) -> Case:
    """Return a package of many rows, each of one byte."""
    rows = tuple(Row(f"t{i:04d}", "U8", (1,)) for i in range(count))
    frame = Frame(KEY, tuple(Cell(RAW, bytes([i % 256])) for i in range(count)))
    name = f"10-profiles/rows-{count}" + (f"-level-{level}" if level > 1 else "")
    return Case(
        name,
        f"{count} rows at level {level}",
        ("10.2",),
        Chain(rows, (frame,), level=level),
        seed=SEED,
    )


def _group(count: int) -> Case:
    """Return a package of one long group in which nothing changes."""
    frames = (
        Frame(KEY, (Cell(RAW, b"\x07"),)),
        *(Frame(DELTA, (Cell(SKIP, b"\x07"),)) for _ in range(count - 1)),
    )
    return Case(
        f"10-profiles/group-{count}",
        f"a group of {count} frames at level 1",
        ("10.2",),
        Chain((Row("a", "U8", (1,)),), frames),
        seed=SEED,
        frames=(0, 1, count - 1),
        inflate=True,
    )


def _two_groups() -> Case:
    """Return a package of more frames than a group can have at level 1, in two groups."""
    one = _group(129).chain
    return Case(
        "10-profiles/groups-258",
        "258 frames in two groups at level 1",
        ("10.2", "4.1"),
        replace(one, frames=one.frames * 2),
        seed=SEED,
        frames=(257, 129, 128),
        inflate=True,
    )


def cases() -> list[Case]:
    """Return the cases of this clause."""
    return [*_profiles(), *_levels(), *_bounds()]
