"""Checks of what a manifest says of refinements and of the PSNR (clauses 5.4.6 and 5.4.7)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

import nmc_spec
from nmc_format.issues import Finding, finding
from nmc_format.manifest import columns
from nmc_format.manifest.frame_table import MOST_REFINEMENTS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nmc_format.manifest.frame_table import Floats
    from nmc_format.manifest.record import Manifest

SAME_PSNR = 1000.0
"""The declared PSNR of renderings that are the same, in dB."""


def refinement_findings(manifest: Manifest) -> Iterator[Finding]:
    """Yield what is wrong with refinements and declared PSNR."""
    yield from _psnr_findings(manifest.frames.declared_psnr, columns.DECLARED_PSNR)
    refinements = manifest.refinements
    if refinements is None:
        return
    reason = ""
    if not 1 <= refinements.count <= MOST_REFINEMENTS:
        reason = f"{refinements.count} refinements of a frame; 1 to {MOST_REFINEMENTS} are allowed"
    profile = nmc_spec.profiles().get(manifest.profile)
    if profile is not None and "quantised" not in profile.modes:
        reason = f"the profile {manifest.profile} has no refinements"
    if reason:
        yield finding("manifest/value", pointer=columns.REFINEMENT_START, reason=reason)
    yield from _psnr_findings(refinements.declared_psnr, columns.REFINED_PSNR)


def _psnr_findings(declared: Floats | None, path: str) -> Iterator[Finding]:
    """Yield the first declared PSNR that is out of its range."""
    if declared is None:
        return
    wrong = (declared != -1) & ((declared < 0) | (declared > SAME_PSNR))
    if wrong.any():
        at = tuple(int(i) for i in np.argwhere(wrong)[0])
        reason = f"a PSNR of {declared[at].item()} dB; it is 0 to {SAME_PSNR:.0f}, or -1"
        place = columns.frame_pointer(at[0], path)
        if len(at) > 1:
            place = columns.refined_pointer(at[0], at[1], path)
        yield finding("manifest/value", pointer=place, reason=reason)
