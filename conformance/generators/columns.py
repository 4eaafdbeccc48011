"""Columns of the manifest: texts and digests as arrays of bytes (clause 5.3)."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = "np.ndarray[Any, Any]"

UNTEXT = "surrogateescape"
"""How a name that is not UTF-8 is held as text: a lone surrogate for each byte that is none."""


def text(*values: str | bytes) -> Array:
    """Return a column of texts."""
    encoded = [v.encode(errors=UNTEXT) if isinstance(v, str) else v for v in values]
    return np.array(encoded, f"S{max(map(len, encoded), default=1) or 1}")


def scalar_text(value: str | bytes) -> Array:
    """Return a text as a scalar."""
    return text(value).reshape(())


def digest_rows(digests: list[bytes]) -> Array:
    """Return digests as the rows of a column."""
    return np.frombuffer(b"".join(digests), "u1").reshape(len(digests), 32)
