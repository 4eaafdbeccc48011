"""Servers that do not answer, break off, trickle or lie: an error, or the right bytes."""

from __future__ import annotations

import socket

import numpy as np
import pytest
from nmc_samples import chain, write
from web_server import QUICK, serving

import nmc
from nmc.remote import ranged_source, web_object

FRAMES = 6


ALL = range(FRAMES)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("served")
    rng = np.random.default_rng(0)
    states = chain(FRAMES)
    for state in states:
        state["noise"] = rng.integers(0, 2**32, 100_000, "u4")  # 400 kB a frame
    write(path / "a.nmc", states, key_every=3)
    write(path / "d.nmc", states, key_every=3, directory=True)
    return path


@pytest.fixture
def server(folder, monkeypatch):
    monkeypatch.setattr(ranged_source, "TAIL_BYTES", 1 << 14)
    with serving(folder) as server:
        yield server


def code_of(work):
    with pytest.raises(nmc.FormatError) as caught:
        work()
    return caught.value.finding.code


def opened(server, name="a.nmc", **options):
    return nmc.open(f"{server.url}/{name}", storage_options=QUICK | options)


def all_frames(server, folder, name="a.nmc"):
    with opened(server, name) as sequence, nmc.open(folder / name) as local:
        for t in ALL:
            state, expected = sequence[t], local[t]
            assert all(state[n].tobytes() == expected[n].tobytes() for n in expected)


def test_a_server_without_ranges_is_downloaded_once(server, folder):
    server.ranges = False
    all_frames(server, folder)
    assert len(server.asked) == 1


def test_a_server_without_ranges_and_a_long_file(server, folder, monkeypatch):
    server.ranges = False
    monkeypatch.setattr(web_object, "MOST_DOWNLOADED", 1 << 16)
    assert code_of(lambda: opened(server)) == "host/server"

    def chunked(handler, data, span):
        if data is None:
            return False
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        for at in range(0, len(data), 1 << 14):
            piece = data[at : at + (1 << 14)]
            handler.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        handler.wfile.write(b"0\r\n\r\n")
        return True

    server.misbehave = chunked
    assert code_of(lambda: opened(server)) == "host/server"
    monkeypatch.setattr(web_object, "MOST_DOWNLOADED", 1 << 30)
    all_frames(server, folder)
    all_frames(server, folder, "d.nmc")


def test_suffix_ranges_that_a_server_does_not_know(server, folder):
    def no_suffix(handler, data, span):
        if (handler.headers.get("Range") or "").startswith("bytes=-"):
            handler.send(416, b"", Content_Range=f"bytes */{len(data)}")
            return True
        return False

    server.misbehave = no_suffix
    assert code_of(lambda: opened(server)) == "host/server"  # the first bytes are not the last


@pytest.mark.parametrize("name", ["a.nmc", "d.nmc"])
def test_a_body_that_breaks_off_is_gone_on_with(server, folder, name):
    """Each answer ends after 100 kB: the next request begins where it broke off."""

    def cut(handler, data, span):
        if data is None or len(data) < 200_000:
            return False
        start, end = span or (0, len(data))
        if end - start <= 100_000:
            return False
        handler.send_response(206 if span else 200)
        handler.send_header("Content-Length", str(end - start))
        if span:
            handler.send_header("Content-Range", f"bytes {start}-{end - 1}/{len(data)}")
        handler.end_headers()
        handler.wfile.write(data[start : start + 100_000])
        handler.close_connection = True
        return True

    server.misbehave = cut
    all_frames(server, folder, name)
    starts = [
        (a.path, a.range[6:].partition("-")[0])
        for a in server.asked
        if a.range and a.range[6] != "-"
    ]
    assert len(set(starts)) == len(starts)  # nothing was asked for from the beginning again


def test_a_body_that_always_breaks_off_at_once(server):
    with opened(server) as sequence:

        def cut(handler, data, span):
            handler.connection.shutdown(socket.SHUT_RDWR)
            handler.close_connection = True
            return True

        server.misbehave = cut
        before = len(server.asked)
        assert code_of(lambda: sequence[0]) == "host/connection"
        assert len(server.asked) - before <= 1 + QUICK["tries"]
        server.misbehave = None
        assert sequence[0]  # it says nothing about the package: the next attempt goes well


def test_statuses_that_ask_to_come_again(server, folder):
    left = iter([503, 429, 200, 500, 200, 502, 200])

    def busy(handler, data, span):
        status = next(left, 200)
        if status != 200:
            handler.send(status, b"busy", Retry_After="0")
        return status != 200

    server.misbehave = busy
    all_frames(server, folder)
    server.misbehave = lambda handler, data, span: handler.send(503, b"") or True
    assert code_of(lambda: opened(server)) == "host/connection"


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (404, "host/not-found"),
        (410, "host/not-found"),
        (401, "host/denied"),
        (403, "host/denied"),
        (400, "host/server"),
        (204, "host/server"),
        (418, "host/server"),
    ],
)
def test_statuses_that_refuse(server, status, code):
    server.misbehave = lambda handler, data, span: handler.send(status, b"") or True
    assert code_of(lambda: opened(server)) == code


LIES = {
    "no range is said": {"Content_Range": None},
    "no range at all": {"Content_Range": "bytes all"},
    "another unit": {"Content_Range": "pages 1-2/3"},
    "another start": {"Content_Range": "bytes 1-{last}/{total}"},
    "another end": {"Content_Range": "bytes {start}-{total}/{total}"},
    "a shorter file": {"Content_Range": "bytes {start}-{last}/{start}"},
    "a range backwards": {"Content_Range": "bytes 9-5/{total}"},
    "an endless number": {"Content_Range": "bytes 0-" + "9" * 40 + "/" + "9" * 41},
    "another length": {"Content_Length": "5"},
    "compressed": {"Content_Encoding": "gzip"},
}


