"""``nmc depth``: train, evaluate, and what they say to bad input."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "reference" / "tests"))
from depth_samples import TINY, write_png, write_seven_scenes
from PIL import Image
from shared_data import shared

import nmc
from nmc_framework.models import build
from nmc_tools.commands.depth import opened_model

pytestmark = pytest.mark.usefixtures("one_thread")

SMALL = ["--size", "32x24", "--set", "width=4", "--set", "levels=2"]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A package of a model that was not trained."""
    path = tmp_path_factory.mktemp("depth") / "depth.nmc"
    found = build("depth_unet", TINY)
    found.mean_depth.fill_(2.5)
    with nmc.Writer(path, **found.in_package()) as writer:
        writer.append(found.save())
    return path


def test_made_up_rooms_to_package_to_scores(command_line, tmp_path):
    path = tmp_path / "depth.nmc"
    arguments = ["--rooms", 2, "--each", 2, "--held-out", 1, "--iterations", 3, *SMALL]
    done = command_line("depth", "train", "-o", path, *arguments, "--json")
    assert (done.code, done.err) == (0, "")
    told = json.loads(done.out[done.out.index("{") :])
    assert told["iterations"] == 3 and told["held_out"]["pictures"] == 2
    assert command_line("check", path).code == 0
    assert "depth_unet" in command_line("inspect", path).out
    done = command_line("depth", "evaluate", path, "--rooms", 1, "--each", 2, "--json")
    again = json.loads(done.out)
    assert again["model"] == pytest.approx(told["held_out"]["model"])  # the same rooms
    assert set(again["losses"]) >= {"depth", "gradient_global", "gradient_grid", "ssim"}
    shown = command_line("depth", "evaluate", path, "--rooms", 1, "--each", 1).out
    assert "AbsRel" in shown and "mean depth" in shown and "aligned" in shown
    refused = command_line("depth", "train", "-o", path, *arguments)
    assert refused.code == 1 and "--force" in refused.err


def test_pictures_of_a_folder(command_line, tmp_path):
    for room in ("chess", "office"):
        write_seven_scenes(tmp_path / "data" / room, 5)
    path = tmp_path / "depth.nmc"
    arguments = ["--iterations", 2, *SMALL]
    done = command_line("depth", "train", tmp_path / "data", "-o", path, *arguments)
    assert done.code == 0 and "5 pictures of data; 5 pictures held out" in done.out
    one = command_line("depth", "train", tmp_path / "data" / "chess", "-o", path, "-f", *arguments)
    assert one.code == 0 and "4 pictures of chess; 1 picture held out" in one.out
    found = json.loads(command_line("depth", "evaluate", path, tmp_path / "data", "--json").out)
    assert found["pictures"] == 10 and found["without_depth"] == 0


def test_the_general_commands_know_what_it_is(command_line, model, tmp_path):
    data = write_seven_scenes(tmp_path / "chess", 2)
    found = json.loads(command_line("evaluate", model, data, "--json").out)
    assert found == json.loads(command_line("depth", "evaluate", model, data, "--json").out)
    assert command_line("evaluate", model, data, "--all-cameras").code == 2
    done = command_line("render", model, "-o", tmp_path / "x.mp4")
    assert done.code == 1 and "nmc depth apply" in done.err
    folder, again = tmp_path / "out", tmp_path / "again.nmc"
    assert command_line("unpack", model, "-o", folder, "--to", "pt").code == 0
    # what was unpacked is no package of a family any more, and says so
    assert command_line("pack", folder, "-o", again).code == 0
    assert "no model family 'unknown'" in command_line("depth", "evaluate", again).err
    listed = json.loads(command_line("models", "--json").out)
    assert next(m["kind"] for m in listed if m["family"] == "depth_unet") == "depth"


def test_packages_of_before_mean_variances(model, tmp_path):
    with nmc.open(model) as sequence:
        options = {name: v for name, v in sequence.configuration.items() if name != "focus"}
        state = sequence[0]
    path = tmp_path / "before.nmc"
    with nmc.Writer(path, family="depth_unet", configuration=options) as writer:
        writer.append(state)
    assert opened_model(path, 0, "cpu").configuration["focus"] == "variance"
    assert opened_model(model, 0, "cpu").configuration["focus"] == "deviation"


def test_real_pictures_are_scored(command_line, model):
    done = command_line("depth", "evaluate", model, shared("rgbd"), "--limit", 2, "--json")
    assert done.code == 0 and json.loads(done.out)["pictures"] == 2


