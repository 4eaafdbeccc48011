"""The player in a browser: pictures, playing, damage, and what it does without graphics."""

import subprocess
import sys

import numpy as np
import pytest
from browser import Page, psnr
from player_samples import FIELDS, chain, field, look, opened, reference
from serving import served

import nmc
from nmc_tools.player.address import page_address

pytestmark = [pytest.mark.filterwarnings("default")]


@pytest.mark.sweep(9)
@pytest.mark.parametrize("which", FIELDS)
def test_a_picture_is_the_reference_renderers(browser, tmp_path, which):
    model = field(*FIELDS[which])
    path = chain(tmp_path / "scene.nmc", model, 2, directory=which == "near")
    with opened(browser, path) as page, nmc.open(path) as sequence:
        for frame in (0, 1):
            page.show(frame)
            model.load(sequence[frame])
            for k in (frame, frame + 5):
                seen, expected = page.picture(look(k)), reference(model, look(k))
                assert expected.std() > 10  # there is something to see
                assert psnr(seen, expected) > 50
        assert page.notice is None


@pytest.mark.slow(minutes=1)
@pytest.mark.parametrize("family", ["hash_grid", "voxel_grid"])
def test_twenty_viewpoints_of_a_trained_scene(browser, tmp_path, family):
    from nmc_framework.cameras.packaged import cameras_in
    from nmc_framework.models.registry import build

    path = tmp_path / "scene.nmc"
    command = [sys.executable, "-m", "nmc_tools.cli", "train", "--scene", "-o", path]
    command += ["--size", "32x24", "--iterations", "120", "--later", "10", "--frames", "2"]
    command += ["--family", family, "--set", "samples=64"]
    subprocess.run(command, check=True, capture_output=True)
    with opened(browser, path) as page, nmc.open(path) as sequence:
        model = build(sequence.family, sequence.configuration)
        cameras = [c.resized(32, 24) for c in cameras_in(sequence)]
        for frame in (0, 1):
            page.show(frame)
            model.load(sequence[frame])
            for k in range(10):
                camera = cameras[(7 * k + frame) % len(cameras)]
                assert psnr(page.picture(camera), reference(model, camera)) >= 35


@pytest.mark.slow(minutes=0.35)
def test_it_plays_every_frame_and_forgets_them(browser, tmp_path):
    path = chain(tmp_path / "scene.nmc", field(*FIELDS["usual"]), 60, key_every=10)
    with opened(browser, path) as page:
        heap, worker = page.page_heap(), page.worker_heap()
        used, held = [], []
        for _ in range(3):
            page.play_through(59)
            used.append(heap())
            held.append(worker())
        assert page.page.locator("#verdict").text_content() == "all frames verified"
        assert used[2] - used[1] < 300_000, used
        assert held[2] - held[1] < 300_000, held
        assert page.notice is None


