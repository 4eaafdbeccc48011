"""``nmc present`` and ``nmc play``: documents, those from strangers, and what is played."""

import json
import math
import os

import numpy as np
import pytest

import nmc
import nmc_spec
from nmc_format.issues import FormatError
from nmc_tools.adaptive.document import parse_document, points_inside

FRAMES, EVERY = 12, 4


def write(path, seed, *, frames=FRAMES, every=EVERY, size=200, times=None, **options):
    rng = np.random.default_rng(seed)
    weights = rng.normal(size=(size, 30)).astype("f4")
    with nmc.Writer(path, key_every=every, timescale=10, **options) as writer:
        for t in range(frames):
            weights[: size // 4] += np.float32(1e-3) * rng.normal(size=(size // 4, 30)).astype("f4")
            time = t if times is None else times[t]
            writer.append({"w": weights.copy()}, presentation_time=time)
    return path


@pytest.fixture(scope="module")
def shelf(tmp_path_factory):
    folder = tmp_path_factory.mktemp("qualities")
    write(folder / "low.nmc", 0, size=40)
    write(folder / "high.nmc", 1, size=400)
    write(folder / "middle.nmc", 2, size=120, every=2, directory=True)
    return folder


@pytest.fixture
def document(shelf, run):
    path = shelf / "sequence.json"
    outcome = run(
        "present",
        "--group",
        0,
        shelf / "high.nmc",
        shelf / "low.nmc",
        shelf / "middle.nmc",
        "-o",
        path,
        "--force",
    )
    assert outcome.code == 0, outcome
    return path


def test_a_document_says_what_packages_are(document, shelf):
    found = parse_document(document.read_bytes(), "x")
    assert [r.url for r in found.representations] == ["low.nmc", "middle.nmc", "high.nmc"]
    assert (found.frames, found.timescale, found.duration) == (FRAMES, 10, FRAMES)
    assert found.starts == (0, 4, 8)  # key frames of all three
    for r in found.representations:
        with nmc.open(shelf / r.url) as sequence:
            lengths = [frame.segment_length for frame in sequence.frames]
            assert r.digest == sequence.manifest.root.manifest_digest.hex()
        assert r.group_bytes == tuple(sum(lengths[t : t + 4]) for t in (0, 4, 8))
        assert r.bandwidth == math.ceil(max(r.group_bytes) * 8 / 0.4)
    assert json.loads(document.read_text()) == found.to_json()


def test_groups_are_not_shorter_than_they_are_told_to_be(shelf, tmp_path, run):
    for seconds, starts in ((0, [0, 4, 8]), (0.5, [0, 8]), (0.4, [0, 4, 8]), (3, [0])):
        path = shelf / f"group-{seconds}.json"
        assert run("present", shelf / "low.nmc", "-o", path, "--group", seconds).code == 0
        assert [group["start"] for group in json.loads(path.read_text())["groups"]] == starts
        assert run("play", path, "--headless").code == 0


def test_refinements_are_qualities_of_one_package(tmp_path, run):
    source = write(tmp_path / "source.nmc", 0)
    packed = ("pack", source, "-o", tmp_path / "r.nmc", "--quality", 30, "--refine", 2)
    assert run(*packed, "--key-every", EVERY).code == 0
    assert run("present", tmp_path / "r.nmc", "--group", 0, "-o", tmp_path / "r.json").code == 0
    found = parse_document((tmp_path / "r.json").read_bytes(), "x")
    assert [r.stop for r in found.representations] == [0, 1]
    base, whole = found.representations
    assert all(a < b for a, b in zip(base.group_bytes, whole.group_bytes, strict=True))
    for quality, r in (("lowest", base), ("highest", whole)):
        outcome = run("play", tmp_path / "r.json", "--headless", "--json", "--quality", quality)
        assert outcome.code == 0, outcome
        report = json.loads(outcome.out)
        assert (report["decoded_frames"], report["bytes"]) == (FRAMES, sum(r.group_bytes))


def test_other_sequences_are_refused(shelf, tmp_path, run):
    low = write(tmp_path / "low.nmc", 0)
    for name, options, words in (
        ("shorter", {"frames": FRAMES - 1}, "11 frames, not 12"),
        ("times", {"times": [*range(FRAMES - 1), FRAMES]}, "frame 11 is shown at another time"),
        ("keys", {"every": 0}, "no key frame after the first"),
    ):
        other = write(tmp_path / f"{name}.nmc", 1, **options)
        outcome = run("present", low, other, "-o", tmp_path / "x.json")
        assert outcome.code == 1
        assert words in outcome.err
        assert not (tmp_path / "x.json").exists()
    outcome = run("present", low, shelf / "low.nmc", "-o", tmp_path / "x.json")
    assert "does not lie beside" in outcome.err
    (tmp_path / "x.json").write_text("mine")
    assert run("present", low, "-o", tmp_path / "x.json").code == 1
    assert (tmp_path / "x.json").read_text() == "mine"


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/x.nmc",
        "//example.org/x.nmc",
        "/x.nmc",
        "../x.nmc",
        "a/../../x.nmc",
        "a/%2e%2e/%2E%2e/x.nmc",
        "%2fetc",
        "..%2fx.nmc",
        "a//x.nmc",
        "a\\x.nmc",
        "%5c%5chost",
        "file:x.nmc",
        "x.nmc?y",
        "x.nmc#y",
        "x%00.nmc",
        "x .nmc",
        ".hidden/x.nmc",
        "",
        "x" * 2000,
    ],
)
def test_a_document_that_points_outside(document, url, run, tmp_path):
    assert not points_inside(url)
    found = json.loads(document.read_text())
    found["representations"][0]["url"] = url
    path = tmp_path / "x.json"
    path.write_text(json.dumps(found))
    outcome = run("play", path, "--headless")
    assert outcome.code == 1
    assert outcome.err.startswith("error input/unreadable at ")
    assert outcome.err.count("\n") == 1


