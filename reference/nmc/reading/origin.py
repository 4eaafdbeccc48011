"""Where a package was opened from, and how it is opened there again in another process."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from nmc_format.issues import refuse

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from nmc.reading.sequence import ChainSequence
    from nmc.remote.opening import Target
    from nmc_format.encryption import SegmentCipher
    from nmc_format.signature import Signature


@dataclass(frozen=True)
class Origin:
    """What a package was opened by, so that another process can open it, too.

    Attributes
    ----------
    target : path, str, bytes or binary file
        What the caller gave.
    options : mapping or None
        Of its server or store.
    cache : bool, path or None
        Where its segments are kept.
    cipher : SegmentCipher or None
        By the key of its segments. A pickle has that key.
    """

    target: Target
    options: Mapping[str, Any] | None = None
    cache: bool | str | os.PathLike[str] | None = None
    cipher: SegmentCipher | None = field(default=None, repr=False)


def reopened(
    origin: Origin,
    max_level: int,
    verify: bool,
    stop: int,
    threads: int,
    digest: bytes,
    signatures: tuple[Signature, ...],
) -> ChainSequence:
    """Open a package that another process had open; see :meth:`ChainSequence.__reduce__`."""
    from nmc.reading.opening import open_sequence  # which needs sequences, as they need this

    sequence = open_sequence(
        origin.target,
        max_level=max_level,
        verify=verify,
        stop=stop,
        threads=threads,
        storage_options=origin.options,
        cache=origin.cache,
        key=None if origin.cipher is None else origin.cipher.key,
    )
    actual = sequence.manifest.root.manifest_digest
    if actual != digest:
        sequence.close()
        raise refuse(
            "host/changed",
            file=str(sequence.path),
            what="manifest digest",
            actual=actual.hex(),
            expected=digest.hex(),
        )
    sequence.signatures = signatures  # the digest that they state is the same
    return sequence
