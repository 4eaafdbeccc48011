"""Pictures of a server in the player: what no browser draws, and browsers without graphics."""

import json
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import numpy as np
import pytest
from browser import PATIENCE, Page, psnr
from serving import served

import nmc
from nmc_tools.player.address import page_address

pytest.importorskip("torch")
pytest.importorskip("websockets")
pytestmark = [pytest.mark.filterwarnings("default")]

NETWORK = {"width": 24, "depth": 3, "skip": 1, "samples": 12, "fine_samples": 0}
SMALL = NETWORK | {"position_frequencies": 2, "direction_frequencies": 1}
GRID = {"cells": [4, 8], "samples": 24, "occupancy": 9}
SIZE = (620, 400)

PIXELS = """() => {
  const canvas = document.querySelector("#picture");
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  return [canvas.width, canvas.height, Array.from(data)];
}"""
"""What is on the screen: width, height and RGBA."""

WHOLE = f"() => nmcPlayer.stage?.whole && ({PIXELS})()"
"""The same, once nothing is left to be drawn."""

LEAST = 30
"""PSNR in dB of a whole picture. Colours of a coded part are halved in each direction, unless it
is one row high: how high it is, and so a few dB, depends on how fast the server is."""

TURNED = """() => {
  const area = document.querySelector("#stage");
  for (let i = 0; i < 40; i++) area.dispatchEvent(new WheelEvent("wheel", { deltaY: -3 }));
}"""
"""Forty clicks of the wheel, before any picture can come."""


def look(k, size=(26, 18)):
    from nmc_framework.cameras import Camera, look_at

    pose = look_at((2.5 * np.cos(k), 2.5 * np.sin(k), 0.4), (0, 0, 0.1))
    return Camera(25.0, 27.0, size[0] / 2 + 2, size[1] / 2 - 1, *size, pose, f"view_{k}")


def written(path, family="nerf_mlp", options=SMALL, frames=2):
    """Write a package of a model with something to see, which changes from frame to frame."""
    import torch

    from nmc_framework.cameras.formats.rig_document import RigDocument
    from nmc_framework.cameras.packaged import manifest_cameras
    from nmc_framework.models.registry import build

    model, noise = build(family, options, seed=4), torch.Generator().manual_seed(4)
    with nmc.Writer(path, **model.in_package()) as writer:
        writer.set_cameras(manifest_cameras(RigDocument([look(k) for k in range(2)])))
        for _ in range(frames):
            with torch.no_grad():
                for values in model.parameters():
                    spread = 1.5 * values.std(correction=0) + 0.05
                    values.add_(spread * torch.randn(values.shape, generator=noise))
                if hasattr(model, "occupancy"):
                    model.occupancy.cells.fill_(True)
            writer.append(model.save())
    return path


def reference(path, frame, camera):
    from nmc_framework.models.registry import build
    from nmc_framework.rendering.image import render_image

    with nmc.open(path) as sequence:
        model = build(sequence.family, sequence.configuration)
        model.load(sequence[frame])
    return render_image(model, camera)


@contextmanager
def opened(browser, path, *, render=True, paths=(), address=None):
    """Open the player beside a server that renders; what goes over its WebSockets is noted."""
    said = []

    def heard(socket):
        said.append(("opened", socket.url))
        socket.on("framesent", lambda text: said.append(("asked", json.loads(text))))
        socket.on(
            "framereceived",
            lambda data: said.append(
                ("picture", len(data)) if isinstance(data, bytes) else ("", 0)
            ),
        )

    with served([path, *paths], render=render) as url:
        context = browser.new_context(viewport={"width": SIZE[0], "height": SIZE[1]})
        context.on("page", lambda page: page.on("websocket", heard))
        with Page(
            browser, address or page_address(url, path, render=True), context=context
        ) as page:
            page.said = said
            page.wait("() => nmcPlayer.frame === 0")
            yield page
            assert page.errors == []


def camera_of(page, width, height):
    """Return the camera of what is on the screen."""
    from nmc_framework.cameras import Camera

    pose = np.eye(4)
    pose[:3] = np.array(page.page.evaluate("nmcPlayer.pose")).reshape(3, 4)
    view = page.page.evaluate("nmcPlayer.view()")
    assert (view["width"], view["height"]) == (width, height)
    return Camera(view["fx"], view["fy"], view["cx"], view["cy"], width, height, pose)


