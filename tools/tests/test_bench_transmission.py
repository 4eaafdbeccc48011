"""The benchmark of transmission in toy sizes: that it measures, and what its parts do."""

import asyncio
import json

import pytest

pytest.importorskip("uvicorn")
pytest.importorskip("starlette")
pytest.importorskip("httptools")

from command_samples import state
from serving import ask, served

import nmc
from nmc_tools.bench_transmission import proxy
from nmc_tools.bench_transmission.crowd import Film, play
from nmc_tools.bench_transmission.page import page
from nmc_tools.bench_transmission.proxy import throttled, trace


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


@pytest.mark.parametrize("name", ["falls", "swings", "walk"])
def test_traces_are_bytes_a_second(name):
    rates = trace(name)
    assert len(rates) >= 30
    assert all(60_000 < rate < 10**7 for rate in rates)  # the lowest quality fits


def test_nothing_measured_is_an_empty_page():
    assert page({}) == ""
    assert "Decoding 5" in page(
        {"sequential": {"frames": 5, "local_seconds": 1.0, "http_seconds": 1.1, "http_share": 0.9}}
    )


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
