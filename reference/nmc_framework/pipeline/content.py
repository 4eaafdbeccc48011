"""Digests of what files and folders hold, whatever they are called and whenever they were made."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

#: What stands for the digest of something that is not there.
ABSENT = "absent"


def content_digest(path: Path) -> str:
    """Return the SHA-256 in hex of a file, or of a folder's files with their places in it."""
    if path.is_dir():
        total = hashlib.sha256()
        for file in sorted(p for p in path.rglob("*") if p.is_file()):
            total.update(f"{file.relative_to(path).as_posix()}\0{_file_digest(file)}\n".encode())
        return total.hexdigest()
    return _file_digest(path) if path.is_file() else ABSENT


def values_digest(values: Any) -> str:
    """Return the SHA-256 in hex of JSON values; the order of keys does not matter."""
    text = json.dumps(values, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
