"""Vectors of clause 14.2.3: what a checker looks at, with and without a key."""

from __future__ import annotations

from dataclasses import replace

from bases import GROUPS, PAIR
from cases import Case
from chain import Objects

from encryption.encrypted import Way, edits_of, said
from encryption.encryption_cases import GROUPED, PLAIN, encrypting


def cases() -> list[Case]:
    """Return the cases of clause 14.2.3."""
    return [
        PLAIN.reject(
            "14-encryption/salt-twice",
            "two segments of one salt are rejected by a checker",
            ("14.1.3", "14.2.3"),
            ("encryption/salt", "manifest/must-understand"),
            edits_of(PAIR, {1: replace(Way(), salt=lambda _: Way().salt(0))}),
            stage="check",
            frame=1,
            place={"file": "segments/00000001.safetensors"},
        ),
        GROUPED.reject(
            "14-encryption/salt-twice-apart",
            "two segments of one salt, in two groups and not side by side, are rejected by a "
            "checker",
            ("14.1.3", "14.2.3"),
            ("encryption/salt", "manifest/must-understand"),
            edits_of(GROUPS, {4: replace(Way(), salt=lambda _: Way().salt(1))}),
            stage="check",
            frame=4,
            place={"file": "segments/00000004.safetensors"},
        ),
        replace(
            encrypting(
                PAIR, "salts-alike", "two salts that differ in their last bit", "14.1.3", "14.2.3"
            ),
            edits=edits_of(PAIR, {1: replace(Way(), salt=lambda _: _last_bit(Way().salt(0)))}),
        ),
        PLAIN.reject(
            "14-encryption/sha256",
            "a checker finds a wrong SHA-256 of an encrypted delta frame, with or without the key",
            ("14.2.3", "6.1.1"),
            ("segment/sha256", "manifest/must-understand"),
            edits_of(PAIR, manifest=_other_sha256),
            stage="check",
            frame=1,
        ),
    ]


def _last_bit(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


def _other_sha256(objects: Objects) -> Objects:
    column = objects["/frames/segment_sha256"].copy()
    column[1, 0] ^= 1
    return {**said(objects), "/frames/segment_sha256": column}
