"""``nmc serve``: media of a package, whole and in parts, and read back verified from afar."""

import pytest

pytest.importorskip("uvicorn")
pytest.importorskip("starlette")
pytest.importorskip("httptools")
pytest.importorskip("websockets")

from command_samples import state
from serving import ask, served

import nmc
from nmc_format.manifest.media_table import CHUNK_BYTES

CLIP = bytes(range(256)) * 3000
PAGE = b"<script>alert(1)</script>"


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shelf")
    for name, directory in (("folder.nmc", True), ("file.nmc", False)):
        media = [nmc.Media(CLIP, name="low.mp4"), nmc.Media(PAGE, name="a.html")]
        with nmc.Writer(folder / name, media=media, directory=directory) as writer:
            writer.append(state(0))
    (folder / "folder.nmc" / "media" / "00000002").write_bytes(b"surplus")
    with served([folder]) as url:
        yield url


def test_a_medium_is_served_in_ranges_with_its_type(url):
    status, headers, body = ask(url, "/folder.nmc/media/00000000")
    assert (status, body) == (200, CLIP)
    assert headers["content-type"] == "video/mp4"
    tag = headers["etag"]
    status, headers, body = ask(url, "/folder.nmc/media/00000000", {"Range": "bytes=5-9"})
    assert (status, body) == (206, CLIP[5:10])
    assert headers["content-range"] == f"bytes 5-9/{len(CLIP)}"
    assert ask(url, "/folder.nmc/media/00000000", {"If-None-Match": tag})[0] == 304


def test_what_a_browser_would_run_is_sent_as_bytes(url):
    status, headers, body = ask(url, "/folder.nmc/media/00000001")
    assert (status, body) == (200, PAGE)
    assert headers["content-type"] == "application/octet-stream"


@pytest.mark.parametrize("name", ["00000002", "0000000", "low.mp4", "../manifest.h5x"])
def test_nothing_else_is_served_as_a_medium(url, name):
    assert ask(url, f"/folder.nmc/media/{name}")[0] == 404


@pytest.mark.parametrize("form", ["folder.nmc", "file.nmc"])
def test_media_are_read_from_afar_in_parts(url, form):
    with nmc.open(url.rstrip("/") + "/" + form, cache=False) as sequence:
        with sequence.media["low.mp4"].open() as file:
            file.seek(2 * CHUNK_BYTES - 3)
            assert file.read(6) == CLIP[2 * CHUNK_BYTES - 3 : 2 * CHUNK_BYTES + 3]
        assert sequence.media["low.mp4"].read() == CLIP
        assert sequence.media["a.html"].read() == PAGE
