"""Closes a package whose writing was interrupted (clause 5.1.5), with every frame that is sound."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nmc.reading.check import check
from nmc.reading.secret_keys import cipher_of, usual_cipher
from nmc.writing import describe, journal, resume, unfinished
from nmc.writing.finish import finish, tidy
from nmc_format.host import host_errors
from nmc_format.issues import refuse, refuse_with
from nmc_format.manifest.columns import objects_of
from nmc_format.manifest.write import manifest_bytes
from nmc_format.package.form import open_package
from nmc_format.package.members import JOURNAL_NAME

if TYPE_CHECKING:
    from nmc.reading.secret_keys import AnySecret
    from nmc.writing.unfinished import Place
    from nmc_format.encryption import SegmentCipher
    from nmc_format.issues import Finding, FormatError

_ANY_LEVEL = 4


@dataclass(frozen=True)
class Recovery:
    """What came out of a recovery.

    Attributes
    ----------
    path : Path
        The package.
    frames : int
        Frames of the package.
    listed : int
        Frames that the journal had.
    fault : Finding or None
        Why the package has fewer.
    verified : bool
        Whether every state was compared with its digest; not where there is no key to decrypt it.
    lost_media : tuple of str
        Names of the media that are not in the package, as their bytes are not intact.
    """

    path: Path
    frames: int
    listed: int
    fault: Finding | None
    verified: bool = True
    lost_media: tuple[str, ...] = ()


def recover(path: str | Path, *, key: AnySecret | None = None) -> int:
    """Close an unfinished package with the frames that were finished.

    Cameras, quality and training record are kept. Every frame is decoded and compared with its
    digest before the package is put in its place: what is recovered passes :func:`nmc.check`.

    Parameters
    ----------
    path : str or Path
        The package; or the ``.partial`` folder that it was made in.
    key : SecretKey, bytes, path or None
        Of an encrypted package. Without it the SHA-256 of each segment is compared, and no state.

    Returns
    -------
    int
        Frames of the package.

    Raises
    ------
    FormatError
        If there is nothing to recover, or the disk is full. Nothing is lost then.
    """
    return recovered(path, key).frames


def recovered(path: str | Path, key: AnySecret | None = None) -> Recovery:
    """Do what :func:`recover` does; return what was lost, too."""
    path, cipher = Path(path), cipher_of(key)
    with host_errors(path):
        place = unfinished.place_of(_package_of(path))
        name = resume.find(place, directory=True)
    if name is None:
        raise _nothing_unfinished(path)
    with host_errors(path):
        return _recover(place, name, cipher)


def _nothing_unfinished(path: Path) -> FormatError:
    """Return why there is nothing to recover; raise where the path is not a package at all."""
    if not path.exists():
        return refuse("host/not-found", file=str(path))
    open_package(path).close()
    hint = "it is a complete package and needs no recovery; look at it with check"
    return refuse_with(hint, "host/not-found", file=str(path / JOURNAL_NAME))


def _package_of(path: Path) -> Path:
    """Return the package that a partial folder belongs to; users name the one that they see."""
    folder = path / JOURNAL_NAME
    package = path.with_name(path.name.removesuffix(unfinished.SUFFIX))
    if path.name == package.name or not package.name or not folder.is_file():
        return path
    return package


def _recover(place: Place, name: str, cipher: SegmentCipher | None) -> Recovery:
    made = resume.open_unfinished(place, name)
    try:
        known = journal.read(made.folder)
        if known is not None and unfinished.is_leftover(place, known):
            report = check(place.parent.path / place.name, max_level=_ANY_LEVEL)
            if report.accepted:  # complete already; only the removing was interrupted
                settings = known.settings
                tidy(place, directory=settings.directory, replaces=settings.replaces)
                return Recovery(place.path, report.frames, report.frames, None)
        if cipher is None and known is not None and known.settings.key_digest:
            cipher = usual_cipher()
        _refuse_another_key(made, known, cipher)
        part = resume.finished_part(made, thorough=True, cipher=cipher)
        content = part.content
        if content is None or not content.entries:
            reason = "no frame of it was finished"
            raise refuse("package/not-a-package", file=str(made.path), reason=reason)
        manifest = describe.described(content, part.rows, unfinished=True)
        made.expect(len(content.entries))
        log = journal.Journal(made.folder, content)
        finish(made, log, manifest_bytes(objects_of(manifest)))
        return Recovery(
            place.path,
            len(content.entries),
            part.listed,
            part.fault,
            verified=part.verified,
            lost_media=part.lost_media,
        )
    finally:
        made.close()


def _refuse_another_key(
    made: unfinished.Unfinished, known: journal.Content | None, cipher: SegmentCipher | None
) -> None:
    """Refuse a key that is not that of the segments: by it no frame would seem to be sound."""
    expected = "" if known is None else known.settings.key_digest
    if cipher is None or cipher.digest.hex() == expected:
        return
    if not expected:
        raise refuse("encryption/not-encrypted", file=str(made.path))
    actual = cipher.digest.hex()
    raise refuse("encryption/key-wrong", file=str(made.path), expected=expected, actual=actual)