@pytest.mark.parametrize("url", ["x.nmc", "a/b-c_d.nmc", "a%20b.nmc", "x..nmc", "%ED%95%9C.nmc"])
def test_a_document_that_points_inside(url):
    assert points_inside(url)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("nmc_presentation",), 2),
        (("frames",), 0),
        (("frames",), 10**30),
        (("frames",), 8),
        (("frames",), "12"),
        (("timescale",), 0),
        (("duration",), 1),
        (("duration",), -1),
        (("groups",), []),
        (("groups", 0, "start"), 1),
        (("groups", 1, "start"), 0),
        (("groups", 1, "time"), 0),
        (("groups", 2, "start"), 12),
        (("representations",), []),
        (("representations", 0, "group_bytes"), [1]),
        (("representations", 0, "group_bytes", 0), -5),
        (("representations", 0, "group_bytes", 0), 2**60),
        (("representations", 0, "digest"), "00"),
        (("representations", 0, "id"), "low.nmc"),
        (("representations", 0, "stop"), 9),
        (("representations", 0, "stop"), True),
        (("representations", 0, "psnr"), "high"),
    ],
)
def test_documents_that_contradict_themselves(document, path, value):
    found = json.loads(document.read_text())
    found["representations"].reverse()
    at = found
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = value
    with pytest.raises(FormatError) as error:
        parse_document(json.dumps(found).encode(), "x")
    assert error.value.finding.code == "input/unreadable"


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b"null", b"[" * 100_000, b"\xff\xfe", b"{}", b'{"a":' * 50_000]
)
def test_what_is_no_document(data):
    with pytest.raises(FormatError):
        parse_document(data, "x")


def test_every_key_of_the_schema_is_needed(document):
    found = json.loads(document.read_text())
    schema = nmc_spec.schema("presentation")
    assert set(schema["required"]) == set(found)
    for name in found:
        with pytest.raises(FormatError):
            parse_document(json.dumps({k: v for k, v in found.items() if k != name}).encode(), "x")


def test_a_package_that_is_not_the_one_meant(document, shelf, run, tmp_path):
    found = json.loads(document.read_text())
    for r in found["representations"]:
        write(tmp_path / r["url"], 9, size=50)
    path = tmp_path / "x.json"
    path.write_text(json.dumps(found))
    outcome = run("play", path, "--headless", "--json")
    assert outcome.code == 1
    report = json.loads(outcome.out)
    assert (report["skipped"], report["decoded_frames"]) == ([0, 1, 2], 0)
    assert all("host/changed" in refused["reason"] for refused in report["refused"])


