"""Holds what is frozen: the sound packages of format 1.0, and what they decode to (clause 10.3.1).

``--write`` adds vectors to ``conformance/frozen.json``. A line that is there is never changed: it
would be another format. ``--check`` says where a vector differs from its line, or has none.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nmc_spec.generated import command, settled

if TYPE_CHECKING:
    from collections.abc import Iterator

HOUSE = Path(__file__).resolve().parents[1]
VECTORS = HOUSE / "vectors"
FROZEN = HOUSE / "frozen.json"
VERSION = "1.0"
_LATER = ("14-encryption", "16-media")
"""Chapters of later minor versions."""
_LAID_OUT = "hdf5"
"""What a vector requires whose manifest the HDF5 library lays out: its bytes are the library's."""
_DIGITS = 16


def sound_packages(folder: Path = VECTORS) -> Iterator[dict[str, Any]]:
    """Yield the vectors of format 1.0 that are to be accepted, by their ids."""
    for path in sorted(folder.glob("*/*/vector.json")):
        vector = json.loads(path.read_text(encoding="utf-8"))
        if vector["expected"]["outcome"] == "accept" and path.parts[-3] not in _LATER:
            yield vector


def line_of(vector: dict[str, Any]) -> str:
    """Return what is frozen of a vector: its bytes, and its states."""
    states = _digest(vector["expected"]["state_digests"])
    if _LAID_OUT in vector["requires"]:
        return f"* {states}"
    return f"{_digest(vector['input']['sha256'])} {states}"


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:_DIGITS]


def frozen(old: str, folder: Path = VECTORS) -> str:
    """Return the file, given what it holds.

    Raises
    ------
    ValueError
        If a vector is not what its line says, or is gone.
    """
    packages: dict[str, str] = json.loads(old)["packages"] if old else {}
    now = {vector["id"]: line_of(vector) for vector in sound_packages(folder)}
    changed = [name for name, line in packages.items() if now.get(name) != line]
    if changed:
        names = ", ".join(changed[:5])
        raise ValueError(
            f"{len(changed)} frozen packages of format {VERSION} differ or are gone: {names}; a "
            f"change that is meant needs another name, and another version of the format"
        )
    return json.dumps({"format": VERSION, "packages": dict(sorted(now.items()))}, indent=1) + "\n"


if __name__ == "__main__":
    sys.exit(settled(FROZEN, frozen, writing=command(__doc__).parse_args().write))
