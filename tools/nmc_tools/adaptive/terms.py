"""On what terms packages are played: what the server is told, who has to have signed, which key."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from nmc.reading.manifest import signed_manifest
from nmc.reading.plain_package import key_missing, plain_manifest, plain_segment, unlocked
from nmc_tools.adaptive.opening import open_target

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nmc.reading.keys import Demand
    from nmc_format.encryption import SegmentCipher
    from nmc_format.manifest.record import Manifest
    from nmc_format.package.members import Package


@dataclass(frozen=True)
class Terms:
    """What is asked of every package that is played.

    Attributes
    ----------
    options : mapping
        Of the server, as for :func:`nmc.open`.
    demands : sequence of Demand
        Who has to have signed (clause 13.2.2).
    cipher : SegmentCipher or None
        By the key of encrypted packages; None: that of ``NMC_KEY_FILE``.
    """

    options: Mapping[str, Any] = field(default_factory=dict)
    demands: Sequence[Demand] = ()
    cipher: SegmentCipher | None = None

    def open(self, target: str, frames: int | None = None) -> OpenPackage:
        """Return the package at a path or an address, once it meets the terms.

        Parameters
        ----------
        target : str
            The path or address.
        frames : int or None
            How many frames it is to have, where that is known.

        Raises
        ------
        FormatError
            If it is refused, is not signed as demanded, or its key is missing or wrong.
        """
        package = open_target(target, self.options, frames)
        try:
            manifest, _ = signed_manifest(package, self.demands)
            cipher = unlocked(manifest, self.cipher, str(package.path))
            if manifest.root.is_encrypted and cipher is None:
                raise key_missing(manifest, str(package.path))
        except BaseException:
            package.close()
            raise
        return OpenPackage(package, manifest, cipher)


@dataclass(frozen=True)
class OpenPackage:
    """A package that is open.

    Attributes
    ----------
    package : Package
        As it is stored.
    manifest : Manifest
        Its checked manifest.
    cipher : SegmentCipher or None
        Of an encrypted one.
    """

    package: Package
    manifest: Manifest
    cipher: SegmentCipher | None

    def plain_manifest(self) -> Manifest:
        """Return the manifest with the lengths of plain segments."""
        return plain_manifest(self.manifest)

    def plain(self, frame: int, data: bytes) -> bytes:
        """Return the plain bytes of a segment, or of its first bytes.

        Raises
        ------
        FormatError
            If a tag in it is wrong.
        """
        if self.cipher is None:
            return data
        return plain_segment(self.manifest, self.cipher, frame, data)
