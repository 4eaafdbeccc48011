"""Weights from process to process without files: key and delta messages (clause 15).

A sender and a receiver that keep what they have between messages are in
:mod:`nmc.transport.ends`.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from nmc.coding.arithmetic import History
from nmc.coding.cursor import Cursor
from nmc.coding.decode import decode_frame
from nmc.coding.encode import EFFORTS, ENTROPIES, encode_frame
from nmc.coding.state import EMPTY_STATE, digest_of
from nmc.writing.growing_table import GrowingTable
from nmc.writing.tensor_input import check_state_type
from nmc_format import message as syntax
from nmc_format.issues import refuse
from nmc_format.manifest.frame_table import Coding, Frames
from nmc_format.manifest.record import Manifest, Model, Root
from nmc_format.manifest.tensor_table import TensorRow, TensorTable
from nmc_format.segment import made, parse

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from typing_extensions import Buffer

    from nmc.coding.arithmetic import Effort
    from nmc.coding.encode import Entropy
    from nmc.coding.state import State
    from nmc_format.segment import Segment

DEFAULT_MAX_LEVEL = 3
"""Highest level that is accepted unless the receiver says otherwise: states of up to 16 GiB."""


@dataclass(frozen=True)
class Base:
    """The state that a message builds on, its tensors by name, ascending (clause 15.2).

    Attributes
    ----------
    rows : tuple of TensorRow
        One for each tensor.
    tensors : mapping of int to Tensor
        By row.
    """

    rows: tuple[TensorRow, ...] = ()
    tensors: State = field(default_factory=lambda: EMPTY_STATE)

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> Self:
        """Return the base that a state is; it shares the memory of the state.

        Raises
        ------
        FormatError
            If a tensor cannot be stored.
        """
        check_state_type(state)
        table = GrowingTable({}, ())
        ordered = {name: state[name] for name in sorted(state, key=_utf8)}
        tensors = table.tensors(ordered, EMPTY_STATE, 0)
        return cls(tuple(table.rows), tensors)

    @classmethod
    def after(cls, tensors: State, rows: Sequence[TensorRow]) -> Self:
        """Return the base that a decoded or encoded state is for the next message."""
        order = sorted(tensors, key=lambda row: _utf8(rows[row].name))
        named = (
            TensorRow(rows[row].name, tensors[row].dtype, shape=tensors[row].shape) for row in order
        )
        return cls(tuple(named), {i: tensors[row] for i, row in enumerate(order)})

    @cached_property
    def digest(self) -> bytes:
        """Its state digest (clause 4.5.2)."""
        return digest_of(self.tensors, self.rows)


def _utf8(name: object) -> bytes:
    """Return what names are sorted by; what is no name is refused where it is looked at."""
    return name.encode("utf-8", "surrogatepass") if isinstance(name, str) else b""


@dataclass(frozen=True)
class Coded:
    """A message, and the base that its receiver has after it.

    Attributes
    ----------
    data : bytes
        The message.
    after : Base
        Shares the memory of the state that was given.
    key : bool
        Whether it is a key message.
    """

    data: bytes
    after: Base
    key: bool


def encode_delta(
    before: Mapping[str, Any] | None,
    state: Mapping[str, Any],
    *,
    profile: str = "main",
    entropy: Entropy | None = None,
    effort: Effort = "fast",
) -> bytes:
    """Code a state against the one that a receiver has, as one message without a file.

    The message names the state that it builds on by its digest, and the one that it makes. What the
    coder learns from one message it does not keep for the next: any message can be applied by
    whoever has the state before it.

    Parameters
    ----------
    before : mapping of str to array, or None
        What the receiver has: a copy, where training changes the weights in place. None, or
        nothing in it, makes a key message, which needs no state before it.
    state : mapping of str to array
        numpy arrays, :class:`nmc.PackedArray` or torch tensors on any device, by name.
    profile : str
        ``"main"``, or ``"baseline"``: no entropy coding.
    entropy : str or None
        ``"none"``, ``"zstd"`` or ``"nmc"``; None: what the profile allows best.
    effort : str
        ``"fast"``, ``"strong"`` or ``"max"``: speed against size.

    Returns
    -------
    bytes
        A delta message; a key message where that is smaller.

    Raises
    ------
    FormatError
        If a tensor cannot be stored.
    ValueError
        If an option is unknown.

    Examples
    --------
    >>> import numpy as np
    >>> held = {"weight": np.zeros(1000, "f4")}
    >>> trained = {"weight": np.full(1000, 0.5, "f4")}
    >>> message = nmc.encode_delta(held, trained)
    >>> nmc.apply(held, message)["weight"][0]
    np.float32(0.5)
    """
    coder = Coder(profile, entropy, effort)
    return coder.coded(Base.of(before or {}), state).data


def apply(
    before: Mapping[str, Any] | None,
    message: Buffer,
    *,
    max_level: int = DEFAULT_MAX_LEVEL,
) -> dict[str, Any]:
    """Return the state that a message makes of the one before; that one is not changed.

    Nothing is returned before its digest was compared. Where anything is wrong the caller has what
    it had.

    Parameters
    ----------
    before : mapping of str to array, or None
        The state that the message builds on; None, or any other, for a key message.
    message : bytes-like
        As :func:`encode_delta` returns it.
    max_level : int
        Highest level that is accepted (clause 10.2); it bounds the memory that is used.

    Returns
    -------
    dict of str to array
        Where ``before`` has torch tensors, torch tensors on their device; else read-only numpy
        arrays. What did not change is the very tensor of ``before``.

    Raises
    ------
    FormatError
        ``decoding/parent-digest-mismatch`` if it builds on another state; another code if it is
        damaged or malformed.

    Examples
    --------
    >>> import numpy as np
    >>> key = nmc.encode_delta(None, {"weight": np.arange(3)})
    >>> nmc.apply(None, key)
    {'weight': array([0, 1, 2])}
    """
    given = before or {}
    base = Base.of(given)
    after = decoded(base, message, max_level)
    torch = sys.modules.get("torch")
    device = None
    if torch is not None:
        devices = {name: v.device for name, v in given.items() if isinstance(v, torch.Tensor)}
        device = next(iter(devices.values()), None)
    kept = {id(tensor): base.rows[row].name for row, tensor in base.tensors.items()}
    state: dict[str, Any] = {}
    for row, tensor in after.tensors.items():
        name = after.rows[row].name
        if id(tensor) in kept:
            state[name] = given[name]
        elif device is None:
            state[name] = tensor.array()
        else:
            from nmc.reading.torch_view import copied

            state[name] = copied(tensor.array(), devices.get(name, device))
    return state


@dataclass(frozen=True)
class Coder:
    """How messages are coded; options as of :func:`encode_delta`."""

    profile: str
    entropy: Entropy | None
    effort: Effort

    def __post_init__(self) -> None:
        baseline = self.profile == "baseline"
        for name, value, allowed in (
            ("profile", self.profile, ("main", "baseline")),
            ("entropy", self.entropy or "none", ("none",) if baseline else ENTROPIES),
            ("effort", self.effort, EFFORTS),
        ):
            if value not in allowed:
                raise ValueError(f"{name} is {value!r}; it may be {', '.join(map(repr, allowed))}")

    def coded(self, base: Base, state: Mapping[str, Any], *, key: bool = False) -> Coded:
        """Code a state against a base, or alone where there is none or that is smaller.

        Raises
        ------
        FormatError
            If a tensor cannot be stored.
        """
        if base.rows and not key:
            made = self._coded(base, state)
            if not made.key:
                return made
        return self._coded(Base(), state)

    def _coded(self, base: Base, state: Mapping[str, Any]) -> Coded:
        table = GrowingTable({}, ())
        table.extend(base.rows)
        tensors = table.tensors(state, base.tensors, int(bool(base.rows)))
        cursor = Cursor()
        cursor.follow(base.tensors, History())
        entropy = self.entropy or ("none" if self.profile == "baseline" else "nmc")
        parent = base.digest if base.rows else None
        frame = encode_frame(tensors, cursor, table.rows, parent, entropy, self.effort)
        size = sum(tensor.words.nbytes for tensor in tensors.values())
        added = table.rows[len(base.rows) :]
        data = syntax.serialize(size, added, made(frame.pieces))
        return Coded(data, Base.after(tensors, table.rows), frame.coding is Coding.KEY)


def decoded(base: Base, data: Buffer, max_level: int) -> Base:
    """Return what a message makes of a base; tensors that are skipped are its very objects.

    Raises
    ------
    FormatError
        If the message is damaged, malformed, or builds on another state.
    """
    # what is returned may lie in the message, which nobody is to change then
    data = data if isinstance(data, bytes) else bytes(memoryview(data))
    message = syntax.parse(data, max_level)
    segment = parse(message.segment, syntax.PLACE)
    if segment.refinements:
        reason = "a message has none"
        raise refuse("segment/refinement", file=segment.file, refinement=1, reason=reason)
    if segment.parent is None:
        base = Base()
    elif segment.parent != base.digest:
        raise refuse(
            "decoding/parent-digest-mismatch",
            file=segment.file,
            offset=0,
            actual=base.digest.hex() if base.rows else "not there",
            expected=segment.parent.hex(),
        )
    rows = (*base.rows, *message.rows)
    syntax.check_bounds(len(rows), message.state_bytes, max_level)
    seen: dict[tuple[str, str], int] = {}
    for i, row in enumerate(rows):
        first = seen.setdefault((row.name, row.dtype.name), i)
        if first != i:
            raise refuse(
                "manifest/tensor-duplicate",
                file=segment.file,
                first=first,
                second=i,
                name=row.name,
                dtype=row.dtype.name,
            )
    manifest = _manifest(rows, segment, message.state_bytes)
    state = decode_frame(manifest, len(manifest) - 1, segment, dict(base.tensors), History())
    _check_state(state, rows, segment)
    return Base.after(state, rows)


def _manifest(rows: Sequence[TensorRow], segment: Segment, state_bytes: int) -> Manifest:
    """Return what the manifest of a package of this frame, and the one before, would say."""
    coding = [Coding.KEY.number] if segment.parent is None else [0, Coding.DELTA.number]
    count = len(coding)
    frames = Frames(
        timescale=1,
        coding=np.array(coding, np.uint8),
        presentation_time=np.arange(count),
        segment_length=np.zeros(count, np.uint64),
        segment_sha256=np.zeros((count, 32), np.uint8),
        state_bytes=np.full(count, state_bytes, np.uint64),
        state_digest=np.zeros((count, 32), np.uint8),
    )
    root = Root(profile="main", level=DEFAULT_MAX_LEVEL, sequence_id=syntax.PLACE)
    return Manifest(root, Model("unknown", "{}"), TensorTable.of(rows), frames)


def _check_state(state: State, rows: Sequence[TensorRow], segment: Segment) -> None:
    actual = digest_of(state, rows)
    if actual != segment.state:
        raise refuse(
            "decoding/state-digest-mismatch",
            file=segment.file,
            offset=0,
            actual=actual.hex(),
            expected=segment.state.hex(),
        )
    for row, tensor in state.items():
        if tensor.stored_digest is not None and tensor.stored_digest != tensor.digest:
            raise refuse(
                "decoding/tensor-digest-mismatch",
                file=segment.file,
                name=rows[row].name,
                actual=tensor.digest.hex(),
                expected=tensor.stored_digest.hex(),
            )
