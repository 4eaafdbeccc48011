"""The commands of the framework that write, at the size of a toy: chains are trained and shown."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from commands import Command, call, call_quietly
from file_commands import OUT, FileCommand

SIZE = "24x20"
TINY = ["--iterations", "4", "--later", "2", "--rays", "64", "--family", "voxel_grid"]
TINY += [word for s in ("cells=[4]", "occupancy=8", "samples=16") for word in ("--set", s)]
CLIP = ["--family", "siren", "--set", "hidden=8", "--set", "depth=2", "--clip", "1"]
CLIP += ["--iterations", "4", "--later", "2"]


def framework_is_here() -> bool:
    """Whether what the framework needs is installed."""
    return all(find_spec(name) is not None for name in ("av", "matplotlib", "torch"))


def _one_thread(_: Path) -> None:
    """Have sums come in one order; a child of this process has no other threads anyway."""
    import torch

    torch.set_num_threads(1)


def _trained(package: Path, *more: str) -> None:
    _one_thread(package)
    call_quietly("train", "--scene", "-o", package, "--frames", "2", "--size", SIZE, *TINY, *more)


def training(*, directory: bool) -> list[Command]:
    """Return the commands that make and amend packages; they write the file form alone."""
    if directory:
        return []

    def train(root: Path) -> None:
        scene = ["--scene", "--frames", "2", "--size", SIZE]
        call("train", *scene, "-o", root / "x.nmc", *TINY, "--resume")

    def evaluate(root: Path) -> None:
        call("evaluate", root / "x.nmc", "--scene", "--write")

    return [
        Command("nmc train", False, _one_thread, train, train, counts=True, timed=True),
        Command(
            "nmc evaluate",
            False,
            lambda root: _trained(root / "x.nmc"),
            evaluate,
            evaluate,
            replaces=True,
            in_place=True,
        ),
    ]


def showing() -> list[FileCommand]:
    """Return the commands that write pictures, films, tables and cameras."""

    def scene(root: Path) -> None:
        _trained(root / "in.nmc")
        (root / OUT).mkdir()

    def pictures(root: Path) -> None:
        import numpy as np
        from PIL import Image

        _one_thread(root)
        (root / "pictures").mkdir()
        for t in range(2):
            shade = np.full((12, 16, 3), 60 + 90 * t, np.uint8)
            Image.fromarray(shade).save(root / "pictures" / f"{t}.png")
        call_quietly("train", root / "pictures", "-o", root / "in.nmc", *CLIP)
        (root / OUT).mkdir()

    def rig(root: Path) -> None:
        from nmc_framework.cameras import write_rig
        from nmc_framework.scene import arc_rig

        write_rig(root / "in.json", arc_rig(3, 1, (24, 20)).cameras)
        (root / OUT).mkdir()

    def render(name: str, *more: str) -> Callable[[Path], None]:
        return lambda root: call("render", root / "in.nmc", "-o", root / OUT / name, *more)

    def score(root: Path) -> None:
        out = root / OUT
        made = ["--csv", out / "scores.csv", "--images", out / "images", "--html", out / "p.html"]
        call("evaluate", root / "in.nmc", "--scene", *made, "--plot", out / "chain.png")

    def convert(name: str, to: str, *more: str) -> Callable[[Path], None]:
        return lambda root: call(
            *("cameras", "convert", root / "in.json", "-o", root / OUT / name, "--to", to, *more)
        )

    film = ("film.mp4", "--size", SIZE, "--length", "2")
    return [
        FileCommand("render", False, scene, render(*film), render(*film, "--force")),
        FileCommand(
            "render to a folder", False, pictures, render("film"), render("film", "--force")
        ),
        FileCommand(
            "render one picture",
            False,
            pictures,
            render("a.png", "--frames", "1"),
            render("a.png", "--frames", "1", "--force"),
        ),
        FileCommand("evaluate, files", False, scene, score, score),
        *(
            FileCommand(
                f"cameras convert --to {to}",
                False,
                rig,
                convert(name, to),
                convert(name, to, "--force"),
            )
            for name, to in (("a.json", "nerfstudio"), ("colmap", "colmap"))
        ),
    ]
