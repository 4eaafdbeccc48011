"""``nmc serve``: what is served, to whom, in which parts, and what is not."""

import json
import time

import pytest

pytest.importorskip("uvicorn")
pytest.importorskip("starlette")
pytest.importorskip("httptools")
pytest.importorskip("websockets")

from command_samples import state
from serving import SEGMENT, ask, filled, served

import nmc
from nmc_tools.serve import Access, signed_token


@pytest.fixture(scope="module")
def shelf(tmp_path_factory):
    return filled(tmp_path_factory.mktemp("shelf"))


@pytest.fixture(scope="module")
def url(shelf):
    with served([shelf]) as url:
        yield url


def test_a_file_is_served_whole_and_in_parts(url, shelf):
    data = (shelf / "one.nmc").read_bytes()
    with nmc.open(shelf / "one.nmc") as sequence:
        digest = sequence.manifest.root.manifest_digest.hex()
    status, headers, body = ask(url, "/one.nmc")
    assert (status, body) == (200, data)
    assert headers["etag"].startswith(f'"{digest}')
    assert headers["accept-ranges"] == "bytes"
    assert headers["cache-control"] == "public, no-cache, no-transform"
    assert headers["access-control-allow-origin"] == "*"
    assert "content-encoding" not in headers
    size = len(data)
    for asked, part in (
        ("bytes=0-0", data[:1]),
        ("bytes=10-19", data[10:20]),
        (f"bytes={size - 3}-", data[-3:]),
        ("bytes=-98", data[-98:]),
        (f"bytes=-{10 * size}", data),
        (f"bytes=5-{10**25}", data[5:]),
    ):
        status, headers, body = ask(url, "/one.nmc", {"Range": asked})
        assert (status, body) == (206, part), asked
        start = size - len(part) if asked.startswith("bytes=-") else int(asked[6:].split("-")[0])
        assert headers["content-range"] == f"bytes {start}-{start + len(part) - 1}/{size}"


@pytest.mark.parametrize("asked", ["{size}-", "{size}-{size}", "-0", "99999999999999999999-"])
def test_a_range_without_a_byte_is_416(url, shelf, asked):
    size = (shelf / "one.nmc").stat().st_size
    status, headers, _ = ask(url, "/one.nmc", {"Range": "bytes=" + asked.format(size=size)})
    assert (status, headers["content-range"]) == (416, f"bytes */{size}")


@pytest.mark.parametrize(
    "asked", ["bytes=5-4", "bytes=0-1,3-4", "lines=1-2", "bytes=a-b", "bytes="]
)
def test_what_is_no_single_range_gets_the_whole(url, shelf, asked):
    status, _, body = ask(url, "/one.nmc", {"Range": asked})
    assert (status, body) == (200, (shelf / "one.nmc").read_bytes())


def test_head_says_what_get_would(url, shelf):
    status, headers, body = ask(url, "/one.nmc", {"Range": "bytes=0-9"}, "HEAD")
    assert (status, body) == (200, b"")
    assert headers["content-length"] == str((shelf / "one.nmc").stat().st_size)


def test_conditions(url):
    _, headers, _ = ask(url, "/one.nmc", method="HEAD")
    tag, date = headers["etag"], headers["last-modified"]
    old = "Mon, 01 Jan 2001 00:00:00 GMT"
    for asked, status in (
        ({"If-None-Match": tag}, 304),
        ({"If-None-Match": f'"x", W/{tag}'}, 304),
        ({"If-None-Match": "*"}, 304),
        ({"If-None-Match": '"x"'}, 200),
        ({"If-None-Match": '"x"', "If-Modified-Since": date}, 200),
        ({"If-Modified-Since": date}, 304),
        ({"If-Modified-Since": old}, 200),
        ({"If-Modified-Since": "never"}, 200),
        ({"If-Match": tag}, 200),
        ({"If-Match": '"x"'}, 412),
        ({"If-Match": f"W/{tag}"}, 412),
        ({"If-Unmodified-Since": old}, 412),
        ({"If-Range": tag, "Range": "bytes=0-1"}, 206),
        ({"If-Range": date, "Range": "bytes=0-1"}, 206),
        ({"If-Range": f"W/{tag}", "Range": "bytes=0-1"}, 200),
        ({"If-Range": '"x"', "Range": "bytes=0-1"}, 200),
        ({"If-Range": old, "Range": "bytes=0-1"}, 200),
        ({"If-Range": '"x"', "Range": f"bytes={10**9}-"}, 200),
    ):
        assert ask(url, "/one.nmc", asked)[0] == status, asked
    status, headers, body = ask(url, "/one.nmc", {"If-None-Match": tag})
    assert (headers["etag"], body) == (tag, b"")


