"""Which quality is fetched when: sessions on lines that are steady, swing or break down."""

import math
from dataclasses import replace

import pytest

from nmc_format.issues import refuse
from nmc_tools.adaptive.choice import Always, Dynamic, Moment, Throughput
from nmc_tools.adaptive.document import Presentation, Representation
from nmc_tools.adaptive.session import Session
from nmc_tools.bench_transmission.proxy import TRACES as RECORDED
from nmc_tools.bench_transmission.proxy import trace


class Trace:
    """A line whose bytes a second are given for each second, and whose clock is not the host's."""

    def __init__(self, rates, sizes):
        self.rates, self.sizes, self.at = rates, sizes, 0.0
        self.broken = set()

    def now(self):
        return self.at

    def wait(self, seconds):
        assert seconds > 0
        self.at += seconds

    def ready(self, quality):
        return True

    def length(self, quality, frame):
        return self.sizes[quality]

    def expect(self, quality, frames):
        pass

    def fetch(self, quality, frame, start, size):
        if (quality, frame) in self.broken:
            raise refuse("host/failed", file="x", reason="gone")
        self.at += 0.002
        left = float(size)
        while left > 0:
            rate = self.rates[int(self.at) % len(self.rates)]
            span = min(left / rate, math.floor(self.at) + 1 - self.at)
            self.at += max(span, 1e-9)
            left -= rate * max(span, 1e-9)
        return bytes(size)


SIZES = (2_000, 10_000, 60_000)
"""Bytes of a frame, of three qualities: 60, 300 and 1800 kB a second at 30 frames."""


def presentation(groups=60, length=30, sizes=SIZES):
    return Presentation(
        frames=groups * length,
        timescale=30,
        duration=groups * length,
        starts=tuple(range(0, groups * length, length)),
        times=tuple(range(0, groups * length, length)),
        representations=tuple(
            Representation(
                str(i), f"{i}.nmc", "0" * 64, None, (length * s,) * groups, s, None, "", 1
            )
            for i, s in enumerate(sizes)
        ),
    )


def play(rates, choice, made=None, sizes=SIZES, line=None):
    line = line or Trace(rates, sizes)
    decoded = []
    made = made or presentation(sizes=sizes)
    report = Session(made, line, choice, lambda q, frames, _: decoded.append((q, frames))).run()
    assert [frames for _, frames in decoded] == [made.group(p.group) for p in report.played]
    return report


KILO = 1000.0


TRACES = {
    "steady": [700 * KILO] * 10,
    "fast": [9000 * KILO],
    "just enough": [75 * KILO],
    "falls": [4000 * KILO] * 20 + [90 * KILO] * 40,
    "swings": [3000 * KILO, 100 * KILO] * 10,
    "gaps": [2500 * KILO] * 12 + [80 * KILO] * 3,
    "commute": [int(400 * KILO * (1.3 + math.sin(t / 3))) for t in range(60)],
}


@pytest.mark.parametrize("name", TRACES)
def test_no_stall_is_longer_than_a_group_where_the_lowest_fits(name):
    made = presentation()
    report = play(TRACES[name], Dynamic())
    assert len(report.played) == 60
    assert max((seconds for _, seconds in report.stalls), default=0.0) <= made.seconds(0)
    lowest = play(TRACES[name], Always(0))
    highest = play(TRACES[name], Always(-1))
    assert lowest.startup <= highest.startup
    mean = sum(p.quality for p in report.played) / 60
    assert mean >= (0 if name == "just enough" else 0.5)
    if highest.stalls:
        assert sum(s for _, s in report.stalls) < sum(s for _, s in highest.stalls)
    else:
        assert mean > 1.4


@pytest.mark.parametrize("name", RECORDED["recorded"])
def test_on_recorded_lines_it_stalls_no_more_than_the_lowest(name):
    """With ten seconds of buffer, of twenty; a tunnel or a gap comes in each but the bus."""
    sizes = (2_250, 4_250, 10_250)
    made = presentation(groups=40, length=15, sizes=sizes)

    def stalled(choice):
        line = Trace(trace(name), sizes)
        report = Session(made, line, choice, lambda *_: None, most=10.0).run()
        return sum(s for _, s in report.stalls), sum(p.quality for p in report.played)

    (adaptive, qualities), (lowest, _) = stalled(Dynamic(target=10.0)), stalled(Always(0))
    assert adaptive <= lowest + made.seconds(0)
    assert qualities or name == "tram"


def test_a_download_is_left_when_the_line_breaks_down():
    rates = [5000 * KILO] * 3 + [70 * KILO] * 300
    report = play(rates, Dynamic())
    assert report.left_size > 0
    assert max((s for _, s in report.stalls), default=0.0) <= 1.0


def test_the_same_quality_is_kept_on_a_steady_line():
    report = play(TRACES["steady"], Dynamic())
    qualities = [p.quality for p in report.played]
    assert set(qualities[10:]) <= {1, 2}  # the buffer is filled first, in two seconds
    assert report.switches <= 12


def test_what_cannot_be_fetched_is_fetched_in_another_quality_or_skipped():
    line = Trace([9000 * KILO], SIZES)
    line.broken = {(2, 35), (1, 65), (2, 65), (0, 65)}
    report = play(None, Dynamic(), line=line)
    assert report.skipped == [2]
    assert [p.group for p in report.played] == [0, 1, *range(3, 60)]
    assert all("gone" in why for _, _, why in report.refused)


class SlowToOpen(Trace):
    """A line where each quality but the smallest takes four seconds to open."""

    def __init__(self, rates, sizes):
        super().__init__(rates, sizes)
        self.opened = {}

    def ready(self, quality):
        return quality == 0 or self.at >= self.opened.setdefault(quality, self.at + 4)

    def fetch(self, quality, frame, start, size):
        if quality and self.at < self.opened.get(quality, self.at + 4):
            self.at += 4  # as if it were opened now
        return super().fetch(quality, frame, start, size)


def test_a_quality_that_is_slow_to_open_is_waited_for_beside_playing():
    line = SlowToOpen([3000 * KILO], SIZES)
    report = play(None, Dynamic(), line=line)
    assert not report.stalls
    assert max(p.quality for p in report.played) == 2


def test_the_buffer_is_bounded():
    made = presentation()
    line = Trace([50_000 * KILO], SIZES)
    report = Session(made, line, Dynamic(), lambda *_: None, most=5.0).run()
    assert not report.stalls
    assert line.at >= 60 - 5.0 - made.seconds(0)


def test_one_quality_and_qualities_of_one_size():
    for sizes in ((5000,), (5000, 5000)):
        made = presentation(sizes=sizes)
        assert not play([300 * KILO], Dynamic(), made, sizes).stalls


def test_the_estimate_is_the_lesser_of_two_means():
    estimate = Throughput()
    assert estimate.estimate() == 0
    estimate.add(1000, 1.0)
    assert estimate.estimate() == pytest.approx(1000)
    estimate.add(100_000, 1.0)
    slow = estimate.estimate()
    assert 1000 < slow < 100_000
    for _ in range(100):
        estimate.add(100_000, 1.0)
    assert estimate.estimate() == pytest.approx(100_000, rel=1e-3)


def test_nothing_is_known_at_the_start():
    assert Dynamic().next(Moment(SIZES, 1.0, 0.0, 0.0)) == 0
    assert Always(-1).next(Moment(SIZES, 1.0, 0.0, 0.0)) == 2
    found = presentation()
    assert replace(found, duration=found.duration + 30).seconds(59) == 2.0
