"""The measurements, each a few figures."""

from __future__ import annotations

import json
import random
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

import nmc
from nmc_tools.bench_transmission.crowd import Film, play
from nmc_tools.bench_transmission.proxy import throttled, trace
from nmc_tools.bench_transmission.servers import Server, nginx, ours

Figures = dict[str, Any]

_PIECE = 2**24
"""Bytes that are read at a time."""
_ROUND = 10.0
"""Seconds that a client of the soak stays."""
#: Looks at the handles after a round, and seconds between them.
_LOOKS, _BETWEEN = 10, 0.05
_CROWDS = (10, 25, 30, 35, 40, 45, 50, 75, 100, 150, 200)


def seeks(path: Path, count: int, threads: int) -> Figures:
    """Seek to random frames, verified: milliseconds of the slowest twentieth, and requests.

    The time of the processor, of all threads of this process, stands beside that of the wall. The
    file is read once before: the disk is not what is measured, and both ways find the same.
    """
    with path.open("rb") as file:
        while file.read(_PIECE):
            pass
    with ours(path.parent) as server:
        url = server.url + path.name
        before = server.requests()
        nmc.open(url).close()
        opening = server.requests() - before - 1
        with nmc.open(path, threads=threads) as local, nmc.open(url, threads=threads) as remote:
            chosen = random.Random(0).sample(range(len(local)), min(count, len(local)))  # noqa: S311
            local[0], remote[0]
            times: dict[str, list[float]] = {"local": [], "http": []}
            busy: dict[str, list[float]] = {"local": [], "http": []}
            asked: list[int] = []
            for t in chosen:
                for name, sequence in (("local", local), ("http", remote)):
                    before = server.requests() if name == "http" else 0
                    began, busy_before = time.perf_counter(), time.process_time()
                    sequence[t]
                    times[name].append(1000 * (time.perf_counter() - began))
                    busy[name].append(1000 * (time.process_time() - busy_before))
                    if name == "http":
                        asked.append(server.requests() - before - 1)
    return {
        "package": path.stem,
        "threads": threads,
        "seeks": len(chosen),
        "local_p95_ms": float(np.percentile(times["local"], 95)),
        "local_median_ms": statistics.median(times["local"]),
        "http_p95_ms": float(np.percentile(times["http"], 95)),
        "http_median_ms": statistics.median(times["http"]),
        "local_cpu_median_ms": statistics.median(busy["local"]),
        "http_cpu_median_ms": statistics.median(busy["http"]),
        "requests_open": opening,
        "requests_most": max(asked),
    }


def sequential(path: Path, repeats: int) -> Figures:
    """Decode all frames in order, from the disk and over HTTP, in turns; the least of each."""
    best = {"local": float("inf"), "http": float("inf")}
    with ours(path.parent) as server:
        for _ in range(repeats):
            for name, target in (("local", str(path)), ("http", server.url + path.name)):
                began = time.perf_counter()
                with nmc.open(target) as sequence:
                    frames = sum(1 for _ in sequence)
                best[name] = min(best[name], time.perf_counter() - began)
    return {
        "package": path.stem,
        "frames": frames,
        "local_seconds": best["local"],
        "http_seconds": best["http"],
        "http_share": best["local"] / best["http"],
    }


def film(server: Server, path: Path) -> Film:
    """Return what clients play of a package file: where its segments lie."""
    data = path.read_bytes()
    parts = []
    with nmc.open(path) as sequence:
        for t in range(len(sequence)):
            segment = sequence.coded(t)
            parts.append((data.index(segment), len(segment)))
    return Film(server.url + path.name, tuple(parts))


def crowds(path: Path, scratch: Path, seconds: float) -> Figures:
    """Let more and more clients play from both servers in turns, until both are too slow."""
    rows: list[Figures] = []
    held = {"nmc serve": 0, "nginx": 0}
    with ours(path.parent, 2) as own, nginx(path.parent, scratch) as other:
        servers = {"nmc serve": own} | ({"nginx": other} if other else {})
        films = {name: film(server, path) for name, server in servers.items()}
        going = set(servers)
        for clients in _CROWDS:
            for name in sorted(going):
                seen = play(films[name], clients, seconds)
                good = not seen.stalls and not seen.errors
                rows.append({"server": name, "clients": clients, **vars(seen)})
                if good:
                    held[name] = clients
                else:
                    going.discard(name)
        if other is None:
            held.pop("nginx")
    share = np.mean([size for _, size in films["nmc serve"].parts])
    return {"held": held, "rows": rows, "frame_bytes": float(share), "seconds": seconds}


