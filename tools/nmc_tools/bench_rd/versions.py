"""What points depend on: the numbers of a chain, who judges them, and the sources of a coder."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import nmc
import nmc_framework
from nmc_tools.bench_rd import nncodec_peer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nmc_tools.bench_rd.chains import BenchChain

_HERE = Path(__file__).parent
_CODER = Path(nmc.__file__).parent
_FRAMEWORK = Path(nmc_framework.__file__).parent
_WRITING = (
    "aim", "curvature", "frame_coder", "measured_steps", "quantisation", "quantiser", "remembered",
    "search", "sensitivity", "trial",
)  # fmt: skip
_JUDGES = ("chains", "distortion", "encodings", "hash_chain", "nerf_chain", "packaged", "ring")
_DIGITS = 16


@cache
def version_of(kind: str) -> str:
    """Return what points of a kind of codec are measured anew for, where it is another one.

    Parameters
    ----------
    kind
        As in :class:`nmc_tools.bench_rd.coded.Codec`. Ours depends on the sources of the coder, a
        peer on its own version. What was trained is a package that is there: nothing is coded.
    """
    if kind == "trained":
        return ""
    if kind == "ours":
        coding = sorted(_CODER.glob("coding/**/*.py"))
        writing = [_CODER / "writing" / f"{name}.py" for name in _WRITING]
        measured = [_FRAMEWORK / "evaluation" / f"{name}.py" for name in ("curvature", "fidelity")]
        return _digest([*coding, *writing, *measured, *_own("ours", "sensitivity", "curvature")])
    if kind == "peer":
        return f"{nncodec_peer.VERSION} {_digest(_own('nncodec_script', 'nncodec_peer'))}"
    sources = _own("baselines", "learned_rounding", "sensitivity")
    return f"zstandard {_installed('zstandard')} {_digest(sources)}"


def content_of(chain: BenchChain) -> str:
    """Return a digest of all states of a chain, and of the sources of who judges it."""
    digest = hashlib.sha256(_digest(_own(*_JUDGES)).encode())
    for state in chain.states:
        digest.update(f"{len(state)} tensors\n".encode())
        for name, array in state.items():
            digest.update(f"{name} {array.dtype} {array.shape}\n".encode())
            digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:_DIGITS]


def _own(*names: str) -> list[Path]:
    return [_HERE / f"{name}.py" for name in names]


def _digest(files: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for path in files:
        digest.update(path.name.encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:_DIGITS]


def _installed(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "absent"
