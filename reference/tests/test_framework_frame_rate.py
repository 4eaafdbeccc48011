"""Frames a second are exact: as filmed, in packages of others, and as people write them."""

from fractions import Fraction

import numpy as np
import pytest

import nmc
from nmc_framework.frame_rate import measured_rate, package_rate, plain, read_rate

NTSC = Fraction(30000, 1001)


@pytest.mark.parametrize(
    ("times", "rate"),
    [
        ([k / NTSC for k in range(5)], NTSC),
        ([k / 30 for k in range(5)], 30),
        ([round(k * 1001 / 24000, 3) for k in range(100)], Fraction(24000, 1001)),
        ([0, 0.033, 0.067, 0.1], 30),  # a file that tells milliseconds
        ([0, 0.04], 25),
        ([k / 12.5 for k in range(4)], Fraction(25, 2)),
        ([k / 30 for k in (0, 1, 2, 5, 6, 7)], 30),  # two frames are missing
        ([k / 30.012 for k in range(400)], 30),  # a clock that runs fast
        ([0, 5 / 3, 10 / 3, 5], Fraction(3, 5)),
        ([0, 3600, 7200], Fraction(1, 3600)),
        ([7.5, 8.0], 2),
        ([3.0], None),
        ([], None),
        ([1.0, 1.0], None),
    ],
)
def test_rates_that_were_measured(times, rate):
    assert measured_rate([float(time) for time in times]) == rate


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("30", 30),
        ("29.97", NTSC),
        ("30000/1001", NTSC),
        ("23.976", Fraction(24000, 1001)),
        ("59.94", Fraction(60000, 1001)),
        ("12.5", Fraction(25, 2)),
        ("0.6", Fraction(3, 5)),
        ("24.5", Fraction(49, 2)),
    ],
)
def test_rates_as_people_write_them(text, rate):
    assert read_rate(text) == rate


@pytest.mark.parametrize(
    "text", ["", "0", "-1", "nan", "1e3", "1/0", "30/", "0.0001", "5000000000", "٣٠", "1" * 90]
)
def test_what_is_no_rate(text):
    with pytest.raises(ValueError, match=r"write such as 30, 29\.97 or 30000/1001"):
        read_rate(text)


def _package(path, timescale, times):
    with nmc.Writer(path, timescale=timescale) as writer:
        for time in times:
            writer.append({"w": np.float32([time])}, presentation_time=time)
    return nmc.open(path)


@pytest.mark.parametrize(
    ("timescale", "times", "span", "rate"),
    [
        (30, [0, 1, 2], 1, 30),
        (90000, [0, 3003, 6006, 9009], 1, NTSC),  # as a transport stream counts
        (1000, [5, 38, 71, 105], 1, Fraction(1000, 33)),
        (10, [0, 3, 6], 3, 10),
        (30000, [0, 8008, 16016], 8, NTSC),
        (3, [0, 5, 10], 1, Fraction(3, 5)),
        (1_000_000_000, [0, 1, 2], 1, 1000),  # no film has so many
        (25, [4], 1, 25),
        (30000, [0], 8, Fraction(30000, 1001)),
        (4_000_000_000, [0], 1, 30),
    ],
)
def test_rates_of_packages(tmp_path, timescale, times, span, rate):
    with _package(tmp_path / "a.nmc", timescale, times) as sequence:
        assert package_rate(sequence, span) == rate


def test_json_has_whole_numbers_where_they_are():
    assert (plain(Fraction(30)), plain(NTSC)) == (30, 29.97003)
    assert isinstance(plain(Fraction(30)), int)
