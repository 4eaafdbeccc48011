"""The page of ``nmc depth serve``: uploads good and bad, many at once, and a browser."""

import http.client
import io
import json
import sys
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("starlette")

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "reference" / "tests"))
from browser import Page
from depth_samples import TINY, pair
from PIL import Image
from serving import running

from nmc_framework.models import build
from nmc_tools.depth_page import application, results
from nmc_tools.depth_page.application import MOST_BYTES, app

pytestmark = [pytest.mark.usefixtures("one_thread"), pytest.mark.filterwarnings("default")]


@pytest.fixture(scope="module")
def model():
    found = build("depth_unet", TINY).eval()
    found.head.weight.data.mul_(60)  # so that depths differ
    return found


def serving(model, **options):
    return running(app(model, **options))


@pytest.fixture(scope="module")
def url(model):
    with serving(model) as found:
        yield found


def ask(url, path, body=None, headers=None, method=None):
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=120)
    try:
        connection.request(
            method or ("POST" if body is not None else "GET"), path, body, headers or {}
        )
        found = connection.getresponse()
        return found.status, dict(found.getheaders()), found.read()
    finally:
        connection.close()


def send(url, data, kind="image/png"):
    status, headers, body = ask(url, "/depth", data, {"Content-Type": kind})
    return status, json.loads(body), headers


def png(array, form="PNG", **options):
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, form, **options)
    return buffer.getvalue()


def test_a_picture_goes_up_and_all_files_come_back(url):
    status, facts, headers = send(url, png(pair(1, (48, 64)).picture))
    assert status == 200 and (facts["width"], facts["height"]) == (64, 48)
    assert 0.2 <= facts["nearest"] < facts["median"] < facts["farthest"] <= 20
    assert headers["cache-control"] == "no-store" and "default-src 'none'" in str(headers)

    def file(name):
        status, headers, body = ask(url, f"/result/{facts['id']}/{name}")
        assert status == 200
        return headers["content-type"], body

    raw = np.frombuffer(file("depth.bin")[1], "<u2").reshape(48, 64)
    kind, body = file("depth.png")
    assert kind == "image/png"
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(body))), raw)
    assert raw.min() / 1000 == pytest.approx(facts["nearest"], abs=1e-3)
    assert Image.open(io.BytesIO(file("colours.png")[1])).size == (64, 48)
    assert np.array_equal(
        np.asarray(Image.open(io.BytesIO(file("picture.png")[1]))), pair(1, (48, 64)).picture
    )
    assert file("surface.ply")[1].startswith(b"ply\n")
    kind, body = file("turning.mp4")
    assert kind == "video/mp4" and b"ftyp" in body[:16]
    assert file("turning.mp4")[1] == body  # made once
    assert ask(url, f"/result/{facts['id']}/secret")[0] == 404
    assert ask(url, "/result/unknown/depth.png")[0] == 404


def test_turned_photographs_and_large_ones(url):
    exif = Image.Exif()
    exif[0x0112] = 6
    status, facts, _ = send(url, png(pair(1, (48, 64)).picture, "JPEG", exif=exif), "image/jpeg")
    assert status == 200 and (facts["width"], facts["height"]) == (48, 64)
    status, facts, _ = send(url, png(np.zeros((1000, 1500, 3), np.uint8)))
    assert status == 200 and (facts["width"], facts["height"]) == (640, 427)
    for size in ((1, 1), (1, 200), (3, 5)):
        status, facts, _ = send(url, png(np.full((*size, 3), 200, np.uint8)))
        assert status == 200 and (facts["height"], facts["width"]) == size
        assert ask(url, f"/result/{facts['id']}/turning.mp4")[0] == 200
        assert ask(url, f"/result/{facts['id']}/surface.ply")[0] == 200


def test_bad_uploads_are_a_line_each(url):
    whole = png(pair(1).picture)
    bomb = bytearray(png(np.zeros((2, 2, 3), np.uint8)))
    bomb[16:24] = (60000).to_bytes(4, "big") * 2  # what the header claims
    bomb[29:33] = zlib.crc32(bomb[12:29]).to_bytes(4, "big")
    for data, kind, status, words in (
        (b"", "image/png", 422, "no picture"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "image/svg+xml", 422, "no picture"),
        (whole[:100], "image/png", 422, "damaged"),
        (bytes(bomb), "image/png", 422, "so many pixels are more than"),
        (whole, "text/html", 415, "Content-Type"),
        (whole, "multipart/form-data; boundary=x", 415, "Content-Type"),
    ):
        got, said, _ = send(url, data, kind)
        assert got == status and words in said["error"], (kind, said)
        assert "\n" not in said["error"]
    assert ask(url, "/depth")[0] == 404
    assert send(url, whole)[0] == 200  # and it goes on


