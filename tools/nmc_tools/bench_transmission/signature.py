"""Every bit of a signed package, flipped: whether the check names it, and by which codes (13.2)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import nmc
from nmc.reading.check import verified
from nmc_format.issues import first_error

_KEPT = 10
"""Bits without a name of which the place is kept."""
_SIGNER = "bench"


def flipped_bits(folder: Path, stride: int, told: Callable[[int, int], None]) -> dict[str, Any]:
    """Flip bits of a small signed package, one at a time, and verify it with the public key.

    Parameters
    ----------
    folder : Path
        Where the package is made.
    stride : int
        One bit in so many; 1 for every one.
    told : callable
        Told how many bits are done, of how many.

    Returns
    -------
    dict
        Bytes of the package, bits that were flipped, how many were named, the first places of those
        that were not, and how often each code came.
    """
    data, key = _signed(folder)
    if first_error(verified(bytes(data), [key])[0].findings) is not None:
        raise RuntimeError("the package is refused as it is")
    chosen = range(0, 8 * len(data), stride)
    codes: Counter[str] = Counter()
    unnamed: list[int] = []
    for done, bit in enumerate(chosen):
        data[bit // 8] ^= 1 << bit % 8
        found = first_error(verified(bytes(data), [key])[0].findings)
        data[bit // 8] ^= 1 << bit % 8
        if found is None:
            unnamed.append(bit)
        else:
            codes[found.code] += 1
        if done % 256 == 0:
            told(done, len(chosen))
    return {
        "bytes": len(data),
        "bits": len(chosen),
        "named": len(chosen) - len(unnamed),
        "unnamed_bits": unnamed[:_KEPT],
        "codes": dict(codes.most_common()),
    }


def _signed(folder: Path) -> tuple[bytearray, nmc.PublicKey]:
    """Return a package of two frames, signed, and the key that verifies it."""
    path = folder / "signed.nmc"
    with nmc.Writer(path, key_every=2, overwrite=True) as writer:
        for t in range(2):
            writer.append({"w": np.arange(6, dtype="f4") + np.float32(t)})
    key = nmc.PrivateKey.generate(_SIGNER)
    nmc.sign(path, key)
    return bytearray(path.read_bytes()), key.public