def soak(path: Path, seconds: float, clients: int) -> Figures:
    """Let clients come, play and go for a while; what the server holds meanwhile.

    Every round has clients of its own, so that connections are made and closed; after each, its
    memory and its open handles are noted. The first quarter of the rounds may fill caches.
    """
    rounds = max(4, round(seconds / _ROUND))
    seen, memory, handles = [], [], []
    with ours(path.parent) as server:
        played = film(server, path)
        for _ in range(rounds):
            seen.append(play(played, clients, seconds / rounds))
            memory.append(server.resident())
            handles.append(_handles_left(server))
    quarter = rounds // 4
    return {
        "seconds": seconds,
        "clients": clients,
        "rounds": rounds,
        "frames": sum(each.frames for each in seen),
        "errors": sum(each.errors for each in seen),
        "stalls": sum(each.stalls for each in seen),
        "early_bytes": max(memory[:quarter]),
        "late_bytes": max(memory[-quarter:]),
        "early_handles": max(handles[:quarter]),
        "late_handles": max(handles[-quarter:]),
        "memory_bytes": memory,
    }


def _handles_left(server: Server) -> int:
    """Return what is open once the server has had time to see that its clients are gone."""
    found = []
    for _ in range(_LOOKS):
        found.append(server.handles())
        time.sleep(_BETWEEN)
    return min(found)


def adaptive(document: Path, names: tuple[str, ...]) -> list[Figures]:
    """Play through lines as slow as traces: adaptive, always the lowest, always the highest.

    One after the other: beside others, the processor would be what is short.
    """
    rows: list[Figures] = []
    with ours(document.parent) as server:
        for name in names:
            for quality in ("adaptive", "lowest", "highest"):
                row = _played(server, document, name, quality)
                rows.append({"trace": name, "quality": quality, **row})
    return rows


def _played(server: Server, document: Path, name: str, quality: str) -> Figures:
    with throttled(server.url, trace(name)) as url:
        command = [sys.executable, "-P", "-E", "-m", "nmc_tools.cli", "play", url + document.name]
        command += ["--headless", "--json", "--buffer", "10", "--quality", quality]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    report = json.loads(done.stdout)
    if done.returncode:
        raise RuntimeError(f"{name}, {quality}: {report['refused']} {report['errors']}")
    return {
        key: report[key]
        for key in (
            "startup_seconds",
            "stall_seconds",
            "longest_stall_seconds",
            "switches",
            "bytes",
            "left_bytes",
            "mean_quality",
            "mean_bandwidth",
        )
    } | {"stalls": len(report["stalls"])}


def live(folder: Path, frames: int) -> Figures:
    """Write packages of both forms and follow each: seconds from a seal to the state."""
    forms = {"directory": _followed(folder, frames, True), "file": _followed(folder, frames, False)}
    return {
        "frames": sum(len(found) for found in forms.values()),
        **{f"{form}_longest_seconds": max(found) for form, found in forms.items()},
    }


def _followed(folder: Path, frames: int, directory: bool) -> list[float]:
    """Return how long after its seal each frame of a package was decoded by a reader over HTTP."""
    path = folder / f"live-{'directory' if directory else 'file'}.nmc"
    sealed: dict[int, float] = {}
    rng = np.random.default_rng(2)
    writer = nmc.Writer(path, directory=directory, overwrite=True, key_every=GROUP_OF_LIVE)

    def write() -> None:
        with writer:
            for t in range(frames):
                writer.append({"w": rng.normal(size=(100, 100)).astype("f4")})
                sealed[t] = time.monotonic()
                time.sleep(0.23)

    latencies: list[float] = []
    with ours(folder) as server:
        thread = threading.Thread(target=write)
        thread.start()
        while not sealed:
            time.sleep(0.01)
        for t, _ in enumerate(nmc.follow(urlsplit(server.url + path.name).geturl())):
            latencies.append(time.monotonic() - sealed.get(t, time.monotonic()))
        thread.join()
    return latencies


GROUP_OF_LIVE = 10
