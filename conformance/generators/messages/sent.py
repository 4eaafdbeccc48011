"""Messages, from their states to bytes, with one fault on request (clause 15)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from arithmetic.arithmetic_cases import coded
from blake3 import blake3
from cases import Case
from chain import (
    DELTA,
    KEY,
    Cell,
    Chain,
    Frame,
    Row,
    Streams,
    state_digest,
    streams_of,
    tensor_digests,
)
from chain import state_bytes as bytes_of
from columns import UNTEXT
from model.model_cases import SEED
from writers.package_writer import framed, le32, le64, segment

MAGIC = b"NMCmsg1\n"
NEEDS = ("messages",)
ANYWHERE = {"file": ""}
"""The place of a fault of a message, which has no name of its own."""


@dataclass(frozen=True)
class Sent:
    """A message before it is written.

    Attributes
    ----------
    chain : Chain
        Of the state that it builds on, where it is a delta message, and of the one that it makes.
    new : int or None
        How many of the last rows it brings; None for all.
    parent, state, stop : bytes or None
        Digests in place of those of the chain; of a refinement that is not there.
    streams : callable
        On the streams of the segment.
    rows : callable
        On the bytes of the rows.
    said : mapping
        Fields in place of the right ones: magic, length, state_bytes, count, row_bytes, padding.
    closed : callable
        From the bytes before the digest to the digest.
    packed : callable
        On the whole message.
    """

    chain: Chain
    new: int | None = None
    parent: bytes | None = None
    state: bytes | None = None
    stop: bytes | None = None
    streams: Callable[[Streams], Streams] = dict
    rows: Callable[[bytes], bytes] = bytes
    said: Mapping[str, Any] = field(default_factory=dict)
    closed: Callable[[bytes], bytes] = lambda data: blake3(data).digest()
    packed: Callable[[bytes], bytes] = bytes

    @property
    def digest(self) -> bytes:
        """Digest of the state that it makes."""
        return state_digest(self.chain, len(self.chain.frames) - 1)

    @property
    def tensors(self) -> dict[str, list[str]]:
        """The names of the tensors of the state that it makes, by their digests."""
        made: dict[str, list[str]] = {}
        for name, digest in tensor_digests(self.chain, len(self.chain.frames) - 1).items():
            made.setdefault(digest.hex(), []).append(name)
        return made

    def pack(self) -> bytes:
        """Return the bytes of the message (clause 15.1)."""
        t = len(self.chain.frames) - 1
        key = self.chain.frames[t].coding == KEY
        parent = None if key else self.parent or state_digest(self.chain, t - 1)
        streams = self.streams(streams_of(self.chain, t))
        stops = [] if self.stop is None else [self.stop]
        body = segment(parent, self.state or self.digest, streams, stops=stops)
        kept = 0 if key or self.new is None else len(self.chain.rows) - self.new
        brought = self.chain.rows[kept:]
        rows = self.rows(b"".join(map(row_bytes, brought)))
        padding = self.said.get("padding", bytes(-(32 + len(rows)) % 64))
        size = 32 + len(rows) + len(padding) + len(body) + 32
        head = self.said.get("magic", MAGIC) + le64(self.said.get("length", size))
        head += le64(self.said.get("state_bytes", bytes_of(self.chain, t)))
        head += le32(self.said.get("count", len(brought)))
        head += le32(self.said.get("row_bytes", len(rows)))
        data = head + rows + padding + body
        return self.packed(data + self.closed(data))


def row_bytes(row: Row) -> bytes:
    """Return one row of a message."""
    made = framed(row.name.encode(errors=UNTEXT)) + framed(row.dtype.encode())
    return made + le32(len(row.shape)) + b"".join(map(le64, row.shape))


def key_of(chain: Chain) -> Sent:
    """Return the key message of the first frame of a chain."""
    return Sent(replace(chain, frames=chain.frames[:1]))


def delta_of(chain: Chain, t: int = 1, new: int = 0) -> Sent:
    """Return the delta message of a frame; its rows are in the order of their names."""
    before = replace(chain.frames[t - 1], coding=KEY)
    return Sent(replace(chain, frames=(before, chain.frames[t])), new)


def all_of(chain: Chain) -> tuple[Sent, ...]:
    """Return the messages of all frames of a chain, its rows being in the order of their names."""
    deltas = (delta_of(chain, t) for t in range(1, len(chain.frames)))
    return (key_of(chain), *deltas)


def by_variant(chain: Chain, variant: int) -> Chain:
    """Return a chain of two frames, the second one in a variant of the coder (clause 8.3)."""
    return coded(chain, [None, variant])


def accepted(
    name: str, summary: str, clauses: tuple[str, ...], *sent: Sent, **changes: Any
) -> Case:
    """Return the case of messages that are applied one after the other."""
    return Case(
        f"15-messages/{name}",
        summary,
        clauses,
        replace(sent[0].chain, profile="main"),
        messages=tuple(each.pack() for each in sent),
        states=tuple(each.digest.hex() for each in sent),
        tensors=tuple(each.tensors for each in sent),
        requires=NEEDS,
        seed=SEED,
        **changes,
    )


def refused(
    base: Case,
    name: str,
    summary: str,
    clauses: str,
    code: str | tuple[str, ...],
    last: Sent,
    **changes: Any,
) -> Case:
    """Return the case of messages of which the last one is refused."""
    before = len(base.messages) - 1
    return base.reject(
        f"15-messages/{name}",
        f"{summary} is rejected",
        clauses,
        code,
        stage="frame",
        frame=before,
        place=ANYWHERE,
        messages=(*base.messages[:before], last.pack()),
        states=(*base.states[:before], None),
        tensors=(*base.tensors[:before], last.tensors),
        **changes,
    )


def delta(*cells: Cell | None, **ways: Any) -> Frame:
    """Return a delta frame."""
    return Frame(DELTA, cells, **ways)


def key(*cells: Cell | None, **ways: Any) -> Frame:
    """Return a key frame."""
    return Frame(KEY, cells, **ways)
