"""``nmc serve`` behind nginx, by the configuration of the documents: open, and with tokens."""

import json
import os
import re
import shutil
import socket
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import pytest

pytest.importorskip("uvicorn")
pytest.importorskip("starlette")
pytest.importorskip("httptools")
pytest.importorskip("websockets")

from command_samples import state
from serving import SEGMENT, ask, filled, served

import nmc
from nmc_tools.serve import Access, signed_token

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
SIGNATURE = f"signatures/{'0' * 64}.sig"
MEDIUM = "media/00000000"
KEY = bytes(range(32))

pytestmark = pytest.mark.skipif(
    NGINX is None and "nginx" not in os.environ.get("NMC_TESTS_NEED", "").split(),
    reason="nginx is not installed",
)


@pytest.fixture
def shelf(tmp_path):
    folder = tmp_path / "packages"
    folder.mkdir()
    filled(folder)
    for name in (SIGNATURE, MEDIUM):
        (folder / "deep" / "two.nmc" / name).parent.mkdir()
        (folder / "deep" / "two.nmc" / name).write_bytes(b"member")
    (folder / "set.json").write_text("{}")
    (folder / "odd name #1?%.nmc").write_bytes((folder / "one.nmc").read_bytes())
    return folder


def configuration():
    page = (Path(__file__).parents[2] / "docs" / "serving.md").read_text(encoding="utf-8")
    return re.search(r"```nginx\n(.+?)```", page, re.DOTALL)[1]


def without_tokens(text):
    """Do what the page says for packages that everybody may read."""
    text = re.sub(r"    location = /allowed \{.+?\}\n", "", text, flags=re.DOTALL)
    kept = [line for line in text.splitlines() if not line.endswith("# tokens")]
    return "\n".join(kept).replace("$nmc_whose", "public")


