"""The divided variant of the lossless coder (clause 8.8)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from writers.package_writer import count

from arithmetic.coder_adaptive import ADAPTIVE, Share, encode_shares

if TYPE_CHECKING:
    from collections.abc import Sequence

    from arithmetic.coder_words import CodedTensor, History


@dataclass(frozen=True)
class Body:
    """The fields of a body (clause 8.8.1): what is said of portions, and the bodies of these."""

    words: tuple[int, ...]
    sizes: tuple[int, ...]
    bodies: tuple[bytes, ...]

    def serialize(self) -> bytes:
        """Return the body."""
        pairs = zip(self.words, self.sizes, strict=True)
        said = b"".join(count(words) + count(size) for words, size in pairs)
        return count(len(self.words)) + said + b"".join(self.bodies)


def shares_of(tensors: Sequence[CodedTensor], words: Sequence[int]) -> list[list[Share]]:
    """Return the shares of portions of so many words; the last one has all that are left."""
    ends = [sum(words[: k + 1]) for k in range(len(words))]
    begins = [0, *ends]
    places = [*zip(begins, [*ends, sum(len(p.old) for p in tensors)], strict=True)]
    portions = []
    for begin, end in places:
        shares, at = [], 0
        for p in tensors:
            first, last = max(begin - at, 0), min(end - at, len(p.old))
            if first < last:
                shares.append(Share(p, range(first, last)))
            at += len(p.old)
        portions.append(shares)
    return portions


def body(
    tensors: Sequence[CodedTensor], history: History, words: Sequence[int] = (), fill: int = 0
) -> Body:
    """Return a body with portions of so many words, and one of all that are left."""
    bodies, numbers = [], []
    for tensor in tensors:
        history.entries_of(tensor)
    for number, shares in enumerate(shares_of(tensors, words)):
        bodies.append(encode_shares(shares, history, ADAPTIVE, number, fill))
        numbers.append(sum(len(share.words) for share in shares))
    return Body(tuple(numbers), tuple(map(len, bodies)), tuple(bodies))
