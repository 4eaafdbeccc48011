"""Requests to a wrong program: one of its arguments, or those of the persistent mode."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


def carry_out(
    arguments: Sequence[str],
    features: Sequence[str],
    once: Callable[[str, Sequence[str]], int],
    each: Callable[[str, Mapping[str, Any]], Mapping[str, Any]],
) -> int:
    """Describe the program, or carry out what is asked of it; return the exit status.

    Parameters
    ----------
    arguments : sequence of str
        The fault, the request and its options.
    features : sequence of str
        What the program says that it has, beside the persistent mode.
    once : callable
        Carries out one request, given the fault and the options; returns the exit status.
    each : callable
        The same in the persistent mode, given the fault and the line; returns the answer.
    """
    fault, request, *options = arguments
    if request == "describe":
        description = {
            "protocol": 1,
            "name": fault,
            "version": "1",
            "profiles": ["baseline", "main", "lossy"],
            "levels": [1, 2, 3, 4],
            "features": [*features, "serve"],
        }
        print(json.dumps(description))
    elif request == "serve":
        for line in sys.stdin:
            print(json.dumps(each(fault, json.loads(line))), flush=True)
    elif request in features:
        return once(fault, options)
    return 0
