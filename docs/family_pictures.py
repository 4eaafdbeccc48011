"""Makes the pictures of families in the documents: ``python docs/family_pictures.py [FAMILY…]``.

Each family is trained by ``nmc train`` for some seconds of a core, on a film or an embedded scene
that needs no data, and its package is shown beside the truth: ``figures/family-NAME.webp``. What
was trained is printed with PSNR and seconds of a core, for the captions.
"""

from __future__ import annotations

import argparse
import resource
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

import nmc
from nmc_framework.metrics import psnr
from nmc_framework.models import build
from nmc_framework.rendering import render_image
from nmc_framework.scene import scenes
from nmc_framework.super_resolution.footage import look_through

Picture = npt.NDArray[np.uint8]

FIGURES = Path(__file__).parent / "figures"
FILM = "sr film -o film.mp4 --pictures 4 --size 64x48"
#: Options of each family's training; what is left out is as usual.
CLIPS = {
    "siren": "--clip 4 --iterations 1500",
    "coin": "--frames 1 --iterations 1500",
    "inric": "--frames 1 --iterations 1000 --set 'quality=\"Q5\"'",
    "nerv": "--clip 4 --iterations 1500",
    "hnerv": "--clip 4 --iterations 1200",
    "ffnerv": "--clip 4 --iterations 800",
    "psnerv": "--clip 4 --iterations 1200",
    "nvp": "--clip 4 --iterations 600 --rays 2048",
}
SIZE = (64, 64)
VIEWS = {
    "hash_grid": "--frames 1 --iterations 400",
    "voxel_grid": "--frames 1 --iterations 400",
    "plenoxels": "--frames 1 --iterations 400",
    "tensorf": "--frames 1 --iterations 400",
    "splats": "--frames 1 --iterations 400",
    "mixvoxels": "--group 8 --frames 8 --iterations 400",
    "dnerf": "--group 8 --frames 8 --iterations 400",
}
_LAST = 7


def main() -> None:
    """Make the pictures that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("families", nargs="*", metavar="FAMILY", help="all if left out")
    chosen = parser.parse_args().families or [*CLIPS, *VIEWS]
    with tempfile.TemporaryDirectory() as folder:
        if any(name in CLIPS for name in chosen):
            _nmc(folder, FILM)
        for name in chosen:
            truth, seen = (_clip if name in CLIPS else _view)(name, Path(folder))
            both = np.concatenate([truth, np.full_like(truth[:, :2], 255), seen], axis=1)
            sheet = np.repeat(np.repeat(both, 3, axis=0), 3, axis=1)
            Image.fromarray(sheet).save(FIGURES / f"family-{name}.webp", quality=80)
            print(f"{name}: {psnr(seen, truth):.2f} dB", flush=True)


def _nmc(folder: str | Path, text: str) -> None:
    """Run a command in a folder, and print how long it took."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    command = [sys.executable, "-m", "nmc_tools.cli", *shlex.split(text)]
    subprocess.run(command, cwd=folder, check=True)  # noqa: S603 - our own interpreter and module
    took = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before
    print(f"nmc {text}: {took:.0f} s of a core", flush=True)


def _clip(name: str, folder: Path) -> tuple[Picture, Picture]:
    """Return a picture of the film, and the same of a family."""
    _nmc(folder, f"train film.mp4 -o {name}.nmc --family {name} {CLIPS[name]}")
    _nmc(folder, f"render {name}.nmc -o {name}-shown")
    shown = sorted((folder / f"{name}-shown").glob("*.png"))
    which = min(1, len(shown) - 1)
    truth = look_through(folder / "film.mp4").chosen([which])[0]
    with Image.open(shown[which]) as image:
        return truth, np.asarray(image.convert("RGB"))


def _view(name: str, folder: Path) -> tuple[Picture, Picture]:
    """Return a held-out view of the embedded scene, and the same of a family."""
    size = f"{SIZE[0]}x{SIZE[1]}"
    _nmc(folder, f"train --scene -o {name}.nmc --family {name} --size {size} {VIEWS[name]}")
    scene = scenes()["room"]
    camera = scene.rig(SIZE).held_out[1]
    instant = float(_LAST if "--group" in VIEWS[name] else 0)
    with nmc.open(folder / f"{name}.nmc") as sequence:
        model = build(str(sequence.family), sequence.configuration)
        model.load(sequence[0])
    seen = render_image(model.eval(), camera, time=instant)
    return scene.render(camera, instant / scene.rate), seen


if __name__ == "__main__":
    main()
