"""The player in a browser: pictures, playing, damage, and what it does without graphics."""

import json
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from browser import Page, launched, psnr
from serving import served

import nmc
from nmc_tools.player.address import PAGE, page_address

pytestmark = [pytest.mark.filterwarnings("default")]

SMALL = {"samples": 24, "occupancy": 9, "bounds": [[-1.0, -1.2, -0.5], [1.0, 1.2, 1.0]]}
HASHED = {"levels": 3, "features": 4, "log2_entries": 8, "coarsest": 4, "finest": 19}
FIELDS = {
    "usual": ("hash_grid", HASHED | {"hidden": 16, "geometry": 7}),
    "odd widths": ("hash_grid", HASHED | {"features": 3, "hidden": 18, "geometry": 5}),
    "no geometry": ("hash_grid", HASHED | {"levels": 1, "hidden": 5, "geometry": 0}),
    "wide": ("hash_grid", HASHED | {"features": 6, "hidden": 8, "geometry": 9}),
    "far": ("hash_grid", HASHED | {"hidden": 8, "contracted": True, "background": None}),
    "near": ("voxel_grid", {"cells": [3, 8], "near": 1.6, "background": [0.2, 0.5, 0.9]}),
    "glossy": ("voxel_grid", {"cells": [5, 12], "harmonics": 9}),
    "matt": ("voxel_grid", {"cells": [6], "harmonics": 4}),
}
"""Options of which each takes another way through the shader."""


def look(k, size=(24, 20)):
    """Return one of many cameras about the scene."""
    from nmc_framework.cameras import Camera, look_at

    angle = 2.4 * k
    eye = (2.6 * np.cos(angle), 2.6 * np.sin(angle), 0.3 + 0.1 * (k % 7))
    pose = look_at(eye, (0.1, 0, 0.2))
    return Camera(21.0 + k, 23.0, size[0] / 2 + 1, size[1] / 2, *size, pose, f"view_{k}")


def field(family, options, seed=3):
    """Return a model full of matter: tables and networks far from what training begins with."""
    import torch

    from nmc_framework.models.registry import build

    model = build(family, SMALL | options, seed=seed)
    noise = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, values in model.named_parameters():
            spread = 1.5 if name.startswith("levels") else values.abs().mean()
            values.copy_(torch.randn(values.shape, generator=noise) * spread)
        cells = model.occupancy.cells
        cells.copy_(torch.rand(cells.shape, generator=noise) < 0.6)
    return model


def chain(path, model, frames=1, *, key_every=4, **options):
    """Write a package in which a table and a bitmap change from frame to frame."""
    import torch

    from nmc_framework.cameras.formats.rig_document import RigDocument
    from nmc_framework.cameras.packaged import manifest_cameras

    noise = torch.Generator().manual_seed(5)
    with nmc.Writer(path, **model.in_package(), key_every=key_every, **options) as writer:
        writer.set_cameras(manifest_cameras(RigDocument([look(k) for k in range(3)])))
        for _ in range(frames):
            writer.append(model.save())
            with torch.no_grad():
                table = model.grid_levels[-1].table
                table += 0.2 * torch.randn(table.shape, generator=noise)
    return path


@pytest.fixture(scope="module")
def browsers():
    """One browser that draws in software, and one without WebGL."""
    with launched() as found:
        yield found


@pytest.fixture
def browser(browsers):
    return browsers[0]


@pytest.fixture
def plain_browser(browsers):
    return browsers[1]


@contextmanager
def opened(browser, path, *, size=(720, 420), **asked):
    with served([path]) as url, Page(browser, page_address(url, path, **asked), size=size) as page:
        yield page.opened()
        assert page.errors == []


def reference(model, camera):
    from nmc_framework.rendering.image import render_image

    return render_image(model, camera)


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


@pytest.mark.slow
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


def test_it_plays_every_frame_and_forgets_them(browser, tmp_path):
    path = chain(tmp_path / "scene.nmc", field(*FIELDS["usual"]), 60, key_every=10)
    with opened(browser, path, size=(720, 420)) as page:
        heap = page.context.new_cdp_session(page.page)
        page.page.select_option("#speed", "4")
        page.page.uncheck("#loop")
        used = []
        for _ in range(3):
            page.show(0)
            page.page.click("#play")
            page.played(59)
            heap.send("HeapProfiler.collectGarbage")
            used.append(heap.send("Runtime.getHeapUsage")["usedSize"])
        assert page.page.locator("#verdict").text_content() == "all frames verified"
        assert used[2] - used[1] < 300_000, used
        assert page.notice is None


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


def test_a_directory_is_found_without_its_stroke(browser, tmp_path):
    path = chain(tmp_path / "scene.nmc", field(*FIELDS["matt"]), 2, directory=True)
    with served([path]) as url, Page(browser, page_address(url, f"{url}scene.nmc")) as page:
        page.opened().show(1)
        assert page.frame == 1
        assert page.notice is None
    with served([path]) as url, Page(browser, page_address(url, f"{url}other.nmc")) as page:
        assert "other.nmc answers 404" in page.opened().notice


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


