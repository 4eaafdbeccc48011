"""Selections of frames as people write them."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmc_tools.frame_selection import parse_frames


@st.composite
def selections(draw):
    """A selection, and the frames it means."""
    count = draw(st.integers(1, 50))
    parts, chosen = [], set()
    for _ in range(draw(st.integers(1, 5))):
        first = draw(st.integers(0, count - 1))
        last = draw(st.integers(first, count - 1))
        negative = draw(st.booleans())
        start = first - count if negative else first
        kind = draw(st.sampled_from(["one", "range", "open"]))
        space = draw(st.sampled_from(["", " "]))
        if kind == "one":
            parts.append(f"{space}{start}")
            chosen.add(first)
        elif kind == "range":
            parts.append(f"{start}-{last}{space}")
            chosen |= set(range(first, last + 1))
        else:
            parts.append(f"{space}{start}-{space}")
            chosen |= set(range(first, count))
    return ",".join(parts), count, sorted(chosen)


@given(selections())
def test_selections_mean_what_they_say(case) -> None:
    text, count, chosen = case
    assert parse_frames(text, count) == chosen


@given(st.text("0123456789-, ", max_size=12), st.integers(1, 20))
def test_every_text_is_a_selection_or_refused(text, count) -> None:
    try:
        frames = parse_frames(text, count)
    except ValueError as error:
        assert str(error)
        return
    assert frames
    assert frames == sorted(set(frames))
    assert all(0 <= t < count for t in frames)


@given(st.text(max_size=8))
def test_any_text_is_a_selection_or_refused(text) -> None:
    with contextlib.suppress(ValueError):
        parse_frames(text, 10)


@pytest.mark.parametrize(
    ("text", "frames"),
    [("0", [0]), ("-1", [9]), ("8-", [8, 9]), ("0,3-5", [0, 3, 4, 5]), ("5,0-1,1", [0, 1, 5])],
)
def test_examples(text, frames) -> None:
    assert parse_frames(text, 10) == frames


@pytest.mark.parametrize(
    "text",
    ["", ",", "1,", "a", "1-2-3", "--1", "3-1", "10", "-11", "0-10", "1.5", "0x1", "0-9999999999"],
)
def test_what_is_refused(text) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_frames(text, 10)


def test_a_number_of_5000_digits_is_refused() -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_frames("9" * 5000, 10)
