"""Salts that are the same each time, so that an encrypted package has the same bytes each time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any
from unittest import mock

from nmc_format import encryption


def fixed_salts() -> AbstractContextManager[object]:
    """Give each frame its own salt, by its index."""
    real = encryption.SegmentCipher.encrypted

    def encrypted(self: encryption.SegmentCipher, t: int, *more: Any) -> Iterator[bytes]:
        salt = mock.patch.object(encryption.secrets, "token_bytes", lambda size: bytes([t]) * size)
        with salt:
            yield from real(self, t, *more)

    return mock.patch.object(encryption.SegmentCipher, "encrypted", encrypted)
