"""What all tests share: no test of hypothesis asserts on time, and one thread for torch."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import settings

os.environ["NMC_CACHE"] = "off"  # no test writes into the cache of who runs it
if "PYTEST_XDIST_WORKER" in os.environ:
    # The workers share the cores: threads of OpenMP in each of them would wait for each other,
    # and spin meanwhile.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
settings.register_profile("nmc", deadline=None)
settings.load_profile("nmc")


#: Seconds after which a sweep counts as hung; they take minutes where nothing else runs.
_SWEEP_SECONDS = 1800


#: Minutes of a core that a long sweep takes where it does not say so.
_MINUTES = 0.2


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give the long sweeps the time that they need, and files with long ones to workers first.

    One that began last would run alone at the end. Of a test with the marker ``sweep``, one case in
    so many is quick; the others are marked ``slow``.
    """
    cases: Counter[str] = Counter()
    for item in items:
        sweep = item.get_closest_marker("sweep")
        if sweep:
            name = item.nodeid.partition("[")[0]
            if cases[name] % sweep.args[0]:
                item.add_marker(pytest.mark.slow(minutes=sweep.kwargs.get("minutes", 0.01)))
            cases[name] += 1
    minutes: Counter[str] = Counter()
    for item in items:
        if item.get_closest_marker("long"):
            item.add_marker(pytest.mark.timeout(_SWEEP_SECONDS))
        marker = item.get_closest_marker("slow")
        if marker:
            item.add_marker(pytest.mark.timeout(_SWEEP_SECONDS))
            minutes[_file_of(item)] += marker.kwargs.get("minutes", _MINUTES)
    on_gpu = [item for item in items if item.get_closest_marker("gpu")]
    if on_gpu and not _has_gpu():
        for item in on_gpu:
            item.add_marker(pytest.mark.skip(reason="there is no CUDA device"))
    items.sort(key=lambda item: -minutes[_file_of(item)])


def _has_gpu() -> bool:
    try:
        import torch
    except ImportError:
        return False
    return torch.cuda.is_available()


def _file_of(item: pytest.Item) -> str:
    return item.nodeid.partition("::")[0]


@pytest.fixture(autouse=True)
def _stays_where_it_was():
    """Fail a test that leaves the process in another folder: later tests would look there."""
    before = Path.cwd()
    yield
    after = Path.cwd()
    if after != before:
        os.chdir(before)
        pytest.fail(f"the test left the working directory at {after}: use monkeypatch.chdir")


@pytest.fixture
def one_thread():
    """Have torch use one thread: sums come in one order, and tests beside it are not slowed."""
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
