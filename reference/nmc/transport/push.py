"""Packages put into object storage: the manifest last, each member read back (``nmc push``).

A place in a store holds a package in directory form: each segment is an object, sent once. So an
interrupted push goes on where it was, and a package that is still being trained is sent as it
grows.
"""

from __future__ import annotations

import hashlib
import io
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final

from nmc.reading.media import MediaOf, member_streams
from nmc.reading.opening import open_sequence
from nmc.remote.address import inside_store, scheme_of, shown
from nmc.remote.opening import store_of
from nmc.transport.growing import Growing, find_growing
from nmc_format.host import host_refusal
from nmc_format.issues import FormatError, refuse, refuse_with
from nmc_format.package import zip64
from nmc_format.package.members import JOURNAL_NAME, MANIFEST_NAME, medium_name, segment_name
from nmc_format.signature import MAX_SIGNATURE_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from nmc_format.manifest.record import Manifest
    from nmc_format.package.members import Package

_BLOCK: Final = 1 << 22
_FOLDERS: Final = {"file", "local", "sftp", "ssh"}
"""Stores that show what is written before it is whole: it is written aside, and renamed."""


@dataclass(frozen=True)
class Pushed:
    """What a push did.

    Attributes
    ----------
    frames : int
        Frames of the package.
    sent : int
        Members that were written; the others were there already.
    sent_bytes : int
        Their bytes.
    finished : bool
        Whether the manifest is in its place; not where a package that grows was left unfinished.
    """

    frames: int
    sent: int
    sent_bytes: int
    finished: bool


