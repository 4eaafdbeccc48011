"""Cases of conformance vectors: what each is made of, and what a program shall make of it."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from chain import KEY, NO_EDITS, Chain, Edits, file_form, members_of, state_digest

PACKAGE = "package.nmc"
DIRECTORY, FILE = "directory", "file"


@dataclass(frozen=True)
class Case:
    """One vector before it is written.

    Attributes
    ----------
    id : str
        Folder of the chapter, a stroke, a name. Permanent.
    summary : str
        A fact, in one line.
    clauses : tuple of str
        Clauses that it tests, the first one above all.
    chain : Chain
        The sequence.
    edits : Edits
        What is wrong with it, or unusual.
    form : str
        ``"file"`` or ``"directory"``.
    base : str or None
        Vector that it differs from in one thing.
    stage : str or None
        None where the package is accepted. ``"open"``: refused before any segment is read;
        ``"frame"``: refused at frame ``frame``; ``"check"``: refused by a checker, while a decoder
        may return the states.
    codes : tuple of str
        Codes that a refusal may name, the best one first.
    place : dict or None
        Where the fault is, as a report has it, where that does not follow from the rest; empty
        where it is a matter of choice.
    or_unsupported : bool
        Whether an answer of *unsupported* is as good as a refusal.
    warnings : tuple of str
        Codes that a checker warns with.
    frames : tuple of int or None
        Frames that are asked for, in that order; None asks for all.
    max_level : int or None
        Level that the decoder is told to accept at most.
    signed_by : tuple of str
        Keys that the decoder is told to demand, in base 16.
    key : str
        Key of the segments that the decoder is given, in base 16; empty for none.
    prepare : tuple of dict
        Steps on the copy that a program gets, for what a repository cannot hold.
    raw_input : bytes or None
        The input as it is, in place of a package.
    messages, states, tensors : tuple
        Messages in place of a package, and the digest of the state that each of them makes, None
        where a program shall not return it; the names of the tensors of each, by their digests.
    inflate : bool
        Whether the input is stored compressed, since it is large.
    library : str
        A library whose version decides some bytes of the input; empty where none does.
    """

    id: str
    summary: str
    clauses: tuple[str, ...]
    chain: Chain
    edits: Edits = NO_EDITS
    form: str = FILE
    base: str | None = None
    stage: str | None = None
    frame: int = 0
    codes: tuple[str, ...] = ()
    place: Mapping[str, Any] | None = None
    or_unsupported: bool = False
    warnings: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    frames: tuple[int, ...] | None = None
    max_level: int | None = None
    signed_by: tuple[str, ...] = ()
    key: str = ""
    prepare: tuple[Mapping[str, Any], ...] = ()
    raw_input: bytes | None = None
    messages: tuple[bytes, ...] = ()
    states: tuple[str | None, ...] = ()
    tensors: tuple[Mapping[str, Sequence[str]], ...] = ()
    inflate: bool = False
    library: str = ""
    seed: int | None = None
    extra_files: Mapping[str, bytes] = field(default_factory=dict)

    def reject(
        self,
        name: str,
        summary: str,
        clauses: Sequence[str] | str,
        codes: Sequence[str] | str,
        edits: Edits = NO_EDITS,
        *,
        stage: str = "open",
        **changes: Any,
    ) -> Case:
        """Return the case of this one with one fault."""
        made = {"place": None, **changes}
        return replace(
            self,
            id=name,
            summary=summary,
            clauses=_tuple(clauses),
            codes=_tuple(codes),
            edits=edits,
            stage=stage,
            base=self.id,
            warnings=(),
            **made,
        )

    def vary(
        self,
        name: str,
        summary: str,
        clauses: Sequence[str] | str,
        edits: Edits = NO_EDITS,
        **changes: Any,
    ) -> Case:
        """Return the case of this one with one thing that is unusual, and right."""
        made = {"warnings": (), **changes}
        return replace(
            self,
            id=name,
            summary=summary,
            clauses=_tuple(clauses),
            edits=edits,
            base=self.id,
            **made,
        )


def _tuple(value: Sequence[str] | str) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def input_files(case: Case) -> dict[str, bytes]:
    """Return the files of the input: one at ``""`` for the file form, or members by name."""
    if case.inflate:
        return {"": _compressed(_plain_files(case)[""])}
    return _plain_files(case)


def _compressed(data: bytes) -> bytes:
    """Return bytes as a gzip file, a large one as that of a gzip file.

    What is the same over and over is so in its compressed form too, and gets smaller once more.
    """
    for _ in range(2):
        gzip = zlib.compressobj(9, wbits=_GZIP)
        data = gzip.compress(data) + gzip.flush()
        if len(data) <= _STORED:
            break
    return data


def _inflated_sizes(data: bytes) -> list[int]:
    """Return the bytes that each step of inflating gives."""
    sizes = []
    while data.startswith(b"\x1f\x8b"):
        data = zlib.decompress(data, _GZIP)
        sizes.append(len(data))
    return sizes


_GZIP = zlib.MAX_WBITS | 16
_STORED = 1 << 14
"""Bytes of an input beyond which it is worth compressing twice."""


def _plain_files(case: Case) -> dict[str, bytes]:
    if case.raw_input is not None:
        return {"": case.raw_input}
    if case.messages:
        return {f"message_{t:08d}": data for t, data in enumerate(case.messages)}
    members = members_of(case.chain, case.edits)
    if case.form == DIRECTORY:
        return {**members, **case.extra_files}
    return {"": file_form(members, case.edits)}


def digests(case: Case) -> list[str | None]:
    """Return the state digest of each frame in hex, None where a program shall not return it."""
    if case.messages:
        return list(case.states)
    count = len(case.chain.frames)
    known: list[str | None] = [
        state_digest(case.chain, t, len(frame.refinements)).hex()
        for t, frame in enumerate(case.chain.frames)
    ]
    if case.stage == "open":
        return []
    if case.stage == "frame":
        t = case.frame
        while t < count and (t == case.frame or case.chain.frames[t].coding != KEY):
            known[t] = None
            t += 1
    return known


def expected(case: Case, findings: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what the vector expects."""
    if case.stage is None:
        made: dict[str, Any] = {"outcome": "accept", "state_digests": digests(case)}
        if case.warnings:
            made["warnings"] = list(case.warnings)
        return made
    made = {"outcome": "reject", "stage": case.stage, "codes": list(case.codes)}
    if findings:
        made["findings"] = [dict(finding) for finding in findings]
    if case.stage != "open":
        made["state_digests"] = digests(case)
    if case.or_unsupported:
        made["or_unsupported"] = True
    return made


