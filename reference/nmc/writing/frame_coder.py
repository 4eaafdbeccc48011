"""From a given state to a coded frame: key frame or delta, what was frozen, what is quantised."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from nmc.coding.encode import encode_frame
from nmc.coding.freezing import recorded
from nmc.coding.matching import check_ids
from nmc.writing import options
from nmc.writing.quantiser import are_known, declared_psnr, quantised, unchanged
from nmc.writing.refinement import Layered, finer_states, layered
from nmc.writing.trial import Place
from nmc_format.manifest.frame_table import Coding

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nmc.coding.arithmetic import Effort
    from nmc.coding.encode import Entropy
    from nmc.coding.freezing import Freezing
    from nmc.coding.state import State, Tensor
    from nmc.writing.draft import Draft
    from nmc.writing.quantisation import Quantisation
    from nmc.writing.quantiser import Outcome
    from nmc_format.manifest.tensor_table import TensorRow


@dataclass(frozen=True)
class Wanted:
    """What the caller wants of one frame.

    Attributes
    ----------
    key : bool
        Whether it is to be a key frame in any case.
    lineage : int or None
        The frame that it was trained from.
    requires_grad, exclude_layers
        What was declared frozen, as in :meth:`nmc.Writer.append`.
    quantisation : Quantisation or None
        Its own, in place of that of all frames.
    stops : sequence of State
        The states of its stops above the base, where they are known.
    """

    key: bool
    lineage: int | None
    requires_grad: Mapping[str, bool] | None
    exclude_layers: Sequence[int] | None
    quantisation: Quantisation | None
    stops: Sequence[State] = ()


@dataclass(frozen=True)
class FrameCoder:
    """How the frames of a writer are coded; the attributes are options of :class:`nmc.Writer`."""

    profile: str
    entropy: Entropy
    effort: Effort
    key_every: int
    key_frames: frozenset[int]
    detect_frozen: bool
    quantisation: Quantisation | None
    threads: int
    row_id: str | None = None

    def coded(
        self, draft: Draft, rows: Sequence[TensorRow], tensors: dict[int, Tensor], wanted: Wanted
    ) -> tuple[Outcome, Layered, Freezing | None]:
        """Code the next frame of a draft; nothing is written yet.

        Parameters
        ----------
        draft : Draft
            What is on the disk.
        rows : sequence of TensorRow
            The tensor table, those of this frame with it.
        tensors : dict of int to Tensor
            The state as it was given.
        wanted : Wanted
            What else was said of it.

        Raises
        ------
        FormatError
            If a frozen parameter changed.
        ValueError
            If the profile has no quantisation.
        """
        asked = wanted.quantisation or self.quantisation
        options.check_quantisation(asked, self.profile)
        t, cursor, remembered = len(draft.entries), draft.cursor, draft.remembered
        parent = self._parent(draft, t, key=wanted.key)
        asked = asked.of_frame(self.effort, key=parent is None) if asked else None
        originals = tensors
        tensors = unchanged(tensors, cursor.state, remembered)
        freezing = recorded(
            tensors,
            cursor,
            rows,
            (wanted.requires_grad, wanted.exclude_layers),
            t,
            lineage=wanted.lineage,
            detect=self.detect_frozen and are_known(cursor.state, remembered),
        )
        ids = None
        if self.row_id is not None:
            ids = next((row for row in tensors if rows[row].name == self.row_id), None)
            check_ids(tensors, ids, self.row_id)
        encode = partial(
            encode_frame,
            ids=ids,
            before=cursor,
            rows=rows,
            parent=parent,
            entropy=self.entropy,
            effort=self.effort,
            threads=self.threads,
        )
        aims = asked is not None and asked.has_target
        group = draft.group if aims and parent is not None else ()
        place = Place(
            frame=t,
            key=parent is None,
            before=cursor,
            rows=rows,
            remembered=remembered,
            group=group,
            every=self.key_every,
            encode=encode,
            originals=originals,
        )
        made = quantised(asked, tensors, place)
        states = list(wanted.stops)
        if asked is not None and not states:
            key = made.coded.coding is Coding.KEY
            states = finer_states(asked, made.tensors, originals, cursor, key=key)
        options.check_stops(len(states), draft)
        mixing = self.effort != "fast"
        layers = layered(
            made.coded, made.tensors, states, cursor, rows, mixing=mixing, threads=self.threads
        )
        if asked is not None and asked.distortion is not None:
            layers = layers.with_psnr(
                [declared_psnr(asked, stop.state, place) for stop in layers.stops]
            )
        return made, layers, freezing

    def _parent(self, draft: Draft, t: int, *, key: bool) -> bytes | None:
        """Return the state digest that frame t builds on; None where it is to be a key frame."""
        every = self.key_every
        if key or t == 0 or t in self.key_frames or (every > 0 and t % every == 0):
            return None
        return draft.entries[-1].record.state_digest
