"""Checks of what a manifest says of encrypted segments (clauses 14.1.1 and 14.1.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from nmc_format.encryption import plain_lengths
from nmc_format.issues import Finding, finding
from nmc_format.manifest import columns
from nmc_format.manifest.columns import frame_pointer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nmc_format.manifest.record import Manifest


def encryption_findings(manifest: Manifest) -> Iterator[Finding]:
    """Yield that encrypted segments have no key digest, and lengths that none of them has."""
    if not manifest.root.is_encrypted:
        return
    if not manifest.root.key_digest:
        yield finding("manifest/object-missing", pointer=columns.KEY_DIGEST)
    stored = manifest.frames.segment_length
    wrong = np.flatnonzero(plain_lengths(stored) == 0)
    if len(wrong):
        t = int(wrong[0])
        place = frame_pointer(t, columns.SEGMENT_LENGTH)
        yield finding("encryption/length", pointer=place, length=int(stored[t]))
