"""The benchmark of transmission in toy sizes: that it measures, and what its parts do."""

import asyncio
import json
import subprocess
import sys

import pytest

pytest.importorskip("uvicorn")
pytest.importorskip("starlette")
pytest.importorskip("httptools")

from browser import chromium
from command_samples import state
from serving import ask, served

import nmc
from nmc_tools.bench_transmission import proxy
from nmc_tools.bench_transmission import run as running
from nmc_tools.bench_transmission.crowd import Film, play
from nmc_tools.bench_transmission.page import page
from nmc_tools.bench_transmission.proxy import TRACES, throttled, trace
from nmc_tools.player import driven


@pytest.mark.slow(minutes=0.05)
def test_clients_see_late_frames_and_broken_answers(tmp_path):
    with nmc.Writer(tmp_path / "x.nmc") as writer:
        for t in range(3):
            writer.append(state(t))
    with served([tmp_path]) as url:
        seen = play(Film(f"{url}x.nmc", ((0, 100), (100, 4000))), 3, 0.5)
        assert seen.frames > 3
        assert seen.errors == 0
        assert seen.size >= 100 * seen.frames
        assert play(Film(f"{url}y.nmc", ((0, 100),)), 2, 0.3).errors == 2


def test_what_passes_a_proxy_is_what_was_sent(tmp_path):
    (tmp_path / "x.json").write_text('{"a": "' + "x" * 40_000 + '"}')
    with served([tmp_path]) as url, throttled(url, (400_000,)) as slow:
        assert ask(slow, "/x.json")[2] == (tmp_path / "x.json").read_bytes()
        assert (
            ask(slow, "/x.json", {"Range": "bytes=3-5"})[2]
            == (tmp_path / "x.json").read_bytes()[3:6]
        )


