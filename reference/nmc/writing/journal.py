"""The journal of an unfinished package (clause 5.1.5): one checked line for each finished frame.

A line is a CRC-32, a space and a JSON object. The first has the settings of the package, the others
a frame, a record of the manifest such as the cameras, or the digest of the manifest that was made.
"""

from __future__ import annotations

import io
import json
import os
import re
import zlib
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from nmc.writing import journal_lines
from nmc.writing.folder import write_all
from nmc.writing.journal_lines import FrameEntry, Settings, Unsound
from nmc_format.package.members import JOURNAL_NAME

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from nmc.writing.folder import Folder
    from nmc_format.manifest.objects import RawObjects

__all__ = [
    "JOURNAL_VERSION",
    "Content",
    "FrameEntry",
    "Journal",
    "Reading",
    "Settings",
    "lines",
    "read",
]

JOURNAL_VERSION = 5

MAX_LINE = 2**26
"""Bytes of a line: 65,536 new tensors with names of 500 bytes are less."""

MAX_BRACKETS = 2**20
"""Objects and lists in a line, which take fifty times their bytes in memory."""

_FRESH = "journal.new"
_PIECE = 2**20
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"')


@dataclass
class Content:
    """What the sound lines of a journal say.

    Attributes
    ----------
    settings : Settings
        What the package as a whole says.
    entries : list of FrameEntry
        The finished frames.
    records : dict of str to objects of the manifest
        Such as ``"cameras"``: its objects by path.
    manifest : str
        SHA-256 of the manifest that was made when the package was closed, in hex; else empty.
    """

    settings: Settings
    entries: list[FrameEntry] = field(default_factory=list)
    records: dict[str, RawObjects] = field(default_factory=dict)
    manifest: str = ""


class Journal:
    """A journal that is written: a frame is finished when its line is there.

    Parameters
    ----------
    folder : Folder
        The directory that it lies in.
    content : Content
        What it says from the start on; the journal keeps it up to date.

    Raises
    ------
    OSError
        If it cannot be written.
    """

    def __init__(self, folder: Folder, content: Content) -> None:
        content.manifest = ""
        self.content = content
        self._folder = folder
        self._handle: int | None = None
        self.rewrite()

    def rewrite(self) -> None:
        """Replace the file by one that says the content, in one step."""
        self.close()
        handle = self._folder.create(_FRESH)
        try:
            for piece in self._pieces():
                write_all(handle, piece)
            os.fsync(handle)
            self._folder.move(_FRESH, self._folder, JOURNAL_NAME)
            self._folder.sync()
        except BaseException:
            with suppress(OSError):
                os.close(handle)
            with suppress(OSError):
                self._folder.remove(_FRESH)
            raise
        self._handle = handle

    def _pieces(self) -> Iterator[bytes]:
        return lines(self.content)

    def append(self, entry: FrameEntry) -> None:
        """Add one finished frame; its segment is on disk already."""
        self._add(_line(journal_lines.frame_fields(entry)))
        entries = self.content.entries
        if entries:  # a long chain would fill the memory with what only its last frame needs
            entries[-1] = replace(entries[-1], remembered=None)
        entries.append(entry)

    def record(self, name: str, objects: RawObjects) -> None:
        """Put a record of the manifest into the journal, in place of one of this name.

        One that is too long for a line, of millions of measurements, is kept in memory only.
        """
        known = self.content.records.get(name)
        if known is not None and _same(known, objects):
            return
        line = _line(journal_lines.record_fields(name, objects))
        if len(line) <= MAX_LINE:
            self._add(line)
        self.content.records[name] = objects

    def closing(self, manifest: str) -> None:
        """Say which manifest the package is about to get."""
        self._add(_line({"manifest": manifest}))
        self.sync()
        self.content.manifest = manifest

    def sync(self) -> None:
        """Wait until the disk has the journal.

        Raises
        ------
        OSError
            If it cannot take it; it is written again the next time.
        """
        if self._handle is None:
            self.rewrite()
            return
        try:
            os.fsync(self._handle)
        except BaseException:
            self.close()
            raise

    def _add(self, line: bytes) -> None:
        if len(line) > MAX_LINE:
            raise OSError(f"a line of {len(line)} bytes is too long for the journal")
        if self._handle is None:  # a line failed, and nobody knows what of it is on the disk
            self.rewrite()
        handle = self._handle
        assert handle is not None
        size = os.fstat(handle).st_size
        try:
            write_all(handle, line)
        except BaseException:
            with suppress(OSError):  # a torn line would hide every line after it
                os.ftruncate(handle, size)
            self.close()
            raise

    def close(self) -> None:
        """Give the handle back."""
        handle, self._handle = self._handle, None
        if handle is not None:
            with suppress(OSError):  # what counts was synchronised, so that this tells nothing more
                os.close(handle)

    def __del__(self) -> None:
        self.close()


