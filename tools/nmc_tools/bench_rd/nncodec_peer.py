"""NNCodec (ISO/IEC 15938-17) as a peer, in an environment of its own.

It wants NumPy below 2, which our own environment does not have, and brings torch along: the
environment takes several gigabytes, and a C++ compiler is needed to build it. Where it cannot be
made, the reason is said and its rows are left out.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from nmc_tools.bench_rd.coded import KEY_EVERY, Codec, Coded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nmc_tools.bench_rd.coded import State

VERSION = "2.1.3"
#: The quantisation parameters that are measured: the step doubles every 4.
PARAMETERS = (-54, -48, -43, -38, -33, -28, -23, -18)
#: Its rows.
NAMES = ("NNCodec differential", "NNCodec intra")
#: What is installed, one set after the other: NNCodec alone would take another torch each time.
_TORCH = ("torch==2.13.0", "numpy<2")
_REQUIREMENTS = (_TORCH, (*_TORCH, f"nncodec=={VERSION}", "safetensors"))
_SCRIPT = Path(__file__).with_name("nncodec_script.py")
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


class PeerError(RuntimeError):
    """NNCodec cannot be had, or failed; the message says why."""


def environment(folder: Path) -> Path:
    """Return the Python that has NNCodec, in ``folder``; the environment is made if need be.

    Raises
    ------
    PeerError
        If it cannot be made, or what was made cannot be imported.
    """
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if python.exists() and not _refusal(python):
        return python
    folder.parent.mkdir(parents=True, exist_ok=True)
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    made = [sys.executable, "-I", "-m", "venv", "--clear", folder]
    for command in (made, *([*pip, *names] for names in _REQUIREMENTS)):
        _run([str(part) for part in command], "its environment could not be made")
    _without_kernels(folder)
    refusal = _refusal(python)
    if refusal:
        raise PeerError(f"it was installed and cannot be imported: {refusal}")
    return python


_NO_KERNELS = """import sys, types
for name in ("torchvision._meta_registrations", "torchvision._autograd_registrations"):
    sys.modules[name] = types.ModuleType(name)
"""


def _without_kernels(folder: Path) -> None:
    """Let NNCodec import torchvision, whose build for CUDA registers what torch on a CPU lacks.

    NNCodec needs its models at most, and we not even these.
    """
    for packages in sorted(folder.glob("lib/python*/site-packages")):
        (packages / "sitecustomize.py").write_text(_NO_KERNELS, encoding="utf-8")


def _refusal(python: Path) -> str:
    try:
        _run([str(python), "-c", "import nncodec.nnc, safetensors.numpy"], "import failed")
    except PeerError as error:
        return str(error)
    return ""


def _run(command: list[str], what: str) -> None:
    try:
        done = subprocess.run(  # noqa: S603 - Python, with arguments of our own
            command,
            env={**os.environ, **_ONE_THREAD},
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError as error:
        raise PeerError(f"{what}: {error}") from error
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines()
        raise PeerError(f"{what}: {lines[-1] if lines else f'exit code {done.returncode}'}")


def codecs(python: Path, parameters: Sequence[int] = PARAMETERS) -> list[Codec]:
    """Return NNCodec, differential and intra, at each quantisation parameter."""
    settings = {f"QP {qp}": qp for qp in parameters}
    return [
        Codec(name, settings, partial(_code, python, intra=intra), kind="peer", intra=intra)
        for name, intra in zip(NAMES, (False, True), strict=True)
    ]


def _code(python: Path, states: Sequence[State], qp: int, folder: Path, *, intra: bool) -> Coded:
    from safetensors.numpy import load_file, save_file

    frames = []
    for t, state in enumerate(states):
        frames.append(str(folder / f"original-{t}.safetensors"))
        save_file(dict(state), frames[-1])
    output = folder / "coded"
    output.mkdir()
    job = {
        "frames": frames,
        "qp": qp,
        "intra": intra,
        "key_every": KEY_EVERY,
        "output": str(output),
    }
    path = folder / "job.json"
    path.write_text(json.dumps(job), encoding="utf-8")
    _run([str(python), str(_SCRIPT), str(path)], f"NNCodec failed at QP {qp}")
    result = json.loads((output / "result.json").read_text(encoding="utf-8"))
    found = [
        # Numbers without axes come back with one.
        {name: array.reshape(states[t][name].shape) for name, array in decoded.items()}
        for t, decoded in enumerate(
            load_file(output / f"{t}.safetensors") for t in range(len(states))
        )
    ]
    sizes = tuple(float(size) for size in result["bytes"])
    return Coded(sizes, 0.0, found, result["encode"], result["decode"])
