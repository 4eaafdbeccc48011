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
    from nmc_format.manifest.frame_table import FrameRecord


class States(Protocol):
    """States by frame, such as those of a package."""

    def __len__(self) -> int: ...
    def __getitem__(self, t: int, /) -> Mapping[str, Any]: ...


TOLERANCE = 0.05
"""By so many dB a PSNR may be below the declared one: machines render a little differently."""


@dataclass(frozen=True)
class SeenFrame:
    """The PSNR of one frame at one stop, in dB.

    Attributes
    ----------
    frame : int
    stop : int
        0 is the base (clause 12.7).
    declared, measured : float
    """

    frame: int
    stop: int
    declared: float
    measured: float

    @property
    def holds(self) -> bool:
        """Whether it is as near as it says."""
        return self.measured >= self.declared - TOLERANCE


def seen_frames(
    sequence: ChainSequence, originals: States, distortion: Callable[[Any, Any], float]
) -> Iterator[SeenFrame]:
    """Measure each frame that declares a PSNR at the stop of the sequence.

    Parameters
    ----------
    sequence : ChainSequence
        An open package. Its stop is the one that is measured.
    originals : sequence of mapping of str to array
        What it was made from, frame by frame; of no more frames than there are.
    distortion : callable
        As of :class:`nmc.Quantisation`.
    """
    for t in range(min(len(sequence), len(originals))):
        declared = declared_psnr(sequence.frames[t], sequence.stop)
        if declared is not None:
            measured = float(distortion(sequence[t], dict(originals[t])))
            yield SeenFrame(t, sequence.stop, declared, measured)


def declared_psnr(frame: FrameRecord, stop: int) -> float | None:
    """Return what a frame declares of one of its stops, in dB; None where nothing is recorded."""
    return frame.refinements[stop - 1].declared_psnr if stop else frame.declared_psnr


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