def at_rest(page, path, frame):
    """Wait until what is on the screen is the reference renderer's picture; return its PSNR."""
    until, reached = time.monotonic() + PATIENCE / 1000, 0.0
    while time.monotonic() < until:
        # Pixels are many: a page that is asked for them again and again draws nothing else.
        width, height, data = page.wait(WHOLE)
        asked = [what["format"] for is_, what in getattr(page, "said", ()) if is_ == "asked"]
        if asked[-1:] != ["jpeg"]:  # that of a moving eye, after which one at rest comes
            expected = reference(path, frame, camera_of(page, width, height))
            assert expected.std() > 10
            seen = np.array(data, np.uint8).reshape(height, width, 4)[..., :3]
            reached = psnr(seen, expected)
            if reached >= LEAST:
                return reached
        time.sleep(0.2)
    raise AssertionError(f"the picture at rest has {reached:.1f} dB")


@pytest.mark.slow(minutes=0.09)
@pytest.mark.parametrize("directory", [False, True])
def test_what_no_browser_draws_is_the_reference_renderers(browsers, tmp_path, directory):
    path = written(tmp_path / "two words.nmc")
    if directory:
        path = tmp_path / "folder.nmc"
        with nmc.open(tmp_path / "two words.nmc") as sequence:
            about = {"family": sequence.family, "configuration": sequence.configuration}
            with nmc.Writer(path, directory=True, **about) as writer:
                for state in sequence:
                    writer.append(state)
    with opened(browsers[0], path) as page:
        for frame in (1, 0):
            page.show(frame)
            camera = look(frame + 3)
            expected = reference(path, frame, camera)
            assert expected.std() > 10  # there is something to see
            assert psnr(page.picture(camera), expected) > 50
        assert page.notice is None
        assert "not verified" in page.page.locator("#drawn").text_content()
        assert "2 of 2 frames" in page.page.locator("#checks").text_content()


@pytest.mark.slow
def test_the_screen_is_coarse_while_the_eye_moves_and_whole_when_it_rests(browsers, tmp_path):
    path = written(tmp_path / "scene.nmc")
    with opened(browsers[0], path) as page:
        assert at_rest(page, path, 0) >= LEAST
        page.show(1)
        assert at_rest(page, path, 1) >= LEAST
        del page.said[:]
        page.page.evaluate(TURNED)
        assert at_rest(page, path, 1) >= LEAST
        asked = [what for is_, what in page.said if is_ == "asked"]
        moving = [wish for wish in asked if wish["format"] == "jpeg"]
        assert len(moving) in {1, 2}  # forty moves: the first, perhaps, and the last
        order = [is_ for is_, _ in page.said if is_ in {"asked", "picture"}]
        assert order[::2] == ["asked"] * len(asked)  # never two at a time
        assert {"picture"} >= set(order[1::2])
        width, height = page.page.evaluate("[nmcPlayer.view().width, nmcPlayer.view().height]")
        whole = [w for w in asked if w["format"] == "webp" and w["width"] == width]
        assert sum(wish["height"] for wish in whole) >= height
        assert page.notice is None


def test_it_plays_pictures_of_a_server(browsers, tmp_path):
    path = written(tmp_path / "scene.nmc", frames=4)
    with opened(browsers[0], path) as page:
        page.page.uncheck("#loop")
        page.page.select_option("#speed", "0.25")
        page.page.click("#play")
        page.played(3)
        assert at_rest(page, path, 3) >= LEAST
        frames = {what["frame"] for is_, what in page.said if is_ == "asked"}
        assert frames == {0, 1, 2, 3}


@pytest.mark.slow(minutes=0.09)
def test_without_graphics_the_server_draws(browsers, tmp_path):
    path = written(tmp_path / "scene.nmc", "voxel_grid", GRID)
    with opened(browsers[1], path) as page:
        assert at_rest(page, path, 0) >= LEAST
        assert page.notice is None
    with opened(browsers[0], path) as page:  # with graphics nobody is asked
        page.picture(look(1))
        assert page.page.evaluate("document.querySelector('#stage').dataset.means")[:5] == "WebGL"
        assert page.said == []


