"""The manifest as one typed record (clauses 5.4 to 5.7): a frozen class a clause, arrays inside.

The tensor table is in :mod:`nmc_format.manifest.tensor_table`, the frames and how they were trained
in :mod:`nmc_format.manifest.frame_table`. Media are in
:mod:`nmc_format.manifest.media_table`. N is the number of frames, C of cameras, V of views.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import nmc_spec
from nmc_format.encryption import FEATURE
from nmc_format.manifest.frame_table import Frames, Refinements, Training, record_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from nmc_format.manifest.frame_table import Floats, FrameRecord
    from nmc_format.manifest.media_table import MediaTable, MediumRecord
    from nmc_format.manifest.tensor_table import TensorRow, TensorTable

CAMERA_CONVENTION = "camera-to-world opencv corner"
"""Camera-to-world, OpenCV axes, pixel origin at the corner: the only one of version 1 (5.6.1)."""


@dataclass(frozen=True)
class Root:
    """What the root attributes say (clause 5.4.1).

    Attributes
    ----------
    profile : str
        Name of the profile.
    level : int
        Number of the level.
    sequence_id : str
        Names the sequence.
    creator : str or None
        Name of the writer; None where it is left out.
    must_understand : str
        Names of features, parted by one space.
    format, format_version : str
        ``"nmc"`` and the version, such as ``"1.0"``.
    manifest_digest : bytes
        32 bytes (clause 5.3.4); empty in a manifest that has not been written yet.
    key_digest : bytes
        Digest of the key of the segments, 32 bytes (clause 14.1.1); empty where there is none.
    """

    profile: str
    level: int
    sequence_id: str
    creator: str | None = None
    must_understand: str = ""
    format: str = "nmc"
    format_version: str = nmc_spec.FORMAT_VERSION
    manifest_digest: bytes = b""
    key_digest: bytes = b""

    @property
    def is_encrypted(self) -> bool:
        """Whether the segments are encrypted (clause 14.1.1)."""
        return FEATURE in self.features

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the features a reader has to know, parted by one space (clause 5.4.1)."""
        return tuple(self.must_understand.split(" ")) if self.must_understand else ()


@dataclass(frozen=True)
class Model:
    """What building the model takes (clause 5.4.2).

    Attributes
    ----------
    family : str
        Name of the model family; ``"unknown"`` where it is not known.
    configuration : str
        The text of a JSON object.
    """

    family: str
    configuration: str


@dataclass(frozen=True, eq=False)
class Cameras:
    """Cameras of a scene, in the one convention of clause 5.6.1.

    Camera-to-world, OpenCV axes (x right, y down, z forward), pixel origin at the image corner.

    Attributes
    ----------
    names : sequence of str
        One for each of the C cameras.
    size : numpy.ndarray of uint32, shape (C, 2)
        Width and height in pixels.
    intrinsics : numpy.ndarray of float64, shape (C, 4)
        fx, fy, cx, cy in pixels.
    camera_to_world : numpy.ndarray of float64, shape (C, 3, 4)
        Rotation and position, in scene units.
    normalisation : numpy.ndarray of float64, shape (4, 4)
        The similarity that took the units of the source to scene units; undo it with its inverse.
    distortion_model : sequence of str or None
        ``"none"`` or ``"opencv"`` for each camera (clause 5.6.2); None where none has distortion.
    distortion : numpy.ndarray of float64, shape (C, K), or None
        Its coefficients.
    convention : str
        ``CAMERA_CONVENTION``; another one is refused.
    """

    names: Sequence[str]
    size: NDArray[Any]
    intrinsics: Floats
    camera_to_world: Floats
    normalisation: Floats
    distortion_model: Sequence[str] | None = None
    distortion: Floats | None = None
    convention: str = CAMERA_CONVENTION


@dataclass(frozen=True, eq=False)
class Quality:
    """Measured quality of the rendered views (clause 5.7).

    Attributes
    ----------
    views : sequence of str
        Names of the V views.
    metrics : mapping of str to numpy.ndarray of float64, shape (N, V)
        ``"psnr"`` in dB, ``"ssim"``, ``"lpips"``; NaN where nothing was measured.
    """

    views: Sequence[str]
    metrics: Mapping[str, Floats]


@dataclass(frozen=True, eq=False)
class Manifest:
    """The manifest of a package.

    Attributes
    ----------
    root : Root
        The root attributes.
    model : Model
        Family and configuration.
    table : TensorTable
        The tensor table as it is stored; :attr:`tensors` has its rows.
    frames : Frames
        The frames as columns; :meth:`frame` returns the record of one.
    refinements : Refinements or None
        The refinements, as columns; None where frames have none.
    training : Training
        The training record, as columns.
    cameras : Cameras or None
        The cameras; None where nothing was recorded.
    quality : Quality or None
        The quality record; None where nothing was recorded.
    media : MediaTable or None
        The media, as columns; None where there is no table of them.
    """

    root: Root
    model: Model
    table: TensorTable = field(repr=False)
    frames: Frames = field(repr=False)
    refinements: Refinements | None = field(default=None, repr=False)
    training: Training = field(default_factory=Training, repr=False)
    cameras: Cameras | None = field(default=None, repr=False)
    quality: Quality | None = field(default=None, repr=False)
    media: MediaTable | None = field(default=None, repr=False)

    @property
    def profile(self) -> str:
        """Name of the profile."""
        return self.root.profile

    @property
    def level(self) -> int:
        """Number of the level."""
        return self.root.level

    @property
    def stops(self) -> int:
        """How many states each frame has: that of the base, and one for each refinement."""
        return 1 if self.refinements is None else 1 + self.refinements.count

    def state_digest(self, index: int, stop: int = 0) -> bytes:
        """Return the state digest of a frame at a stop (clause 5.4.7)."""
        if stop == 0 or self.refinements is None:
            digest: bytes = self.frames.state_digest[index].tobytes()
        else:
            digest = self.refinements.state_digest[index, stop - 1].tobytes()
        return digest

    @property
    def timescale(self) -> int:
        """Ticks of the presentation time in a second."""
        return self.frames.timescale

    @cached_property
    def tensors(self) -> tuple[TensorRow, ...]:
        """The rows of the tensor table, T of them."""
        return self.table.rows()

    @cached_property
    def media_records(self) -> tuple[MediumRecord, ...]:
        """The media, M of them."""
        return () if self.media is None else self.media.records()

    def __len__(self) -> int:
        return len(self.frames)

    def frame(self, index: int) -> FrameRecord:
        """Return the record of one frame, 0 ≤ index < len."""
        return record_of(self.frames, self.refinements, self.training, index, len(self.table))
