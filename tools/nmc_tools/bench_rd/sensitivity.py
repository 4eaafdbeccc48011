"""The measured sensitivity of a chain's first model, kept in a file beside the points."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import nmc
from nmc.writing.sensitivity import SensitivePart
from nmc_tools.bench_rd.versions import content_of, version_of

if TYPE_CHECKING:
    from nmc_tools.bench_rd.chains import BenchChain


def measured(chain: BenchChain, path: Path) -> nmc.Sensitivity:
    """Return the sensitivity of a chain's first model, from its file where that is of this chain.

    It is measured by other cameras than those that judge, where there are cameras.
    """
    of = f"{content_of(chain)} {version_of('ours')}"
    if path.exists():
        kept = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(kept, dict) and kept["of"] == of:
            return nmc.Sensitivity([SensitivePart(**record) for record in kept["parts"]])
    seen = chain.measured or (lambda state: chain.judge(0, state).fidelity)
    found = nmc.Sensitivity.measured(chain.states[0], seen, chain.parts)
    document = {"of": of, "parts": [asdict(part) for part in found.parts]}
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return found


def by_row(
    steps: Mapping[str, Sequence[tuple[int, float]]],
) -> dict[str, np.ndarray[Any, Any]]:
    """Return steps as one column a tensor: a number for each row."""
    return {
        name: np.concatenate([np.full(rows, step) for rows, step in parts])
        for name, parts in steps.items()
    }