def push(
    package: Any,
    target: str,
    *,
    follow: bool = False,
    overwrite: bool = False,
    poll: float = 0.5,
    timeout: float | None = None,
    storage_options: Mapping[str, Any] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Pushed:
    """Put a package into a store, and compare what is there then.

    A package file becomes one object; a directory, and whatever is sent with ``follow``, becomes a
    directory, whose manifest is written last. What is there already is compared by its digest and
    not sent again.

    Parameters
    ----------
    package : str or path
        The package; with ``follow``, also one that is still being written.
    target : str
        Address in a store that fsspec knows: ``s3://bucket/name.nmc``.
    follow : bool
        Send frames as they are sealed, until the package is finished.
    overwrite : bool
        Replace another package that is there.
    poll, timeout : float
        As of :func:`nmc.follow`.
    storage_options : mapping or None
        What fsspec takes for the store.
    progress : callable or None
        Called with (members done, members in all).

    Returns
    -------
    Pushed
        What was done.

    Raises
    ------
    FormatError
        If the package is refused, another one is there (``host/exists``), or the store does not
        have afterwards what was sent (``host/failed``).
    """
    if scheme_of(target) in ("", "http", "https"):
        hint = "write such as s3://bucket/name.nmc; a web server is filled by other means"
        reason = "nothing can be put there"
        raise refuse_with(hint, "host/path", file=shown(target), reason=reason)
    store, path = store_of(target, storage_options)
    place = _Place(store, path.rstrip("/"), shown(target).rstrip("/"), overwrite=overwrite)
    if follow:
        growing = find_growing(package)
        if growing is not None:
            with growing:
                _push_growing(package, growing, place, poll, timeout, progress)
    with open_sequence(package, max_level=4) as sequence:
        manifest, opened = sequence.manifest, sequence.detached()
        with opened:
            if place.is_file_of(opened, follow=follow):
                _push_file(opened, manifest, place, progress)
            else:
                _push_folder(opened, manifest, place, progress)
    return Pushed(len(manifest), place.sent, place.sent_bytes, finished=True)


class _Place:
    """A place in a store: objects are compared before they are sent, and after."""

    def __init__(self, store: Any, path: str, name: str, *, overwrite: bool) -> None:
        self.store = store
        self.path = path
        self.name = name
        self.overwrite = overwrite
        self.sent = 0
        self.sent_bytes = 0
        self._compared: set[tuple[str, int, bytes]] = set()
        kind = store.protocol
        self._shows_halves = not _FOLDERS.isdisjoint([kind] if isinstance(kind, str) else kind)

    def is_file_of(self, package: Package, *, follow: bool) -> bool:
        """Whether the package becomes one object, as it is one file."""
        return not follow and package.manifest_path is None and not package.distant

    def digest(self, member: str) -> tuple[int, bytes] | None:
        """Return length and SHA-256 of an object that is there, or None."""
        place = inside_store(self.path, member)
        length, found = 0, hashlib.sha256()
        try:
            with self._errors(member), self.store.open(place, "rb", cache_type="none") as file:
                while block := file.read(_BLOCK):
                    length += len(block)
                    found.update(block)
        except FileNotFoundError:
            return None
        return length, found.digest()

    def size(self, member: str) -> int | None:
        """Return the length of an object, or None if it is not there.

        Raises
        ------
        FormatError
            If a link lies on the way to it within the place: what is behind is not the package's.
        """
        self.store.invalidate_cache()
        self._refuse_links(member)
        try:
            with self._errors(member):
                facts = self.store.info(inside_store(self.path, member))
        except FileNotFoundError:
            return None
        return None if facts.get("type") == "directory" else int(facts["size"])

    def put(self, member: str, length: int, digest: bytes, pieces: Iterator[bytes]) -> None:
        """Write an object unless it is there; compare what is there then."""
        if (member, length, digest) in self._compared:
            return
        if self.size(member) == length and self.digest(member) == (length, digest):
            self._compared.add((member, length, digest))
            return
        place = inside_store(self.path, member)
        with self._errors(member):
            folder, _, name = place.rpartition("/")
            if folder:
                self.store.makedirs(folder, exist_ok=True)
            aside = f"{folder}/.{name}.pushed" if self._shows_halves else place
            try:
                with self.store.open(aside, "wb") as file:
                    for piece in pieces:
                        file.write(piece)
                if aside != place:
                    self.store.mv(aside, place)
            except BaseException:
                if aside != place:  # a full disk stays full with it
                    with suppress(Exception):
                        self.store.rm_file(aside)
                raise
        self.store.invalidate_cache()
        if self.digest(member) != (length, digest):
            reason = f"{member or 'the file'} is not there as it was sent; push it again"
            raise refuse("host/failed", file=self.name, reason=reason)
        self._compared.add((member, length, digest))
        self.sent += 1
        self.sent_bytes += length

    def _refuse_links(self, member: str) -> None:
        is_link = getattr(self.store, "islink", None)  # of the stores that have any
        if is_link is None or not member:
            return
        for part in accumulate(member.split("/"), "{}/{}".format):
            if is_link(inside_store(self.path, part)):
                raise refuse("package/not-a-file", file=self.name, member=part)

    def remove(self, member: str) -> None:
        """Remove an object, if it is there."""
        if self.size(member) is not None:
            with self._errors(member):
                self.store.rm_file(inside_store(self.path, member))

    def _errors(self, member: str) -> _StoreErrors:
        return _StoreErrors(f"{self.name}/{member}" if member else self.name)


class _StoreErrors:
    """Says errors of a store as refusals; that something is not there is the caller's to judge."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if error is None or isinstance(error, FormatError | FileNotFoundError):
            return
        if isinstance(error, OSError) and error.errno is not None:
            error.filename = None  # the place that was asked for, not what was written aside
            raise host_refusal(error, self._name) from None
        if isinstance(error, PermissionError):  # a store's own words
            raise refuse("host/denied", file=self._name, reason=str(error)) from None
        if isinstance(error, Exception):
            reason = str(error) or type(error).__name__
            raise refuse("host/connection", file=self._name, reason=reason, attempts=1) from None


def _data(data: bytes) -> tuple[int, bytes, Iterator[bytes]]:
    pieces = (data[at : at + _BLOCK] for at in range(0, len(data), _BLOCK))
    return len(data), hashlib.sha256(data).digest(), pieces


def _push_file(
    package: Package,
    manifest: Manifest,
    place: _Place,
    progress: Callable[[int, int], None] | None,
) -> None:
    """Put a package as one object, which a store shows as a whole or not at all."""

    def opened(t: int, length: int) -> io.BytesIO:
        return io.BytesIO(package.segment(t, length))

    def signed(name: str) -> io.BytesIO:
        return io.BytesIO(package.signature(name, MAX_SIGNATURE_BYTES))

    def members() -> Iterator[tuple[str, Callable[[], Any]]]:
        yield MANIFEST_NAME, lambda: io.BytesIO(package.manifest())
        yield from member_streams(package, manifest)
        for t, length in enumerate(manifest.frames.segment_length.tolist()):
            yield segment_name(t), partial(opened, t, length)
            if progress:
                progress(t + 1, len(manifest))
        for name in package.signatures():
            yield name, partial(signed, name)

    length, digest = 0, hashlib.sha256()
    for piece in zip64.pieces(members()):
        length += len(piece)
        digest.update(piece)
    there = place.size("")
    if there is not None and not place.overwrite and place.digest("") != (length, digest.digest()):
        raise refuse("host/exists", file=place.name)
    place.put("", length, digest.digest(), zip64.pieces(members()))


def _push_folder(
    package: Package,
    manifest: Manifest,
    place: _Place,
    progress: Callable[[int, int], None] | None,
) -> None:
    """Put a package as objects, the manifest last: until it is there, nobody takes it for whole."""
    data = package.manifest()
    _clear_manifest(place, data)
    _put_media(package, manifest, place)
    for t in range(len(manifest)):
        _put_segment(package, manifest, t, place)
        if progress:
            progress(t + 1, len(manifest))
    for name in package.signatures():
        place.put(name, *_data(package.signature(name, MAX_SIGNATURE_BYTES)))
    place.put(MANIFEST_NAME, *_data(data))
    place.remove(JOURNAL_NAME)


def _put_media(package: Package, manifest: Manifest, place: _Place) -> None:
    for medium in MediaOf(package, manifest).values():
        whole = hashlib.sha256()
        for chunk in medium.chunks():
            whole.update(chunk)
        name = medium_name(medium.record.index)
        place.put(name, medium.size, whole.digest(), medium.chunks())


def _clear_manifest(place: _Place, data: bytes | None) -> None:
    """Make room for a manifest: that of another package goes first, or is in the way."""
    if place.size("") is not None and not place.overwrite:
        raise refuse("host/exists", file=place.name)
    there = place.digest(MANIFEST_NAME) if place.size(MANIFEST_NAME) is not None else None
    if there is None or (data is not None and there[1] == hashlib.sha256(data).digest()):
        return
    if not place.overwrite:
        raise refuse("host/exists", file=place.name)
    place.remove(MANIFEST_NAME)


def _put_segment(package: Package, manifest: Manifest, t: int, place: _Place) -> None:
    length = int(manifest.frames.segment_length[t])
    data = package.segment(t, length)
    digest = manifest.frames.segment_sha256[t].tobytes()
    if hashlib.sha256(data).digest() != digest:
        raise refuse(
            "segment/sha256",
            file=segment_name(t),
            offset=0,
            actual=hashlib.sha256(data).hexdigest(),
            expected=digest.hex(),
        )
    place.put(segment_name(t), *_data(data))


def _in_place(package: Any, digest: str) -> bool:
    """Whether a package is complete in its place, by the digest of its manifest."""
    try:
        with open_sequence(package, max_level=4) as sequence, sequence.detached() as opened:
            return hashlib.sha256(opened.manifest()).hexdigest() == digest
    except FormatError:
        return False


def _push_growing(
    package: Any,
    growing: Growing,
    place: _Place,
    poll: float,
    timeout: float | None,
    progress: Callable[[int, int], None] | None,
) -> None:
    """Put segments as they are sealed, and after them the journal that names them."""
    _clear_manifest(place, None)
    done, waited = 0, 0.0
    while True:
        known = growing.known
        if known is not None and len(known) > done:
            try:
                _put_media(growing, known, place)
                for t in range(done, len(known)):
                    _put_segment(growing, known, t, place)
                    done = t + 1
                    if progress:
                        progress(done, len(known))
            except FormatError as error:
                if error.finding.code != "package/member-missing":
                    raise  # else it is being put in its place: all is sent from there
            place.put(JOURNAL_NAME, *_data(growing.journal(done)))
            waited = 0.0
        if not growing.refresh() or (growing.closing and _in_place(package, growing.closing)):
            return
        if known is not None and growing.known is not known:
            continue
        if timeout is not None and waited >= timeout:
            reason = f"no new frame in {timeout:g} s; what was sealed is sent"
            name, attempts = str(growing.path), int(waited / poll)
            raise refuse("host/connection", file=name, reason=reason, attempts=attempts)
        time.sleep(poll)
        waited += poll
