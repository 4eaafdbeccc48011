"""NNCodec in the experiments: had when it is first needed, and what it cannot code is left out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nmc_tools.bench_rd import nncodec_peer

if TYPE_CHECKING:
    from nmc_tools.bench_rd.coded import Coded
    from nmc_tools.experiments.kept import State


class Peer:
    """NNCodec, in an environment in ``folder`` that is made when something is to be coded.

    Where all of its results are kept, none is made.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._python: Path | None = None
        self._reason = ""

    def code(self, parameter: int, state: State, folder: Path) -> Coded:
        """Code a state at a quantisation parameter, without another to differ from.

        Raises
        ------
        PeerError
            If it cannot be had, or fails; the first reason is remembered.
        """
        codec = nncodec_peer.codecs(self._ready(), (parameter,))[1]
        return codec.code([state], parameter, folder)

    def _ready(self) -> Path:
        if self._reason:
            raise nncodec_peer.PeerError(self._reason)
        if self._python is None:
            try:
                self._python = nncodec_peer.environment(self._folder)
            except nncodec_peer.PeerError as error:
                self._reason = str(error)
                raise
        return self._python


class LeftOut:
    """Points that could not be measured, by the reason."""

    def __init__(self) -> None:
        self._points: dict[str, list[str]] = {}

    def add(self, point: str, error: Exception) -> None:
        """Leave a point out."""
        self._points.setdefault(str(error), []).append(point)

    @property
    def notes(self) -> Sequence[str]:
        """One sentence for each reason."""
        return [
            f"NNCodec is left out of {_named(points)}: {reason}."
            for reason, points in self._points.items()
        ]


def _named(points: Sequence[str]) -> str:
    more = len(points) - 1
    return points[0] if not more else f"{points[0]} and {more} more points"
