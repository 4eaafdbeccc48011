"""Signs packages (clause 13.1): a signature is written beside the members, read back, verified."""

from __future__ import annotations

import hashlib
import io
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from nmc.reading.check import verified
from nmc.reading.keys import read_public_keys
from nmc.reading.signatures import signature_findings, signatures_of
from nmc.writing.agent_keys import AgentKey
from nmc.writing.finish import replace_file
from nmc.writing.private_keys import PrivateKey, is_public
from nmc.writing.unfinished import SIGNATURE_FILE, clear_signatures, place_of
from nmc_format.host import host_errors
from nmc_format.issues import FormatError, first_error, refuse
from nmc_format.manifest.read import parse_manifest
from nmc_format.package.file import FilePackage
from nmc_format.package.form import open_package
from nmc_format.package.members import SIGNATURE_FOLDER, Package, signature_name
from nmc_format.signature import (
    Signature,
    Statement,
    check_digest,
    check_signature,
    signer_fault,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from nmc.writing.private_keys import Asked
    from nmc.writing.unfinished import Place

_READ_BYTES = 1 << 20


def sign(
    path: str | Path,
    key: PrivateKey | AgentKey | str | Path,
    *,
    signer: str | None = None,
    fresh: bool = False,
    decode: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Signature:
    """Sign a package in its place; nothing but its signatures changes.

    The package is checked before, and the signature verified as a reader would after it was
    written. A package file is written anew beside the old one, read back, and then exchanged.

    Parameters
    ----------
    path : str or Path
        A finished package of either form.
    key : PrivateKey, AgentKey, str or Path
        Who signs, or the file of a key without a passphrase; the file of a public key means the
        private one that ssh-agent has. An earlier signature is replaced.
    signer : str or None
        Who signed, for people: at most 256 bytes without control characters. None: the comment of
        the key.
    fresh : bool
        Leave out the signatures that are there; else they have to hold.
    decode : bool
        Decode every frame before; else compare digests and structure only.
    progress : callable or None
        Called with (frames done, frames in all) of the check.

    Raises
    ------
    FormatError
        If the package is refused, a signature in it does not hold, or it cannot be written.
    ValueError
        If the signer cannot be in a signature.
    """
    if not isinstance(key, PrivateKey | AgentKey):
        key = signing_key(Path(key))
    who = key.public.name if signer is None else signer
    if fault := signer_fault(who):
        raise ValueError(fault)
    report, _ = verified(path, (), decode=decode, max_level=4, progress=progress)
    wrong = [f for f in report.findings if not (fresh and f.code.startswith("signature/"))]
    error = first_error(wrong)
    if error is not None:
        raise FormatError(error)
    with open_package(path) as package:
        data = package.manifest()
        manifest = parse_manifest(data, package.manifest_path)[0]
        if manifest is None:
            raise refuse("host/failed", file=str(path), reason="it changed while it was signed")
        digest = manifest.root.manifest_digest
        made = key.signed(Statement(digest, hashlib.sha256(data).digest(), _now(), who))
        check_signature(signature_name(made.key), made.to_bytes(), data)  # an agent may lie
        kept = {} if fresh else _held(package, data, digest)
        kept[signature_name(made.key)] = made.to_bytes()
        with host_errors(Path(path)):
            _put(package, kept, Path(path))
    _compare(Path(path), data, digest, kept)
    return made


def signing_key(path: Path, passphrase: Asked = None) -> PrivateKey | AgentKey:
    """Return the key of a file: a private one, or the one in ssh-agent of a public one.

    Raises
    ------
    FormatError
        If it is neither, cannot be read, or ssh-agent has no such key.
    """
    if is_public(path):
        return AgentKey.find(read_public_keys(path)[0])
    return PrivateKey.read(path, passphrase)


def unsign(path: str | Path) -> int:
    """Take all signatures out of a package; return how many there were."""
    with open_package(path) as package:
        names = package.signatures()
        if names:
            with host_errors(Path(path)):
                _put(package, {}, Path(path))
    return len(names)


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def _held(package: Package, manifest: bytes, digest: bytes) -> dict[str, bytes]:
    """Return the content of every signature by its name; each holds."""
    held, findings = signature_findings(package, manifest, digest)
    if findings:
        raise FormatError(findings[0])
    return {signature_name(made.key): made.to_bytes() for made in held}


def _put(package: Package, signatures: Mapping[str, bytes], path: Path) -> None:
    place = place_of(path)
    if isinstance(package, FilePackage):
        _put_file(package, signatures, place)
    else:
        _put_folder(signatures, place)


def _put_folder(signatures: Mapping[str, bytes], place: Place) -> None:
    """Write signatures into a directory, each in one step, and remove the others."""
    package = place.parent.folder(place.name)
    try:
        if not signatures:
            clear_signatures(package)
            package.sync()
            return
        folder = package.folder(SIGNATURE_FOLDER, make=True)
        try:
            entries = {Path(name).name: data for name, data in signatures.items()}
            for entry, data in entries.items():
                folder.write(f"{entry}.new", [data])
                folder.move(f"{entry}.new", folder, entry)
            for entry in folder.names():
                if SIGNATURE_FILE.fullmatch(entry) and entry not in entries:
                    folder.remove(entry)
            folder.sync()
        finally:
            folder.close()
        package.sync()
    finally:
        package.close()


def _put_file(package: FilePackage, signatures: Mapping[str, bytes], place: Place) -> None:
    """Write a package file with other signatures beside its place, compare, then put it there."""
    kept = [name for name in package.names() if name not in package.signatures()]
    members: list[tuple[str, Callable[[], BinaryIO]]] = [
        (name, partial(package.member, name)) for name in kept
    ]
    members += [(name, partial(io.BytesIO, signatures[name])) for name in sorted(signatures)]

    def compare(fresh: Path) -> None:
        with FilePackage(fresh) as made:
            if made.names() != [name for name, _ in members]:
                raise refuse("host/failed", file=str(place.path), reason="members are missing")
            for name, opened in members:
                _compare_streams(opened, partial(made.member, name), name, place.path)
            for found in made.findings(len(members), len(members)):
                if found.severity == "error":
                    raise FormatError(found)

    replace_file(place, members, compare)


def _compare_streams(
    one: Callable[[], BinaryIO], other: Callable[[], BinaryIO], name: str, path: Path
) -> None:
    with one() as a, other() as b:
        while True:
            block = a.read(_READ_BYTES)
            if b.read(_READ_BYTES) != block:
                reason = f"{name} is not on the disk as it was written; the package is as it was"
                raise refuse("host/failed", file=str(path), reason=reason)
            if not block:
                return


def _compare(path: Path, manifest: bytes, digest: bytes, signatures: Mapping[str, bytes]) -> None:
    """Verify what is on the disk now, as a reader would."""
    with open_package(path) as package:
        there = signatures_of(package, manifest)
        if package.manifest() != manifest or {n: s.to_bytes() for n, s in there} != signatures:
            reason = "the signature is not on the disk as it was written"
            raise refuse("host/failed", file=str(path), reason=reason)
        for name, made in there:
            check_digest(name, made, digest)