def _nmc(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "nmc_tools.cli", *map(str, arguments)],
        check=True,
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("directory", [False, True])
def test_signatures_are_looked_at(browser, tmp_path, directory):
    from nmc_tools.commands.view import _keys

    path = chain(tmp_path / "scene.nmc", field(*FIELDS["matt"]), 2, directory=directory)
    badge = "document.querySelector('#signature').textContent"
    unsaid = "signatures not looked for" if directory else "unsigned"
    with opened(browser, path) as page:
        assert page.page.evaluate(badge) == unsaid
    for name in ("one", "other"):
        _nmc("keygen", "-o", tmp_path / name, "--no-passphrase", "--comment", name)
    _nmc("sign", path, "--key", tmp_path / "one")
    [key], [other] = (_keys([tmp_path / f"{name}.pub"]) for name in ("one", "other"))
    with opened(browser, path) as page:
        assert page.page.evaluate(badge) == (unsaid if directory else "signed")
    with opened(browser, path, keys=[key]) as page:
        assert page.page.evaluate(badge) == "signed as demanded"
        assert key in page.page.locator("#facts").text_content()
    with opened(browser, path, keys=[other]) as page:
        assert "signature/missing" in page.notice
        assert page.frame == -1
    if directory:
        signature = path / "signatures" / f"{key}.sig"
        data = signature.read_text()
        signature.write_text(data.replace("signer: one", "signer: two"))
        with opened(browser, path, keys=[key]) as page:
            assert "signature/wrong" in page.notice


class _Without(BaseHTTPRequestHandler):
    """A server that answers wrongly in ways that are named by the path."""

    def do_GET(self):
        name, _, how = self.path.strip("/").partition("!")
        self.server.asked += 1
        if how == "flaky" and self.server.asked == 1:
            self.send_error(503)
            return
        data = (self.server.folder / name).read_bytes()
        self.send_response(206 if how in {"cut", "long", "lies", "right", "flaky"} else 200)
        self.send_header("Access-Control-Allow-Origin", "*")
        self.send_header("Access-Control-Expose-Headers", "Content-Range, ETag")
        last = data[-65536:]
        first = len(data) - len(last)
        total = len(data) + (how == "lies")
        if how:
            self.send_header("Content-Range", f"bytes {first}-{len(data) - 1}/{total}")
        if how == "long":
            last += b"more"
        if how != "long":
            self.send_header("Content-Length", str(len(last)))
        self.end_headers()
        self.wfile.write(last[:100] if how == "cut" else last)

    def do_OPTIONS(self):
        self.send_response(204)
        self.send_header("Access-Control-Allow-Origin", "*")
        self.send_header("Access-Control-Allow-Headers", "*")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("", "without ranges"),
        ("!cut", "breaks off"),
        ("!long", "more than"),
        ("!lies", "were asked for"),
        ("!right", "package/zip-structure"),
        ("!flaky", None),
    ],
)
def test_a_server_that_answers_wrongly_is_told(browser, tmp_path, how, told):
    path = chain(tmp_path / "scene.nmc", field(*FIELDS["matt"]))
    if how == "!right":
        path.write_bytes(b"PK\3\4" + bytes(4000))
    with ThreadingHTTPServer(("127.0.0.1", 0), _Without) as server, served([]) as url:
        server.folder, server.asked = tmp_path, 0
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            source = f"http://127.0.0.1:{server.server_port}/{path.name}{how}"
            with Page(browser, page_address(url, source)) as page:
                page.opened()
                if told is None:
                    assert page.frame == 0
                    assert page.notice is None
                    return
                assert told in page.notice
                assert "The package is not opened" in page.notice
        finally:
            server.shutdown()
            thread.join()


def test_view_says_where_the_player_is(tmp_path):
    path = tmp_path / "two words.nmc"
    with nmc.Writer(path, family="x") as writer:
        writer.append({"w": np.arange(6, dtype=np.float32)})
    command = [sys.executable, "-m", "nmc_tools.cli", "view", str(path), "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        said = json.loads(process.stdout.readline())
        assert said["event"] == "listening"
        assert "player/?url=..%2Ftwo%2520words.nmc" in said["url"]
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130


def test_view_refuses_what_is_not_there(tmp_path):
    command = [sys.executable, "-m", "nmc_tools.cli", "view", str(tmp_path / "none.nmc")]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.returncode == 1
    assert "host/not-found" in found.stderr


def test_the_page_loads_nothing_from_elsewhere():
    import re

    assert sum(p.stat().st_size for p in PAGE.iterdir()) < 600_000
    for file in PAGE.iterdir():
        text = Path(file).read_text(encoding="utf-8")
        for address in re.findall(
            r"""(?:src|href|from|import|url)\W{1,3}https?://[^"'`\s]+""", text
        ):
            raise AssertionError(f"{file.name} loads {address}")
