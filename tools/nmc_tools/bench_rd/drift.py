"""Whether errors grow along a chain: one key frame, and then nothing but delta frames."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import nmc
from nmc_tools.bench_rd import sensitivity
from nmc_tools.bench_rd.versions import content_of, version_of

if TYPE_CHECKING:
    from nmc_tools.bench_rd.chains import BenchChain, Judged

#: Fidelities in dB that are aimed at, and the frames of either end that are compared.
AIMS, _ENDS = (46.0, 41.0, 36.0), 10


@dataclass(frozen=True)
class Drift:
    """One aim on one chain.

    Attributes
    ----------
    aim : float
        The fidelity that steps of the first frame were to give, in dB.
    frames : int
    key, delta : float
        Bytes of the key frame, and mean bytes of the others.
    fidelity : tuple of float
        Mean PSNR in dB against the original, of the first frames and of the last ones.
    held_out : tuple of float or None
        Mean change in dB of the PSNR against the truth, of the same frames, and the worst frame's.
    """

    aim: float
    frames: int
    key: float
    delta: float
    fidelity: tuple[float, float]
    held_out: tuple[float, float, float] | None


def measured(
    chain: BenchChain, output: Path, report: Callable[[str, int, int], None]
) -> list[Drift]:
    """Code a chain with a single key frame, by steps of its first frame, and judge every frame.

    What is in ``drift-<name>.json`` of this chain and this coder is not measured again.
    """
    path = output / f"drift-{chain.name}.json"
    of = f"{content_of(chain)} {version_of('ours')}"
    if path.exists():
        kept = json.loads(path.read_text(encoding="utf-8"))
        if kept["of"] == of:
            return [_drift(row) for row in kept["rows"]]
    found = sensitivity.measured(chain, output / f"sensitivity-{chain.name}.json")
    original = [chain.judge(t, state) for t, state in enumerate(chain.states)]
    rows = []
    for done, aim in enumerate(AIMS):
        report(f"{chain.name}: one key frame, aim {aim:g} dB", done, len(AIMS))
        steps = nmc.Quantisation(found.steps(aim), update_step=found.update_steps(aim))
        rows.append(_measured(chain, steps, aim, original))
    text = json.dumps({"of": of, "rows": [asdict(row) for row in rows]}, indent=1)
    path.write_text(text + "\n", encoding="utf-8")
    return rows


def _drift(row: dict[str, Any]) -> Drift:
    held_out = row["held_out"]
    ends = {"fidelity": tuple(row["fidelity"]), "held_out": held_out and tuple(held_out)}
    return Drift(**{**row, **ends})


def _measured(
    chain: BenchChain, quantisation: nmc.Quantisation, aim: float, original: Sequence[Judged]
) -> Drift:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "chain.nmc"
        with nmc.Writer(path, key_every=0, threads=1, quantisation=quantisation) as writer:
            for state in chain.states:
                writer.append(state)
        with nmc.open(path, threads=1) as sequence:
            sizes = [record.segment_length for record in sequence.frames]
            states: list[Any] = [sequence[t] for t in range(len(sequence))]
        judged = [chain.judge(t, state) for t, state in enumerate(states)]
    fidelity = [one.fidelity for one in judged]
    changes = [
        a.held_out - b.held_out
        for a, b in zip(judged, original, strict=True)
        if a.held_out is not None and b.held_out is not None
    ]
    known = (*_ends(changes), float(min(changes))) if changes else None
    deltas = float(np.mean(sizes[1:]))
    return Drift(aim, len(judged), float(sizes[0]), deltas, _ends(fidelity), known)


def _ends(values: Sequence[float]) -> tuple[float, float]:
    return float(np.mean(values[:_ENDS])), float(np.mean(values[-_ENDS:]))


def table(name: str, rows: Sequence[Drift]) -> str:
    """Return the rows as a Markdown table, with what it is about."""
    frames = rows[0].frames
    lines = [
        f"**`{name}`**: {frames} frames, of which only the first is a key frame; the first and the",
        f"last {_ENDS}. Steps are those that sensitivity of the first frame gives.",
        "",
        "| **nmc lossy, by sensitivity** | key | delta | fidelity | | held-out | | worst frame |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        changes = [f"{change:+.3f}" for change in row.held_out or ()] or [""] * 3
        lines.append(
            f"| aim {row.aim:g} dB | {row.key:,.0f} | {row.delta:,.0f} | {row.fidelity[0]:.2f} | "
            f"{row.fidelity[1]:.2f} | {' | '.join(changes)} |"
        )
    return "\n".join(lines)