def test_the_members_of_a_directory(url, shelf):
    package = shelf / "deep" / "two.nmc"
    with nmc.open(package) as sequence:
        sha = sequence.frames[0].segment_sha256.hex()
        digest = sequence.manifest.root.manifest_digest.hex()
    status, headers, body = ask(url, f"/deep/two.nmc/{SEGMENT}")
    assert (status, body) == (200, (package / SEGMENT).read_bytes())
    assert headers["etag"] == f'"{sha}"'
    assert ask(url, "/deep/two.nmc/manifest.h5")[2] == (package / "manifest.h5").read_bytes()
    for path in (f"/deep/two.nmc/{SEGMENT}", "/deep/two.nmc/manifest.h5", "/one.nmc"):
        known = digest
        if path == "/one.nmc":
            known = ask(url, path)[1]["etag"][1:65]
        kept = ask(url, f"{path}?digest={known}")[1]["cache-control"]
        assert kept == "public, max-age=31536000, immutable, no-transform"
        status, _, body = ask(url, f"{path}?digest={'0' * 64}")
        assert (status, json.loads(body)["code"]) == (404, "host/changed")
    assert ask(url, "/deep/two.nmc/segments/00000004.safetensors")[0] == 404


@pytest.mark.parametrize(
    "path",
    [
        "/../one.nmc",
        "/deep/../one.nmc",
        "/deep/%2e%2e/one.nmc",
        "/deep/..%2fone.nmc",
        "/..%5cone.nmc",
        "//one.nmc",
        "/./one.nmc",
        "/one.nmc%00",
        "/one.nmc/",
        "/.hidden.nmc",
        "/link.nmc",
        "/linked/two.nmc/manifest.h5",
        "/secret.txt",
        "/no.nmc",
        "/deep",
        "/deep/two.nmc",
        "/deep/two.nmc/secret.txt",
        "/deep/two.nmc/segments",
        "/deep/two.nmc/segments/../manifest.h5",
        "/deep/two.nmc/segments/0.safetensors",
        "/%ff%fe",
        "/" + "a" * 300,
        "/" + "a/" * 2000,
        "/etc/passwd",
    ],
)
def test_paths_that_lead_nowhere(url, path):
    status, headers, body = ask(url, path)
    assert status == 404
    assert json.loads(body)["code"] == "host/not-found"
    assert headers["access-control-allow-origin"] == "*"


def test_only_reading(url):
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        status, headers, _ = ask(url, "/one.nmc", method=method)
        assert (status, headers["allow"]) == (405, "GET, HEAD, OPTIONS")
    status, headers, _ = ask(url, "/one.nmc", {"Origin": "https://example.org"}, "OPTIONS")
    assert status == 204
    assert "Range" in headers["access-control-allow-headers"]


def test_the_listing(url):
    status, _, body = ask(url, "/index.json")
    listed = {package["name"]: package for package in json.loads(body)["packages"]}
    assert status == 200
    assert set(listed) == {"one.nmc", "deep/two.nmc", "no.nmc"}
    assert (listed["one.nmc"]["frames"], listed["one.nmc"]["key_frames"]) == (4, 2)
    assert listed["deep/two.nmc"]["form"] == "directory"
    assert "package/not-a-package" in listed["no.nmc"]["error"]
    status, headers, body = ask(url, "/")
    assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert b"one.nmc" in body
    assert ask(url, "/health")[::2] == (200, b'{"status": "ok"}\n')


def test_metrics(shelf):
    with served([shelf]) as url:
        ask(url, "/one.nmc", {"Range": "bytes=0-99"})
        ask(url, "/nothing")
        text = ask(url, "/metrics")[2].decode()
    assert 'nmc_serve_requests_total{method="GET",code="206"} 1\n' in text
    assert 'nmc_serve_requests_total{method="GET",code="404"} 1\n' in text
    assert "nmc_serve_request_seconds_count 2\n" in text
    for line in text.splitlines():
        assert line.startswith("# ") or len(line.split(" ")) == 2, line


