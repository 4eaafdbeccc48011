"""Opens packages (clause 7.1): ``nmc.open``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nmc.reading.keys import AnyKey, demands_of
from nmc.reading.manifest import DEFAULT_MAX_LEVEL, level_refused, signed_manifest
from nmc.reading.origin import Origin
from nmc.reading.plain_package import unlocked
from nmc.reading.secret_keys import AnySecret, cipher_of
from nmc.reading.sequence import ChainSequence
from nmc.remote.address import is_here
from nmc.remote.cache import cache_of
from nmc.remote.cached_package import CachedPackage
from nmc.remote.opening import Target, open_anywhere
from nmc_format.issues import FormatError

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    from nmc_format.manifest.record import Manifest
    from nmc_format.package.members import Package


def open_sequence(
    path: Target,
    *,
    max_level: int = DEFAULT_MAX_LEVEL,
    verify: bool = True,
    stop: int | None = None,
    storage_options: Mapping[str, Any] | None = None,
    threads: int = 1,
    require_signature: Sequence[AnyKey] = (),
    cache: bool | str | os.PathLike[str] | None = None,
    key: AnySecret | None = None,
) -> ChainSequence:
    """Open a package for reading; known to users as ``nmc.open``.

    Parameters
    ----------
    path : str, path, bytes or binary file
        A ``.nmc`` file or directory: its path, or its address on a server (``https://``) or in a
        store that fsspec knows (``s3://``, ``gs://``, ``memory://``). Or a package file as bytes,
        or as an open binary file that can be sought.
    max_level : int
        Highest level that is accepted (clause 10.2); it bounds the memory that is used.
    verify : bool
        Compare each returned state with its digest. Switch it off for measurements only.
    stop : int or None
        Which state of each frame: 0 is the base, and each refinement makes one more (clause 12.7).
        None: the last.
    storage_options : mapping or None
        Of a server: ``headers`` (a mapping), ``timeout`` and ``pause`` in seconds, ``tries``. Of a
        store: what fsspec takes for it.
    threads : int
        Parts of a frame that are decoded and hashed at the same time. The states are the same. The
        words of *max* are decoded by one thread, those of *strong* from 4,194,304 words a frame on
        by all.
    require_signature : sequence of str, path, bytes or PublicKey
        Keys, each of which must have signed (clause 13.2.2): a line as OpenSSH writes it, 32
        bytes, or a file of such lines, of which one is enough. They are checked before anything
        in the manifest is interpreted. Needs the extra ``trust``.
    cache : bool, path or None
        Where segments from a server or a store are kept, by their digest and compared with it: a
        folder; True: ``$NMC_CACHE``, else the user's cache, of at most ``$NMC_CACHE_BYTES``, else
        2 GiB; False: nowhere. None: as True, but nothing is kept of a server of this machine.
    key : SecretKey, bytes, path or None
        Of an encrypted package (clause 14): the key, its 32 bytes, or the file of it. Without one,
        the manifest can be read, and every state is refused. A package that is not
        encrypted is refused where a key is given. Needs the extra ``trust``.

    Returns
    -------
    ChainSequence
        Opened; close it, or use it as a context manager.

    Raises
    ------
    FormatError
        If the package is refused or cannot be read; ``error.finding`` has the code, the place and
        the message.
    ValueError
        If the key has another length.
    """
    cipher = cipher_of(key)
    demands = demands_of(require_signature)
    package = open_anywhere(path, storage_options)
    try:
        manifest, signatures = signed_manifest(package, demands)
        if manifest.level > max_level:
            raise FormatError(level_refused(manifest.level, max_level))
        cipher = unlocked(manifest, cipher, str(package.path))
        return ChainSequence(
            _with_cache(package, manifest, False if cache is None and is_here(path) else cache),
            manifest,
            max_level=max_level,
            verify=verify,
            stop=stop,
            origin=Origin(path, storage_options, cache, cipher),
            threads=threads,
            signatures=signatures,
            cipher=cipher,
        )
    except BaseException:
        package.close()
        raise


def _with_cache(
    package: Package, manifest: Manifest, wish: bool | str | os.PathLike[str] | None
) -> Package:
    """Put the cache before a package that is far."""
    cache = cache_of(wish) if package.distant else None
    if cache is None:
        return package
    digests = [digest.tobytes() for digest in manifest.frames.segment_sha256]
    return CachedPackage(package, digests, cache)
