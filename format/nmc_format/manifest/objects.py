"""A manifest before it is understood (clause 5.3): objects as arrays by path, and its bounds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

RawObjects: TypeAlias = "dict[str, np.ndarray[Any, Any]]"
"""Datasets by path, attributes by ``path@name``; texts as fixed-length bytes (numpy ``S``)."""

MAX_OBJECTS = 256
"""Groups, datasets and attributes that a manifest may have; it needs under 50 (clause 5.3.2)."""

MAX_MANIFEST_BYTES = 256 * 2**20
"""Bytes a manifest may have, on disk and decoded: 10,000 frames of 1,000 tensors need 5 MB."""


def text_array(texts: Iterable[str]) -> np.ndarray[Any, np.dtype[np.bytes_]]:
    """Return T texts as an array of shape (T,): UTF-8, NUL-padded to the longest."""
    encoded = [text.encode("utf-8") for text in texts]
    return np.array(encoded, f"S{max([len(e) for e in encoded], default=0) or 1}")


def text_scalar(text: str) -> np.ndarray[Any, np.dtype[np.bytes_]]:
    """Return one text as an array of shape (): UTF-8, of at least one byte."""
    data = text.encode("utf-8")
    return np.array(data, f"S{len(data) or 1}")


def texts_of(array: np.ndarray[Any, Any]) -> list[str]:
    """Return the texts of an array of shape (T,); undoes :func:`text_array`."""
    return [text.decode("utf-8") for text in array.tolist()]
