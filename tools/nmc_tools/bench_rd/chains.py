"""The chains that are measured, and who judges what was decoded of each of their frames."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nmc_framework.metrics import psnr
from nmc_tools.bench_rd.coded import State

if TYPE_CHECKING:
    import nmc
    from nmc_framework.cameras import Camera
    from nmc_framework.models import ChainModel
    from nmc_tools.bench_rd.learned_rounding import Teacher
    from nmc_tools.demo import Size

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Judged:
    """What was seen of one decoded frame.

    Attributes
    ----------
    fidelity : float
        PSNR in dB between what is seen of the decoded and of the original model; inf for the same.
    held_out : float or None
        PSNR in dB against the truth, of the decoded model; None where nobody has the truth.
    """

    fidelity: float
    held_out: float | None = None


@dataclass(frozen=True, eq=False)
class BenchChain:
    """A chain that is coded.

    Attributes
    ----------
    name : str
        As tables name it.
    states : sequence of mapping of str to array
        The original states, in order.
    judge : callable
        (t, decoded state of frame t) to :class:`Judged`.
    seen : str
        By what it is judged, for the reader of a table.
    exponents : sequence of int
        Powers of two that are tried as steps of a uniform quantiser.
    parts : mapping of str to sequence of int
        Rows of the parts of a tensor that matter differently, such as the levels of a hash grid.
    aims : sequence of float
        Fidelities in dB that steps from measured sensitivity are to give.
    teacher : Teacher or None
        What rounding can be learned from, where the model can be trained.
    curvature : callable or None
        (t) to how much is seen of errors of frame t, by other cameras than those that judge.
    measured : callable or None
        A changed first state to the PSNR in dB against the original one, by other cameras than
        those that judge: what steps are measured by. None where there are no cameras.
    loss : float
        What may be lost against the truth, in dB: the aim that costs just so much is looked for.
    """

    name: str
    states: Sequence[State]
    judge: Callable[[int, State], Judged]
    seen: str
    exponents: Sequence[int]
    parts: Mapping[str, Sequence[int]] = field(default_factory=dict)
    aims: Sequence[float] = (62.0, 56.0, 51.0, 46.0, 41.0, 36.0, 32.0)
    teacher: Teacher | None = None
    curvature: Callable[[int], nmc.Curvature] | None = None
    measured: Callable[[State], float] | None = None
    loss: float = 0.3


def trained_chain(folder: Path, *, every: int) -> BenchChain:
    """Return a chain of safetensors files that :mod:`nmc_tools.bench_rd.distortion` can render."""
    from nmc_tools.bench.chains import load as load_chain
    from nmc_tools.bench_rd.curvature import of_trained
    from nmc_tools.bench_rd.distortion import Distortion, fidelity
    from nmc_tools.bench_rd.encodings import MEASURING
    from nmc_tools.bench_rd.hash_chain import TABLE, level_rows

    states = load_chain(folder).frames

    @cache
    def against(t: int) -> Distortion:
        return fidelity(states[t], every=every)

    def judge(t: int, state: State) -> Judged:
        return Judged(against(t)(state))

    @cache
    def measuring() -> Distortion:
        return fidelity(states[0], every=every, ring=MEASURING)

    def measured(state: State) -> float:
        return measuring()(state)

    levels = [last - first for first, last in level_rows()]
    parts = {TABLE: levels} if TABLE in states[0] else {}
    return BenchChain(
        folder.name,
        states,
        judge,
        "renderings of 4 cameras",
        range(-6, -13, -1),
        parts,
        curvature=cache(lambda t: of_trained(states[t])),
        measured=measured,
    )


def embedded_chain(
    name: str, folder: Path, scene: str, frames: int, size: Size | None = None
) -> BenchChain:
    """Return the chain that ``nmc demo`` trains on an embedded scene; train it where it is missing.

    Parameters
    ----------
    name
        As tables name it.
    folder
        Where the demo leaves its package, and where a package of before is found.
    scene
        One of :func:`nmc_framework.scene.scenes`.
    frames
        How many models.
    size
        How much the demo does, where it is not as much as usual.
    """
    import nmc
    from nmc_framework.cameras.packaged import cameras_in
    from nmc_framework.evaluation.curvature import seen_curvature
    from nmc_framework.evaluation.fidelity import fidelity
    from nmc_framework.models import build
    from nmc_framework.models.views import RayModel
    from nmc_framework.scene import scenes
    from nmc_tools.bench_rd.learned_rounding import Teacher

    path = folder / "scene.nmc"
    if not path.exists():
        from nmc_tools import demo

        demo.run(folder, scene=scene, frames=frames, size=size)  # type: ignore[arg-type]
    filmed = scenes()[scene]
    with nmc.open(path) as sequence:
        count = min(frames, len(sequence))
        states: list[Any] = [sequence[t] for t in range(count)]
        described = str(sequence.family), sequence.configuration
        model = build(*described)
        solved = {camera.name: camera for camera in cameras_in(sequence)}
    one = next(iter(solved.values()))
    true_rig = _true_rig(scene, filmed, (one.width, one.height), len(solved))
    held_out = [solved[camera.name] for camera in true_rig.held_out]

    @cache
    def original(t: int) -> tuple[Array, Array]:
        truth = filmed.view_all(true_rig.held_out, t / filmed.rate)
        return rendered(model, states[t], held_out), np.stack(truth).astype(np.float32) / 255

    def judge(t: int, state: State) -> Judged:
        seen, truth = original(t)
        found = rendered(model, state, held_out)
        views = zip(found, truth, strict=True)
        return Judged(psnr(found, seen), float(np.mean([psnr(a, b) for a, b in views])))

    judged_by = f"renderings of {len(held_out)} held-out cameras"
    training = [solved[camera.name] for camera in true_rig.training]
    distance = fidelity(*described, training)

    def measured(state: State) -> float:
        return distance(dict(state), states[0])

    if not isinstance(model, RayModel):
        return BenchChain(name, states, judge, judged_by, range(-3, -10, -1), measured=measured)

    @cache
    def curvature(t: int) -> nmc.Curvature:
        model.load(states[t])
        return seen_curvature(model, training)

    return BenchChain(
        name,
        states,
        judge,
        judged_by,
        range(-3, -10, -1),
        teacher=Teacher(model, training),
        curvature=curvature,
        measured=measured,
    )


def _true_rig(name: str, scene: Any, size: tuple[int, int], cameras: int) -> Any:
    from nmc_framework.scene import arc_rig

    if name != "room":
        return scene.rig(size)
    return arc_rig(cameras - _ROOM_HELD_OUT, _ROOM_HELD_OUT, size)


#: Held-out cameras of the demo's room.
_ROOM_HELD_OUT = 3


def rendered(model: ChainModel, state: State, cameras: Sequence[Camera]) -> Array:
    """Return what cameras see of a state, (views, height, width, 3) float32 in 0..1."""
    import torch

    from nmc_framework.models.views import shown

    model.load(state)
    model.eval()
    seen = shown(model)
    with torch.no_grad():
        pictures = [seen.render_view(camera).clamp(0, 1).numpy() for camera in cameras]
    return np.stack(
        [p.reshape(c.height, c.width, 3) for p, c in zip(pictures, cameras, strict=True)]
    )


def splat_chain(points: int = 20_000, frames: int = 10, *, seed: int = 0) -> BenchChain:
    """Return a made chain of Gaussian splats, a fifth of which moves in each frame.

    Nobody trained it: it has the types, shapes and spreads of a splat file, and says how a codec
    takes rows that stand still. It is judged by its attributes: PSNR with each attribute's own
    range as the peak, over all numbers.
    """
    rng = np.random.default_rng(seed)
    state = {
        "xyz": rng.normal(0, 1, (points, 3)),
        "f_dc": rng.normal(0, 0.8, (points, 3)),
        "opacity": rng.normal(1, 2, (points, 1)),
        "scaling": rng.normal(-4.5, 0.8, (points, 3)),
        "rotation": rng.normal(0, 1, (points, 4)),
    }
    drift = {"xyz": 0.01, "f_dc": 0.02, "opacity": 0.05, "scaling": 0.01, "rotation": 0.02}
    moving = rng.random(points) < 0.2
    states = []
    for _ in range(frames):
        states.append({name: array.astype(np.float32) for name, array in state.items()})
        for name, array in state.items():
            step = rng.normal(0, drift[name], array.shape)
            state[name] = array + np.where(moving[:, None], step, 0)
    ranges = {name: float(np.ptp(array)) for name, array in states[0].items()}

    def judge(t: int, decoded: State) -> Judged:
        parts = [
            ((decoded[n].astype(np.float64) - a) / ranges[n]).ravel() for n, a in states[t].items()
        ]
        error = float(np.mean(np.concatenate(parts) ** 2))
        return Judged(float(-10 * np.log10(error)) if error else float("inf"))

    return BenchChain("splats", states, judge, "its attributes", (-2, -4, -6, -8, -10))


def toy_chain() -> BenchChain:
    """Return a chain of a few numbers, to try the benchmark's code."""
    rng = np.random.default_rng(0)
    weight = rng.standard_normal((48, 32))
    states: list[Mapping[str, Array]] = []
    for _ in range(3):
        states.append(
            {
                "layer.weight": weight.astype(np.float32),
                "layer.bias": weight[0].astype(np.float32),
                "occupied": (weight[:4] > 0).astype(np.uint8),
            }
        )
        weight = weight + rng.standard_normal(weight.shape) * 0.01

    def judge(t: int, decoded: State) -> Judged:
        error = float(np.mean((decoded["layer.weight"] - states[t]["layer.weight"]) ** 2))
        fidelity = float(-10 * np.log10(error)) if error else float("inf")
        return Judged(fidelity, min(30.0, fidelity))

    return BenchChain("toy", states, judge, "its numbers", (-4, -6, -8, -10))
