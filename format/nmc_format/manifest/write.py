"""Writes manifests (clause 5.3): objects in, the bytes of a file out, its digest added."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

import nmc_spec
from nmc_format.manifest.columns import MANIFEST_DIGEST
from nmc_format.manifest.compact.writer import fits, write_compact
from nmc_format.manifest.digest import manifest_digest

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def manifest_bytes(objects: Mapping[str, np.ndarray[Any, Any]]) -> bytes:
    """Return a manifest, the digest added; in compact form (annex D) wherever that holds it.

    Parameters
    ----------
    objects : mapping of str to numpy.ndarray
        Every object by path, as :func:`nmc_format.manifest.read.read_objects` returns it.
    """
    layout = nmc_spec.manifest_layout()  # its order is that of the file
    ordered = {name: objects[name] for name in layout if name in objects}
    ordered[MANIFEST_DIGEST] = np.frombuffer(manifest_digest(ordered), "u1")
    complete = {name: ordered[name] for name in layout if name in ordered}
    if fits(complete):
        return write_compact(complete)
    from nmc_format.manifest.library import write_by_library  # a configuration of over 64 kB

    return write_by_library(complete)


def write_manifest(path: Path, objects: Mapping[str, np.ndarray[Any, Any]]) -> None:
    """Write :func:`manifest_bytes` to a file; an existing one is replaced.

    It is for tools and tests: what writes packages makes sure that theirs is on the disk.
    """
    path.write_bytes(manifest_bytes(objects))
