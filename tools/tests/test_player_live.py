"""The player on packages that grow, on presentation documents, and under fingers."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from browser import Page, psnr
from player_samples import FIELDS, chain, field, look, opened, reference
from serving import ask, served

import nmc
from nmc_tools.player.address import page_address

pytest.importorskip("torch")
pytestmark = [pytest.mark.filterwarnings("default")]


def writer_of(path, model, **options):
    return nmc.Writer(path, **model.in_package(), key_every=3, **options)


@pytest.mark.sweep(2)
@pytest.mark.parametrize("directory", [False, True])
def test_a_package_is_seen_while_it_is_written(browser, tmp_path, directory):
    model, path = field(*FIELDS["matt"]), tmp_path / "run.nmc"
    states = [
        {
            k: v + np.float32(t) if k == "levels.0.table" else v
            for k, v in ((n, np.asarray(a)) for n, a in model.save().items())
        }
        for t in range(5)
    ]
    writer = writer_of(path, model, directory=directory)
    with served([tmp_path]) as url:
        writer.append(states[0])
        writer.append(states[1])
        with Page(browser, page_address(url, f"{url}run.nmc")) as page:
            page.opened().page.uncheck("#loop")
            page.wait("() => nmcPlayer.frame === 1")  # it begins where the package grows
            assert page.page.locator("#live").text_content() == "live, 2 frames so far"
            for t in (2, 3):
                writer.append(states[t])
                page.wait("([t]) => nmcPlayer.frame === t", t)  # and goes on by itself
            model.load(states[3])
            assert psnr(page.picture(look(3)), reference(model, look(3))) > 50
            writer.append(states[4])
            writer.close()
            page.wait("() => document.querySelector('#live').hidden")
            assert page.page.evaluate("nmcPlayer.info.frames.length") == 5
            page.played(4)
            assert page.notice is None
            assert page.errors == []


def test_what_a_server_says_of_a_package_that_grows(tmp_path):
    path = tmp_path / "run.nmc"
    with served([tmp_path]) as url:
        assert ask(url, "/run.nmc/manifest.h5?growing=1")[0] == 404
        with nmc.Writer(path) as writer:
            early = ask(url, "/run.nmc/manifest.h5?growing=1")
            assert early[0] in (404, 503)  # its folder comes with the first frame
            for t in range(3):
                writer.append({"w": np.full(5, t, "f4")})
                status, headers, body = ask(url, "/run.nmc/manifest.h5?growing=1")
                assert (status, headers["nmc-growing"]) == (200, str(t + 1))
                assert headers["cache-control"].startswith("no-store")
                copy = tmp_path / f"copy-{t}.nmc"
                (copy / "segments").mkdir(parents=True)
                (copy / "manifest.h5").write_bytes(body)
                for k in range(t + 1):
                    name = f"segments/{k:08d}.safetensors"
                    (copy / name).write_bytes(ask(url, f"/run.nmc/{name}")[2])
                assert not nmc.check(copy).findings  # any prefix is a package
            assert ask(url, "/run.nmc/manifest.h5")[0] == 404
        assert ask(url, "/run.nmc/manifest.h5?growing=1")[0] == 404


def view(*arguments):
    """Run nmc view until it says its address, or ends; return the address or what it said."""
    command = [sys.executable, "-m", "nmc_tools.cli", "view", *map(str, arguments)]
    with subprocess.Popen(
        [*command, "--no-browser", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        line = process.stdout.readline()
        process.terminate()
        said = process.stderr.read()
    return json.loads(line)["url"] if line else said


@pytest.mark.slow(minutes=0.03)
def test_view_follows_what_is_not_there_yet(tmp_path):
    path = tmp_path / "run.nmc"
    with nmc.Writer(path) as writer:
        writer.append({"w": np.zeros(3, "f4")})
        assert not path.exists()
        assert "player/?url=..%2Frun.nmc" in view(path)


@pytest.mark.slow(minutes=0.05)
def test_view_refuses_what_no_page_could_show(tmp_path):
    (tmp_path / "rubbish.nmc").write_bytes(b"rubbish" * 100)
    assert view(tmp_path / "rubbish.nmc").startswith("error package/not-a-package")
    (tmp_path / "x.json").write_text("{}")
    assert view(tmp_path / "x.json").startswith("error input/unreadable")
    with nmc.Writer(tmp_path / "weights.nmc") as writer:
        writer.append({"w": np.zeros(3, "f4")})
    assert "render=" not in view(tmp_path / "weights.nmc")  # of nothing known there is no picture


@pytest.fixture
def presentation(tmp_path, run):
    """Two qualities of one sequence: models of different size."""
    small = chain(tmp_path / "small.nmc", field(*FIELDS["near"]), 8, key_every=2, timescale=1)
    large = chain(tmp_path / "large.nmc", field(*FIELDS["matt"]), 8, key_every=4, timescale=1)
    document = tmp_path / "sequence.json"
    assert run("present", small, large, "-o", document, "--group", 0).code == 0
    return document


def opens(browser, document, **options):
    return Page(browser, page_address(options["url"], f"{options['url']}{document.name}"))


def show(page, frame, quality):
    """Have a frame shown in a quality; what is under way when it is asked for comes first."""
    page.page.select_option("#quality", str(quality))
    page.show(frame)
    page.wait(
        "([t, q]) => nmcPlayer.frame === t && "
        "document.querySelector('#quality').dataset.shown === q",
        frame,
        str(quality),
    )


@pytest.mark.slow(minutes=0.07)
def test_a_presentation_changes_its_quality(browser, presentation, tmp_path):
    with served([tmp_path]) as url, opens(browser, presentation, url=url) as page:
        page.opened()
        assert page.page.locator("#quality option").all_text_contents()[0] == "auto"
        assert page.page.locator("#quality option").count() == 3
        said = page.page.locator("#quality-says")
        assert said.text_content() == "small.nmc"  # the first picture is to come soon
        page.show(4)  # another group: the line is fast
        page.wait("() => document.querySelector('#quality-says').textContent === 'large.nmc'")
        with nmc.open(tmp_path / "large.nmc") as large, nmc.open(tmp_path / "small.nmc") as small:
            model = field(*FIELDS["matt"])
            model.load(large[4])
            assert psnr(page.picture(look(1)), reference(model, look(1))) > 50
            show(page, 5, 0)
            model = field(*FIELDS["near"])
            model.load(small[5])
            assert psnr(page.picture(look(1)), reference(model, look(1))) > 50
        page.page.select_option("#speed", "4")
        page.page.uncheck("#loop")
        page.page.select_option("#quality", "")
        page.show(0)
        page.page.click("#play")
        page.played(7)
        assert page.notice is None
        assert page.errors == []


@pytest.mark.slow(minutes=0.04)
def test_damage_of_one_quality_is_not_seen(browser, presentation, tmp_path):
    path = tmp_path / "large.nmc"
    with nmc.open(path) as sequence:
        segment = sequence.coded(4)
    data = bytearray(path.read_bytes())
    data[data.index(segment) + len(segment) // 2] ^= 1
    path.write_bytes(data)
    with served([tmp_path]) as url, opens(browser, presentation, url=url) as page:
        page.opened().show(4)
        assert page.frame == 4
        assert page.page.locator("#quality-says").text_content() == "small.nmc"
        page.page.select_option("#quality", "1")  # this one, and no other
        page.wait("() => document.querySelector('#notice').textContent.includes('is refused')")


@pytest.mark.sweep(8)
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d["representations"][0].update(url="../secret.nmc"), "points outside"),
        (lambda d: d["representations"][0].update(url="//evil.example/x"), "points outside"),
        (lambda d: d["representations"][0].update(url="%2e%2e/x.nmc"), "points outside"),
        (lambda d: d["representations"][0].update(digest="0" * 64), "another package"),
        (lambda d: d["groups"][1].update(start=0), "ascend"),
        (lambda d: d["groups"][1].update(start=3), "does not fit"),
        (lambda d: d.update(nmc_presentation=2), "no known version"),
    ],
)
def test_a_document_of_a_stranger(browser, presentation, tmp_path, change, words):
    found = json.loads(presentation.read_text())
    found["representations"].sort(key=lambda r: sum(r["group_bytes"]))
    change(found)
    (tmp_path / "other.json").write_text(json.dumps(found))
    with served([tmp_path]) as url, opens(browser, tmp_path / "other.json", url=url) as page:
        assert words in page.opened().notice


@pytest.mark.slow(minutes=0.04)
def test_refinements_are_qualities_in_the_player(browser, tmp_path, run):
    source = chain(tmp_path / "source.nmc", field(*FIELDS["matt"]), 4)
    path, document = tmp_path / "refined.nmc", tmp_path / "refined.json"
    packed = ("pack", source, "-o", path, "--quality", 30, "--refine", 1, "--key-every", 2)
    assert run(*packed).code == 0
    assert run("present", path, "-o", document, "--group", 0).code == 0
    with served([tmp_path]) as url, opens(browser, document, url=url) as page:
        page.opened()
        for stop in (0, 1):
            show(page, 3, stop)
            model = field(*FIELDS["matt"])
            with nmc.open(path, stop=stop) as sequence:
                model.load(sequence[3])
            assert psnr(page.picture(look(2)), reference(model, look(2))) > 42


TOUCH = """([name, points]) => {
  const area = document.querySelector("#stage");
  points.forEach(([x, y], id) => area.dispatchEvent(new PointerEvent(name, {
    pointerId: id + 7, pointerType: "touch", clientX: x, clientY: y, bubbles: true,
    button: 0, buttons: name === "pointerup" ? 0 : 1, isPrimary: id === 0,
  })));
}"""


@pytest.mark.slow(minutes=0.03)
def test_fingers_turn_and_two_of_them_come_nearer(browser, tmp_path):
    path = chain(tmp_path / "scene.nmc", field(*FIELDS["matt"]))
    with opened(browser, path) as page:
        page.page.evaluate(
            "document.querySelector('#stage').setPointerCapture = () => undefined"
        )  # pointers that no hardware has cannot be captured

        def pose():
            return np.array(page.page.evaluate("nmcPlayer.pose")).reshape(3, 4)

        def touch(name, *points):
            page.page.evaluate(TOUCH, [name, [list(p) for p in points]])

        before = pose()
        touch("pointerdown", (100, 120))
        touch("pointermove", (150, 140))
        touch("pointerup", (150, 140))
        turned = pose()
        assert np.abs(turned - before).max() > 0.05
        np.testing.assert_allclose(turned[:, :3].T @ turned[:, :3], np.eye(3), atol=1e-9)
        touch("pointerdown", (100, 120), (140, 120))
        touch("pointermove", (60, 120), (200, 120))
        touch("pointerup", (60, 120), (200, 120))
        near = pose()
        ahead = turned[:, 2]  # the axis that looks forward
        assert (near[:, 3] - turned[:, 3]) @ ahead > 0.05
        assert page.notice is None


def test_a_listing_leads_to_the_player(presentation, tmp_path):
    with served([tmp_path]) as url:
        page = ask(url, "/")[2].decode()
    assert "player/?url=..%2Fsequence.json" in page


@pytest.mark.slow
def test_the_pictures_of_the_documents_are_made_by_a_command(tmp_path):
    from browser import chromium
    from PIL import Image

    chromium()
    path = chain(tmp_path / "scene.nmc", field(*FIELDS["matt"]), 2)
    program = Path(__file__).parents[2] / "docs" / "player_pictures.py"
    command = [sys.executable, program, path, "-o", tmp_path, "--frames", "3", "--only-clip"]
    subprocess.run(command, check=True)
    with Image.open(tmp_path / "player-clip.webp") as clip:
        assert (clip.n_frames, clip.size) == (3, (420, 320))
        clip.seek(1)
        assert np.asarray(clip.convert("RGB"))[30:190].std() > 10  # there is something to see


def test_a_package_of_which_no_picture_comes_has_none_in_the_documents(tmp_path):
    from browser import chromium

    chromium()
    path = tmp_path / "scene.nmc"
    with nmc.Writer(path, family="unheard of") as writer:
        writer.append({"w": np.arange(6, dtype=np.float32)})
    program = Path(__file__).parents[2] / "docs" / "player_pictures.py"
    command = [sys.executable, program, path, "-o", tmp_path]
    told = subprocess.run(command, check=False, capture_output=True, text=True)
    assert told.returncode == 1
    assert "the family unheard of is not drawn in a browser" in told.stderr.splitlines()[-1]
    assert "Traceback" not in told.stderr
    assert sorted(tmp_path.iterdir()) == [path]
