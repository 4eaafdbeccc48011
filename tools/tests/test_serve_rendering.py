"""Pictures over a WebSocket: they are those of the renderer, and wrong wishes are answered."""

import io
import json

import numpy as np
import pytest

pytest.importorskip("uvicorn")
pytest.importorskip("starlette")
pytest.importorskip("httptools")
pytest.importorskip("torch")
pytest.importorskip("websockets")
pytest.importorskip("PIL")

from PIL import Image
from serving import ask, served
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

import nmc
from nmc_tools.serve import Access
from nmc_tools.serve.rendering import parse_wish

WISH = {"id": 7, "frame": 1, "pose": [0, 0, 0, 0, 0, 0], "width": 12, "height": 8, "fov": 60}


@pytest.fixture(scope="module")
def shelf(tmp_path_factory):
    import torch

    from nmc_framework.models import build

    folder = tmp_path_factory.mktemp("rendered")
    torch.manual_seed(0)
    model = build("nerf_mlp", {})
    with nmc.Writer(
        folder / "x.nmc", family="nerf_mlp", configuration=model.configuration
    ) as writer:
        for _ in range(2):
            with torch.no_grad():
                for parameter in model.parameters():
                    parameter.add_(torch.randn_like(parameter), alpha=0.01)
            writer.append(model.state_dict())
    with nmc.Writer(folder / "unknown.nmc", family="of_nobody") as writer:
        writer.append({"w": np.zeros(3, "f4")})
    return folder


def expected(path):
    from nmc_framework.cameras import Viewpoint
    from nmc_framework.models import build
    from nmc_framework.rendering import render_image, user_camera

    with nmc.open(path) as sequence:
        model = build(sequence.family, sequence.configuration)
        model.load(sequence[1])
    camera = user_camera([], (12, 8), 60.0)
    return render_image(model, camera.at(Viewpoint(0, 0, 0, 0, 0, 0).camera_to_world()))


def connected(url, path):
    return connect(url.replace("http", "ws") + path, max_size=2**24, proxy=None)


@pytest.mark.slow
def test_the_picture_is_that_of_the_renderer(shelf):
    with served([shelf], render=True) as url:
        with connected(url, "render/x.nmc") as line:
            told = json.loads(line.recv(60))
            assert (told["frames"], told["pose"]) == (2, None)
            for kind in ("png", "webp", "jpeg"):
                line.send(json.dumps(WISH | {"format": kind}))
                said = json.loads(line.recv(60))
                assert (said["id"], said["type"]) == (7, f"image/{kind}")
                seen = np.asarray(Image.open(io.BytesIO(line.recv(60))).convert("RGB"))
                assert seen.shape == (8, 12, 3)
                if kind == "png":
                    assert np.array_equal(seen, expected(shelf / "x.nmc"))
            line.send("no JSON")
            assert "error" in json.loads(line.recv(60))
            line.send(json.dumps(WISH | {"format": "png"}))
            assert json.loads(line.recv(60))["id"] == 7
            line.recv(60)
        assert b"nmc_serve_rendered_total 4\n" in ask(url, "/metrics")[2]


@pytest.mark.slow(minutes=0.02)
def test_a_part_is_a_part_of_the_whole(shelf):
    from nmc_framework.cameras import Camera, Viewpoint
    from nmc_framework.models import build
    from nmc_framework.rendering import render_image

    view, pose = (11.0, 13.0, 5.5, 3.0), (0.2, -1.5, 0.3, 80.0, 5.0, 10.0)
    with nmc.open(shelf / "x.nmc") as sequence:
        model = build(sequence.family, sequence.configuration)
        model.load(sequence[0])
        digest = sequence.manifest.root.manifest_digest.hex()
    whole = render_image(model, Camera(*view, 12, 8, Viewpoint(*pose).camera_to_world()))
    wish = {"frame": 0, "pose": pose, "width": 12, "format": "png"}
    with served([shelf], render=True) as url, connected(url, "render/x.nmc") as line:
        assert json.loads(line.recv(60))["manifest"] == digest
        parts = []
        for first, rows in ((0, 3), (3, 5)):
            lens = [*view[:3], view[3] - first]
            line.send(json.dumps(wish | {"height": rows, "intrinsics": lens}))
            assert json.loads(line.recv(60))["height"] == rows
            parts.append(np.asarray(Image.open(io.BytesIO(line.recv(60))).convert("RGB")))
    difference = np.concatenate(parts).astype(int) - whole
    assert np.abs(difference).max() <= 1
    assert whole.std() > 1


