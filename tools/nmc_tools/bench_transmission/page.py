"""The tables of the benchmark as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def page(found: Mapping[str, Any]) -> str:
    """Return the tables; what was not measured is left out."""
    parts = [
        _seeks(found.get("seeks", [])),
        _sequential(found.get("sequential")),
        _crowd(found.get("crowd")),
        _soak(found.get("soak")),
        _live(found.get("live")),
        _adaptive(found.get("adaptive", [])),
        _player(found.get("player")),
        _signature(found.get("signature")),
    ]
    return "\n".join(part for part in parts if part)


def _table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(map(str, row)) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def _seeks(rows: Sequence[Mapping[str, Any]]) -> str:
    if not rows:
        return ""
    words = (
        "Seeks to random frames of packages of 300 frames, groups of 10, states of 4.8 MB of which "
        "10 % or all changes; effort *fast*, each state compared with its digest; files that "
        "were read once before; milliseconds. CPU: of all threads, at the median; to open and to "
        "seek: requests.\n\n"
    )
    head: tuple[str, ...] = ("package", "threads", "local p95", "median", "CPU")
    head += ("HTTP p95", "median", "CPU", "to open", "to seek, at most")
    return words + _table(
        head,
        [
            (
                f"{row['package'].split('-')[1]} % changes",
                row["threads"],
                f"{row['local_p95_ms']:.0f}",
                f"{row['local_median_ms']:.0f}",
                f"{row['local_cpu_median_ms']:.0f}",
                f"{row['http_p95_ms']:.0f}",
                f"{row['http_median_ms']:.0f}",
                f"{row['http_cpu_median_ms']:.0f}",
                row["requests_open"],
                row["requests_most"],
            )
            for row in rows
        ],
    )


def _sequential(row: Mapping[str, Any] | None) -> str:
    if row is None:
        return ""
    return (
        f"Decoding {row['frames']} such frames in order takes {row['local_seconds']:.2f} s from "
        f"the disk and {row['http_seconds']:.2f} s over HTTP: {row['http_share']:.2f} of the "
        "speed.\n"
    )


def _crowd(row: Mapping[str, Any] | None) -> str:
    if row is None:
        return ""
    held = ", ".join(f"{name} {count}" for name, count in row["held"].items())
    words = (
        f"Clients that play {row['what']} ({row['frame_bytes'] / 1000:.0f} kB a frame) at 30 "
        f"frames a second, a second buffered, for {row['seconds']:.0f} s; clients and servers "
        f"share the cores, two processes each. Most clients without a stall and an error: "
        f"{held}.\n\n"
    )
    rows = [
        (
            r["server"],
            r["clients"],
            r["frames"],
            r["stalls"],
            r["errors"],
            f"{r['size'] / row['seconds'] / 1e6:.0f}",
        )
        for r in row["rows"]
    ]
    return words + _table(("server", "clients", "frames", "late", "errors", "MB/s"), rows)


def _soak(row: Mapping[str, Any] | None) -> str:
    if row is None:
        return ""
    early, late = row["early_bytes"] / 1e6, row["late_bytes"] / 1e6
    return (
        f"Soak: {row['clients']} clients at a time for {row['seconds']:.0f} s, others in each of "
        f"{row['rounds']} rounds: {row['frames']} frames, {row['stalls']} late, {row['errors']} "
        f"errors; the server has at most {early:.1f} MB in memory and {row['early_handles']} "
        f"handles open in the first quarter, {late:.1f} MB and {row['late_handles']} in the last.\n"
    )


def _live(row: Mapping[str, Any] | None) -> str:
    if row is None:
        return ""
    return (
        f"Live: of {row['frames']} frames, the slowest of a directory was decoded "
        f"{row['directory_longest_seconds']:.2f} s after it was sealed, of a file "
        f"{row['file_longest_seconds']:.2f} s; readers look twice a second.\n"
    )


def _adaptive(rows: Sequence[Mapping[str, Any]]) -> str:
    if not rows:
        return ""
    words = (
        "Three qualities of 20 s through a proxy as slow as traces, 10 s buffered at most. *falls* "
        "and *swings* are made (60, 300 and 1800 kB/s); the others were recorded in 3G networks "
        "(Riiser et al., MMSys 2013; 60, 120 and 300 kB/s). Mean quality: 0 is always the lowest, "
        "2 always the highest.\n\n"
    )
    head = (
        "trace",
        "quality",
        "start s",
        "stalls",
        "stalled s",
        "longest",
        "switches",
        "mean quality",
        "MB",
        "left MB",
    )
    return words + _table(
        head,
        [
            (
                row["trace"],
                row["quality"],
                f"{row['startup_seconds']:.2f}",
                row["stalls"],
                f"{row['stall_seconds']:.2f}",
                f"{row['longest_stall_seconds']:.2f}",
                row["switches"],
                f"{row['mean_quality']:.2f}",
                f"{row['bytes'] / 1e6:.1f}",
                f"{row['left_bytes'] / 1e6:.1f}",
            )
            for row in rows
        ],
    )


def _player(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return ""
    if "missing" in found:
        return f"The player was not measured: {found['missing']}.\n"
    first = ", ".join(
        f"{row['family']} {row['median_ms'] / 1000:.2f} s (at most {row['longest_ms'] / 1000:.2f})"
        for row in found["first"]
    )
    openings, views = found["first"][0]["openings"], found["pictures"][0]["views"]
    words = (
        f"The player in {found['browser']}, which draws with the processor. First picture of a "
        f"page that is opened, median of {openings}: {first}. Pictures of {views} viewpoints of "
        "trained scenes beside the reference renderer's, from tables as they are or baked to a "
        "lattice; equal ones count as 99 dB:\n\n"
    )
    rows = [
        (
            row["family"],
            f"{row['cells']}³ cells" if row["cells"] else "tables",
            f"{row['least_psnr']:.1f}",
            f"{row['mean_psnr']:.1f}",
        )
        for row in found["pictures"]
    ]
    table = _table(("family", "drawn from", "least PSNR, dB", "mean"), rows)
    return f"{words}{table}\n{_played(found['played'])}{_damaged(found['damaged'])}\n"


def _played(row: Mapping[str, Any]) -> str:
    def held(name: str) -> str:
        return ", ".join(f"{size / 1e6:.2f}" for size in row[name])

    return (
        f"It plays {row['frames']} frames three times; afterwards the page holds "
        f"{held('page_bytes')} MB and the worker {held('worker_bytes')} MB. "
    )


def _damaged(row: Mapping[str, Any]) -> str:
    end = "plays to the end" if row["last"] == row["frames"] - 1 else f"ends at {row['last']}"
    told = "; ".join(row["findings"]) or "nothing"
    return f"With a flipped bit in the segment of frame {row['frame']} it tells {told}, and {end}."


def _signature(row: Mapping[str, Any] | None) -> str:
    if row is None:
        return ""
    if "missing" in row:
        return f"Signatures were not measured: {row['missing']}.\n"
    codes = ", ".join(f"{count} {code}" for code, count in row["codes"].items())
    return (
        f"Of a signed package of {row['bytes']} bytes {row['bits']} bits were flipped, one at a "
        f"time: {row['named']} were named ({codes}).\n"
    )
