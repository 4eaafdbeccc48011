"""What a writer is told of its package as a whole: cameras, quality, colour, media."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nmc.writing.written import Written
from nmc_format.manifest import columns

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from nmc.writing.media import Media
    from nmc_format.manifest.record import Cameras, Quality


class Described(Written):
    """A package that is being written, and what its manifest says beside the frames.

    Attributes
    ----------
    path : Path
        The package.
    """

    path: Path
    _closed: bool

    def add_media(self, media: Media) -> None:
        """Copy a file into the package, beside the chain (clause 16); an interruption keeps it.

        Where work is resumed, a medium of this name that is there already has to be the same file,
        and gets the role, the type and the map that are given now.

        Parameters
        ----------
        media : Media
            The file, and what is said of it. Frames that its map names may come later.

        Raises
        ------
        FormatError
            If it cannot be read or changes meanwhile, the manifest may not say this of it, there is
            another medium of its name, the package is encrypted, or the disk is full. The writer is
            as before then.
        """
        self._check_open()
        self._draft.add_media(media)

    def set_cameras(self, cameras: Cameras) -> None:
        """Put the cameras into the manifest (clause 5.6); an interruption does not lose them.

        Raises
        ------
        FormatError
            If a manifest cannot hold a number or a name as it is.
        """
        self._check_open()
        self._draft.record("cameras", columns.camera_objects(cameras))

    def set_quality(self, quality: Quality) -> None:
        """Put the quality record into the manifest (clause 5.7); one row for each frame.

        Raises
        ------
        FormatError
            If a manifest has no such metric, or cannot hold a number or a name as it is.
        """
        self._check_open()
        self._draft.record("quality", columns.quality_objects(quality))

    def set_colour(self, views: Sequence[str], colour: Any) -> None:
        """Put the colour record into the manifest (clause 5.5), after the last frame.

        Parameters
        ----------
        views : sequence of str
            Names of the P training views, each once.
        colour : array of float64, shape (N, P, 3, 4)
            For each of the N frames so far, the affine map from rendered colour to that of the
            picture; the identity where nothing was recorded.

        Raises
        ------
        FormatError
            If the shape is another one, a name is there twice, or a number is not finite.
        """
        self._check_open()
        self._draft.colour(views, colour)

    def _check_open(self) -> None:
        if self._closed:
            raise ValueError(f"the writer of {str(self.path)!r} is closed")