def test_a_line_takes_as_long_as_its_trace_says(monkeypatch):
    now, slept = [100.0], []

    async def sleep(seconds):
        slept.append(seconds)
        now[0] += seconds

    monkeypatch.setattr(proxy.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(proxy.asyncio, "sleep", sleep)
    line = proxy.Line((1000, 100))

    async def send():
        for size in (500, 500, 50, 50, 1000):
            await line.passed(size)

    asyncio.run(send())
    assert slept == pytest.approx([0.5, 0.5, 0.5, 0.5, 1.0], abs=1e-3)


@pytest.mark.parametrize("name", [*TRACES["made"], *TRACES["recorded"]])
def test_traces_are_bytes_a_second_on_which_the_lowest_quality_fits(name):
    rates = trace(name)
    assert len(rates) >= 30
    least = 60_000 if name in TRACES["made"] else 10_000
    assert all(least < rate < 10**7 for rate in rates)
    came = 0.0  # seconds of 20: 10 are buffered at most
    for second, rate in enumerate(rates[:20]):
        came = min(came + rate / 70_000, second + 10, 20)
        assert came >= min(second + 1, 20)


def test_nothing_measured_is_an_empty_page():
    assert page({}) == ""
    assert "Decoding 5" in page(
        {"sequential": {"frames": 5, "local_seconds": 1.0, "http_seconds": 1.1, "http_share": 0.9}}
    )


@pytest.mark.slow(minutes=0.16)
def test_a_soak_lets_clients_come_and_go(tmp_path, run):
    command = ("bench", "transmission", "--quick", "--only", "soak", "-o", tmp_path / "out")
    outcome = run(*command, "--demo", tmp_path / "none.nmc")
    assert outcome.code == 0, outcome
    assert "Soak: 5 clients at a time" in outcome.out
    found = json.loads((tmp_path / "out" / "bench-transmission.json").read_text())["soak"]
    assert found["rounds"] == 4
    assert found["frames"] > 0
    assert found["errors"] == 0
    assert found["late_handles"] <= found["early_handles"] + 5  # none of the first clients' is left
    assert run("bench", "transmission", "--only", "sleep", "-o", tmp_path / "out").code == 2


def test_flipped_bits_of_a_signed_package_are_counted(tmp_path, run):
    pytest.importorskip("cryptography", reason="the extra trust is not installed")
    folder = tmp_path / "out"
    outcome = run("bench", "transmission", "--quick", "--only", "signature", "-o", folder)
    assert outcome.code == 0, outcome
    found = json.loads((folder / "bench-transmission.json").read_text())["signature"]
    assert found["bits"] == -(-8 * found["bytes"] // 101)
    assert found["named"] == found["bits"] == sum(found["codes"].values())
    assert found["unnamed_bits"] == []
    assert f"{found['bits']} were named" in outcome.out


def test_bits_that_nobody_names_are_told(tmp_path, monkeypatch):
    pytest.importorskip("cryptography", reason="the extra trust is not installed")
    from nmc_format.report import Report
    from nmc_tools.bench_transmission import signature

    monkeypatch.setattr(signature, "verified", lambda *_: (Report("x", 0, 0, ()), ()))
    found = signature.flipped_bits(tmp_path, 997, lambda *_: None)
    assert found["named"] == 0
    assert found["unnamed_bits"][:2] == [0, 997]


def test_without_chromium_the_table_says_so(tmp_path, run, monkeypatch):
    monkeypatch.setattr(driven, "chromium", lambda: None)
    outcome = run("bench", "transmission", "--quick", "--only", "player", "-o", tmp_path / "out")
    assert outcome.code == 0, outcome
    assert "The player was not measured: there is no Chromium" in outcome.out


def test_a_page_that_gets_stuck_is_told(tmp_path, run, monkeypatch):
    def stuck(*_):
        raise TimeoutError("the page did not come to x in 900 s")

    monkeypatch.setattr(running.driven, "missing", lambda: None)
    monkeypatch.setattr(running, "played", stuck)
    outcome = run("bench", "transmission", "--quick", "--only", "player", "-o", tmp_path / "out")
    assert outcome.code == 0, outcome
    assert "The player was not measured: the page did not come to x in 900 s" in outcome.out


PLAYED = {
    "browser": "Chromium 1",
    "first": [{"family": "hash_grid", "median_ms": 512.0, "longest_ms": 700.0, "openings": 5}],
    "pictures": [
        {"family": "hash_grid", "cells": cells, "views": 20, "least_psnr": 41.0, "mean_psnr": 50.0}
        for cells in (0, 64)
    ],
    "played": {"frames": 60, "page_bytes": [2_000_000] * 3, "worker_bytes": [9_000_000] * 3},
    "damaged": {"frame": 15, "findings": ["frame 15 to 19: x/y"], "last": 59, "frames": 60},
}


def test_what_the_player_does_is_a_table():
    text = page({"player": PLAYED})
    assert "hash_grid 0.51 s (at most 0.70)" in text
    assert "| hash_grid | 64³ cells | 41.0 | 50.0 |" in text
    assert "the page holds 2.00, 2.00, 2.00 MB" in text
    assert "tells frame 15 to 19: x/y, and plays to the end" in text
    assert "ends at 14" in page({"player": PLAYED | {"damaged": PLAYED["damaged"] | {"last": 14}}})


@pytest.mark.slow(minutes=1)
def test_the_player_is_measured(tmp_path):
    chromium()  # skips where there is none
    command = [sys.executable, "-m", "nmc_tools.cli", "bench", "transmission", "--quick"]
    command += ["--only", "player", "-o", tmp_path / "out"]
    subprocess.run(command, check=True, capture_output=True)  # a process whose loop is its own
    found = json.loads((tmp_path / "out" / "bench-transmission.json").read_text())["player"]
    assert {(row["family"], row["cells"]) for row in found["pictures"]} >= {("voxel_grid", 0)}
    assert found["damaged"]["last"] == found["played"]["frames"] - 1
    told, _, why = found["damaged"]["findings"][0].partition(": ")
    assert told == "frame 5 to 9"
    assert "/" in why.split(" at ")[0]  # a code of the catalogue


def test_a_run_goes_on_where_it_was_interrupted(tmp_path, monkeypatch):
    measured, interrupted = [], iter([True])

    def parts(request, data, note):
        def measure(name):
            if name == "crowd" and next(interrupted, False):
                raise KeyboardInterrupt
            measured.append(name)
            return

        return {name: lambda name=name: measure(name) for name in running.PARTS}

    def again(**options):
        running.run(running.Request(tmp_path, **options), lambda *_, **__: None)

    monkeypatch.setattr(running, "_parts", parts)
    monkeypatch.setattr(running, "page", lambda found: "")
    with pytest.raises(KeyboardInterrupt):
        again()
    again(resume=True)
    assert measured == list(running.PARTS)
    again(resume=True)
    again(only=["live"])
    assert measured == [*running.PARTS, "live"]
    again(resume=True, quick=True)  # toy sizes stand beside no others
    assert measured == [*running.PARTS, "live", *running.PARTS]
