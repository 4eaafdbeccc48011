"""Packages whose writer quantises, in one go and in two; chains that are trained."""

from __future__ import annotations

import numpy as np

import nmc


def packed(path, states, quantisation, **options):
    """Write a package and check it; return its writer."""
    with nmc.Writer(path, quantisation=quantisation, overwrite=True, **options) as writer:
        for state in states:
            writer.append(state)
    assert nmc.check(path).findings == ()
    return writer


def interrupted(path, states, stop, options) -> None:
    """Write a package whose writer is given up after some frames, and taken up again."""
    writer = nmc.Writer(path, **options)
    for state in states[:stop]:
        writer.append(state)
    del writer
    with nmc.Writer(path, resume=True, **options) as again:
        for state in states[len(again) :]:
            again.append(state)


def trained(frames, *, seed=0):
    """A larger chain, as fine-tuning makes it."""
    rng = np.random.default_rng(seed)
    state = {"a": rng.normal(size=(96, 64)), "b": 0.01 * rng.normal(size=(3000, 2))}
    for _ in range(frames):
        yield {name: array.astype("f4") for name, array in state.items()}
        for name, array in state.items():
            state[name] = array + 0.02 * array.std() * rng.normal(size=array.shape)


def nearness(state, original):
    """A distance as a renderer would give it, in dB."""
    errors = [np.mean((state[n] - a) ** 2) / np.mean(a**2) for n, a in original.items()]
    return float(-10 * np.log10(np.mean(errors))) if any(errors) else float("inf")
