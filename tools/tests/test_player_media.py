"""The media of a package in the player: listed, verified, played, refused where damaged."""

import io
import wave

import numpy as np
import pytest
from browser import Page
from PIL import Image
from player_samples import opened
from serving import served

import nmc
from nmc_format.manifest.media_table import CHUNK_BYTES
from nmc_tools.player.address import page_address

pytestmark = [pytest.mark.filterwarnings("default")]


def _sound(seconds):
    """Return a WAV file of a tone, 8 bits, 100 kHz: a second is 100 kB."""
    samples = np.sin(np.arange(100_000 * seconds) * 0.03) * 100 + 128
    with io.BytesIO() as data:
        with wave.open(data, "wb") as file:
            file.setparams((1, 1, 100_000, 0, "NONE", ""))
            file.writeframes(samples.astype(np.uint8).tobytes())
        return data.getvalue()


def _picture():
    with io.BytesIO() as data:
        Image.fromarray(np.arange(7 * 5 * 3, dtype=np.uint8).reshape(5, 7, 3)).save(data, "PNG")
        return data.getvalue()


@pytest.fixture(scope="module")
def sound():
    data = _sound(30)
    assert len(data) > 11 * CHUNK_BYTES  # more than one request
    return data


def _package(path, sound, directory):
    media = [
        nmc.Media(
            sound,
            name="<b>tone.wav",
            type="audio/wav",
            role="sound",
            map={1000: 1, 2500: None, 4000: 0},
            timescale=1000,
        ),
        nmc.Media(_picture(), name="look.png", role="preview", map={0: 1}),
        nmc.Media(b"<script>", name="page.html"),
        nmc.Media(b"#EXTM3U\nhttp://example.org/a.ts\n", name="list.mp4"),
        nmc.Media(b"no video", name="no.mp4", map={0: 0, 8: 1}),
    ]
    with nmc.Writer(path, media=media, directory=directory) as writer:
        for t in range(2):
            writer.append({"w": np.arange(6, dtype=np.float32) + t})
    return path


def _choose(page, name, told):
    page.page.locator("#media button", has_text=name).click()
    page.wait("([t]) => document.querySelector('#medium-says').textContent.includes(t)", told)


@pytest.mark.sweep(2)
@pytest.mark.parametrize("directory", [False, True])
def test_media_are_verified_and_played_with_their_map(plain_browser, tmp_path, sound, directory):
    path = _package(tmp_path / "a.nmc", sound, directory)
    with opened(plain_browser, path) as page:
        page.wait("() => nmcPlayer.frame === 0")
        listed = page.page.locator("#media li").all_text_contents()
        assert listed[0] == "<b>tone.wav audio/wav, sound, 3.00 MB"
        assert len(listed) == 5
        _choose(page, "tone.wav", "12 chunks of it compared")
        page.wait("() => document.querySelector('#medium audio').duration === 30")
        assert page.page.locator("#medium-map li").all_text_contents() == [
            "from 1.000 s: frame 1",
            "from 2.500 s: no frame",
            "from 4.000 s: frame 0",
        ]
        serves = page.page.locator("#medium-serves")
        assert serves.text_content() == "no frame serves what is shown"
        page.page.check("#medium-leads")
        for at, words in ((1.2, "frame 1 serves"), (3, "no frame serves"), (4, "frame 0 serves")):
            page.page.evaluate("t => document.querySelector('audio').currentTime = t", at)
            page.wait(
                "([w]) => document.querySelector('#medium-serves').textContent.startsWith(w)", words
            )
            if at == 1.2:
                page.wait("() => nmcPlayer.frame === 1")
        page.wait("() => nmcPlayer.frame === 0")
        _choose(page, "look.png", "1 chunk of it compared")
        page.wait("() => document.querySelector('#medium img').naturalWidth === 7")
        assert serves.text_content() == "frame 1 serves what is shown"
        assert page.page.locator("audio").count() == 0
        _choose(page, "page.html", "text/html is not shown here")
        _choose(page, "list.mp4", "it is a playlist")
        assert page.page.locator("#medium > *").count() == 0
        _choose(page, "no.mp4", "this browser cannot show it")
        assert "which one plays the browser does not say" in serves.text_content()


@pytest.mark.slow(minutes=0.06)
def test_a_damaged_medium_is_told_and_not_played(plain_browser, tmp_path, sound):
    folder = _package(tmp_path / "folder.nmc", sound, directory=True)
    file = _package(tmp_path / "file.nmc", sound, directory=False)
    # One bit of chunk 9 of the sound: the second request of it.
    data = bytearray(file.read_bytes())
    data[data.index(sound) + 9 * CHUNK_BYTES + 5] ^= 1
    file.write_bytes(data)
    member = folder / "media" / "00000000"
    member.write_bytes(data[data.index(sound[:CHUNK_BYTES]) :][: len(sound)])
    short = folder / "media" / "00000001"
    short.write_bytes(short.read_bytes()[:-1])
    (folder / "media" / "00000004").unlink()
    with served([folder, file]) as url:
        for path in (folder, file):
            with Page(plain_browser, page_address(url, path)) as page:
                page.opened()
                _choose(
                    page,
                    "tone.wav",
                    f"not played: media/sha256 at media/00000000, byte {9 * CHUNK_BYTES}",
                )
                assert page.page.locator("#medium > *").count() == 0
                if path == folder:
                    _choose(page, "look.png", "media/length")
                    _choose(page, "no.mp4", "404")
                    assert page.page.locator("#medium > *").count() == 0
                else:
                    _choose(page, "look.png", "1 chunk of it compared")
                assert page.errors == []


@pytest.mark.slow(minutes=0.03)
def test_a_package_without_media_has_no_list_of_them(plain_browser, tmp_path):
    with nmc.Writer(tmp_path / "a.nmc") as writer:
        writer.append({"w": np.arange(6, dtype=np.float32)})
    with opened(plain_browser, tmp_path / "a.nmc") as page:
        assert page.page.locator("#media-part").is_hidden()
