"""Loads the data files of this package into frozen records, once each."""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

FORMAT_VERSION = "1.0"
"""Version that a package names which has nothing of a later one (clause 5.4.1)."""

FORMAT_VERSIONS = (FORMAT_VERSION, "1.1")
"""Versions that this standard is, the newest one last (clause 10.3.1)."""


@dataclass(frozen=True)
class Issue:
    """One entry of the issue catalogue (annex A).

    Attributes
    ----------
    code : str
        Stable identifier, ``chapter/name``.
    severity : str
        ``"error"`` (the package is refused) or ``"warning"``.
    clause : str
        Clause of the standard that is broken, such as ``"6.2.1"``.
    message : str
        Template with named fields; says what is wrong.
    hint : str
        What to do about it; may be empty.
    """

    code: str
    severity: str
    clause: str
    message: str
    hint: str


@dataclass(frozen=True)
class Profile:
    """What a package of one profile may use (clause 10.1)."""

    name: str
    modes: tuple[str, ...]
    codings: tuple[str, ...]


@dataclass(frozen=True)
class Level:
    """Upper bounds that a package of one level keeps (clause 10.2)."""

    level: int
    max_tensors: int
    max_state_bytes: int
    max_group_frames: int
    max_frames: int


@dataclass(frozen=True)
class Column:
    """One object of the HDF5 manifest (clause 5.3).

    Attributes
    ----------
    path : str
        Object path; an attribute is written ``/group@name``.
    type : str
        ``str``, ``u1``, ``u4``, ``u8``, ``i4``, ``i8`` or ``f8`` (little-endian, width in bytes).
    dims : tuple of str
        Symbolic dimensions; empty for a scalar.
    required : bool
        Whether a manifest without it is refused.
    """

    path: str
    type: str
    dims: tuple[str, ...]
    required: bool


@dataclass(frozen=True)
class Requirement:
    """One *shall* of the text (clause 11.4, ``clauses.json``).

    Attributes
    ----------
    id : str
        Clause and letter, such as ``"5.3.4-a"``. Permanent.
    clause, title, file, anchor : str
        Where it stands.
    sentence : str
        The sentence that says *shall*.
    binds : tuple of str
        ``"package"``, ``"decoder"``, ``"encoder"``, ``"checker"`` or ``"program"``.
    tested : str
        ``"vectors"``, ``"encoder"``, ``"runner"`` or ``"exempt"``.
    vectors : tuple of str
        Patterns of the ids of the vectors that test it.
    reason : str
        How the runner tests it, or why nothing does.
    """

    id: str
    clause: str
    title: str
    file: str
    anchor: str
    sentence: str
    binds: tuple[str, ...]
    tested: str
    vectors: tuple[str, ...]
    reason: str


def _text(name: str) -> str:
    return resources.files("nmc_spec").joinpath(name).read_text(encoding="utf-8")


@cache
def issues() -> Mapping[str, Issue]:
    """Return the issue catalogue, code → :class:`Issue`, in the order of annex A."""
    table = tomllib.loads(_text("issues.toml"))
    catalogue = {}
    for chapter, entries in table.items():
        for name, entry in entries.items():
            code = f"{chapter}/{name}"
            catalogue[code] = Issue(
                code=code,
                severity=entry.get("severity", "error"),
                clause=entry["clause"],
                message=entry["message"],
                hint=entry.get("hint", ""),
            )
    return MappingProxyType(catalogue)


@cache
def profiles() -> Mapping[str, Profile]:
    """Return the profiles, name → :class:`Profile` (clause 10.1)."""
    table = tomllib.loads(_text("profiles.toml"))["profile"]
    return MappingProxyType(
        {
            name: Profile(name, tuple(entry["modes"]), tuple(entry["codings"]))
            for name, entry in table.items()
        }
    )


@cache
def levels() -> tuple[Level, ...]:
    """Return the levels, lowest first (clause 10.2)."""
    table = tomllib.loads(_text("profiles.toml"))["level"]
    return tuple(Level(**entry) for entry in table)


@cache
def manifest_layout() -> Mapping[str, Column]:
    """Return every object a manifest may hold, path → :class:`Column` (clause 5.3)."""
    table = tomllib.loads(_text("manifest.toml"))["object"]
    return MappingProxyType(
        {
            entry["path"]: Column(
                entry["path"],
                entry["type"],
                tuple(entry.get("dims", ())),
                entry.get("required", False),
            )
            for entry in table
        }
    )


@cache
def requirements() -> Mapping[str, Requirement]:
    """Return every *shall* of the text, identifier → :class:`Requirement`, in its order."""
    table = json.loads(_text("clauses.json"))["requirements"]
    return MappingProxyType(
        {
            entry["id"]: Requirement(
                **{
                    **entry,
                    "binds": tuple(entry["binds"]),
                    "vectors": tuple(entry["vectors"]),
                }
            )
            for entry in table
        }
    )


def schema_names() -> tuple[str, ...]:
    """Return the names of the JSON Schemas, sorted."""
    folder = resources.files("nmc_spec").joinpath("schemas")
    suffix = ".schema.json"
    return tuple(
        sorted(f.name.removesuffix(suffix) for f in folder.iterdir() if f.name.endswith(suffix))
    )


@cache
def schema(name: str) -> Mapping[str, Any]:
    """Return one JSON Schema (2020-12) by name, such as ``"inspect"``.

    Raises
    ------
    KeyError
        If there is no schema of that name.
    """
    if name not in schema_names():
        raise KeyError(f"no schema {name!r}; there are {', '.join(schema_names())}")
    return MappingProxyType(json.loads(_text(f"schemas/{name}.schema.json")))