def test_too_much_is_refused_before_it_is_read(url):
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=60)
    connection.putrequest("POST", "/depth")
    connection.putheader("Content-Type", "image/png")
    connection.putheader("Content-Length", str(MOST_BYTES + 1))
    connection.endheaders(bytes(1000))
    found = connection.getresponse()
    assert found.status == 413 and b"32 MiB" in found.read()
    connection.close()


def test_an_upload_that_stops_is_given_up(model, monkeypatch):
    monkeypatch.setattr(application, "_UPLOAD_SECONDS", 0.2)
    with serving(model) as url:
        parts = urlsplit(url)
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=60)
        connection.putrequest("POST", "/depth")
        connection.putheader("Content-Type", "image/png")
        connection.putheader("Content-Length", "1000")
        connection.endheaders(bytes(10))
        assert connection.getresponse().status == 408
        connection.close()


def test_many_at_once_wait_in_a_line_that_has_an_end(model, monkeypatch):
    began, go_on = threading.Event(), threading.Event()
    inner = results.computed

    def slow(*arguments):
        began.set()
        assert go_on.wait(60)
        return inner(*arguments)

    monkeypatch.setattr(application, "computed", slow)
    data = png(pair(1).picture)
    with serving(model, waiting=2) as url, ThreadPoolExecutor(8) as threads:
        first = [threads.submit(send, url, data) for _ in range(3)]
        assert began.wait(60)
        deadline = time.monotonic() + 60
        while (answer := send(url, data))[0] != 503:  # until all three have come
            assert time.monotonic() < deadline
        _, said, headers = answer
        assert "try again" in said["error"] and headers["retry-after"] == "5"
        go_on.set()
        answers = [each.result() for each in first]
        assert {status for status, _, _ in answers} == {200}
        assert len({facts["id"] for _, facts, _ in answers}) == 3
        assert send(url, data)[0] == 200


def test_old_results_are_forgotten(url, monkeypatch):
    monkeypatch.setattr(results, "_KEPT", 2)
    names = [send(url, png(pair(k).picture))[1]["id"] for k in range(3)]
    found = [ask(url, f"/result/{name}/depth.png")[0] for name in names]
    assert found == [404, 200, 200]


# --- in a browser ------------------------------------------------------------------------------


def upload(page, data, name="photo.png"):
    page.page.set_input_files("#file", {"name": name, "mimeType": "image/png", "buffer": data})


def looked(page):
    page.wait("() => nmcDepth.facts && !document.querySelector('#result').hidden")


def pixels(page):
    """Return what the canvas shows, (height, width, 3)."""
    data = page.page.locator("#canvas").screenshot()
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)


def drawn(page):
    """Return what the canvas shows when two frames of the page are over, and all is drawn."""
    page.page.evaluate(
        "() => new Promise((end) => requestAnimationFrame(() => requestAnimationFrame(end)))"
    )
    return pixels(page)


@pytest.mark.slow(minutes=0.11)
def test_the_scene_turns_in_a_browser(browser, url):
    with Page(browser, url, size=(900, 1000)) as page:
        upload(page, png(pair(1, (96, 128)).picture))
        looked(page)
        page.page.uncheck("#turn")
        page.page.click("#reset")
        assert "96 pixels" in page.notice
        first = drawn(page)
        assert first.std() > 10  # there is something to see
        page.page.focus("#canvas")
        for _ in range(6):
            page.page.keyboard.press("ArrowRight")
        turned = drawn(page)
        assert np.abs(first - turned).mean() > 3
        box = page.page.locator("#canvas").bounding_box()
        page.page.mouse.move(box["x"] + 200, box["y"] + 100)
        page.page.mouse.down()
        page.page.mouse.move(box["x"] + 300, box["y"] + 120, steps=4)
        page.page.mouse.up()
        assert np.abs(drawn(page) - turned).mean() > 3
        page.page.click("#reset")
        assert np.abs(first - drawn(page)).mean() < 1
        page.page.check("#points")
        assert drawn(page).std() > 10
        page.page.click("#film")
        page.wait("() => !document.querySelector('#film-file').hidden")
        with page.page.expect_download() as coming:
            page.page.click("#film-file")
        assert coming.value.suggested_filename == "turning.mp4"
        assert page.errors == []


def test_a_file_that_is_no_picture_is_told_and_the_next_one_works(browser, url):
    with Page(browser, url) as page:
        upload(page, b"no picture", "notes.png")
        page.wait("() => document.querySelector('#notice').className === 'wrong'")
        assert "no picture; PNG, JPEG" in page.notice
        assert page.page.locator("#result").is_hidden()
        upload(page, png(pair(2).picture))
        looked(page)
        assert page.errors == []


def test_without_webgl_there_are_the_depth_and_the_film(plain_browser, url):
    with Page(plain_browser, url) as page:
        upload(page, png(pair(2).picture))
        looked(page)
        assert "no WebGL 2" in page.page.locator("#view").text_content()
        assert page.page.locator("#colours").is_visible()
        assert page.errors == []
