"""What the player asks of a server over a slow line, and what its worker holds afterwards."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from browser import Page
from player_samples import FIELDS, chain, field, opened
from serving import served

import nmc
from nmc_tools.player.address import page_address

pytestmark = [pytest.mark.filterwarnings("default")]


class _Dribbling(BaseHTTPRequestHandler):
    """Sends a byte now and then of every segment but the first."""

    def do_GET(self):
        data = (self.server.folder / self.path.partition("?")[0].strip("/")).read_bytes()
        self.send_response(200)
        self.send_header("Access-Control-Allow-Origin", "*")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if "0.safetensors" in self.path or "manifest" in self.path:
            self.wfile.write(data)
            return
        try:
            for at in range(len(data)):
                self.wfile.write(data[at : at + 1])
                if self.server.ended.wait(0.02):
                    return
        except OSError:
            self.server.left += 1

    def log_message(self, *_):
        pass


@pytest.mark.slow(minutes=0.09)
def test_a_server_that_sends_a_byte_now_and_then_is_given_up(browser, tmp_path):
    path = chain(tmp_path / "scene.nmc", field(*FIELDS["matt"]), 2, directory=True)
    with ThreadingHTTPServer(("127.0.0.1", 0), _Dribbling) as server, served([]) as url:
        server.folder, server.ended, server.left = tmp_path, threading.Event(), 0
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            source = f"http://127.0.0.1:{server.server_port}/{path.name}/"
            with Page(browser, page_address(url, source)) as page:
                assert page.opened().frame == 0
                # Twenty seconds of patience are 0.2 s, once all that does come is there.
                [worker] = page.page.workers
                worker.evaluate(
                    "(t => { self.setTimeout = (f, ms) => t(f, ms / 100) })(setTimeout)"
                )
                page.page.evaluate("() => { nmcPlayer.show(1) }")
                page.page.wait_for_selector("#notice:not([hidden])")
                assert "breaks off after" in page.notice
                assert page.frame == 0
        finally:
            server.ended.set()
            server.shutdown()
            thread.join()


@pytest.mark.sweep(2)
@pytest.mark.parametrize("directory", [False, True])
def test_addresses_have_the_digest_that_caches_keep(browser, tmp_path, directory):
    path = chain(tmp_path / "scene.nmc", field(*FIELDS["wide"]), 3, directory=directory)
    with nmc.open(path) as sequence:
        digest = sequence.manifest.root.manifest_digest.hex()
    with opened(browser, path) as page:
        page.show(2)
        [worker] = page.page.workers
        text = worker.evaluate("JSON.stringify(performance.getEntriesByType('resource'))")
        asked = [entry["name"] for entry in json.loads(text) if "scene.nmc" in entry["name"]]
    first = [url for url in asked if "digest=" not in url]
    later = [url for url in asked if f"digest={digest}" in url]
    assert all(url.endswith(("scene.nmc", "scene.nmc/", "manifest.h5")) for url in first)
    assert len(later) >= directory
    assert len(first) + len(later) == len(asked)