@pytest.mark.parametrize("lie", LIES)
@pytest.mark.parametrize("when", ["opening", "playing"])
def test_answers_that_lie(server, lie, when):
    def lying(handler, data, span):
        start, end = span
        facts = {"start": start, "last": end - 1, "total": len(data)}
        headers = {k: v and v.format(**facts) for k, v in LIES[lie].items()}
        handler.answer(data, span, **headers)
        handler.close_connection = True
        return True

    if when == "opening":
        server.misbehave = lying
        found = code_of(lambda: opened(server))
    else:
        with opened(server) as sequence:
            server.misbehave = lying
            found = code_of(lambda: sequence[0])
    assert found in ("host/server", "host/changed", "host/connection")


def test_other_bytes_than_were_asked_for(server):
    """The headers are right, and the bytes are those of another place."""
    with opened(server) as sequence:
        server.misbehave = lambda handler, data, span: (
            handler.answer(data[:7] + data[:-7], span) or True
        )
        assert code_of(lambda: sequence[0]) in (
            "package/zip-structure",
            "segment/container",
            "decoding/state-digest-mismatch",
        )


@pytest.mark.parametrize("headers", [{"ETag": '"b"'}, {"Content_Range": "bytes {a}-{b}/99999999"}])
def test_a_package_that_changes_while_it_is_read(server, headers):
    with opened(server) as sequence:
        assert sequence[0]

        def changed(handler, data, span):
            facts = {"a": span[0], "b": span[1] - 1}
            handler.answer(data, span, **{k: v.format(**facts) for k, v in headers.items()})
            return True

        server.misbehave = changed
        assert code_of(lambda: sequence[5]) == "host/changed"


def test_a_package_that_is_gone_while_it_is_read(server):
    with opened(server) as sequence, opened(server, "d.nmc") as directory:
        server.misbehave = lambda handler, data, span: handler.send(404, b"") or True
        assert code_of(lambda: sequence[5]) == "host/changed"
        assert code_of(lambda: directory[5]) == "package/member-missing"


def test_segments_of_another_length(server):
    with opened(server, "d.nmc") as sequence:
        server.misbehave = lambda handler, data, span: handler.answer(data[:-1], span) or True
        assert code_of(lambda: sequence[0]) == "segment/length"
        server.misbehave = lambda handler, data, span: handler.answer(data + b"x", span) or True
        assert code_of(lambda: sequence[0]) == "segment/length"


def redirect(handler, place, status=302):
    handler.send(status, b"", Location=place)
    return True


@pytest.mark.parametrize(
    "place",
    [
        "file:///etc/passwd",
        "ftp://127.0.0.1/a.nmc",
        "gopher://x",
        "/again",
        "",
        "http://",
        "//",
        "javascript:1",
        "memory://a",
        "http://[",
        "x" * 60_000,
    ],
)
def test_redirects_that_are_not_followed(server, place):
    server.misbehave = lambda handler, data, span: redirect(handler, place)
    assert code_of(lambda: opened(server)) in ("host/server", "host/connection")


def test_redirects_without_end(server):
    count = iter(range(1000))
    server.misbehave = lambda handler, data, span: redirect(handler, f"/{next(count)}")
    assert code_of(lambda: opened(server)) == "host/server"
    assert len(server.asked) < 10


def test_redirects_that_are_followed(server, folder):
    with serving(folder) as other:

        def elsewhere(handler, data, span):
            name = handler.path.rpartition("/")[2]
            return redirect(handler, f"{other.url}/d.nmc/{name}" if "moved" in handler.path else "")

        server.misbehave = lambda handler, data, span: redirect(handler, f"{other.url}/a.nmc", 307)
        options = {"headers": {"Authorization": "Bearer secret", "X-Own": "1"}}
        with opened(server, **options) as sequence:
            assert sequence[5]
        assert server.asked[0].headers["Authorization"] == "Bearer secret"
        assert "Authorization" not in other.asked[0].headers  # it is another server
        assert other.asked[0].headers["X-Own"] == "1"


def test_a_folder_that_redirects_to_its_slash(server, folder):
    def slash(handler, data, span):
        return (
            data is None
            and not handler.path.endswith("/")
            and redirect(handler, handler.path + "/", 301)
        )

    server.misbehave = slash
    with opened(server, "d.nmc") as sequence:
        assert sequence[5]


def test_enormous_headers(server):
    def one(handler, data, span):
        handler.answer(data, span, X_Long="x" * 100_000)
        return True

    def many(handler, data, span):
        handler.answer(data, span, **{f"X_{k}": "x" for k in range(500)})
        return True

    for server.misbehave in (one, many):
        assert code_of(lambda: opened(server)) == "host/server"


def test_what_else_a_server_may_have(server, folder):
    (folder / "page.nmc").write_bytes(b"<!doctype html><p>nothing here")
    (folder / "empty.nmc").write_bytes(b"")
    (folder / "cut.nmc").write_bytes((folder / "a.nmc").read_bytes()[:200_000])
    for name, code in (
        ("page.nmc", "package/not-a-package"),
        ("empty.nmc", "package/not-a-package"),
        ("cut.nmc", "package/zip-structure"),
        ("nothing.nmc", "host/not-found"),
    ):
        assert code_of(lambda name=name: opened(server, name)) == code
        local = code_of(lambda name=name: nmc.open(folder / name))
        assert code == local
