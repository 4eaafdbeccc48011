"""Checks a whole package (clause 11.2): structure, integrity, decoding, freezing, all at once."""

from __future__ import annotations

import hashlib
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from nmc.coding.cursor import Cursor
from nmc.coding.decode import check_segment
from nmc.coding.freezing import freezing_findings
from nmc.reading.ahead import expect, groups_of, in_order, shared
from nmc.reading.keys import demands_of
from nmc.reading.manifest import DEFAULT_MAX_LEVEL, level_refused
from nmc.reading.media import media_findings
from nmc.reading.plain_package import plain_segment, unlocked
from nmc.reading.secret_keys import cipher_of
from nmc.reading.signatures import missing_findings, signature_findings
from nmc.remote.address import name_of
from nmc.remote.opening import Target, open_anywhere
from nmc_format.encryption import SALT_BYTES
from nmc_format.issues import Finding, FormatError, finding, first_error, refuse
from nmc_format.manifest.read import parse_manifest
from nmc_format.package.members import segment_name
from nmc_format.report import Report

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from nmc.coding.state import State
    from nmc.reading.keys import AnyKey
    from nmc.reading.secret_keys import AnySecret
    from nmc_format.encryption import SegmentCipher
    from nmc_format.manifest.record import Manifest
    from nmc_format.package.members import Package
    from nmc_format.signature import Signature


MAX_FINDINGS = 10_000
"""A small manifest can declare millions of frames; a report of each would fill the memory."""


def check(
    path: Target,
    *,
    decode: bool = True,
    max_level: int = DEFAULT_MAX_LEVEL,
    threads: int | None = 1,
    progress: Callable[[int, int], None] | None = None,
    storage_options: Mapping[str, Any] | None = None,
    signed_by: Sequence[AnyKey] = (),
    key: AnySecret | None = None,
) -> Report:
    """Check a package; never raises for what is in it.

    Parameters
    ----------
    path : str, path, bytes or binary file
        A ``.nmc`` file or directory, or its address; as :func:`nmc.open` takes it.
    decode : bool
        Decode every frame and compare it with its digest; else integrity and structure only.
    max_level : int
        Packages of a higher level are not decoded.
    threads : int or None
        Threads in all: for groups of frames, each with states of its own in memory, and what is
        left over within each frame. None: as many as there are cores, and groups as long as their
        states take at most 1 GiB. The findings are the same.
    progress : callable or None
        Called with (frames done, frames in all).
    storage_options : mapping or None
        Of a server or a store, as of :func:`nmc.open`.
    signed_by : sequence of str, path, bytes or PublicKey
        Keys each of which has to have signed, as of :func:`nmc.open`. The signatures that are
        there are verified whether or not any is demanded.
    key : SecretKey, bytes, path or None
        Of an encrypted package, as of :func:`nmc.open`. Without it no frame is decoded, and a
        warning says so (``host/not-decrypted``).

    Returns
    -------
    Report
        Every finding; what merely follows from another one is left out.

    Raises
    ------
    FormatError
        If a file of keys is refused.
    """
    return verified(
        path,
        signed_by,
        decode=decode,
        max_level=max_level,
        threads=threads,
        progress=progress,
        storage_options=storage_options,
        key=key,
    )[0]


def verified(
    path: Target,
    keys: Sequence[AnyKey],
    *,
    decode: bool = False,
    max_level: int = DEFAULT_MAX_LEVEL,
    threads: int | None = 1,
    progress: Callable[[int, int], None] | None = None,
    storage_options: Mapping[str, Any] | None = None,
    key: AnySecret | None = None,
) -> tuple[Report, tuple[Signature, ...]]:
    """Check a package as :func:`check` does; return the report, and the signatures that hold."""
    demands, cipher = demands_of(keys), cipher_of(key)
    name = name_of(path)
    try:
        package = open_anywhere(path, storage_options)
    except FormatError as error:
        return Report(name, 0, 0, (error.finding,)), ()
    package.keeps_checksums = package.distant
    with package:
        signatures: list[Signature] = []
        try:
            data = package.manifest()
            manifest, findings = parse_manifest(data, package.manifest_path)
        except FormatError as error:
            manifest, findings = None, [error.finding]
        else:
            if manifest is not None:
                digest = manifest.root.manifest_digest
                signatures, wrong = signature_findings(package, data, digest, demands)
                findings += [*wrong, *missing_findings(name, signatures, demands)]
        todo = _Todo(decode, cipher, max_level, threads, progress)
        report = _walked(name, package, manifest, findings, todo)
    return report, tuple(signatures)


@dataclass(frozen=True)
class _Todo:
    """How the frames of a package are gone through."""

    decode: bool
    cipher: SegmentCipher | None
    max_level: int
    threads: int | None
    progress: Callable[[int, int], None] | None