def test_a_group_is_seen_at_any_of_its_instants(tmp_path):
    """A frame of a group's model is several instants; a client says which, and is told."""
    import torch

    from nmc_framework.cameras import Viewpoint
    from nmc_framework.models import build
    from nmc_framework.rendering import render_image, user_camera

    torch.manual_seed(0)
    model = build("dynerf", {"instants": 3, "width": 16, "depth": 2, "samples": 8})
    model.length.fill_(2)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.3)
    with nmc.Writer(tmp_path / "g.nmc", **model.in_package()) as writer:
        writer.append(model.state_dict())
    camera = user_camera([], (12, 8), 60.0).at(Viewpoint(0, 0, 0, 0, 0, 0).camera_to_world())
    true = [render_image(model, camera, time=float(k)) for k in range(2)]
    assert (true[0] != true[1]).any()
    with served([tmp_path], render=True) as url, connected(url, "render/g.nmc") as line:
        assert json.loads(line.recv(60))["instants"] == 3
        for asked, shown in ((0, 0), (1, 1), (7, 1)):
            line.send(json.dumps(WISH | {"frame": 0, "instant": asked, "format": "png"}))
            assert json.loads(line.recv(60))["instant"] == shown
            seen = np.asarray(Image.open(io.BytesIO(line.recv(60))).convert("RGB"))
            assert np.array_equal(seen, true[shown])
        line.send(json.dumps(WISH | {"frame": 0, "instant": -1}))
        assert "instant: expected a number from 0" in json.loads(line.recv(60))["error"]


def test_the_listing_leads_to_a_player_with_pictures(shelf):
    link = b"&amp;render=..%2Frender%2Fx.nmc"
    with served([shelf], render=True) as url:
        assert link in ask(url, "/")[2]
    with served([shelf], render=True, access=Access(("abc",))) as url:
        assert link + b"%3Ftoken%3Dabc" in ask(url, "/?token=abc")[2]
    with served([shelf]) as url:
        assert b"render=" not in ask(url, "/")[2]


@pytest.mark.parametrize("path", ["render/nothing.nmc", "render/../x.nmc", "render/unknown.nmc"])
def test_what_cannot_be_rendered(shelf, path):
    with (
        served([shelf], render=True) as url,
        pytest.raises(InvalidStatus, match="403"),
        connected(url, path) as line,
    ):
        line.recv(60)


def test_rendering_takes_a_token_and_has_to_be_asked_for(shelf):
    with served([shelf], render=True, access=Access(("abc",))) as url:
        with pytest.raises(InvalidStatus, match="403"):
            connected(url, "render/x.nmc")
        with connected(url, "render/x.nmc?token=abc") as line:
            assert json.loads(line.recv(60))["frames"] == 2
    with served([shelf]) as url, pytest.raises(InvalidStatus, match="403"):
        connected(url, "render/x.nmc")


@pytest.mark.parametrize(
    "change",
    [
        {"frame": 2},
        {"frame": -1},
        {"frame": 0.5},
        {"frame": True},
        {"frame": None},
        {"pose": [0] * 5},
        {"pose": [0] * 5 + ["0"]},
        {"pose": [0] * 5 + [1e300]},
        {"width": 0},
        {"width": 8192, "height": 8192},
        {"fov": 180},
        {"fov": None},
        {"intrinsics": [1, 1, 1]},
        {"intrinsics": [0, 1, 1, 1]},
        {"intrinsics": [1, -1, 1, 1]},
        {"intrinsics": [1, 1, 1e300, 1]},
        {"intrinsics": [1, 1, 1, None]},
        {"intrinsics": 7},
        {"format": "bmp"},
        {"quality": 0},
        {"id": "x"},
        {"id": 0.5},
    ],
)
def test_wishes_out_of_bounds(change):
    parse_wish(json.dumps(WISH), 2)
    with pytest.raises(ValueError):
        parse_wish(json.dumps(WISH | change), 2)


@pytest.mark.parametrize("text", ["", "[]", "null", "[" * 100_000, '{"frame": NaN}', "\x00"])
def test_what_is_no_wish(text):
    with pytest.raises(ValueError):
        parse_wish(text, 2)
