"""What a package declares of its own loss: its errors (clause 12.6) and its PSNR (clause 5.4.6)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from nmc_format.package.members import segment_name
from nmc_format.plan import plan_frame
from nmc_format.segment import parse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from nmc.reading.sequence import ChainSequence


class States(Protocol):
    """States by frame, such as those of a package."""

    def __len__(self) -> int: ...
    def __getitem__(self, t: int, /) -> Mapping[str, Any]: ...


TOLERANCE = 0.05
"""By so many dB a PSNR may be below the declared one: machines render a little differently."""


@dataclass(frozen=True)
class SeenFrame:
    """The PSNR of one frame, in dB.

    Attributes
    ----------
    frame : int
    declared, measured : float
    """

    frame: int
    declared: float
    measured: float

    @property
    def holds(self) -> bool:
        """Whether it is as near as it says."""
        return self.measured >= self.declared - TOLERANCE


def seen_frames(
    sequence: ChainSequence, originals: States, distortion: Callable[[Any, Any], float]
) -> Iterator[SeenFrame]:
    """Measure each frame that declares a PSNR.

    Parameters
    ----------
    sequence : ChainSequence
        An open package.
    originals : sequence of mapping of str to array
        What it was made from, frame by frame; of no more frames than there are.
    distortion : callable
        As of :class:`nmc.Quantisation`.
    """
    for t in range(min(len(sequence), len(originals))):
        declared = sequence.frames[t].declared_psnr
        if declared is not None:
            yield SeenFrame(t, declared, float(distortion(sequence[t], dict(originals[t]))))


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
        found = segment if not sequence.stop else segment.refinements[sequence.stop - 1]
        bounds = [] if found.bounds is None else found.bounds.tolist()
        yield dict(zip(quantised, bounds, strict=True))