@pytest.mark.sweep(2)
@pytest.mark.parametrize("directory", [False, True])
def test_damage_is_told_and_playing_goes_on_at_the_next_key_frame(
    browser,
    tmp_path,
    directory,
):
    path = chain(tmp_path / "scene.nmc", field(*FIELDS["usual"]), 12, directory=directory)
    with nmc.open(path) as sequence:
        size = int(sequence.frames[5].segment_length)
    if directory:
        segment = path / "segments" / "00000005.safetensors"
        data = bytearray(segment.read_bytes())
        data[-size // 4] ^= 16
        segment.write_bytes(data)
    else:
        data = bytearray(path.read_bytes())
        data[data.index(b"segments/00000006") - size // 3] ^= 16
        path.write_bytes(data)
    with opened(browser, path) as page:
        page.page.select_option("#speed", "4")
        page.page.uncheck("#loop")
        page.page.click("#play")
        page.played(11)
        assert "Frame 5 is refused" in page.notice
        assert "goes on at key frame 8" in page.notice
        [finding] = page.page.locator("#findings li").all_text_contents()
        assert finding.startswith("frame 5 to 7: ")
        assert "/" in finding.split(": ")[1]  # a code of the catalogue
        assert page.page.locator("#verdict").text_content() == "3 frames refused"
        page.show(6)  # within the damaged group: refused as well, and the frame before stays
        assert page.frame == 11
        page.show(4)
        assert page.frame == 4


def test_without_graphics_frames_are_checked_all_the_same(plain_browser, tmp_path):
    path = chain(tmp_path / "scene.nmc", field(*FIELDS["usual"]), 3)
    with opened(plain_browser, path) as page:
        page.wait("() => nmcPlayer.frame === 0")
        assert "no WebGL 2" in page.notice
        page.show(2)
        assert page.frame == 2
        assert "2 of 3 frames" in page.page.locator("#checks").text_content()
        page.page.keyboard.press("Escape")
        assert page.notice is None
        # Who asks while another frame is on its way is answered when the own one is there.
        assert (
            page.page.evaluate("nmcPlayer.show(0), nmcPlayer.show(1).then(() => nmcPlayer.frame)")
            == 1
        )


@pytest.mark.slow(minutes=0.03)
def test_a_directory_is_found_without_its_stroke(browser, tmp_path):
    path = chain(tmp_path / "scene.nmc", field(*FIELDS["matt"]), 2, directory=True)
    with served([path]) as url, Page(browser, page_address(url, f"{url}scene.nmc")) as page:
        page.opened().show(1)
        assert page.frame == 1
        assert page.notice is None
    with served([path]) as url, Page(browser, page_address(url, f"{url}other.nmc")) as page:
        assert "other.nmc answers 404" in page.opened().notice


@pytest.mark.slow(minutes=0.02)
def test_a_family_that_no_browser_draws_is_checked(browser, tmp_path):
    path = tmp_path / "scene.nmc"
    with nmc.Writer(path, family="<img src=x onerror=alert(1)>") as writer:
        writer.append({"w": np.arange(6, dtype=np.float32)})
    with opened(browser, path) as page:
        page.wait("() => nmcPlayer.frame === 0")
        assert "is not drawn in a browser" in page.notice
        assert page.page.locator("img").count() == 0


def test_options_that_do_not_fit_the_tensors_are_told(browser, tmp_path):
    path, model = tmp_path / "scene.nmc", field(*FIELDS["usual"])
    about = model.in_package()
    about["configuration"] = about["configuration"] | {"hidden": 32}
    with nmc.Writer(path, **about) as writer:
        writer.append(model.save())
    with opened(browser, path) as page:
        page.wait("() => nmcPlayer.frame === 0")
        assert "density_network.0.weight" in page.notice


@pytest.mark.slow(minutes=0.05)
def test_a_track_leads_the_eye_and_is_recorded(browser, tmp_path):
    from nmc_framework.cameras import Viewpoint
    from nmc_framework.rendering.track import read_track, write_track

    path = chain(tmp_path / "scene.nmc", field(*FIELDS["usual"]), 3)
    track = [Viewpoint(2.0 + k, 0.1, 0.4, 180.0 - 7 * k, 5.0 * k, 3.0) for k in range(3)]
    write_track(tmp_path / "track.csv", track)
    with opened(browser, path) as page:
        page.page.set_input_files("#track", tmp_path / "track.csv")
        page.wait("() => document.querySelector('#track-says').textContent.includes('3 view')")
        for frame, viewpoint in enumerate(track):
            page.show(frame)
            pose = np.array(page.page.evaluate("nmcPlayer.pose")).reshape(3, 4)
            np.testing.assert_allclose(pose, viewpoint.camera_to_world()[:3], atol=1e-12)
        page.page.click("#record")
        for frame, viewpoint in enumerate(track):
            page.show(frame)
            pose = viewpoint.camera_to_world()[:3].ravel().tolist()
            page.page.evaluate("p => nmcPlayer.look(p)", pose)
        page.page.click("#record")
        with page.page.expect_download() as download:
            page.page.click("#save")
        download.value.save_as(tmp_path / "recorded.csv")
        for one, other in zip(read_track(tmp_path / "recorded.csv", frames=3), track, strict=True):
            np.testing.assert_allclose(one.camera_to_world(), other.camera_to_world(), atol=1e-9)
        (tmp_path / "bad.csv").write_text("x,y,z,yaw,pitch\n1,2,3,4,5\n")
        page.page.set_input_files("#track", tmp_path / "bad.csv")
        page.wait("() => document.querySelector('#notice').textContent.includes('lacks roll')")


@pytest.mark.slow(minutes=0.1)
def test_the_eye_flies_by_mouse_and_keys(browser, tmp_path):
    path = chain(tmp_path / "scene.nmc", field(*FIELDS["matt"]))
    with opened(browser, path) as page:
        before = np.array(page.page.evaluate("nmcPlayer.pose")).reshape(3, 4)
        np.testing.assert_allclose(before, look(0).camera_to_world[:3], atol=1e-12)
        page.page.mouse.move(60, 90)
        page.page.mouse.down()
        page.page.mouse.move(90, 110, steps=3)
        page.page.mouse.up()
        turned = np.array(page.page.evaluate("nmcPlayer.pose")).reshape(3, 4)
        assert np.abs(turned - before).max() > 0.05
        np.testing.assert_allclose(turned[:, :3].T @ turned[:, :3], np.eye(3), atol=1e-9)
        page.page.keyboard.down("w")
        page.wait("([x]) => Math.abs(nmcPlayer.pose[3] - x) > 0.02", float(turned[0, 3]))
        page.page.keyboard.up("w")
        page.page.click("#cameras li:nth-child(2) button")
        pose = np.array(page.page.evaluate("nmcPlayer.pose")).reshape(3, 4)
        np.testing.assert_allclose(pose, look(1).camera_to_world[:3], atol=1e-12)


HEADSET = """
class Session extends EventTarget {
  updateRenderState({ baseLayer }) { window.worn = { session: this, layer: baseLayer }; }
  requestReferenceSpace() { return Promise.resolve({}); }
  requestAnimationFrame(draw) { this.draw = draw; return 1; }
}
const xr = {
  isSessionSupported: (mode) => Promise.resolve(mode === "immersive-vr"),
  requestSession: () => Promise.resolve(new Session()),
};
Object.defineProperty(navigator, "xr", { value: xr });
WebGL2RenderingContext.prototype.makeXRCompatible = () => Promise.resolve();
window.XRWebGLLayer = class {
  constructor(session, gl) { this.gl = gl; this.framebuffer = null; }
  getViewport({ at }) { return at; }
};
"""
"""A headset whose two eyes are parts of the canvas."""


WORN = """([matrix, projection, at]) => {
  const view = { transform: { matrix }, projectionMatrix: projection, at };
  const { session, layer: { gl } } = window.worn;
  session.draw(0, { getViewerPose: () => ({ views: [view] }) });
  const pixels = new Uint8Array(4 * at.width * at.height);
  gl.bindFramebuffer(gl.FRAMEBUFFER, null);
  gl.readPixels(at.x, at.y, at.width, at.height, gl.RGBA, gl.UNSIGNED_BYTE, pixels);
  session.dispatchEvent(new Event("end"));
  return Array.from(pixels);
}"""


@pytest.mark.slow
def test_a_headset_sees_what_a_camera_there_sees(browser, tmp_path):
    from nmc_framework.cameras import Camera

    path, size = chain(tmp_path / "scene.nmc", field(*FIELDS["matt"])), (24, 20)
    with served([path]) as url:
        context = browser.new_context(viewport={"width": 720, "height": 420})
        context.add_init_script(HEADSET)
        with Page(browser, page_address(url, path), context=context) as page:
            page.opened()
            page.page.click("#xr")
            page.wait("() => window.worn?.session.draw !== undefined")
            base = np.eye(4)
            base[:3] = np.array(page.page.evaluate("nmcPlayer.pose")).reshape(3, 4)
            turn, up = 0.2, np.diag([1.0, -1, -1, 1])  # OpenGL's axes
            eye = np.eye(4)
            eye[:3, :3] = [
                [np.cos(turn), 0, np.sin(turn)],
                [0, 1, 0],
                [-np.sin(turn), 0, np.cos(turn)],
            ]
            projection = np.zeros((4, 4))
            projection[0, 0], projection[1, 1], projection[0, 2], projection[1, 2] = (
                1.9,
                2.1,
                0.2,
                -0.1,
            )
            at = {"x": 8, "y": 4, "width": size[0], "height": size[1]}
            asked = [eye.T.ravel().tolist(), projection.T.ravel().tolist(), at]
            pixels = np.array(page.page.evaluate(WORN, asked), np.uint8)
            seen = pixels.reshape(size[1], size[0], 4)[::-1, :, :3]
            # A point at the middle of a picture has x / z = projection[0, 2] / projection[0, 0].
            fx, fy = 1.9 * size[0] / 2, 2.1 * size[1] / 2
            cx, cy = (1 - 0.2) * size[0] / 2, (1 - 0.1) * size[1] / 2
            camera = Camera(fx, fy, cx, cy, *size, base @ up @ eye @ up)
            expected = page.picture(camera)
            assert expected.std() > 10
            assert psnr(seen, expected) > 50
            assert page.errors == []


def test_what_a_page_does_not_come_to_is_told(browser):
    with (
        Page(browser, "about:blank") as page,
        pytest.raises(TimeoutError, match=r"did not come to \(\) => false in 0\.2 s"),
    ):
        page.wait("() => false", patience=200)