def lines(content: Content) -> Iterator[bytes]:
    """Yield the lines of a journal, some at a time: a long chain has a hundred thousand."""
    made = [_line({"nmc_journal": JOURNAL_VERSION, **asdict(content.settings)})]
    for name, objects in content.records.items():
        line = _line(journal_lines.record_fields(name, objects))
        made += [line] * (len(line) <= MAX_LINE)
    size = 0
    for entry in content.entries:
        made.append(_line(journal_lines.frame_fields(entry)))
        size += len(made[-1])
        if size >= _PIECE:
            yield b"".join(made)
            made, size = [], 0
    yield b"".join(made)


def _same(a: RawObjects, b: RawObjects) -> bool:
    return a.keys() == b.keys() and all(
        (x.dtype, x.shape, x.tobytes()) == (b[path].dtype, b[path].shape, b[path].tobytes())
        for path, x in a.items()
    )


def _line(content: dict[str, Any]) -> bytes:
    text = json.dumps(content, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return f"{zlib.crc32(text.encode()):08x} {text}\n".encode()


def _brackets(text: bytes) -> int:
    return text.count(b"[") + text.count(b"{")


def _sound_lines(file: BinaryIO) -> Iterator[dict[str, Any]]:
    """Yield the lines up to the first that is torn, damaged or too long."""
    while line := file.readline(MAX_LINE + 1):
        if len(line) > MAX_LINE:
            return
        check, _, text = line.removesuffix(b"\n").partition(b" ")
        if f"{zlib.crc32(text):08x}".encode() != check:
            return
        if _brackets(text) > MAX_BRACKETS and _brackets(_STRING.sub(b"", text)) > MAX_BRACKETS:
            return
        try:
            content = json.loads(text)
        except (ValueError, RecursionError):
            return
        if not isinstance(content, dict):
            return
        yield content


def read(folder: Folder) -> Content | None:
    """Return what a journal says, or None where not even its first line is sound.

    The file is read line by line, and each line is checked like a manifest. One that is torn, as a
    crash leaves the last, or that no writer writes, ends the journal.

    Raises
    ------
    FormatError
        If the journal is a link, or anything else than a regular file.
    OSError
        If it is not there, or cannot be read.
    """
    with folder.open(JOURNAL_NAME) as file:
        lines = _sound_lines(file)
        try:
            settings = journal_lines.settings(next(lines, {}), JOURNAL_VERSION)
        except Unsound:
            return None
        content = Content(settings)
        rows = journal_lines.Rows()
        for line in lines:
            try:
                _take(line, content, rows)
            except Unsound:
                break
    return content


class Reading:
    """A journal that is read while its writer adds to it.

    Attributes
    ----------
    content : Content or None
        What the lines so far say; None before the first.
    sound : bool
        Whether each of them is one that a writer writes.
    last : bytes
        The last line, with its end.
    """

    def __init__(self) -> None:
        self.content: Content | None = None
        self.sound = True
        self.last = b""
        self._rows = journal_lines.Rows()

    def feed(self, data: bytes) -> int:
        """Take the whole lines at the beginning of some bytes; return how many bytes they have.

        Parameters
        ----------
        data : bytes
            What follows the lines so far; the last line may not be whole yet.
        """
        taken = 0
        while self.sound and (end := data.find(b"\n", taken) + 1):
            line = data[taken:end]
            found = next(_sound_lines(io.BytesIO(line)), None)
            try:
                if found is None:
                    raise Unsound
                if self.content is None:
                    self.content = Content(journal_lines.settings(found, JOURNAL_VERSION))
                else:
                    _take(found, self.content, self._rows)
            except Unsound:
                self.sound = False
                break
            self.last = line
            taken = end
        if len(data) - taken > MAX_LINE:
            self.sound = False
        return taken


def _take(line: dict[str, Any], content: Content, rows: journal_lines.Rows) -> None:
    if "record" in line:
        name, objects = journal_lines.record(line)
        content.records[name] = objects
    elif "manifest" in line:
        content.manifest = journal_lines.closing(line)
    else:
        content.entries.append(journal_lines.frame(line, content.entries, rows))
        content.manifest = ""
