"""Whether one model can come after another in a chain."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nmc_format.dtypes import dtype_of
from nmc_tools.checkpoints.checkpoint import plain

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nmc_format.dtypes import Array

_SHARE = 0.5


def shape_of(state: Mapping[str, Array]) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Return element type and shape by name, all that `doubt` compares."""
    return {name: (dtype_of(array).name, tuple(array.shape)) for name, array in state.items()}


def doubt(
    before: Mapping[str, tuple[str, tuple[int, ...]]],
    after: Mapping[str, tuple[str, tuple[int, ...]]],
) -> tuple[bool, str]:
    """Return why a model does not follow from the one before, or an empty text.

    A model that grew, as Gaussians do, is no cause for doubt: it has the same tensors with other
    numbers of rows.

    Parameters
    ----------
    before, after : mapping
        From `shape_of`.

    Returns
    -------
    bool
        Whether it is another model altogether.
    str
        What is in doubt.
    """
    both = before.keys() & after.keys()
    alike = {n for n in both if before[n][0] == after[n][0] and _akin(before[n][1], after[n][1])}
    some = plain(min(after.keys() - both, default=min(after)))
    if not alike:
        return True, (
            f"none of its {len(after)} tensors has name, type and shape of one of the "
            f"{len(before)} before; {some!r} is new"
        )
    count = max(len(before), len(after))
    if len(alike) < _SHARE * count:
        return False, f"only {len(alike)} of its {len(after)} tensors are those of the one before"
    return False, ""


def _akin(a: tuple[int, ...], b: tuple[int, ...]) -> bool:
    return len(a) == len(b) and (a == b or a[1:] == b[1:] or a[:-1] == b[:-1])