def test_bad_input_is_one_line_and_nothing_is_written(command_line, model, tmp_path):
    output = tmp_path / "out.nmc"
    other = tmp_path / "other.nmc"
    siren = build("siren", {"width": 8, "height": 8, "pictures": 1})
    with nmc.Writer(other, **siren.in_package()) as writer:
        writer.append(siren.save())
    plain = tmp_path / "plain.nmc"
    with nmc.Writer(plain) as writer:
        writer.append({"w": np.zeros(3, np.float32)})
    empty = tmp_path / "empty"
    empty.mkdir()
    blind = write_seven_scenes(tmp_path / "blind", 2)
    for number in range(2):
        write_png(blind / f"frame-{number:06d}.depth.png", np.zeros((24, 32), np.uint16))
    cut = write_seven_scenes(tmp_path / "cut", 1)
    file = cut / "frame-000000.depth.png"
    file.write_bytes(file.read_bytes()[:200])
    train = ("depth", "train", "-o", output, *SMALL, "--iterations", 1)
    for arguments, words in (
        (("depth", "evaluate", other), "a siren model says no depth: nmc depth takes packages"),
        (("depth", "evaluate", plain), "no model family"),
        (("depth", "apply", other, file), f"{other}: a siren model says no depth"),
        (("depth", "evaluate", tmp_path / "none.nmc"), "no such file"),
        (("depth", "evaluate", model, empty), "no pictures with depth in a layout"),
        (("depth", "evaluate", model, blind), "none of 2 pictures has a depth"),
        ((*train, empty), "no pictures with depth in a layout"),
        ((*train, blind), "no depth of its 2 pictures lies within"),
        ((*train, cut), "cannot be read: the file is damaged"),
        ((*train, tmp_path / "no.mat"), "no such file"),
    ):
        done = command_line(*arguments)
        assert done.code == 1, arguments
        assert words in done.err and len(done.err.strip().splitlines()) == 1, done.err
    for arguments in (
        ("depth", "evaluate", model, "--frame", 1),
        (*train, "--set", "levels=0"),
        (*train, "--set", "depth=3"),
        ("train", "--scene", "-o", output, "--family", "depth_unet"),
    ):
        assert command_line(*arguments).code == 2
    assert not list(tmp_path.glob("out*"))


def test_depth_of_pictures_as_files(command_line, model, tmp_path):
    from PIL import Image

    from nmc_framework.depth.sources import open_places

    photo = write_png(tmp_path / "photo.png", np.full((30, 41, 3), 90, np.uint8))
    folder = tmp_path / "out"
    arguments = ("depth", "apply", model, photo, "-o", folder, "--colours", "--mesh", "--film")
    done = command_line(*arguments, "--turn", 40, "--json")
    assert (done.code, done.err) == (0, "")
    [told] = json.loads(done.out)
    assert (told["width"], told["height"]) == (41, 30)
    names = {"photo.depth.png", "photo.colours.png", "photo.ply", "photo.mp4"}
    assert {path.name for path in folder.iterdir()} == names
    depth = np.asarray(Image.open(folder / "photo.depth.png"))
    assert depth.dtype == np.uint16 and depth.shape == (30, 41)
    assert depth.min() / 1000 == pytest.approx(told["nearest"], abs=1e-3)
    head = (folder / "photo.ply").read_bytes()[:300]
    assert b"element vertex 1230" in head and b"property uchar red" in head
    import av

    with av.open(str(folder / "photo.mp4")) as film:
        frames = [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]
    assert len(frames) == 96 and frames[0].shape == (30, 42, 3)
    assert abs(frames[0][4:26, 4:36].mean() - 90) < 6  # begins with the picture itself
    # what was written is read as pictures with depth
    write_png(tmp_path / "again" / "color" / "1.png", np.full((30, 41, 3), 90, np.uint8))
    (tmp_path / "again" / "depth").mkdir()
    (folder / "photo.depth.png").rename(tmp_path / "again" / "depth" / "1.png")
    with open_places(tmp_path / "again") as [place]:
        assert np.array_equal(next(place.pairs()).depth, (depth / 1000).astype(np.float32))


