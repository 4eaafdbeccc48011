"""Parts of files and conditions on them, as HTTP asks for them (RFC 9110, clauses 13 and 14)."""

from __future__ import annotations

import re
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_ONE = re.compile(
    r"bytes=[ \t]*(?:([0-9]{1,30})-([0-9]{1,30})?|-([0-9]{1,30}))[ \t]*", re.IGNORECASE
)
_TAGS = re.compile(r'(W/)?"([^"]*)"')


class Unsatisfiable(Exception):  # noqa: N818 - an answer of the server, not an error of it
    """No byte of the file is in the part that is asked for."""


def one_range(text: str | None, size: int) -> range | None:
    """Return the bytes that a Range header names, of a file of ``size`` bytes.

    Several ranges at once, other units and what is malformed are answered with the whole file, as
    RFC 9110 (clause 14.2) lets a server do.

    Returns
    -------
    range or None
        Not empty; None: the whole file.

    Raises
    ------
    Unsatisfiable
        If the range begins after the end, or is empty.
    """
    match = _ONE.fullmatch(text or "")
    if match is None:
        return None
    first, last, suffix = match.groups()
    if suffix is not None:
        start, stop = max(0, size - int(suffix)), size
    else:
        if last is not None and int(last) < int(first):
            return None  # malformed
        start, stop = int(first), size if last is None else min(size, int(last) + 1)
    if start >= stop:
        raise Unsatisfiable
    return range(start, stop)


def same_file(condition: str | None, tag: str | None, modified: float) -> bool:
    """Whether an If-Range header lets the range stand: the file is the one that was meant."""
    if condition is None:
        return True
    if condition.startswith('"'):
        return condition == tag
    moment = _seconds(condition)  # a weak tag is no date, and never the same
    return moment is not None and moment == int(modified)


def precondition(headers: Mapping[str, str], tag: str | None, modified: float) -> int | None:
    """Return 304 or 412 where a condition ends the request at once (clause 13.2.2), else None."""
    if (wanted := headers.get("if-match")) is not None:
        if not _among(wanted, tag, weak=False):
            return 412
    else:
        moment = _seconds(headers.get("if-unmodified-since"))
        if moment is not None and int(modified) > moment:
            return 412
    if (known := headers.get("if-none-match")) is not None:
        return 304 if _among(known, tag, weak=True) else None
    moment = _seconds(headers.get("if-modified-since"))
    return 304 if moment is not None and int(modified) <= moment else None


def _among(text: str, tag: str | None, *, weak: bool) -> bool:
    if tag is None:
        return False
    if text.strip() == "*":
        return True
    return any(f'"{m[2]}"' == tag and (weak or not m[1]) for m in _TAGS.finditer(text))


def _seconds(text: str | None) -> int | None:
    if not text:
        return None
    try:
        return int(parsedate_to_datetime(text).timestamp())
    except (TypeError, ValueError, OverflowError):
        return None
