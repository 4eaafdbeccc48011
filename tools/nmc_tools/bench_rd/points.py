"""Points of rate and distortion: one codec at one setting on one chain, measured once and kept."""

from __future__ import annotations

import hashlib
import json
import math
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nmc_tools.bench_rd.coded import KEY_EVERY, Codec, is_key, raw_bytes
from nmc_tools.bench_rd.versions import version_of

if TYPE_CHECKING:
    from nmc_tools.bench_rd.chains import BenchChain, Judged
    from nmc_tools.bench_rd.coded import Coded, State


@dataclass(frozen=True)
class Point:
    """What one codec at one setting made of one chain.

    Attributes
    ----------
    codec, setting, kind, intra
        See :class:`nmc_tools.bench_rd.coded.Codec`.
    key, delta : float
        Mean bytes of the frames at which a key frame is due, and of the others.
    rest : float
        Bytes beside the frames of the chain.
    frames : int
        How many frames the chain has.
    raw : float
        Bytes of a model as it is.
    fidelity : float or None
        Mean over the frames of the PSNR in dB against the original; None where all are the same,
        and of what was trained anew.
    held_out : float or None
        Mean change in dB of the PSNR against the truth; None where nobody has the truth.
    encode, decode : float or None
        MB/s of raw model by the time of one core; None of an estimate.
    version : str
        That of the coder: see :func:`nmc_tools.bench_rd.versions.version_of`.
    """

    codec: str
    setting: str
    kind: str
    intra: bool
    key: float
    delta: float
    rest: float
    frames: int
    raw: float
    fidelity: float | None
    held_out: float | None
    encode: float | None
    decode: float | None
    version: str = ""

    @property
    def shown_fidelity(self) -> str:
        """The fidelity as a table has it."""
        if self.fidelity is None:
            return "" if self.kind == "trained" else "exact"
        return f"{self.fidelity:.2f}"

    @property
    def rate(self) -> float:
        """Bytes on disk a frame of a group: a key frame, nine others and a tenth of the rest."""
        return (self.key + (KEY_EVERY - 1) * self.delta + self.rest) / KEY_EVERY


def measure(chain: BenchChain, codec: Codec, setting: str, judge: _Judge | None = None) -> Point:
    """Code and decode a chain, and judge every frame of it.

    Raises
    ------
    ValueError
        If a decoded state has not the tensors, shapes and dtypes of the original.
    """
    with tempfile.TemporaryDirectory() as folder:
        coded = codec.code(chain.states, codec.settings[setting], Path(folder))
    _compare(chain, coded)
    judged = [(judge or chain.judge)(t, state) for t, state in enumerate(coded.states)]
    original = [(judge or chain.judge)(t, state) for t, state in enumerate(chain.states)]
    due = [size for t, size in enumerate(coded.frames) if is_key(t)]
    between = [size for t, size in enumerate(coded.frames) if not is_key(t)] or due
    raw = sum(raw_bytes(state) for state in chain.states)
    return Point(
        codec=codec.name,
        setting=setting,
        kind=codec.kind,
        intra=codec.intra,
        key=float(np.mean(due)),
        delta=float(np.mean(between)),
        rest=float(coded.rest),
        frames=len(chain.states),
        raw=raw / len(chain.states),
        fidelity=None if codec.kind == "trained" else _mean_fidelity(judged),
        held_out=_held_out(judged, original),
        encode=_speed(raw, coded.encode),
        decode=_speed(raw, coded.decode),
        version=version_of(codec.kind),
    )


def _compare(chain: BenchChain, coded: Coded) -> None:
    if len(coded.states) != len(chain.states) or len(coded.frames) != len(chain.states):
        raise ValueError(f"{len(coded.states)} decoded states of {len(chain.states)}")
    for t, (state, original) in enumerate(zip(coded.states, chain.states, strict=True)):
        kinds = [{n: (a.dtype, a.shape) for n, a in s.items()} for s in (state, original)]
        if kinds[0] != kinds[1]:
            raise ValueError(f"frame {t} came back with other tensors, shapes or dtypes")


def _mean_fidelity(judged: Sequence[Judged]) -> float | None:
    """Return the mean of what is finite: one frame without error makes no chain exact."""
    finite = [each.fidelity for each in judged if math.isfinite(each.fidelity)]
    return float(np.mean(finite)) if finite else None


def _held_out(judged: Sequence[Judged], original: Sequence[Judged]) -> float | None:
    pairs = zip(judged, original, strict=True)
    changes = [
        a.held_out - b.held_out
        for a, b in pairs
        if a.held_out is not None and b.held_out is not None
    ]
    return float(np.mean(changes)) if changes else None


def _speed(raw: float, seconds: float) -> float | None:
    return raw / 1e6 / seconds if seconds > 0 else None


_Judge = Callable[[int, "State"], "Judged"]


def remembering(chain: BenchChain) -> _Judge:
    """Return the chain's judge, who judges no state twice: codecs may decode to the same one."""
    known: dict[tuple[int, bytes], Judged] = {}

    def judge(t: int, state: State) -> Judged:
        digest = hashlib.sha256()
        for name in sorted(state):
            digest.update(name.encode())
            digest.update(np.ascontiguousarray(state[name]).tobytes())
        key = (t, digest.digest())
        if key not in known:
            known[key] = chain.judge(t, state)
        return known[key]

    return judge


@dataclass(frozen=True)
class PointFile:
    """The points of one chain in a JSON file.

    Those of another scale, or of another version of their coder, are not there.
    """

    path: Path
    scale: str

    def read(self) -> dict[tuple[str, str], Point]:
        """Return the points by codec and setting, in the order of their measurement."""
        if not self.path.exists():
            return {}
        kept = json.loads(self.path.read_text(encoding="utf-8"))
        if kept["scale"] != self.scale:
            return {}
        points = [Point(**record) for record in kept["points"]]
        return {
            (point.codec, point.setting): point
            for point in points
            if point.version == version_of(point.kind)
        }

    def add(self, point: Point) -> None:
        """Put one point in place of what was there of its codec and setting."""
        points = self.read() | {(point.codec, point.setting): point}
        records = [asdict(each) for each in points.values()]
        text = json.dumps({"scale": self.scale, "points": records}, indent=1) + "\n"
        partial = self.path.with_suffix(".partial")
        partial.write_text(text, encoding="utf-8")
        partial.replace(self.path)


def missing(
    codecs: Sequence[Codec], kept: dict[tuple[str, str], Any], *, again: bool
) -> Iterator[tuple[Codec, str]]:
    """Yield each codec and setting that is still to be measured."""
    for codec in codecs:
        for setting in codec.settings:
            if again or (codec.name, setting) not in kept:
                yield codec, setting
