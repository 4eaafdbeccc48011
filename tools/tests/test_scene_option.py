"""``--scene`` with and without a name, and the demo on another scene than the room."""

import json
from typing import Annotated, get_args

import numpy as np
import pytest
import typer

import nmc
from nmc_framework.cameras.extent import scene_extent
from nmc_framework.models.radiance.fitting import endless
from nmc_framework.scene import scenes
from nmc_tools import demo
from nmc_tools.commands import evaluate
from nmc_tools.commands.footage import SceneCommand, SceneName, SceneOption, film_scene

TINY = ["--iterations", 4, "--later", 2, "--rays", 64, "--family", "voxel_grid"]
for setting in ("cells=[4,8]", "occupancy=8", "samples=24", "warm_up=4"):
    TINY += ["--set", setting]

RIG = scenes()["walk"].rig((16, 12)).training

pytestmark = pytest.mark.usefixtures("one_thread")


def test_the_command_line_knows_all_scenes():
    assert get_args(SceneName) == tuple(scenes())


@pytest.mark.parametrize(
    ("given", "read"),
    [
        (["--scene"], "room"),
        (["--scene", "-o", "x"], "room"),
        (["--scene", "x.nmc"], "room"),
        (["--scene", "a/b"], "room"),
        (["--scene", "dome"], "dome"),
        (["--scene=walk", "--frames", "1"], "walk"),
        (["x.nmc", "--scene", "thin", "-o", "x"], "thin"),
        (["x.nmc"], None),
    ],
)
def test_a_scene_without_a_name_is_the_room(given, read):
    seen = []
    app = typer.Typer()

    @app.command(cls=SceneCommand)
    def command(
        package: Annotated[str, typer.Argument()] = "",
        scene: SceneOption = None,
        output: Annotated[str, typer.Option("-o")] = "",
        frames: Annotated[int, typer.Option()] = 0,
    ):
        seen.append(scene)

    app(given, standalone_mode=False)
    assert seen == [read]


def test_a_scene_is_trained_and_judged(command_line, tmp_path):
    package = tmp_path / "dome.nmc"
    train = ("train", "--frames", 1, "--size", "32x18", "-o", package, *TINY)
    told = command_line(*train, "--scene", "dome")
    assert told.code == 0 and ": 1 frame, " in told.out and "on held-out views" in told.out
    record = json.loads(command_line("evaluate", package, "--scene", "dome", "--json").out)
    assert record["views"] == list(scenes()["dome"].held_out)
    refused = command_line(*train, "--scene", "castle")
    assert refused.code == 2 and "'castle' is not one of" in refused.err


def test_only_the_room_tells_its_bounds():
    """What is easy of the room is not told of a scene that stands for other people's footage."""
    room, dome = film_scene("room", (16, 16)), film_scene("dome", (32, 18))
    assert room.bounds == [list(corner) for corner in scenes()["room"].bounds]
    assert room.background is not None and dome.background is None
    assert dome.bounds != [list(corner) for corner in scenes()["dome"].bounds]


def test_a_scene_gives_clean_pictures_beside_its_own():
    footage = film_scene("exposure", (16, 16), frames=2)
    names = list(footage.own)
    taken = next(footage.views(names, 1)).images[0]
    clean = next(footage.clean(names, 1, 2)).images[0]
    assert taken.shape == clean.shape and (taken != clean).mean() > 0.5


def test_views_of_a_scene_are_judged_without_the_faults_of_cameras(command_line, tmp_path):
    package = tmp_path / "x.nmc"
    train = ("train", "--scene", "exposure", "--frames", 1, "--size", "16x16", "-o", package)
    trained = json.loads(command_line(*train, *TINY, "--json").out)["trained"]
    with nmc.open(package) as sequence:
        footage = evaluate._truth(sequence, None, "exposure", None)
    names = list(scenes()["exposure"].held_out)
    rig = scenes()["exposure"].rig((16, 16))
    clean = [scenes()["exposure"].clean(camera, 0.0) for camera in rig.held_out]
    assert all(map(np.array_equal, next(footage.views(names)).images, clean))
    scored = json.loads(command_line("evaluate", package, "--scene", "exposure", "--json").out)
    assert scored["mean"]["psnr"] == pytest.approx(trained[0]["psnr"], abs=1e-4)


@pytest.mark.slow(minutes=0.06)
def test_a_family_that_holds_a_cuboid_alone_says_so_of_an_endless_scene(command_line, tmp_path):
    train = ["train", "--scene", "walk", "--frames", 1, "--size", "16x12", "--iterations", 1]
    sizes = ("samples=4", "fine_samples=0", "width=8", "depth=2", "skip=1")
    small = [word for size in sizes for word in ("--set", size)]
    told = command_line(*train, "-o", tmp_path / "a.nmc", "--family", "nerf_mlp", *small)
    assert told.code == 0 and "this family has a cuboid of it alone" in told.err
    told = command_line(*train, "-o", tmp_path / "b.nmc", *TINY, "--iterations", 1)
    assert told.code == 0 and told.err == ""
    assert endless({"bounds": 1}, scene_extent(RIG), [[-1] * 3, [1] * 3]) is None
    assert endless({"bounds": 1, "contracted": False}, scene_extent(RIG), None) is None
    assert "nerf_plus_plus" in endless({"bounds": 1}, scene_extent(RIG), None)


@pytest.mark.slow
def test_the_demo_on_another_scene(capfd, tmp_path):
    result = demo.run(tmp_path, quick=True, frames=1, scene="thin")
    assert not result.findings and result.video.stat().st_size > 500
    assert "24 cameras, exact" in capfd.readouterr().out
