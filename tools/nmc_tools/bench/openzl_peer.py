"""OpenZL as a peer: its own choice for numbers, and the best of some graphs for a chain.

The trainer of OpenZL is part of its C++ command line tool and not of its Python package. What it
does for one array of numbers, trying graphs on samples, is done here with the graphs that suit
differences of words.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import openzl.ext as zl

from nmc_tools.bench.peers import Method

if TYPE_CHECKING:
    from collections.abc import Callable

    from nmc_tools.bench.chains import Chain, Words


def _split(c: Any, after: Any) -> Any:
    """Return a graph that gives each byte of a word its own stream."""
    return zl.nodes.ConvertNumToStructLE()(c, zl.nodes.TransposeSplit()(c, after))


_GRAPHS: dict[str, Callable[[Any], Any]] = {
    "numbers": zl.graphs.Compress(),
    "fields": zl.graphs.FieldLz(),
    "planes": lambda c: _split(c, zl.graphs.Compress()(c)),
    "entropy of planes": lambda c: _split(c, zl.graphs.Entropy()(c)),
    "zigzag": lambda c: zl.nodes.Zigzag()(c, zl.graphs.Compress()(c)),
    "entropy of planes, zigzag": lambda c: zl.nodes.Zigzag()(c, _split(c, zl.graphs.Entropy()(c))),
}


def _compressor(graph: str) -> Any:
    made = zl.Compressor()
    made.set_parameter(zl.CParam.FormatVersion, zl.MAX_FORMAT_VERSION)
    made.select_starting_graph(_GRAPHS[graph](made))
    return made


def _compress(compressor: Any, words: Words) -> bytes:
    context = zl.CCtx()
    context.ref_compressor(compressor)
    context.set_parameter(zl.CParam.FormatVersion, zl.MAX_FORMAT_VERSION)
    return bytes(context.compress([zl.Input(zl.Type.Numeric, words)]))


class OpenZl(Method):
    """Differences of words, by one graph; the best one on the first delta frame where trained.

    Parameters
    ----------
    trained : bool
        Try all graphs on the first frame that is coded.
    alone : bool
        Code the words themselves, the frame before unseen.
    """

    def __init__(self, *, trained: bool, alone: bool) -> None:
        self._trained = trained
        self._alone = alone
        self._chosen: Any = None

    def begin(self, chain: Chain) -> None:
        """Choose the graph."""
        self._chosen = self._choose(self._numbers(chain, 1))

    def _numbers(self, chain: Chain, t: int) -> Words:
        return chain.flat(t) if self._alone else chain.flat(t) - chain.flat(t - 1)

    def encode(self, chain: Chain, t: int) -> bytes:
        """Code frame t given frame t-1."""
        return _compress(self._chosen, self._numbers(chain, t))

    def _choose(self, numbers: Words) -> Any:
        if not self._trained:
            return _compressor("numbers")
        made = [_compressor(graph) for graph in _GRAPHS]
        return min(made, key=lambda compressor: len(_compress(compressor, numbers)))

    def decode(self, data: bytes, chain: Chain, t: int) -> Words:
        """Return the words of frame t."""
        plain = zl.DCtx().decompress(data)[0].content.as_nparray()
        numbers: Words = np.asarray(plain).view(chain.flat(t - 1).dtype)
        return numbers if self._alone else numbers + chain.flat(t - 1)