@pytest.mark.slow(minutes=0.02)
def test_an_instant_of_a_group_is_chosen(browsers, tmp_path):
    import torch

    from nmc_framework.models.registry import build
    from nmc_framework.rendering.image import render_image

    model = build("dynerf", {"instants": 3, "width": 16, "depth": 2, "samples": 8}, seed=4)
    model.length.fill_(2)
    noise = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for values in model.parameters():
            values.add_(torch.randn(values.shape, generator=noise), alpha=0.3)
    path, camera = tmp_path / "scene.nmc", look(1)
    with nmc.Writer(path, **model.in_package()) as writer:
        writer.append(model.save())
    true = [render_image(model, camera, time=float(k)) for k in range(2)]
    assert psnr(*true) < 45
    with opened(browsers[0], path) as page:
        page.page.wait_for_selector("#instant-part:not([hidden])")
        assert page.page.get_attribute("#instant", "max") == "2"
        assert psnr(page.picture(camera), true[0]) > 50
        page.page.fill("#instant", "1")
        assert psnr(page.picture(camera), true[1]) > 50
        page.page.fill("#instant", "2")  # this group has two: the last one is shown, and said
        assert psnr(page.picture(camera), true[1]) > 50
        page.wait("() => document.querySelector('#instant-says').textContent === '1'")
        assert page.notice is None


@pytest.mark.slow(minutes=0.02)
def test_no_line_is_opened_where_none_is_named(browsers, tmp_path):
    path = written(tmp_path / "scene.nmc")
    with served([path], render=True) as url:
        address = page_address(url, path)
    assert "render" not in address
    with served([path]) as url, Page(browsers[0], page_address(url, path)) as page:
        page.wait("() => nmcPlayer.frame === 0")
        assert "is not drawn in a browser" in page.notice


def test_a_server_that_does_not_render_is_told(browsers, tmp_path):
    path = written(tmp_path / "scene.nmc")
    with opened(browsers[0], path, render=False) as page:
        page.wait("() => !document.querySelector('#notice').hidden")
        assert "nerf_mlp is not drawn in a browser" in page.notice
        assert "gives no pictures of this package" in page.notice
        page.show(1)
        assert "2 of 2 frames" in page.page.locator("#checks").text_content()


@pytest.mark.slow(minutes=0.02)
def test_pictures_of_another_package_are_not_shown(browsers, tmp_path):
    path, other = written(tmp_path / "scene.nmc"), written(tmp_path / "other.nmc", frames=3)
    with served([path, other], render=True) as url:
        address = page_address(url, path, render=True).replace("render%2Fscene", "render%2Fother")
        with Page(browsers[0], address) as page:
            page.wait("() => !document.querySelector('#notice').hidden")
            assert "renders another package" in page.notice


@pytest.mark.slow(minutes=0.02)
def test_an_address_of_another_kind_is_refused(browsers, tmp_path):
    path = written(tmp_path / "scene.nmc")
    with (
        served([path]) as url,
        Page(browsers[0], f"{page_address(url, path)}&render=file:///x") as page,
    ):
        assert "not taken from an address of file:" in page.opened().notice


@pytest.mark.slow
def test_view_renders_what_the_browser_cannot(browsers, tmp_path):
    path = written(tmp_path / "two words.nmc")
    command = [sys.executable, "-m", "nmc_tools.cli", "view", str(path), "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            address = json.loads(process.stdout.readline())["url"]
            with Page(browsers[0], address, size=SIZE) as page:
                page.wait("() => nmcPlayer.frame === 0")
                assert at_rest(page, path, 0) >= LEAST
                process.send_signal(signal.SIGINT)
                assert process.wait(60) == 130
                page.page.evaluate("nmcPlayer.look([0,0,1,-3, -1,0,0,0, 0,-1,0,0])")
                page.wait(
                    "() => document.querySelector('#notice').textContent.includes('gives no')"
                )
        finally:
            process.kill()
    with subprocess.Popen([*command, "--no-render"], stdout=subprocess.PIPE, text=True) as process:
        address = json.loads(process.stdout.readline())["url"]
        process.send_signal(signal.SIGINT)
    assert "render" not in address
