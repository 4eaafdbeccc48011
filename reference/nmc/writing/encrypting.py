"""Encrypts and decrypts finished packages (clause 14): the plain segments stay as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nmc.reading.opening import open_sequence
from nmc.reading.plain_package import key_missing
from nmc.writing.carried_media import carry_all, refuse_in_the_clear
from nmc.writing.repack import described
from nmc.writing.writer import Writer
from nmc_format.issues import refuse, refuse_with
from nmc_format.manifest import columns
from nmc_format.manifest.read import parse_manifest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from nmc.reading.secret_keys import AnySecret
    from nmc.reading.sequence import ChainSequence

    Progress = Callable[[int, int], None]


def encrypt(
    source: str | Path,
    target: str | Path,
    encrypt_key: AnySecret,
    *,
    key: AnySecret | None = None,
    directory: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
    media: bool = True,
) -> None:
    """Write a package whose segments are those of another one, encrypted.

    The plain bytes of each segment and all states stay as they are. Signatures are left out: they
    are those of the package without encryption.

    Parameters
    ----------
    source : str or Path
        A finished package.
    target : str or Path
        The package to make; another one than the source.
    encrypt_key : SecretKey, bytes or path
        The key, its 32 bytes, or the file of it.
    key : SecretKey, bytes, path or None
        Of a source that is encrypted already: it gets another key.
    directory, overwrite
        As in :class:`nmc.Writer`.
    progress : callable or None
        Called with (frames done, frames in all).
    media : bool
        Whether the source may have none, as they would not be encrypted; False: they are left out.

    Raises
    ------
    FormatError
        If the source is refused, encrypted by another key, or carries media, or the target cannot
        be written.
    """
    with open_sequence(source, max_level=4, key=key) as sequence:
        _copy(sequence, target, encrypt_key, directory, overwrite, progress, media=media)


def decrypt(
    source: str | Path,
    target: str | Path,
    key: AnySecret | None = None,
    *,
    directory: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> None:
    """Write a package whose segments are those of an encrypted one, as they were before.

    Parameters
    ----------
    source : str or Path
        An encrypted package.
    target : str or Path
        The package to make; another one than the source.
    key : SecretKey, bytes, path or None
        Its key; None: that of ``NMC_KEY_FILE``.
    directory, overwrite, progress
        As in :func:`encrypt`.

    Raises
    ------
    FormatError
        If the source is refused, or not encrypted by this key.
    """
    with open_sequence(source, max_level=4, key=key) as sequence:
        if not sequence.manifest.root.is_encrypted:
            raise refuse("encryption/not-encrypted", file=str(source))
        _copy(sequence, target, None, directory, overwrite, progress, media=True)


def _copy(
    sequence: ChainSequence,
    target: str | Path,
    encrypt_key: AnySecret | None,
    directory: bool,
    overwrite: bool,
    progress: Progress | None,
    *,
    media: bool,
) -> None:
    manifest = sequence.manifest
    if manifest.root.is_encrypted and sequence.cipher is None:
        raise key_missing(manifest, str(sequence.path))
    _refuse_unknown(sequence)
    if encrypt_key is not None and media:
        refuse_in_the_clear([sequence])
    writer = Writer(
        target,
        directory=directory,
        overwrite=overwrite,
        profile=manifest.profile,
        encrypt_key=encrypt_key,
        **described(sequence),
    )
    try:
        for t in range(len(sequence)):
            frame = sequence.frames[t]
            rows = [row for row in manifest.tensors if row.first_frame <= t]
            writer.append_coded(
                sequence.coded(t),
                frame,
                rows,
                lineage=frame.trained_from is not None,
                presentation_time=frame.presentation_time,
                colour=None if sequence.colour is None else sequence.colour.frame(t),
            )
            if progress:
                progress(t + 1, len(sequence))
        if sequence.cameras is not None:
            writer.set_cameras(sequence.cameras)
        if media:
            carry_all(writer, sequence)
        if sequence.quality is not None:
            writer.set_quality(sequence.quality)
        writer.close()
    except BaseException:
        writer.abandon()
        raise


def _refuse_unknown(sequence: ChainSequence) -> None:
    """Refuse a manifest with objects that the one that is made would not have."""
    package = sequence.stored
    for known in parse_manifest(package.manifest(), package.manifest_path)[1]:
        if known.code == "manifest/object-unknown":
            hint = "make a package without it first, with extract"
            reason = "this version does not know it, and would lose it"
            place = known.place.pointer or columns.FORMAT
            raise refuse_with(hint, "manifest/value", pointer=place, reason=reason)
