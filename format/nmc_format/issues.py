"""Findings: what is wrong with a package, where, and what to do (annex A)."""

from __future__ import annotations

import string
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import nmc_spec

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True)
class Place:
    """Where a finding is: a pointer into the manifest, or a file and a byte offset.

    Attributes
    ----------
    pointer : str or None
        ``/frames/3/state_digest``, in the terms of the JSON view of the manifest.
    file : str or None
        Member of the package, or a path on this host.
    offset : int or None
        Byte offset in the file.
    """

    pointer: str | None = None
    file: str | None = None
    offset: int | None = None

    def __str__(self) -> str:
        if self.pointer is not None:
            return self.pointer
        if self.offset is None:
            return str(self.file)
        return f"{self.file}@{self.offset}"


@dataclass(frozen=True)
class Finding:
    """One entry of a report (annex A).

    Attributes
    ----------
    code : str
        Code of the issue catalogue.
    severity : str
        ``"error"`` or ``"warning"``.
    place : Place
        Exactly one place.
    message : str
        The filled-in message of the catalogue.
    hint : str
        What to do; may be empty.
    clause : str
        The clause that is broken.
    """

    code: str
    severity: str
    place: Place
    message: str
    hint: str
    clause: str

    def __str__(self) -> str:
        hint = f" ({self.hint})" if self.hint else ""
        return f"{self.severity} {self.code} at {self.place}: {self.message}{hint}"


class FormatError(Exception):
    """A package, or a part of it, is refused; carries the finding that says why."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(str(finding))
        self.finding = finding

    def __reduce__(self) -> tuple[type[FormatError], tuple[Finding]]:
        """Rebuild from the finding, so that the error crosses process borders."""
        return (type(self), (self.finding,))


_LONGEST_FACT = 200


def _printable(fact: Any) -> str:
    """Make text out of untrusted content harmless for a terminal and short enough to read."""
    text = str(fact)
    if not text.isprintable():
        text = ascii(text)
    return text if len(text) <= _LONGEST_FACT else text[: _LONGEST_FACT - 1] + "…"


def finding(
    code: str,
    *,
    pointer: str | None = None,
    file: str | None = None,
    offset: int | None = None,
    **facts: Any,
) -> Finding:
    """Fill in one entry of the catalogue.

    Parameters
    ----------
    code : str
        Code of the catalogue.
    pointer, file, offset
        The place; either ``pointer`` or ``file`` is given.
    **facts
        The fields of the message.

    Raises
    ------
    KeyError
        If the code or a field of its message is missing: a mistake of the caller.
    """
    if (pointer is None) == (file is None):
        raise ValueError("a finding has exactly one place: a pointer or a file")
    issue = nmc_spec.issues()[code]
    facts = {key: _printable(value) for key, value in facts.items()}
    formatter = string.Formatter()
    return Finding(
        code=code,
        severity=issue.severity,
        place=Place(
            pointer=None if pointer is None else _printable(pointer),
            file=None if file is None else _printable(file),
            offset=offset,
        ),
        message=formatter.vformat(issue.message, (), facts),
        hint=formatter.vformat(issue.hint, (), facts),
        clause=issue.clause,
    )


def refuse(
    code: str,
    *,
    pointer: str | None = None,
    file: str | None = None,
    offset: int | None = None,
    **facts: Any,
) -> FormatError:
    """Return the error that refuses a package for one finding, to be raised by the caller."""
    return FormatError(finding(code, pointer=pointer, file=file, offset=offset, **facts))


def refuse_with(
    hint: str,
    code: str,
    *,
    pointer: str | None = None,
    file: str | None = None,
    offset: int | None = None,
    **facts: Any,
) -> FormatError:
    """Return a refusal with a hint that fits the case better than that of the catalogue."""
    error = refuse(code, pointer=pointer, file=file, offset=offset, **facts)
    return FormatError(replace(error.finding, hint=_printable(hint))) if hint else error


def first_error(findings: Iterable[Finding]) -> Finding | None:
    """Return the first finding that is an error, or None."""
    return next((f for f in findings if f.severity == "error"), None)
