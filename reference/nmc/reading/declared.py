"""The declared errors of a whole package (clause 12.6), read off its segments without decoding."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nmc_format.package.members import segment_name
from nmc_format.plan import plan_frame
from nmc_format.segment import parse

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nmc.reading.sequence import ChainSequence


def declared_errors(sequence: ChainSequence) -> Iterator[dict[int, float]]:
    """Yield the declared errors of each frame, by row of the tensor table, from the first frame on.

    A row that is not there has the elements that the encoder was given.

    Parameters
    ----------
    sequence : ChainSequence
        An open package.

    Raises
    ------
    FormatError
        If a segment is not the one of the manifest, or is malformed.
    """
    manifest = sequence.manifest
    layout: dict[int, tuple[int, ...]] = {}
    quantised: tuple[int, ...] = ()
    for t in range(len(sequence)):
        segment = parse(sequence.coded(t), segment_name(t))
        plan = plan_frame(manifest, t, layout, segment, quantised)
        layout, quantised = {tensor.row: tensor.shape for tensor in plan.tensors}, plan.quantised
        bounds = [] if segment.bounds is None else segment.bounds.tolist()
        yield dict(zip(quantised, bounds, strict=True))