def vector(
    case: Case,
    generator: str,
    files: Mapping[str, bytes],
    findings: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """Return the content of ``vector.json``."""
    hashes = {name: hashlib.sha256(data).hexdigest() for name, data in sorted(files.items())}
    source: dict[str, Any] = {"path": PACKAGE, "sha256": hashes.get("", hashes)}
    if case.messages:
        source["tensors"] = [dict(state) for state in case.tensors]
    if case.prepare:
        source["prepare"] = [dict(step) for step in case.prepare]
    if case.inflate:
        sizes = _inflated_sizes(files[""])
        source["prepare"] = [{"do": "inflate", "path": "", "size": size} for size in sizes]
    made: dict[str, Any] = {
        "id": case.id,
        "summary": case.summary,
        "clauses": list(case.clauses),
        "profile": case.chain.profile,
        "level": case.chain.level,
        "requires": list(case.requires),
        "input": source,
    }
    request: dict[str, Any] = {}
    if case.frames is not None:
        request["frames"] = list(case.frames)
    if case.max_level is not None:
        request["max_level"] = case.max_level
    if case.signed_by:
        request["signed_by"] = list(case.signed_by)
    if case.key:
        request["key"] = case.key
    if request:
        made["request"] = request
    made["generator"] = {"name": generator, "case": case.id.partition("/")[2], "seed": case.seed}
    if case.library:
        made["generator"]["library"] = case.library
    made["derived_from"] = case.base
    made["expected"] = expected(case, findings)
    return made


def vector_text(content: Mapping[str, Any]) -> str:
    """Return the bytes of ``vector.json``."""
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"
