"""Where the player has a package from: signatures, servers that answer wrongly, ``nmc view``."""

import json
import re
import signal
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from browser import Page
from player_samples import FIELDS, chain, field, opened
from serving import served

import nmc
from nmc_tools.player.address import PAGE, page_address

pytestmark = [pytest.mark.filterwarnings("default")]


def _nmc(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "nmc_tools.cli", *map(str, arguments)],
        check=True,
        capture_output=True,
        text=True,
    )


@pytest.mark.slow(minutes=0.27)
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


@pytest.mark.sweep(6)
@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("", "without ranges"),
        ("!cut", "breaks off"),
        ("!long", "more than|breaks off"),  # newer Chromium cuts it off by itself
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
                assert re.search(told, page.notice)
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
    assert sum(p.stat().st_size for p in PAGE.iterdir()) < 600_000
    for file in PAGE.iterdir():
        text = Path(file).read_text(encoding="utf-8")
        for address in re.findall(
            r"""(?:src|href|from|import|url)\W{1,3}https?://[^"'`\s]+""", text
        ):
            raise AssertionError(f"{file.name} loads {address}")


@pytest.mark.slow
def test_encrypted_segments_are_played_with_their_key(browser, tmp_path):
    """The key comes in the fragment, which no server is sent, or from who is asked for it."""
    from nmc.reading.secret_keys import SecretKey

    right, wrong = SecretKey.generate(), SecretKey.generate()
    right.write(tmp_path / "scene.key")
    path = chain(tmp_path / "scene.nmc", field(*FIELDS["matt"]), 2, encrypt_key=right)
    with served([path]) as url:
        address = page_address(url, path)
        with Page(browser, f"{address}#decrypt-key={right.key.hex()}") as page:
            assert page.opened().frame == 0
            assert page.errors == []
        with Page(browser, address.replace("?", f"?decrypt-key={right.key.hex()}&")) as page:
            page.page.wait_for_selector("#notice:not([hidden])")
            assert "told to the server" in page.notice
        with Page(browser, f"{address}#decrypt-key={wrong.key.hex()}") as page:
            says = page.page.locator("#secret-says")
            page.page.wait_for_selector("#secret:not([hidden])")
            assert says.text_content() == "This is another key."
            page.page.fill("#secret-key", "abc")
            page.page.click("#secret button")
            assert "64 digits" in says.text_content()
            page.page.set_input_files("#secret-file", tmp_path / "scene.key")
            assert page.opened().frame == 0
            assert page.page.input_value("#secret-key") == ""
        with Page(browser, address) as page:
            page.page.wait_for_selector("#secret:not([hidden])")
            assert page.page.text_content("#secret-says") == "The segments are encrypted."
            page.page.fill("#secret-key", right.key.hex())
            page.page.click("#secret button")
            assert page.opened().frame == 0