def test_tokens(shelf):
    key = bytes(range(32))
    soon = int(time.time()) + 1000
    whole, part = signed_token(key, soon), signed_token(key, soon, "deep/two.nmc")
    manifest = "/deep/two.nmc/manifest.h5"
    with served([shelf], access=Access(("correct horse",), key)) as url:
        for path, token, status in (
            ("/one.nmc", None, 401),
            ("/one.nmc", "wrong", 401),
            ("/one.nmc", "correct horse", 200),
            ("/one.nmc", "correct hors", 401),
            ("/one.nmc", whole, 200),
            ("/one.nmc", part, 401),
            (manifest, part, 200),
            ("/one.nmc", signed_token(key, 1), 401),
            ("/one.nmc", signed_token(bytes(32), soon), 401),
            ("/one.nmc", whole.replace(str(soon), str(soon + 1)), 401),
            ("/one.nmc", whole[:-1], 401),
            ("/one.nmc", "9" * 12 + ".." + "A" * 43, 401),
            ("/index.json", None, 401),
            ("/metrics", None, 401),
            ("/health", None, 200),
            ("/nothing", None, 401),
        ):
            headers = {} if token is None else {"Authorization": f"Bearer {token}"}
            found, said, body = ask(url, path, headers)
            assert found == status, (path, token, body)
            if status == 401:
                assert said["www-authenticate"].startswith("Bearer")
        assert b"expired" in ask(url, f"/one.nmc?token={signed_token(key, 1)}")[2]
        status, headers, _ = ask(url, f"/one.nmc?token={whole}")
        assert (status, headers["cache-control"]) == (200, "private, no-cache, no-transform")
        assert ask(url, "/one.nmc?token=correct+horse")[0] == 200
        page = ask(url, f"/?token={whole}")[2].decode()
        assert f"one.nmc?token={whole}" in page


def test_a_growing_package_is_served_as_it_grows(tmp_path):
    with served([tmp_path]) as url:
        for name, directory in (("file.nmc", False), ("folder.nmc", True)):
            writer = nmc.Writer(tmp_path / name, directory=directory)
            lines = 0
            for t in range(3):
                assert ask(url, f"/{name}/segments/{t:08d}.safetensors")[0] == 404
                writer.append(state(t))
                status, headers, journal = ask(url, f"/{name}/journal.ndjson")
                assert (status, headers["cache-control"]) == (200, "no-store, no-transform")
                assert "etag" not in headers
                assert journal.endswith(b"\n")
                assert journal.count(b"\n") > lines
                lines = journal.count(b"\n")
                status, headers, segment = ask(url, f"/{name}/segments/{t:08d}.safetensors")
                assert (status, headers["cache-control"]) == (200, "no-store, no-transform")
                assert segment
            size = len(journal)
            assert ask(url, f"/{name}/journal.ndjson", {"Range": f"bytes={size}-"})[0] == 416
            listed = json.loads(ask(url, "/index.json")[2])["packages"]
            assert {"name": name, "url": name, "growing": True, "frames": 3} in listed
            writer.close()
            listed = json.loads(ask(url, "/index.json")[2])["packages"]
            assert [p["frames"] for p in listed if p["name"] == name and not p["growing"]] == [3]
            assert ask(url, f"/{name}/journal.ndjson")[0] == 404


def test_half_a_line_and_half_a_segment_are_not_served(tmp_path):
    package = tmp_path / "x.nmc"
    (package / "segments").mkdir(parents=True)
    line = b'0000 {"state_digest":1}\n'
    (package / "journal.ndjson").write_bytes(line + line[:9])
    for t in range(2):
        (package / f"segments/{t:08d}.safetensors").write_bytes(b"x")
    with served([tmp_path]) as url:
        assert ask(url, "/x.nmc/journal.ndjson")[2] == line
        assert ask(url, f"/x.nmc/{SEGMENT}")[0] == 200
        assert ask(url, "/x.nmc/segments/00000001.safetensors")[0] == 404


def test_a_package_that_is_replaced_has_another_tag(tmp_path):
    path = tmp_path / "x.nmc"
    tags = set()
    with served([path.parent]) as url:
        for seed in range(2):
            with nmc.Writer(path, overwrite=True) as writer:
                writer.append(state(seed))
            status, headers, body = ask(url, "/x.nmc")
            assert (status, body) == (200, path.read_bytes())
            tags.add(headers["etag"])
    assert len(tags) == 2


def test_damaged_packages_are_errors_with_a_code(tmp_path):
    path = tmp_path / "x.nmc"
    with nmc.Writer(path, directory=True) as writer:
        writer.append(state(0))
    (path / SEGMENT).write_bytes((path / SEGMENT).read_bytes()[:-1])
    with served([path]) as url:
        status, _, body = ask(url, f"/x.nmc/{SEGMENT}")
        assert (status, json.loads(body)["code"]) == (500, "segment/length")
        (path / "manifest.h5").write_bytes(b"no manifest")
        status, _, body = ask(url, f"/x.nmc/{SEGMENT}")
        assert status == 500
        assert json.loads(body)["code"].startswith("manifest/")