def test_pictures_that_cannot_be_looked_at(command_line, model, tmp_path):
    good = write_png(tmp_path / "good.png", np.zeros((1, 1, 3), np.uint8))
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"no picture")
    folder = tmp_path / "out"
    done = command_line("depth", "apply", model, good, bad, "-o", folder)
    assert done.code == 1 and "no picture; PNG, JPEG" in done.err
    assert not folder.exists()
    assert command_line("depth", "apply", model, good, "-o", folder).code == 0  # of one pixel
    again = command_line("depth", "apply", model, good, "-o", folder)
    assert again.code == 1 and "--force" in again.err
    (tmp_path / "more").mkdir()
    same = write_png(tmp_path / "more" / "good.png", np.zeros((2, 2, 3), np.uint8))
    assert command_line("depth", "apply", model, good, same, "-o", folder, "-f").code == 2


def test_from_room_to_room(command_line, model, tmp_path):
    for room in ("chess", "office"):
        write_seven_scenes(tmp_path / "data" / room, 5)
    path = tmp_path / "rooms.nmc"
    arguments = ("depth", "adapt", model, tmp_path / "data", "-o", path, "--iterations", 2)
    done = command_line(*arguments, "--json")
    assert (done.code, done.err) == (0, "")
    told = json.loads(done.out)
    assert [room["room"] for room in told["rooms"]] == ["data/chess", "data/office"]
    assert all(room["bytes"] < 0.8 * told["bytes"] for room in told["rooms"])
    assert command_line("check", path).code == 0
    shown = command_line("inspect", path).out
    assert "data/chess" in shown and "0,1,2" in shown  # the frozen encoder
    for frame in (0, 1, 2):
        assert (
            command_line("depth", "evaluate", path, tmp_path / "data", "--frame", frame).code == 0
        )
    made = command_line("depth", "adapt", model, "-o", path, "-f", "--rooms", 1, "--each", 5,
                        "--iterations", 1)  # fmt: skip
    assert made.code == 0 and "room 2000000" in made.out
    write_png(tmp_path / "data" / "dark" / "rgb" / "1.png", np.zeros((24, 32, 3), np.uint8))
    write_png(tmp_path / "data" / "dark" / "depth" / "1.png", np.zeros((24, 32), np.uint16))
    refused = command_line("depth", "adapt", model, tmp_path / "data", "-o", tmp_path / "x.nmc")
    assert refused.code == 1 and "no depth of its 1 pictures" in refused.err
    assert not list(tmp_path.glob("x.nmc*"))
    assert command_line("depth", "adapt", path, "-o", path, "-f").code == 2


@pytest.mark.slow(minutes=0.05)
def test_the_experiment_is_kept_and_goes_into_a_document(command_line, tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# Depth\n<!-- depth-parts -->\nold\n<!-- /depth-parts -->\nend\n")
    arguments = ("depth", "experiment", "-o", tmp_path / "out", "--rooms", 1, "--held-out", 1,
                 "--iterations", 1, "--size", "32x24", "--width", 2, "--into", page)  # fmt: skip
    done = command_line(*arguments, "--json")
    assert (done.code, done.err) == (0, "")
    rows = json.loads(done.out)
    assert [row["name"] for row in rows[:3]] == [
        "the mean depth", "the mean depth of each pixel", "as it is"
    ]  # fmt: skip
    assert len(rows) == 11 and rows[0]["gain"] == 0 and rows[0]["edges"] is None
    text = page.read_text()
    assert (
        "old" not in text
        and "| without attention |" in text
        and "by the deviation" in text
        and "s of CPU" in text
        and text.endswith("end\n")
    )
    assert (tmp_path / "out" / "depth-parts.png").exists()
    kept = sorted((tmp_path / "out" / "kept").iterdir())
    again = json.loads(command_line(*arguments, "--json").out)
    assert again == rows and sorted((tmp_path / "out" / "kept").iterdir()) == kept


def test_a_room_to_try_with_needs_no_data(run, tmp_path):
    room, depth = tmp_path / "deep" / "room.png", tmp_path / "depth.png"
    done = run("depth", "room", "-o", room, "--size", "32x24", "--depth", depth)
    assert done.code == 0 and "room 1000000" in done.out, done
    with Image.open(room) as seen, Image.open(depth) as far:
        assert seen.size == far.size == (32, 24)
        assert np.asarray(far).min() > 200 and np.asarray(far).max() < 20_000
    done = run("depth", "room", "-o", room)
    assert done.code == 1 and "host/exists" in done.err
    done = run("depth", "room", "-o", tmp_path / "room.jpg")
    assert done.code == 1 and "written as .png" in done.err