def _walked(
    path: str,
    package: Package,
    manifest: Manifest | None,
    findings: list[Finding],
    todo: _Todo,
) -> Report:
    """Return the report on a package whose manifest was read, once every segment was read, too."""
    of_manifest = [f for f in findings if not f.code.startswith("signature/")]
    if manifest is not None and not first_error(of_manifest):
        cipher, more = _for_me(path, manifest, todo)
        of_manifest += more
        findings += more
        todo = replace(todo, cipher=cipher)
    if manifest is None or first_error(of_manifest):
        return Report(path, len(manifest) if manifest else 0, 0, tuple(findings))
    walk = _Walk(package, manifest, decode=todo.decode, cipher=todo.cipher)
    for t, found in walk.frames(todo.threads):
        findings += found
        if len(findings) > MAX_FINDINGS:
            findings.append(finding("host/more-findings", file=path, limit=MAX_FINDINGS))
            return Report(path, len(manifest), walk.decoded, tuple(findings), manifest.profile)
        if todo.progress:
            todo.progress(t + 1, len(manifest))
    findings += media_findings(package, manifest)
    named = {f.place.file for f in findings}
    of_members = package.findings(len(manifest), len(manifest.media_records))
    findings += [f for f in of_members if f not in findings and not _follows(f, named)]
    return Report(path, len(manifest), walk.decoded, tuple(findings), manifest.profile)


def _for_me(
    path: str, manifest: Manifest, todo: _Todo
) -> tuple[SegmentCipher | None, list[Finding]]:
    """Return the cipher of a sound package, and why it is not gone through as its user asked."""
    found, cipher = [], None
    if manifest.level > todo.max_level:
        found.append(level_refused(manifest.level, todo.max_level))
    try:
        cipher = unlocked(manifest, todo.cipher, path)
    except FormatError as error:
        found.append(error.finding)
    if todo.decode and cipher is None and manifest.root.is_encrypted and not found:
        found.append(finding("host/not-decrypted", file=path))
    return cipher, found


def _follows(finding: Finding, named: set[str | None]) -> bool:
    """Whether a ZIP checksum is wrong because of damage that is reported already."""
    return finding.code == "package/zip-checksum" and any(
        name is not None and f"member {name} " in finding.message for name in named
    )


@dataclass(frozen=True)
class _Seen:
    """What was found of one frame; its state only at the ends of its group."""

    index: int
    findings: list[Finding]
    decoded: bool
    state: State | None
    salt: bytes = b""


class _Walk:
    """Goes through the frames; groups are independent, and can be gone through at once."""

    def __init__(
        self, package: Package, manifest: Manifest, *, decode: bool, cipher: SegmentCipher | None
    ) -> None:
        self.package = package
        self.manifest = manifest
        self.decode = decode
        self.cipher = cipher
        self.encrypted = manifest.root.is_encrypted
        self.decoded = 0
        self._by_sha256 = {
            sha256.tobytes(): t for t, sha256 in enumerate(manifest.frames.segment_sha256)
        }

    def frames(self, threads: int | None) -> Iterator[tuple[int, list[Finding]]]:
        """Yield each frame with what is wrong with it, in order."""
        before: State | None = None
        salts: dict[bytes, int] = {}
        groups = groups_of(self.manifest)
        outer, inner = shared(self.manifest, len(groups), threads)
        jobs = [partial(self._group, frames, inner) for frames in groups]
        with closing(in_order(jobs, outer)) as seen_frames:
            for seen in seen_frames:
                findings = seen.findings
                if seen.decoded:
                    self.decoded += 1
                    if self.manifest.frames.is_key(seen.index) and seen.state is not None:
                        # of a key frame its group does not know what was before it
                        findings += freezing_findings(self.manifest, seen.index, before, seen.state)
                before = seen.state
                other = salts.setdefault(seen.salt, seen.index) if seen.salt else seen.index
                if other != seen.index:
                    findings += [
                        finding("encryption/salt", file=segment_name(seen.index), other=other)
                    ]
                yield seen.index, findings

    def _group(self, frames: range, threads: int) -> Iterator[_Seen]:
        cursor = Cursor(threads=threads)
        for t in frames:
            expect(self.package, self.manifest, range(t, t + 1), within=frames)
            before = cursor.state if cursor.known and t != frames[0] else None
            salt = b""
            try:
                data = self.package.segment(t, int(self.manifest.frames.segment_length[t]))
                self._check_sha256(t, data)
                salt = data[:SALT_BYTES] if self.encrypted else b""
                if self.cipher is not None:
                    data = plain_segment(self.manifest, self.cipher, t, data)
                if self.cipher is not None or not self.encrypted:
                    cursor.advance(self.manifest, t, data, decode=self.decode)
                else:
                    cursor.forget()
            except FormatError as error:
                cursor.forget()
                yield _Seen(t, [error.finding], False, None, salt)
                continue
            if not cursor.known:
                yield _Seen(t, [], False, None, salt)
                continue
            findings: list[Finding] = []
            if t != frames[0]:
                findings += freezing_findings(self.manifest, t, before, cursor.state)
            ends = t in (frames[0], frames[-1])
            yield _Seen(t, findings, True, cursor.state if ends else None, salt)

    def _check_sha256(self, t: int, data: bytes) -> None:
        frame = self.manifest.frame(t)
        try:
            check_segment(frame, data)
        except FormatError:
            other = self._by_sha256.get(hashlib.sha256(data).digest())
            if other is None:
                raise
            raise refuse("segment/misplaced", file=segment_name(t), offset=0, other=other) from None