@contextmanager
def before(behind, folder, scratch, text):
    """Yield the address of nginx before a server."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    text = text.replace("listen 443 ssl", f"listen 127.0.0.1:{port}")
    text = re.sub(r"    ssl_certificate.*\n", "", text).replace("/srv/packages", str(folder))
    text = text.replace("http://127.0.0.1:8080", behind.rstrip("/"))
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    places = "".join(f"{kind}_temp_path {scratch};" for kind in kinds)
    conf, log = scratch / "nginx.conf", scratch / "error.log"
    conf.write_text(
        f"daemon off; pid {scratch}/pid; error_log {log};\n"
        f"{'user root;' if os.geteuid() == 0 else ''} events {{}}\n"
        f"http {{ access_log off; {places}\n{text} }}\n"
    )
    with subprocess.Popen([NGINX, "-p", scratch, "-c", conf, "-e", log]) as process:
        try:
            for _ in range(600):
                with socket.socket() as line:
                    if line.connect_ex(("127.0.0.1", port)) == 0:
                        break
                assert process.poll() is None, log.read_text()
                time.sleep(0.05)
            yield f"http://127.0.0.1:{port}/"
        finally:
            process.terminate()


def test_open_packages(shelf, tmp_path, run):
    with nmc.Writer(shelf / "growing.nmc", directory=True) as writer, served([shelf]) as behind:
        writer.append(state(0))
        with before(behind, shelf, tmp_path, configuration()) as url:
            _judge_open(url, behind, shelf, run)


def test_without_what_is_marked_for_tokens(shelf, tmp_path):
    text = without_tokens(configuration())
    assert "auth_request" not in text
    with before("http://127.0.0.1:1", shelf, tmp_path, text) as url:  # nobody is behind it
        status, headers, body = ask(url, "/one.nmc")
        assert (status, body) == (200, (shelf / "one.nmc").read_bytes())
        assert headers["cache-control"] == "public, no-cache, no-transform"


def _judge_open(url, behind, folder, run):
    data = (folder / "one.nmc").read_bytes()
    status, headers, body = ask(url, "/one.nmc", {"Range": "bytes=0-9"})
    assert (status, body) == (206, data[:10])
    assert headers["cache-control"] == "public, no-cache, no-transform"
    assert headers["access-control-allow-origin"] == "*"
    kept = ask(url, "/one.nmc?digest=00")[1]["cache-control"]
    assert kept == "public, max-age=31536000, immutable, no-transform"
    member = f"/deep/two.nmc/{SEGMENT}"
    assert ask(url, member)[2] == ask(behind, member)[2]
    odd = "/" + quote("odd name #1?%.nmc")
    assert ask(url, odd)[::2] == (200, data)
    for path in (
        "/secret.txt",
        "/deep/two.nmc/secret.txt",
        "/.hidden.nmc",
        "/link.nmc",
        "/linked/two.nmc/manifest.h5",
        "/../one.nmc",
        "/deep/..%2f..%2fetc/passwd",
    ):
        assert ask(url, path)[0] in (400, 403, 404), path
    status, _, body = ask(url, "/one.nmc", method="DELETE")
    assert (status, json.loads(body)["code"]) == (405, "host/failed")
    assert ask(url, "/one.nmc", method="OPTIONS")[0] == 204
    status, headers, body = ask(url, "/growing.nmc/journal.ndjson")
    assert (status, headers["cache-control"]) == (200, "no-store, no-transform")
    assert body.count(b"\n") == 2
    assert json.loads(ask(url, "/index.json")[2])["packages"]
    for name in ("one.nmc", "deep/two.nmc"):
        outcome = run("play", f"{url}{name}", "--headless", "--json")
        assert (outcome.code, json.loads(outcome.out)["decoded_frames"]) == (0, 4)


MEMBERS = (
    "one.nmc",
    "set.json",
    *(f"deep/two.nmc/{name}" for name in ("manifest.h5", SEGMENT, SIGNATURE, MEDIUM)),
)


def test_with_tokens_no_file_goes_out_without_one(shelf, tmp_path, run):
    access = Access(("abc",), KEY)
    with served([shelf], access=access) as behind:
        (shelf / "deep" / "two.nmc" / MEDIUM).write_bytes(b"member")
        with before(behind, shelf, tmp_path, configuration()) as url:
            for name in (*MEMBERS, "index.json", "metrics", "absent.nmc"):
                for asked in (name, f"{name}?token=ab", f"{name}?digest=00", f"{name}?x=/allowed"):
                    status, headers, body = ask(url, f"/{asked}")
                    assert (status, json.loads(body)["code"]) == (401, "host/denied"), asked
                    assert headers["www-authenticate"].startswith("Bearer")
            for name in MEMBERS:
                status, headers, body = ask(url, f"/{name}?token=abc")
                assert (status, body) == (200, (shelf / name).read_bytes())
                assert headers["cache-control"] == "private, no-cache, no-transform"
                assert ask(url, f"/{name}", {"Authorization": "Bearer abc"})[0] == 200
            assert ask(url, "/absent.nmc?token=abc")[0] == 404
            assert ask(url, "/allowed?token=abc")[0] == 404
            assert ask(url, "/one.nmc", method="OPTIONS")[0] == 204  # as browsers ask first
            _judge_scope(url)
            outcome = run("play", f"{url}one.nmc?token=abc", "--headless", "--json")
            assert (outcome.code, json.loads(outcome.out)["decoded_frames"]) == (0, 4)


def _judge_scope(url):
    """A token of one path opens no other, however that is written."""
    token = signed_token(KEY, int(time.time()) + 600, "deep/two.nmc")
    assert ask(url, f"/deep/two.nmc/manifest.h5?token={token}")[0] == 200
    for path in (
        "one.nmc",
        "deep/two.nmc/../../one.nmc",
        "deep/two.nmc/%2e%2e/%2e%2e/one.nmc",
        "deep/two.nmc/..%2f..%2fone.nmc",
        "deep%2ftwo.nmc%2f..%2f..%2fone.nmc",
        "one.nmc%3f/deep/two.nmc",
    ):
        assert ask(url, f"/{path}?token={token}")[0] in (400, 401, 404), path
    expired = signed_token(KEY, 1, "")
    assert ask(url, f"/one.nmc?token={expired}")[0] == 401
