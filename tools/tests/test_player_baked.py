"""Fields whose tables are too large for the graphics processor: baked to a lattice."""

import numpy as np
import pytest
from browser import Page, psnr
from player_samples import FIELDS, chain, field, look, opened, reference
from serving import served

import nmc
from nmc_tools.player.address import page_address

pytestmark = [pytest.mark.filterwarnings("default")]

VOXELS = ("voxel_grid", {"cells": [5, 12], "harmonics": 4})
NARROW = """
const told = WebGL2RenderingContext.prototype.getParameter;
WebGL2RenderingContext.prototype.getParameter = function (name) {
  return name === this.MAX_TEXTURE_SIZE ? 1024 : told.call(this, name);
};
"""
"""A graphics processor whose textures are too narrow for the tables."""

CELLS = 150
"""On an edge of a lattice of which all points together take seconds, and those of a cell none."""
SEEN = """
window.seen = [];
const look = () => {
  const note = document.querySelector("#preparing-says")?.textContent;
  if (note && window.seen.at(-1) !== note) window.seen.push(note);
};
document.addEventListener("DOMContentLoaded", () => {
  new MutationObserver(look).observe(document.body, { childList: true, subtree: true });
});
"""
"""Notes what the page says while a picture is prepared."""


def compare(page, model, path, least):
    """Compare frames and views with the reference renderer; each frame after another one."""
    with nmc.open(path) as sequence:
        for frame in (0, 1, 2, 0):
            page.show(frame)
            model.load(sequence[frame])
            for k in (frame, frame + 5):
                seen, expected = page.picture(look(k)), reference(model, look(k))
                assert expected.std() > 10  # there is something to see
                assert psnr(seen, expected) > least
    assert page.notice is None


@pytest.mark.slow(minutes=0.07)
def test_a_lattice_that_has_all_points_of_the_levels_shows_the_same(browser, tmp_path):
    # 60 is a multiple of 5 and of 12: between its points all levels are trilinear
    path = chain(tmp_path / "scene.nmc", model := field(*VOXELS), 3)
    with opened(browser, path, bake=60) as page:
        assert page.page.evaluate("nmcPlayer.stage.cells") == 60
        assert "baked to a lattice of 60³ cells" in page.page.locator("#drawn").text_content()
        compare(page, model, path, 55)


@pytest.mark.slow(minutes=0.13)
@pytest.mark.parametrize("which", ["usual", "far"])
def test_a_baked_hash_grid_shows_nearly_the_same(browser, tmp_path, which):
    path = chain(tmp_path / "scene.nmc", model := field(*FIELDS[which]), 3)
    with opened(browser, path, bake=76) as page:
        compare(page, model, path, 45)


def test_tables_that_find_no_room_are_baked(browser, tmp_path):
    path = chain(tmp_path / "scene.nmc", model := field(*FIELDS["matt"]), 3)
    context = browser.new_context(viewport={"width": 720, "height": 420})
    context.add_init_script(NARROW)
    with served([path]) as url, Page(browser, page_address(url, path), context=context) as page:
        page.opened()
        assert page.page.evaluate("nmcPlayer.stage.cells") == 12  # twice as many as the finest
        assert "where 33.6 MB are taken" in page.page.locator("#drawn").text_content()
        compare(page, model, path, 55)


def test_a_seek_passes_over_a_picture_that_is_prepared(browser, tmp_path):
    path = tmp_path / "scene.nmc"
    model = field("hash_grid", {"levels": 4, "log2_entries": 10, "hidden": 32, "geometry": 7})
    with nmc.Writer(path, **model.in_package(), key_every=4) as writer:
        for cells in (slice(None), 4):
            model.occupancy.cells.zero_()
            model.occupancy.cells[cells, cells, cells] = True
            writer.append(model.save())
    context = browser.new_context(viewport={"width": 720, "height": 420})
    context.add_init_script(SEEN)
    asked = page_address("", path, bake=CELLS)
    with served([path]) as url, Page(browser, f"{url}{asked}", context=context) as page:
        page.wait("() => document.querySelector('#preparing')?.hidden === false")
        assert page.frame == -1  # nothing is there yet, and the timeline is
        page.page.evaluate(
            """() => {
              const line = document.querySelector("#timeline"), box = line.getBoundingClientRect();
              const at = { clientX: box.right - 5, clientY: box.top + 5, pointerId: 1 };
              line.setPointerCapture = () => {};
              line.dispatchEvent(new PointerEvent("pointerdown", at));
            }"""
        )
        page.wait("() => nmcPlayer.pictured === 1")
        # Had frame 0 been prepared to its end, nothing of frame 1 would be due.
        facts = page.page.locator("#frame-facts").text_content()
        assert f"baked{19**3} of {(CELLS + 1) ** 3} points" in facts
        assert page.page.evaluate("seen")[0].startswith("preparing the picture of frame 0, ")
        assert page.page.locator("#preparing").is_hidden()
        assert page.page.locator("#checks").text_content().startswith("2 of 2 frames")
        assert page.errors == []
        assert page.notice is None


@pytest.mark.slow(minutes=0.07)
def test_what_is_played_ends_with_its_own_picture(browser, tmp_path):
    path = chain(tmp_path / "scene.nmc", model := field(*VOXELS), 6)
    with opened(browser, path, bake=60) as page:
        page.play_through(5)
        page.wait("() => nmcPlayer.pictured === 5")
        with nmc.open(path) as sequence:
            model.load(sequence[5])
        assert psnr(page.picture(look(2)), reference(model, look(2))) > 55


@pytest.mark.slow(minutes=0.02)
def test_a_lattice_of_no_size_is_told(browser, tmp_path):
    path = chain(tmp_path / "scene.nmc", field(*FIELDS["matt"]))
    with served([path]) as url, Page(browser, page_address(url, path) + "&bake=many") as page:
        assert "bake is many" in page.opened().notice


@pytest.mark.slow(minutes=0.02)
def test_what_has_no_tables_is_not_baked(browser, tmp_path):
    path = tmp_path / "scene.nmc"
    with nmc.Writer(path, family="unheard of") as writer:
        writer.append({"w": np.arange(6, dtype=np.float32)})
    with opened(browser, path, bake=8) as page:
        page.wait("() => nmcPlayer.frame === 0")
        assert "is not drawn in a browser" in page.notice
