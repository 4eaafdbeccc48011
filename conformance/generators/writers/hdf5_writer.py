"""Writes manifests in the compact form of annex D, byte by byte, without an HDF5 library."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

UNDEFINED = b"\xff" * 8
_MASK = 0xFFFFFFFF
_DATASPACE, _LINK_INFO, _DATATYPE, _FILL, _LINK, _LAYOUT = 0x01, 0x02, 0x03, 0x05, 0x06, 0x08
_GROUP_INFO, _FILTERS, _ATTRIBUTE, _CONTINUATION, _ATTRIBUTE_INFO = 0x0A, 0x0B, 0x0C, 0x10, 0x15
_F8_PROPERTIES = struct.pack("<HHBBBBI", 0, 64, 52, 11, 0, 52, 1023)
_F4_PROPERTIES = struct.pack("<HHBBBBI", 0, 32, 23, 8, 0, 23, 127)


def _rot(x: int, k: int) -> int:
    return ((x << k) | (x >> (32 - k))) & _MASK


def lookup3(data: bytes) -> int:
    """Return the checksum of clause D.6."""
    a: int
    b: int
    c: int
    a = b = c = (0xDEADBEEF + len(data)) & _MASK
    at = 0
    while len(data) - at > 12:
        x, y, z = struct.unpack_from("<III", data, at)
        a, b, c = (a + x) & _MASK, (b + y) & _MASK, (c + z) & _MASK
        for k, turn in enumerate((4, 6, 8, 16, 19, 4)):
            if k % 3 == 0:
                a = ((a - c) & _MASK) ^ _rot(c, turn)
                c = (c + b) & _MASK
            elif k % 3 == 1:
                b = ((b - a) & _MASK) ^ _rot(a, turn)
                a = (a + c) & _MASK
            else:
                c = ((c - b) & _MASK) ^ _rot(b, turn)
                b = (b + a) & _MASK
        at += 12
    if at == len(data):
        return c
    x, y, z = struct.unpack("<III", data[at:].ljust(12, b"\0"))
    a, b, c = (a + x) & _MASK, (b + y) & _MASK, (c + z) & _MASK
    c = ((c ^ b) - _rot(b, 14)) & _MASK
    a = ((a ^ c) - _rot(c, 11)) & _MASK
    b = ((b ^ a) - _rot(a, 25)) & _MASK
    c = ((c ^ b) - _rot(b, 16)) & _MASK
    a = ((a ^ c) - _rot(c, 4)) & _MASK
    b = ((b ^ a) - _rot(a, 14)) & _MASK
    return ((c ^ b) - _rot(b, 24)) & _MASK


def _summed(block: bytes) -> bytes:
    return block + struct.pack("<I", lookup3(block))


@dataclass(frozen=True)
class Options:
    """Choices that annex D leaves to a writer, and faults on request.

    Attributes
    ----------
    superblock_version : int
        2 or 3.
    layout_version : int
        Version of the data layout message, 3 or 4.
    compact_data : bool
        Store the data of small datasets in their object headers (layout class 0).
    continuation : bool
        Put the attributes of the root group into a continuation block.
    times, phase, order, narrow, wide : bool
        Object headers with times, with a phase, with a creation order of their messages, and with a
        size field that is as narrow as it can be, or of eight bytes.
    link_form : str
        Fields of links: ``least``, ``full``, ``four`` or ``wide``; else a character set alone.
    tracked : bool
        Link and attribute infos with the highest creation index.
    ignored : bytes
        What follows the undefined address in link and attribute infos, in place of another one.
    null_ended : bool
        Texts that end with a zero byte, one byte wider, in place of padded ones.
    type_version : int
        Of datatypes: 1, 2 or 3.
    blocks : int
        With a continuation: blocks of the object header of the root group, the first one counted.
    largest : bool
        Dataspaces with the largest dimensions.
    gap : bytes
        Put before every structure but the first one.
    header_flags, link_flags, message_flags : int
        Flags added to object headers, to links, and to the dataspaces of datasets.
    type_tail, space_tail : bytes
        What follows the last field of datatypes and dataspaces of datasets.
    extra_messages : bytes
        Encoded messages added to the root group.
    extra_links : dict of str to bytes
        Bodies of further link messages in the root group, by name.
    fault : str
        One damage: ``superblock-checksum``, ``header-checksum``, ``continuation-checksum``,
        ``continuation-loop``, ``continuation-empty`` (which is none), ``root-outside``,
        ``data-outside``, ``data-shared``, ``data-longer``, ``link-twice``, ``no-link-info``,
        ``end-of-file``, ``message-beyond``, ``signature``, or none.
    """

    superblock_version: int = 2
    layout_version: int = 3
    compact_data: bool = False
    continuation: bool = False
    times: bool = False
    phase: bool = False
    order: bool = False
    narrow: bool = False
    wide: bool = False
    link_form: str = ""
    tracked: bool = False
    ignored: bytes = b""
    null_ended: bool = False
    type_version: int = 1
    blocks: int = 2
    largest: bool = False
    gap: bytes = b""
    header_flags: int = 0
    link_flags: int = 0
    message_flags: int = 0
    type_tail: bytes = b""
    space_tail: bytes = b""
    extra_messages: bytes = b""
    extra_links: dict[str, bytes] = field(default_factory=dict)
    fault: str = ""


def message(kind: int, body: bytes, flags: int = 0) -> bytes:
    """Return one message of an object header (clause D.3)."""
    return struct.pack("<BHB", kind, len(body), flags) + body


def dataspace(shape: tuple[int, ...], *, scalar: bool, largest: bool = False) -> bytes:
    """Return a dataspace message body, version 2 (clause D.5)."""
    kind = 0 if scalar else 1
    dims = struct.pack(f"<{len(shape)}Q", *shape)
    return struct.pack("<BBBB", 2, len(shape), largest, kind) + dims * (2 if largest else 1)


NULL_SPACE = bytes((2, 0, 0, 2))
"""Body of a dataspace without any element."""


def datatype(dtype: np.dtype[Any], *, null_ended: bool = False, version: int = 1) -> bytes:
    """Return a datatype message body (clause D.5)."""
    body = _datatype(dtype, null_ended=null_ended)
    return bytes([body[0] & 0x0F | version << 4]) + body[1:]


def _datatype(dtype: np.dtype[Any], *, null_ended: bool) -> bytes:
    size = dtype.itemsize
    if dtype.kind == "S":
        return struct.pack("<BBBBI", 0x13, 0x10 if null_ended else 0x11, 0, 0, size)
    if dtype.kind == "f":
        properties = _F8_PROPERTIES if size == 8 else _F4_PROPERTIES
        return struct.pack("<BBBBI", 0x11, 0x20, 8 * size - 1, 0, size) + properties
    order = int(dtype.byteorder == ">")
    flags = (0x08 if dtype.kind == "i" else 0) | order
    return struct.pack("<BBBBIHH", 0x10, flags, 0, 0, size, 0, 8 * size)


def link(name: str, address: int, form: str = "") -> bytes:
    """Return the body of a hard link (clause D.4): with a character set, or in another form."""
    raw = name.encode()
    heads = {
        "": struct.pack("<BBBB", 1, 0x10, 1, len(raw)),
        "least": struct.pack("<BBB", 1, 0, len(raw)),
        "full": struct.pack("<BBBQBH", 1, 0x1D, 0, 3, 1, len(raw)),
        "four": struct.pack("<BBI", 1, 0x02, len(raw)),
        "wide": struct.pack("<BBBQ", 1, 0x0B, 0, len(raw)),
    }
    return heads[form] + raw + struct.pack("<Q", address)


def soft_link(name: str, target: str) -> bytes:
    """Return the body of a soft link, which no manifest may hold (clause 5.3.2)."""
    raw, to = name.encode(), target.encode()
    head = struct.pack("<BBBB", 1, 0x18, 1, 1) + bytes([len(raw)]) + raw
    return head + struct.pack("<H", len(to)) + to


def attribute(
    name: str | bytes,
    array: Array,
    *,
    null_ended: bool = False,
    space: bytes | None = None,
    version: int = 1,
) -> bytes:
    """Return the body of an attribute message, version 3 (clause D.4)."""
    raw = (name if isinstance(name, bytes) else name.encode()) + b"\0"
    kind = datatype(array.dtype, null_ended=null_ended, version=version)
    space = dataspace(array.shape, scalar=array.ndim == 0) if space is None else space
    head = struct.pack("<BBHHHB", 3, 0, len(raw), len(kind), len(space), 1)
    return head + raw + kind + space + array.tobytes()


def _ordered(messages: bytes) -> bytes:
    """Return messages with a creation order in the head of each."""
    made, at, number = b"", 0, 0
    while at < len(messages):
        size = 4 + int.from_bytes(messages[at + 1 : at + 3], "little")
        made += messages[at : at + 4] + struct.pack("<H", number) + messages[at + 4 : at + size]
        at, number = at + size, number + 1
    return made


@dataclass
class _Group:
    attributes: dict[str, Array] = field(default_factory=dict)
    children: dict[str, _Group | Array] = field(default_factory=dict)


def _tree(objects: dict[str, Array]) -> _Group:
    root = _Group()
    for path in sorted(objects):
        place, _, name = path.partition("@")
        parts = [part for part in place.split("/") if part]
        node = root
        last = None if name else parts.pop()
        for part in parts:
            child = node.children.setdefault(part, _Group())
            assert isinstance(child, _Group)
            node = child
        if last is None:
            node.attributes[name] = objects[path]
        else:
            node.children[last] = objects[path]
    return root


class _File:
    """Gathers the blocks of a file and their addresses."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.data = bytearray(48)
        self.places: dict[bytes, int] = {}

    def put_data(self, data: bytes) -> int:
        """Add the data of a dataset; with a fault, where the same bytes are already."""
        shared = self.options.fault == "data-shared"
        if data not in self.places or not shared:
            self.places[data] = self.put(data)
        return self.places[data]

    def put(self, block: bytes) -> int:
        self.data += self.options.gap
        self.data += bytes(-len(self.data) % 8)
        address = len(self.data)
        self.data += block
        return address

    def header(self, messages: bytes, *, root: bool = False) -> int:
        options = self.options
        if root and options.fault == "message-beyond":
            messages += struct.pack("<BHB", 0, 100, 0) + bytes(12)
        if options.order:
            messages = _ordered(messages)
        s = 2 if not options.narrow else 0 if len(messages) < 256 else 1
        s = 3 if options.wide else s
        flags = s | options.order << 2 | options.phase << 4 | options.times << 5
        flags |= options.header_flags
        head = b"OHDR" + bytes([2, flags]) + b"\x11" * (16 * options.times)
        head += struct.pack("<HH", 8, 6) * options.phase + len(messages).to_bytes(1 << s, "little")
        block = _summed(head + messages)
        if root and self.options.fault == "header-checksum":
            block = block[:-1] + bytes([block[-1] ^ 1])
        return self.put(block)

    def dataset(self, array: Array) -> int:
        options = self.options
        data = array.tobytes()
        version = options.layout_version
        if options.compact_data and len(data) < 4096:
            layout = struct.pack("<BBH", version, 0, len(data)) + data
        else:
            if options.fault == "data-longer" and data:
                data += bytes(3)
            address = struct.pack("<Q", self.put_data(data)) if data else UNDEFINED
            if options.fault == "data-outside" and len(data) == 32 * array.shape[0]:
                address = struct.pack("<Q", 1 << 40)
            layout = struct.pack("<BB", version, 1) + address + struct.pack("<Q", len(data))
        largest = options.largest and array.ndim > 0
        space = dataspace(array.shape, scalar=array.ndim == 0, largest=largest)
        kind = datatype(array.dtype, null_ended=options.null_ended, version=options.type_version)
        return self.header(
            message(_DATASPACE, space + options.space_tail, options.message_flags)
            + message(_DATATYPE, kind + options.type_tail, 1)
            + message(_FILL, bytes.fromhex("0309"))
            + message(_LAYOUT, layout)
        )

    def group(self, node: _Group, *, root: bool = False) -> int:
        options = self.options
        links = b""
        addresses = {}
        for name, child in sorted(node.children.items()):
            if isinstance(child, _Group):
                addresses[name] = self.group(child)
            else:
                addresses[name] = self.dataset(child)
            body = link(name, addresses[name], options.link_form)
            body = bytes([body[0], body[1] | options.link_flags]) + body[2:]
            links += message(_LINK, body)
        if options.fault == "link-twice" and root:
            links += message(_LINK, link("model", self.group(_Group())))
        attributes = b"".join(
            message(
                _ATTRIBUTE,
                attribute(name, array, null_ended=options.null_ended, version=options.type_version),
            )
            for name, array in sorted(node.attributes.items())
        )
        index = b"\1" + bytes(8) if options.tracked else b"\0"
        rest = UNDEFINED + (options.ignored or UNDEFINED)
        messages = message(_LINK_INFO, b"\0" + index + rest)
        if options.fault == "no-link-info" and not root:
            messages = b""
        if options.tracked or options.ignored:
            index = b"\1" + bytes(2) if options.tracked else b"\0"
            messages += message(_ATTRIBUTE_INFO, b"\0" + index + rest)
        messages += message(_GROUP_INFO, b"\0\0") + links
        if root:
            for name, body in options.extra_links.items():
                aimed = body.replace(b"@MODEL@@", struct.pack("<Q", addresses["model"]))
                messages += message(_LINK, aimed or link(name, addresses["model"]))
            messages += options.extra_messages
            if options.continuation:
                block = _summed(b"OCHK" + (_ordered(attributes) if options.order else attributes))
                if options.fault == "continuation-loop":
                    at = len(self.data) + -len(self.data) % 8  # where `put` is about to put it
                    size = len(block) + 20  # one message more
                    more = message(_CONTINUATION, struct.pack("<QQ", at, size))
                    block = _summed(b"OCHK" + attributes + more)
                    assert len(block) == size
                if options.fault == "continuation-signature":
                    block = _summed(b"OCHX" + attributes)
                if options.fault == "continuation-checksum":
                    block = block[:-1] + bytes([block[-1] ^ 1])
                for _ in range(options.blocks - 2):
                    place = struct.pack("<QQ", self.put(block), len(block))
                    block = _summed(b"OCHK" + message(_CONTINUATION, place))
                if options.fault == "continuation-empty":
                    empty = _summed(b"OCHK")
                    place = struct.pack("<QQ", self.put(empty), len(empty))
                    messages += message(_CONTINUATION, place)
                place = struct.pack("<QQ", self.put(block), len(block))
                return self.header(messages + message(_CONTINUATION, place))
        return self.header(messages + attributes, root=root)


def write(objects: dict[str, Array], options: Options | None = None) -> bytes:
    """Return a manifest in compact form.

    Parameters
    ----------
    objects : dict of str to numpy.ndarray
        Every object by its path; an attribute is written ``/group@name``. Text has kind ``S``.
    options : Options, optional
        Choices and faults.
    """
    options = options or Options()
    if options.null_ended:
        objects = {
            path: array.astype(f"S{array.dtype.itemsize + 1}") if array.dtype.kind == "S" else array
            for path, array in objects.items()
        }
    file = _File(options)
    root = file.group(_tree(objects), root=True)
    if options.fault == "root-outside":
        root = len(file.data) + 64
    end = len(file.data) + (1 if options.fault == "end-of-file" else 0)
    signature = b"\x89HDF\r\n\x1a\n" if options.fault != "signature" else b"\x89HDX\r\n\x1a\n"
    head = signature + bytes([options.superblock_version, 8, 8, 0])
    head += struct.pack("<Q", 0) + UNDEFINED + struct.pack("<QQ", end, root)
    block = _summed(head)
    if options.fault == "superblock-checksum":
        block = block[:-1] + bytes([block[-1] ^ 1])
    file.data[:48] = block
    return bytes(file.data)
