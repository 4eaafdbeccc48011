"""``nmc pack`` of what cameras see: bits go where they are seen, or it is said that they cannot."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
from camera_samples import before_the_scene, seen_by_a_camera
from command_samples import refused

import nmc
from nmc.writing.repack import described

pytest.importorskip("torch")
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "s.nmc"
    _, _, judge = seen_by_a_camera(path)
    return path, judge


def packed(run, source, path, *options):
    """Pack a package; return how near its first frame is in dB, its bytes, and the bytes of all."""
    done = run("pack", source[0], "-o", path, "-f", *options)
    assert done.code == 0, done.err
    with nmc.open(source[0]) as a, nmc.open(path) as b:
        return source[1](b[0], a[0]), b.frames[0].segment_length, path.read_bytes()


@pytest.mark.sweep(2)
@pytest.mark.parametrize("option", ["--quality=30", "--target-bytes=3000"])
def test_what_cameras_see_says_where_the_bits_go(run, source, tmp_path, option) -> None:
    seen, size, data = packed(run, source, tmp_path / "a.nmc", option)
    by_size, other_size, other = packed(run, source, tmp_path / "b.nmc", option, "--no-measure")
    assert seen > by_size + 1
    assert size < 1.3 * other_size
    assert data == packed(run, source, tmp_path / "a.nmc", option, "--measure")[2]
    assert data != other


def test_steps_that_are_given_are_rounded_by_what_is_seen(run, source, tmp_path) -> None:
    path = tmp_path / "a.nmc"
    plain, size, data = packed(run, source, path, "--step=0.1")
    seen, other_size, _ = packed(run, source, path, "--step=0.1", "--measure")
    assert seen > plain + 1 and other_size < 1.2 * size
    assert data == packed(run, source, path, "--step=0.1", "--no-measure")[2]


def test_a_target_in_decibels_is_met_by_magnitude_too(run, source, tmp_path) -> None:
    seen, size, _ = packed(run, source, tmp_path / "a.nmc", "--target-psnr=40")
    by_size, other_size, _ = packed(
        run, source, tmp_path / "b.nmc", "--target-psnr=40", "--no-measure"
    )
    assert min(seen, by_size) >= 40 and size < other_size


def test_measuring_wants_cameras_and_a_loss(run, source, package, checkpoints, tmp_path) -> None:
    path = tmp_path / "x.nmc"
    for given in (
        (source[0], "--measure"),
        (source[0], "--measure", "--max-error=0.1"),
        (package, "--measure", "--quality=40"),
        (checkpoints, "--measure", "--quality=40"),
    ):
        refusal = run("pack", *given, "-o", path)
        assert refusal.code == 2 and "--measure" in refusal.err and not path.exists()


def test_an_interrupted_package_measures_the_same_steps(run, source, tmp_path, monkeypatch) -> None:
    whole, path = tmp_path / "a.nmc", tmp_path / "b.nmc"
    assert run("pack", source[0], "-o", whole, "--quality=30").code == 0
    append, left = nmc.Writer.append, [1]

    def one_frame(self, *arguments, **named):
        if not left:
            raise KeyboardInterrupt
        left.pop()
        return append(self, *arguments, **named)

    monkeypatch.setattr(nmc.Writer, "append", one_frame)
    assert run("pack", source[0], "-o", path, "--quality=30").code == 130
    monkeypatch.undo()
    done = run("pack", source[0], "-o", path, "--quality=30", "--resume")
    assert done.code == 0, done.err
    assert path.read_bytes() == whole.read_bytes()


@pytest.mark.parametrize("broken", [0, 1])
def test_frames_that_nobody_can_see(run, tmp_path, broken) -> None:
    """Such a frame declares no PSNR, and is coded all the same; who insists is refused."""
    source, path = tmp_path / "s.nmc", tmp_path / "x.nmc"
    seen_by_a_camera(source, broken=[broken])
    done = run("pack", source, "-o", path, "--quality=40")
    assert done.code == 0, done.err
    assert "it has NaN or infinity" in done.err
    assert ("steps go by magnitude" in done.err) == (broken == 0)
    with nmc.open(path) as sequence, nmc.open(source) as original:
        assert [frame.declared_psnr is None for frame in sequence.frames] == [
            t == broken for t in range(2)
        ]
        for name, array in original[broken].items():
            if np.isnan(np.asarray(array, "f8")).any():
                assert sequence[broken][name].tobytes() == array.tobytes()
    insisted = run("pack", source, "-o", path, "-f", "--quality=40", "--measure")
    error = refused(insisted, "input/unsupported")
    assert "not finite" in error


@pytest.mark.slow(minutes=0.02)
def test_steps_fit_splats_whose_number_changes(run, tmp_path) -> None:
    from nmc_framework.models import build

    model = build("splats", {"splats": 90, "degree": 0, "grow": "never"}, seed=0)
    source, path = tmp_path / "s.nmc", tmp_path / "x.nmc"
    arrays = {name: np.asarray(value) for name, value in model.save().items()}
    with nmc.Writer(source, **model.in_package()) as writer:
        writer.set_cameras(before_the_scene())
        for count in (90, 84):
            writer.append({name: a[:count] if a.ndim else a for name, a in arrays.items()})
    for option in ("--quality=40", "--target-psnr=35"):
        done = run("pack", source, "-o", path, "-f", option)
        assert done.code == 0, done.err
        assert "tensors quantised" in done.out
    refusal = run("pack", source, "-o", path, "-f", "--step=0.1", "--measure")
    assert refusal.code == 2 and "single rays" in " ".join(refusal.err.split())


def test_a_family_that_cannot_be_rendered_goes_by_magnitude(run, source, tmp_path) -> None:
    unknown, path = tmp_path / "u.nmc", tmp_path / "x.nmc"
    with (
        nmc.open(source[0]) as known,
        nmc.Writer(unknown, **described(known) | {"family": "of-mine"}) as writer,
    ):
        writer.set_cameras(known.cameras)
        writer.append(known[0])
    done = run("pack", unknown, "-o", path, "--quality=40")
    assert done.code == 0
    assert "steps go by magnitude: a model of 'of-mine' cannot be rendered here" in done.err
    insisted = run("pack", unknown, "-o", path, "-f", "--quality=40", "--measure")
    assert insisted.code == 1 and "of-mine" in insisted.err and "Traceback" not in insisted.err


def test_who_judges_does_not_measure() -> None:
    from nmc_tools.commands.seen_steps import measuring_cameras

    def of(count, held_out=()):
        one = before_the_scene()
        cameras = SimpleNamespace(
            names=[f"c{k}" for k in range(count)],
            size=np.repeat(one.size, count, 0),
            intrinsics=np.repeat(one.intrinsics, count, 0),
            camera_to_world=np.repeat(one.camera_to_world, count, 0),
        )
        quality = SimpleNamespace(views=held_out) if held_out else None
        found = measuring_cameras(SimpleNamespace(cameras=cameras, quality=quality))
        return [camera.name for camera in found]

    assert of(1) == ["c0"] == of(1, held_out=["c0"])
    assert len(of(7)) == 7, "three others would see too little"
    assert of(10) == ["c1", "c2", "c4", "c5", "c7", "c8"]
    assert of(10, held_out=["c1", "c4"]) == ["c2", "c5", "c7", "c8"]
    assert set(of(7, held_out=["c3"])) == {"c0", "c1", "c2", "c4", "c5", "c6"}


def test_missed_targets_are_counted_and_told_to_scripts(run, checkpoints, tmp_path) -> None:
    path = tmp_path / "x.nmc"
    done = run("pack", checkpoints, "-o", path, "--target-bytes=60", "--json")
    missed = json.loads(done.out)["lossy"]["missed"]
    assert [each["frame"] for each in missed] == list(range(len(missed))) and len(missed) > 2
    assert all("more than its" in each["reason"] for each in missed)
    met = run("pack", checkpoints, "-o", path, "-f", "--target-bytes=4000", "--json")
    assert json.loads(met.out)["lossy"]["missed"] == []


def test_of_many_missed_targets_some_are_shown(capsys) -> None:
    from nmc_tools.commands.lossy_options import show_notes

    notes = {"layer": "stays lossless: x"} | {f"frame {t}": "it has 9 bytes" for t in range(40)}
    show_notes(notes)
    shown = " ".join(capsys.readouterr().err.split())
    assert "40 frames missed their target; the first ones:" in shown
    assert "frame 5: it has" in shown and "frame 6:" not in shown
    assert "layer: stays lossless: x" in shown
