"""What a benchmark's figures were measured on, and the part of a document that they go into."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path


def machine(packages: Sequence[str], note: str = "") -> str:
    """Return what the figures were measured on.

    Parameters
    ----------
    packages : sequence of str
        Distributions whose versions are named.
    note : str
        How much of the machine was used, where that is not all of it.
    """
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
        models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
        name = models[0] if models else name
    parts = [name, f"{os.cpu_count()} cores", note, f"Python {platform.python_version()}"]
    parts += [f"{package} {metadata.version(package)}" for package in packages]
    return ", ".join(part for part in parts if part)


def put_into(path: Path, mark: str, text: str) -> None:
    """Replace what stands between ``<!-- mark -->`` and ``<!-- /mark -->`` in a file.

    Raises
    ------
    SystemExit
        If the file has no such marks.
    """
    begin, end = f"<!-- {mark} -->", f"<!-- /{mark} -->"
    before, found, rest = path.read_text(encoding="utf-8").partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise SystemExit(f"{path} has no marks {begin} and {end} to put the tables between")
    path.write_text(f"{before}{begin}\n{text}{end}{after}", encoding="utf-8")


def has_marks(path: Path, mark: str) -> bool:
    """Whether a file is there and has the marks that :func:`put_into` looks for."""
    if not path.is_file():
        return False
    text = path.read_text(encoding="utf-8")
    return f"<!-- /{mark} -->" in text.partition(f"<!-- {mark} -->")[2]
