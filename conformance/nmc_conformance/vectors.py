"""Vectors on disk (clause 11.4): found, validated by their schema, compared with their hashes."""

from __future__ import annotations

import fnmatch
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nmc_conformance.schemas import fault
from nmc_spec import FORMAT_VERSIONS

VECTOR_FILE = "vector.json"
SUITE_FILE = "suite.json"
SUMS_FILE = "SHA256SUMS"
"""Beside the folder of the vectors in an archive: the digest of each file."""


DECODE, APPLY = "decode", "apply"
"""Requests to a decoder: for the frames of a package, and for the states of messages."""

MESSAGES = "messages"
"""Feature of a program that has messages (clause 15)."""


class SuiteError(Exception):
    """The suite itself is damaged, or nothing of it was selected."""


_OF_KEYS = frozenset(f"encryption/{name}" for name in ("key-missing", "key-wrong", "not-encrypted"))
"""Codes of a refusal that only a program with a key, or with none that is asked for one, has."""


@dataclass(frozen=True)
class Expected:
    """What a program shall make of a vector.

    Attributes
    ----------
    outcome : str
        ``"accept"`` or ``"reject"``.
    stage : str
        Of a refusal: ``"open"``, ``"frame"`` or ``"check"``; else empty.
    codes : tuple of str
        Codes that a refusal may name.
    findings : tuple of (str, mapping)
        Code and place that a report should name; empty where the place is a matter of choice.
    state_digests : tuple of str or None
        By frame; None where a program shall not return the frame.
    or_unsupported : bool
        Whether *unsupported* is as good as a refusal.
    warnings : tuple of str
        Codes that a checker warns with.
    """

    outcome: str
    stage: str
    codes: tuple[str, ...]
    findings: tuple[tuple[str, Mapping[str, str]], ...]
    state_digests: tuple[str | None, ...]
    or_unsupported: bool
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Vector:
    """One vector.

    Attributes
    ----------
    id, summary, clauses, profile, level, requires
        As in ``vector.json``.
    folder : Path
        Where it lies.
    input : Path
        Its package, or a folder of messages.
    hashes : str or mapping of str to str
        SHA-256 of the file, or of each file of the directory.
    tensors : sequence of mapping
        Of each message: names of the tensors of its state, by digests of tensors in base 16.
    prepare : sequence of mapping
        Steps on the copy that a program gets.
    frames : tuple of int
        Frames that are asked for.
    max_level : int or None
        Level that a decoder is told to accept at most.
    signed_by : tuple of str
        Keys that a decoder is told to demand (clause 13.2.2), in base 16.
    key : str
        Key of the segments that a decoder is given (clause 14.2.1), in base 16; empty for none.
    derived_from : str or None
        The vector that it differs from in one thing.
    expected : Expected
        What shall come out.
    """

    id: str
    summary: str
    clauses: tuple[str, ...]
    profile: str
    level: int
    requires: tuple[str, ...]
    folder: Path
    input: Path
    hashes: str | Mapping[str, str]
    tensors: Sequence[Mapping[str, Sequence[str]]]
    prepare: Sequence[Mapping[str, Any]]
    frames: tuple[int, ...]
    max_level: int | None
    signed_by: tuple[str, ...]
    key: str
    derived_from: str | None
    expected: Expected

    @property
    def for_checkers(self) -> bool:
        """Whether it can be put to a checker, which is told of no limit and of no key.

        Without the key it takes a sound package, and finds what is wrong outside of the encrypted
        bytes (clause 14.2.3).
        """
        hidden = self.expected.stage == "frame" or not _OF_KEYS.isdisjoint(self.expected.codes)
        needs_key = "encryption" in self.requires and hidden
        plain = not self.signed_by and not needs_key and self.request == DECODE
        return self.max_level is None and plain

    @property
    def request(self) -> str:
        """The request that a decoder is put: messages are applied, packages decoded."""
        return APPLY if MESSAGES in self.requires else DECODE

    def damage(self) -> str:
        """Return how the input differs from its hashes; empty where it does not."""
        if isinstance(self.hashes, str):
            return _difference(self.input, self.hashes)
        found = {p.relative_to(self.input).as_posix() for p in self.input.rglob("*") if p.is_file()}
        surplus = sorted(found - self.hashes.keys())
        if surplus:
            return f"{surplus[0]} is not part of the vector"
        for name, digest in self.hashes.items():
            wrong = _difference(self.input / name, digest)
            if wrong:
                return wrong
        return ""


def _difference(path: Path, digest: str) -> str:
    if not path.is_file():
        return f"{path.name} is missing"
    if hashlib.sha256(path.read_bytes()).hexdigest() != digest:
        return f"{path.name} is not the file that the vector names"
    return ""


