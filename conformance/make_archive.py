"""Writes the suite as one file, the same bytes each time: ``nmc-conformance-<version>.zip`` (11.6).

Members are stored, not compressed, so that no version of a compressor has a say in the bytes; they
are in the order of their names as bytes, without times, owners and modes of the files they come
from. What lies beside the files of a vector and is none of them is left out.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

CONFORMANCE = Path(__file__).resolve().parent
CHECKOUT = CONFORMANCE.parent
DATA = CHECKOUT / "spec" / "nmc_spec"
SUMS = "SHA256SUMS"
_EPOCH = (1980, 1, 1, 0, 0, 0)
_FILE = 0o100644 << 16


def files() -> dict[str, bytes]:
    """Return the content of the archive by path, without its list of digests."""
    sources = {
        "CHANGELOG.md": CONFORMANCE / "CHANGELOG.md",
        "README.md": CONFORMANCE / "README.md",
        "PROTOCOL.md": CONFORMANCE / "PROTOCOL.md",
        "LICENSE": CHECKOUT / "LICENSE",
        "clauses.json": DATA / "clauses.json",
        "issues.toml": DATA / "issues.toml",
    }
    for path in sorted((DATA / "schemas").glob("*.schema.json")):
        sources[f"schemas/{path.name}"] = path
    root = CONFORMANCE / "vectors"
    for path in (root / "suite.json", *_vector_files(root)):
        sources[f"vectors/{path.relative_to(root).as_posix()}"] = path
    return {name: sources[name].read_bytes() for name in sorted(sources)}


def _vector_files(root: Path) -> Iterator[Path]:
    """Yield the files that vectors name; an editor's copy beside them is no part of the suite."""
    for path in root.glob("*/*/vector.json"):
        yield path
        source = json.loads(path.read_bytes())["input"]
        if isinstance(source["sha256"], str):
            yield path.parent / source["path"]
        else:
            yield from (path.parent / source["path"] / name for name in source["sha256"])


class UnreleasedError(Exception):
    """The changelog of the suite has no entry for its version."""


def check_changelog(text: str, version: str) -> None:
    """Check that the first version of the changelog is the one of the suite.

    Raises
    ------
    UnreleasedError
        If it is another one.
    """
    first = next((line for line in text.splitlines() if line.startswith("## ")), "")
    if first != f"## {version}":
        raise UnreleasedError(f"CHANGELOG.md begins with {first!r}, the suite is {version}")


def sums(content: Mapping[str, bytes]) -> bytes:
    """Return the list of digests, as ``sha256sum -c`` reads it."""
    lines = (f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in content.items())
    return "".join(lines).encode()


def write(output: Path) -> Path:
    """Write the archive into a folder, and its digest beside it.

    Returns
    -------
    Path
        The archive.
    """
    content = files()
    version = json.loads(content["vectors/suite.json"])["version"]
    check_changelog(content["CHANGELOG.md"].decode("utf-8"), version)
    top = f"nmc-conformance-{version}"
    content[SUMS] = sums(content)
    output.mkdir(parents=True, exist_ok=True)
    path = output / f"{top}.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(content):
            member = zipfile.ZipInfo(f"{top}/{name}", _EPOCH)
            member.external_attr, member.create_system = _FILE, 3
            archive.writestr(member, content[name])
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    path.with_suffix(".zip.sha256").write_text(f"{digest}  {path.name}\n", encoding="ascii")
    return path


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the archive; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", "-o", type=Path, default=Path("out"), help="folder for it")
    path = write(parser.parse_args(arguments).output)
    print(f"{path}: {path.stat().st_size:,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
