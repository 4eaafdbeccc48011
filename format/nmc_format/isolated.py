"""Starts a module of ours in a process that has nothing of the caller's (clause 5.3.1).

A library that reads a stranger's file is started where that file may lie: in a folder full of the
stranger's other files. So the process takes no module from its working directory, no environment,
no site configuration. Where our own packages and what they need lie is told to it as an argument,
from where they were found here; decision 0025.
"""

from __future__ import annotations

import json
import os
import site
import sys
from importlib.machinery import PathFinder
from pathlib import Path
from typing import TYPE_CHECKING

from nmc_format.issues import refuse

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# -I: no PYTHON* variables, no working directory, no user's packages; -S: no .pth file, no
# sitecustomize; -B: nothing is written beside the modules. The standard library comes first.
_OPTIONS = ("-I", "-S", "-B", "-X", "utf8")
_START = (
    "import json, runpy, sys; sys.path += json.loads(sys.argv[1]); del sys.argv[:2]; "
    "runpy.run_module(sys.argv[0], run_name='__main__', alter_sys=True)"
)
_ENVIRONMENT = {
    "HDF5_PLUGIN_PRELOAD": "::",  # the HDF5 library loads no filter from a folder
    "LC_ALL": "C.UTF-8",
    # A pool of threads that is never used takes address space from the limit, on many cores all.
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}
_KEPT = ("SYSTEMROOT",)
"""Without it Windows starts no process that wants random numbers."""


def isolated_command(module: str, needs: Sequence[str], path: Path) -> list[str]:
    """Return the command that runs a module on a file, which is its last argument.

    Parameters
    ----------
    module : str
        Full name of a module of ours, run as by ``python -m``.
    needs : sequence of str
        Top-level packages that it imports, ours and others'.
    path : Path
        The file; it is made absolute, since the process has another working directory.

    Raises
    ------
    FormatError
        If the interpreter does not know its own program, as in some that are embedded.
    """
    if not sys.executable:
        reason = "this Python does not know its own program, so no process can be started"
        raise refuse("host/failed", file=str(path), reason=reason)
    roots = list(dict.fromkeys(roots_of(needs)))
    return [
        sys.executable,
        *_OPTIONS,
        "-c",
        _START,
        json.dumps(roots),
        module,
        str(path.absolute()),
    ]


def isolated_environment() -> dict[str, str]:
    """Return the whole environment of such a process."""
    return _ENVIRONMENT | {name: os.environ[name] for name in _KEPT if name in os.environ}


def isolated_folder() -> str:
    """Return the working directory of such a process: one in which no stranger's file lies."""
    return Path(sys.executable).anchor or os.sep


def roots_of(needs: Sequence[str]) -> Iterator[str]:
    """Yield the folder (or zip) that holds each package, as it was or would be imported here."""
    for name in needs:
        loaded = getattr(sys.modules.get(name), "__file__", None)
        if loaded is None:
            spec = PathFinder.find_spec(name, _trusted())
            loaded = spec.origin if spec else None
        if loaded is not None:
            yield str(Path(loaded).absolute().parents[1])


def _trusted() -> list[str]:
    """Return where packages are looked for that are not loaded here: not where the user stands."""
    places = [Path(place) for place in (*site.getsitepackages(), *sys.path)]
    try:
        here = Path.cwd().resolve()
    except OSError:  # it was removed
        here = Path()
    return [str(place) for place in places if place.is_absolute() and place.resolve() != here]


def limit_resources(memory: int, seconds: int) -> None:
    """Bound this process's address space in bytes and its processor time, where the system can."""
    try:
        import resource
    except ImportError:  # no such limits on this system; the parent's time limit still holds
        return
    for kind, limit in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.getrlimit(kind)
        if hard != resource.RLIM_INFINITY:
            limit = min(limit, hard)  # noqa: PLW2901 - a limit cannot be raised again
        resource.setrlimit(kind, (limit, limit))