def parse(content: Any, folder: Path) -> Vector:
    """Return the vector of a parsed ``vector.json``.

    Raises
    ------
    SuiteError
        If it breaks its schema.
    """
    if wrong := fault(content, "vector"):
        raise SuiteError(f"{folder}: {wrong}")
    want, request = content["expected"], content.get("request", {})
    digests = tuple(want.get("state_digests", ()))
    return Vector(
        id=content["id"],
        summary=content["summary"],
        clauses=tuple(content["clauses"]),
        profile=content["profile"],
        level=content["level"],
        requires=tuple(content["requires"]),
        folder=folder,
        input=folder / content["input"]["path"],
        hashes=content["input"]["sha256"],
        tensors=content["input"].get("tensors", ()),
        prepare=content["input"].get("prepare", ()),
        frames=tuple(request.get("frames", range(len(digests) or 1))),
        max_level=request.get("max_level"),
        signed_by=tuple(request.get("signed_by", ())),
        key=request.get("key", ""),
        derived_from=content["derived_from"],
        expected=Expected(
            outcome=want["outcome"],
            stage=want.get("stage", ""),
            codes=tuple(want.get("codes", ())),
            findings=tuple((f["code"], f["place"]) for f in want.get("findings", ())),
            state_digests=digests,
            or_unsupported=want.get("or_unsupported", False),
            warnings=tuple(want.get("warnings", ())),
        ),
    )


def load(folder: Path) -> Vector:
    """Return the vector of a folder.

    Raises
    ------
    SuiteError
        If its ``vector.json`` is damaged.
    """
    try:
        content = json.loads((folder / VECTOR_FILE).read_bytes())
    except FileNotFoundError:
        raise SuiteError(f"{folder}: {VECTOR_FILE} is missing") from None
    except (OSError, ValueError, RecursionError) as error:
        raise SuiteError(f"{folder / VECTOR_FILE}: {error}") from None
    return parse(content, folder)


@dataclass(frozen=True)
class Suite:
    """Vectors and what is wrong with the suite.

    Attributes
    ----------
    root : Path
        Folder of the vectors.
    vectors : tuple of Vector
        In the order of their ids.
    broken : mapping of str to str
        By id or folder: vectors that cannot be used, with the reason.
    """

    root: Path
    vectors: tuple[Vector, ...]
    broken: Mapping[str, str]


def default_root() -> Path:
    """Return the folder of the vectors in a checkout or an unpacked archive."""
    return Path(__file__).resolve().parents[1] / "vectors"


def suite_version(root: Path) -> str:
    """Return the version of the suite in a folder; empty where it names none.

    Raises
    ------
    SuiteError
        If the suite is for another version of the format.
    """
    try:
        content = json.loads((root / SUITE_FILE).read_bytes())
        version, known = str(content["version"]), str(content["format_version"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""
    if known != FORMAT_VERSIONS[-1]:
        raise SuiteError(
            f"{root / SUITE_FILE}: the suite is for format {known}, this runner knows "
            f"{FORMAT_VERSIONS[-1]}; take the runner and the suite of one release"
        )
    return version


def altered(root: Path) -> dict[str, str]:
    """Return the vectors of an unpacked archive that are not as it lists them, with the reason.

    Where the folder is no part of an archive there is no list, and nothing is altered.

    Raises
    ------
    SuiteError
        If the list of the archive cannot be read.
    """
    path = root.parent / SUMS_FILE
    if not path.is_file():
        return {}
    prefix = f"{root.name}/"
    listed: dict[str, str] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        digest, gap, name = line.partition("  ")
        if not gap or len(digest) != hashlib.sha256().digest_size * 2:
            raise SuiteError(f"{path}, line {number}: is not a digest and a file; unpack it again")
        if name.startswith(prefix) and name.endswith(f"/{VECTOR_FILE}"):
            listed[name.removeprefix(prefix).removesuffix(f"/{VECTOR_FILE}")] = digest
    made = {}
    for place, digest in listed.items():
        if wrong := _difference(root / place / VECTOR_FILE, digest):
            made[place] = wrong.replace("the vector names", f"{SUMS_FILE} names")
    for found in root.glob(f"*/*/{VECTOR_FILE}"):
        place = found.parent.relative_to(root).as_posix()
        if place not in listed:
            made[place] = f"is not in {SUMS_FILE} of the archive"
    return made


def load_suite(root: Path, select: Sequence[str] = ()) -> Suite:
    """Load the vectors of a folder.

    Parameters
    ----------
    root : Path
        Folder of the vectors.
    select : sequence of str
        Patterns of ids, such as ``06-segment/*``; none selects all.

    Raises
    ------
    SuiteError
        If nothing is selected.
    """

    def selected(place: str) -> bool:
        return not select or any(fnmatch.fnmatchcase(place, pattern) for pattern in select)

    vectors: dict[str, Vector] = {}
    broken = {place: reason for place, reason in altered(root).items() if selected(place)}
    for folder in sorted(path for path in root.glob("*/*") if path.is_dir()):
        place = folder.relative_to(root).as_posix()
        if not selected(place) or place in broken:
            continue
        try:
            vector = load(folder)
        except SuiteError as error:
            broken[place] = str(error)
            continue
        if vector.id in vectors:
            broken[place] = f"the id {vector.id} occurs twice"
        elif vector.id != place:
            broken[place] = f"its id is {vector.id}"
        elif damage := vector.damage():
            broken[place] = damage
        else:
            vectors[vector.id] = vector
    if not vectors and not broken:
        wanted = f" that match {' '.join(select)}" if select else ""
        raise SuiteError(f"{root} holds no vectors{wanted}")
    return Suite(root, tuple(vectors.values()), broken)
