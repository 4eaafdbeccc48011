"""The player with packages, names and screens that nobody had in mind."""

import numpy as np
import pytest
from browser import Page
from player_samples import FIELDS, chain, field, look, opened
from serving import served

import nmc
from nmc_tools.player.address import page_address

pytestmark = [pytest.mark.filterwarnings("default")]
_SLOW = pytest.mark.slow(minutes=0.05)


def packed(path, model, *, cameras=0, frames=1):
    """Write equal states of a model, with so many cameras."""
    from nmc_framework.cameras.formats.rig_document import RigDocument
    from nmc_framework.cameras.packaged import manifest_cameras

    with nmc.Writer(path, **model.in_package()) as writer:
        if cameras:
            writer.set_cameras(manifest_cameras(RigDocument([look(k) for k in range(cameras)])))
        for _ in range(frames):
            writer.append(model.save())
    return path


@pytest.mark.parametrize("bounds", [[0, 1], [["a"], ["b"]]])
def test_bounds_that_are_no_box_hinder_nothing(browser, tmp_path, bounds):
    path = tmp_path / "scene.nmc"
    with nmc.Writer(path, family="unheard of", configuration={"bounds": bounds}) as writer:
        writer.append({"w": np.arange(6, dtype=np.float32)})
    with opened(browser, path) as page:
        assert page.frame == 0
        assert "is not drawn in a browser" in page.notice
        assert page.page.evaluate("nmcPlayer.pose.every(Number.isFinite)")


def test_the_eye_of_a_single_camera_flies(browser, tmp_path):
    path = packed(tmp_path / "scene.nmc", field(*FIELDS["matt"]), cameras=1)
    with opened(browser, path) as page:
        before = page.page.evaluate("nmcPlayer.pose")
        np.testing.assert_allclose(np.reshape(before, (3, 4)), look(0).camera_to_world[:3])
        page.page.focus("#stage")
        page.page.keyboard.down("w")
        page.wait("([x]) => Math.abs(nmcPlayer.pose[3] - x) > 0.05", before[3])
        page.page.keyboard.up("w")
        # what it turns about lies before it, in the box of the scene
        assert np.all(np.abs(page.page.evaluate("nmcPlayer.flight.pivot")) < 0.5)


def test_one_frame_is_not_played(browser, tmp_path):
    path = packed(tmp_path / "scene.nmc", field(*FIELDS["matt"]))
    with opened(browser, path, play=True) as page:
        for button in ("#play", "#previous", "#next"):
            assert page.page.locator(button).is_disabled()
        page.page.focus("#stage")
        page.page.keyboard.press("Space")
        assert page.page.locator("#play").get_attribute("aria-label") == "Play"


@pytest.mark.parametrize("scale", [1e-5, pytest.param(1e5, marks=_SLOW)])
def test_where_the_eye_is_has_digits_in_a_scene_of_any_size(browser, tmp_path, scale):
    box = {"bounds": [[-scale] * 3, [scale] * 3]}
    path = packed(tmp_path / "scene.nmc", field("voxel_grid", {"cells": [3]} | box))
    with opened(browser, path) as page:
        said = page.page.locator("#where").text_content().split()
        x, seen = float(said[1]), page.page.evaluate("nmcPlayer.pose[3]")
        assert x == pytest.approx(seen, rel=0.01)
        assert len(said[1]) < 12


@pytest.mark.parametrize("name", ["12:30 100% <b>#?.nmc", '%41 "a" & b+c\\d é目.nmc'])
def test_names_are_what_they_are(browser, tmp_path, name):
    path = packed(tmp_path / name, field(*FIELDS["matt"]))
    with opened(browser, path) as page:
        assert page.frame == 0
        assert page.page.title() == f"{name} · NMC"
        assert page.page.locator("#title").text_content().startswith(f"{name} — voxel_grid")


def test_a_sign_of_per_cent_in_an_address_may_stand_for_itself(browser, tmp_path):
    path = packed(tmp_path / "100%.nmc", field(*FIELDS["matt"]))
    with served([path]) as url, Page(browser, f"{url}player/?url=../100%25.nmc") as page:
        page.opened()
        assert page.page.title() == "100%.nmc · NMC"
        assert page.notice is None


@pytest.mark.parametrize("size", [(640, 340), pytest.param((360, 640), marks=_SLOW)])
def test_a_telephone_has_room_for_the_picture_and_fingers_lead_the_eye(browser, tmp_path, size):
    path = chain(tmp_path / "a long name of a package of somebody.nmc", field(*FIELDS["matt"]), 6)
    width, height = size
    screen = {"width": width, "height": height}
    context = browser.new_context(viewport=screen, has_touch=True, is_mobile=True)
    with served([path]) as url, Page(browser, page_address(url, path), context=context) as page:
        page.opened()
        box = page.page.locator("#stage").bounding_box()
        assert box["height"] > 0.3 * height
        assert box["width"] > 0.6 * width
        assert page.page.evaluate("document.documentElement.scrollWidth") == width
        assert page.page.evaluate("document.documentElement.scrollHeight") == height
        assert page.page.locator("#hint").inner_text().startswith("one finger: turn")
        assert page.page.locator("#play").bounding_box()["height"] >= 36
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        protocol, deep = context.new_cdp_session(page.page), []

        def touch(kind, *places):
            fingers = [{"x": place, "y": y, "id": k} for k, place in enumerate(places)]
            protocol.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": fingers})

        distance = """Math.hypot(
          ...[3, 7, 11].map((k, i) => nmcPlayer.pose[k] - nmcPlayer.flight.pivot[i])
        )"""
        deep.append(page.page.evaluate(distance))
        before = page.page.evaluate("nmcPlayer.pose")
        touch("touchStart", x)
        touch("touchMove", x + 40)
        touch("touchEnd")
        page.wait("([x]) => Math.abs(nmcPlayer.pose[7] - x) > 0.05", before[7])
        deep.append(page.page.evaluate(distance))
        assert deep[1] == pytest.approx(deep[0])  # it turned about the middle
        touch("touchStart", x - 20, x + 20)
        touch("touchMove", x - 40, x + 40)
        touch("touchEnd")
        page.wait(f"([d]) => {distance} < 0.8 * d", deep[1])
        page.page.tap("#next")
        page.wait("() => nmcPlayer.frame === 1")
        assert page.errors == []
        assert page.notice is None