def test_playing_decodes_every_frame(document, shelf, run):
    for target in (document, shelf / "low.nmc", shelf / "middle.nmc"):
        outcome = run("play", target, "--headless", "--json")
        assert outcome.code == 0, outcome
        report = json.loads(outcome.out)
        assert (report["decoded_frames"], report["errors"], report["skipped"]) == (FRAMES, [], [])
    outcome = run("play", document, "--headless")
    assert "12 of 12 frames decoded and right" in outcome.out
    assert run("play", document).code == 2


def test_a_damaged_segment_is_played_in_another_quality(document, shelf, run, tmp_path):
    for r in json.loads(document.read_text())["representations"]:
        source = shelf / r["url"]
        if source.is_file():
            data = bytearray(source.read_bytes())
            if r["url"] == "high.nmc":
                data[len(data) // 2] ^= 1
            (tmp_path / r["url"]).write_bytes(data)
    damaged = json.loads(document.read_text())
    damaged["representations"] = [r for r in damaged["representations"] if r["url"] != "middle.nmc"]
    path = tmp_path / "x.json"
    path.write_text(json.dumps(damaged))
    outcome = run("play", path, "--headless", "--json", "--quality", "highest")
    report = json.loads(outcome.out)
    assert (outcome.code, report["decoded_frames"], report["skipped"]) == (1, FRAMES, [])
    (refused,) = report["refused"]
    assert refused["representation"] == "high.nmc"
    assert "segment/" in refused["reason"]
    one = json.loads(run("play", tmp_path / "high.nmc", "--headless", "--json").out)
    assert (len(one["skipped"]), one["decoded_frames"]) in ((1, FRAMES - 8), (1, FRAMES - 4))


def test_playing_from_a_server(document, shelf, run):
    for name in ("uvicorn", "starlette", "httptools"):
        pytest.importorskip(name)
    from serving import ask, served

    from nmc_tools.serve import Access

    with served([shelf], access=Access(("abc",))) as url:
        for target in ("sequence.json", "low.nmc", "middle.nmc"):
            outcome = run("play", url + target, "--headless", "--json", "--token", "abc")
            assert outcome.code == 0, outcome
            assert json.loads(outcome.out)["decoded_frames"] == FRAMES
            assert run("play", url + target, "--headless").code == 1
        headers = {"Authorization": "Bearer abc"}
        text = ask(url, "/metrics", headers)[2].decode()
        asked = sum(int(line.split()[-1]) for line in text.splitlines() if "total{" in line)
        outcome = run("play", f"{url}low.nmc?token=abc", "--headless", "--json")
        text = ask(url, "/metrics", headers)[2].decode()
        now = sum(int(line.split()[-1]) for line in text.splitlines() if "total{" in line)
        assert now - asked - 1 <= 2 + FRAMES  # two to open, and one a segment; one for the counts
        missing = run("play", f"{url}nothing.json?token=abc", "--headless")
        assert (missing.code, missing.err.count("host/not-found")) == (1, 1)


@pytest.mark.skipif(os.name != "posix", reason="names are text there")
def test_a_name_that_is_no_text(tmp_path, run):
    name = os.fsdecode(b"caf\xe9.nmc")
    write(tmp_path / name, 0)
    done = run("present", tmp_path / name, "-o", tmp_path / "x.json")
    assert done.code == 0, done
    assert b"caf%E9.nmc" in (tmp_path / "x.json").read_bytes()
    assert run("play", tmp_path / "x.json", "--headless", "--json").code == 0


def test_whole_numbers_as_others_write_them(document, run):
    """JSON of others has 12.0 for 12, which the schema takes."""
    text = document.read_text()
    content = json.loads(text, parse_int=float)
    content["nmc_presentation"] = 1
    document.write_text(json.dumps(content))
    assert ".0" in document.read_text()
    try:
        assert parse_document(document.read_bytes(), "x") == parse_document(text.encode(), "x")
        assert run("play", document, "--headless", "--json").code == 0
    finally:
        document.write_text(text)
