"""``nmc bench ray``: equal groups, alone and shared out."""

import json
from contextlib import contextmanager

import pytest

pytest.importorskip("torch")
from nmc_framework.distributed import LocalExecutor
from nmc_tools.bench_ray import measure


@pytest.mark.slow(minutes=0.1)
def test_equal_groups_are_measured_twice_and_compared(run, monkeypatch):
    asked = []

    @contextmanager
    def cluster(workers):
        asked.append(workers)
        yield LocalExecutor()

    monkeypatch.setattr(measure, "_cluster", cluster)
    told = ["--groups", 2, "--iterations", 2, "--size", "8x8", "--json"]
    done = run("bench", "ray", "--workers", 3, *told)
    assert done.code == 0, done
    found = json.loads(done.out)
    assert asked == [3] and found["same"] and found["groups"] == 2
    assert found["factor"] == pytest.approx(found["alone"] / found["shared"])
    gain = measure.Gain(2, 4, 10.0, 5.0, 3.0, same=False)
    assert "NOT the same bytes" in measure.table(gain, "here")
    assert "| 10.0 | 5.0 on 2 workers | 2.00 | 3.0 |" in measure.table(gain, "here")
