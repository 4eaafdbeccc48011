"""The digest of a manifest (clause 5.3.4): SHA-256 over every object by path."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

from nmc_format.manifest import columns
from nmc_format.state_digest import framed

if TYPE_CHECKING:
    from nmc_format.manifest.objects import RawObjects


def manifest_digest(objects: RawObjects) -> bytes:
    """Return the manifest digest, 32 bytes; a digest among the objects is left out."""
    digest = hashlib.sha256(b"nmc manifest 1\0")
    for path in sorted(set(objects) - {columns.MANIFEST_DIGEST}, key=str.encode):
        array = objects[path]
        kind = array.dtype.kind
        code = "str" if kind == "S" else f"{kind}{array.dtype.itemsize}"
        digest.update(framed(path) + framed(code) + array.ndim.to_bytes(4, "little"))
        digest.update(b"".join(d.to_bytes(8, "little") for d in array.shape))
        if code == "str":
            for text in array.reshape(-1).tolist():
                digest.update(len(text).to_bytes(4, "little") + text)
        else:
            digest.update(np.ascontiguousarray(array).tobytes())
    return digest.digest()
