"""Lossy packages on the command line: what is asked for, what is said of it, what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
from camera_samples import seen_by_a_camera
from command_samples import FRAMES, state
from jsonschema import Draft202012Validator
from safetensors.numpy import save_file
from test_cli import REGISTRY

import nmc
import nmc_spec
from nmc.writing.repack import described, repack


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    """Checkpoints with what cannot be quantised beside what can."""
    folder = tmp_path_factory.mktemp("odd")
    for t in range(3):
        beside = {
            "broken": np.array([np.nan, 1.0] * 40, "f4"),
            "count": np.arange(80) + t,
            "mask": np.arange(80) > t,
            "flat": np.ones(80, "f2"),
            "empty": np.zeros((0, 3), "f4"),
            "huge": state(t)["fc1.weight"].astype("f8") * 1e300,
        }
        save_file({**state(t), **beside}, folder / f"frame_{t}.safetensors")
    return folder


@pytest.mark.parametrize("option", ["--quality=40", "--step=0.01", "--max-error=0.005"])
def test_packing(run, checkpoints, tmp_path, option) -> None:
    path = tmp_path / "x.nmc"
    done = run("pack", checkpoints, "-o", path, option)
    assert (done.code, done.err) == (0, "")
    assert "lossy: 2 tensors quantised; largest declared error" in done.out
    assert run("check", path).code == 0
    with nmc.open(path) as sequence:
        assert sequence.manifest.profile == "lossy"
        assert sequence.frames[1].exclude_layers == (1,)  # found by comparing the originals
        for t in range(FRAMES):
            declared = sequence.declared_errors(t)
            for name, array in state(t).items():
                error = np.abs(sequence[t][name].astype("f8") - array).max()
                assert 0 < error <= declared[name] < 0.032  # one step of quality 40
                assert option != "--max-error=0.005" or error <= 0.005
    again = run("pack", checkpoints, "-o", path, "-f", option, "--json")
    summary = json.loads(again.out)
    assert summary["lossy"]["errors"].keys() == state(0).keys()
    assert summary["bytes"] < summary["raw_bytes"] / 2


@pytest.mark.parametrize("value", ["0", "-1", "inf", "nan", "101", "many"])
@pytest.mark.parametrize("option", ["--quality", "--step", "--max-error", "--target-bytes"])
def test_numbers_that_are_none(run, checkpoints, tmp_path, option, value) -> None:
    done = run("pack", checkpoints, "-o", tmp_path / "x.nmc", f"{option}={value}")
    if value == "101" and option != "--quality":
        assert done.code == 0
        return
    assert done.code == 2
    assert option in done.err
    assert "number" in done.err or "integer" in done.err
    assert not (tmp_path / "x.nmc").exists()
    assert not (tmp_path / "x.nmc.partial").exists()


def test_options_that_exclude_each_other(run, checkpoints, tmp_path) -> None:
    both = run("pack", checkpoints, "-o", tmp_path / "x.nmc", "--step=1", "--max-error=1")
    assert both.code == 2
    assert "--step and --max-error" in both.err
    main = run("pack", checkpoints, "-o", tmp_path / "x.nmc", "--step=1", "--profile=main")
    assert main.code == 2
    assert "lossy" in main.err


@pytest.mark.parametrize("size", ["5e-324", "1e-30", "1e-9", "0.01", "1e30", "1e308"])
@pytest.mark.parametrize("option", ["--step", "--max-error"])
def test_what_cannot_be_quantised_is_kept_and_said(run, odd, tmp_path, option, size) -> None:
    path = tmp_path / "x.nmc"
    done = run("pack", odd, "-o", path, f"{option}={size}")
    assert done.code == 0, done.err
    assert "broken: stays lossless: it has NaN or infinity" in done.err
    assert "Traceback" not in done.err
    assert "Warning" not in done.err
    assert run("check", path).code == 0
    with nmc.open(path) as sequence:
        declared = sequence.declared_errors(2)
        assert declared.keys() <= {"fc1.weight", "fc2.weight", "huge"}
        assert sequence[2]["broken"].tobytes() == np.array([np.nan, 1.0] * 40, "f4").tobytes()
        assert (sequence[2]["count"] == np.arange(80) + 2).all()
    if size in ("5e-324", "1e-30"):
        assert declared == {}
        assert "nothing is quantised" in done.out
        assert "fc1.weight: stays lossless" in done.err
    if size in ("1e30", "1e308"):
        assert "fc1.weight: all its elements became 0" in done.err


def test_resuming(run, checkpoints, tmp_path) -> None:
    whole, path = tmp_path / "a.nmc", tmp_path / "b.nmc"
    assert run("pack", checkpoints, "-o", whole, "--quality=40").code == 0
    asked = nmc.Quantisation(quality=40)
    layers = {"fc1.weight": 0, "fc2.weight": 1}
    writer = nmc.Writer(path, quantisation=asked, layers=layers, detect_frozen=True)
    writer.append(state(0), source_name="frame_0.safetensors")
    del writer
    other = run("pack", checkpoints, "-o", path, "--quality=41", "--resume")
    assert other.code == 1
    assert "go on with the options it was begun with" in other.err
    assert run("pack", checkpoints, "-o", path, "--quality=40", "--resume").code == 0
    assert path.read_bytes() == whole.read_bytes()


def test_target_bytes(run, checkpoints, tmp_path) -> None:
    path = tmp_path / "x.nmc"
    done = run("pack", checkpoints, "-o", path, "--target-bytes=1200", "--key-every=3")
    assert (done.code, done.err) == (0, "")
    with nmc.open(path) as sequence:
        sizes = [frame.segment_length for frame in sequence.frames]
    assert 600 < np.mean(sizes) <= 1200
    small = run("pack", checkpoints, "-o", path, "-f", "--target-bytes=60")
    assert small.code == 0
    assert "frame 0: it has" in small.err


# --- beside the originals -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def lossy(tmp_path_factory):
    path = tmp_path_factory.mktemp("lossy") / "x.nmc"
    with nmc.Writer(path, quantisation=nmc.Quantisation({"fc1.weight": 0.01})) as writer:
        for t in range(FRAMES):
            writer.append(state(t))
    return path


def test_declared_errors_hold(run, lossy, checkpoints, package) -> None:
    for original in (checkpoints, package, f"{checkpoints}/frame_*.safetensors"):
        done = run("check", lossy, "--against", original)
        assert (done.code, done.err) == (0, "")
        assert "fc1.weight: error" in done.out
        assert "fc2.weight: lossless, the same" in done.out
        assert "every declared error holds" in done.out
    document = json.loads(run("check", lossy, "--against", checkpoints, "--json").out)
    assert document["report"]["accepted"]
    assert document["against"]["holds"]
    assert len(document["against"]["tensors"]) == 2 * FRAMES
    for fact in document["against"]["tensors"]:
        assert (fact["declared"] is None) == (fact["tensor"] == "fc2.weight")
        assert fact["error"] <= (fact["declared"] or 0)


def test_a_lossless_package_is_the_same(run, package, checkpoints) -> None:
    done = run("check", package, "--against", checkpoints)
    assert done.code == 0
    assert "the same as its originals, bit for bit" in done.out


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"fc1.weight": 0.1}, "frame 3, fc1.weight: an error of"),
        ({"fc2.weight": 1e-3}, "frame 3, fc2.weight: it is lossless, and"),
        ({"fc1.weight": np.nan}, "the original has NaN"),
        ({"new": None}, "new: it is in the original only"),
        ({"fc2.weight": None}, "it is F32 [30, 10], the original F32 [3]"),
    ],
)
def test_what_does_not_hold(run, lossy, tmp_path, change, words) -> None:
    for t in range(FRAMES):
        changed = state(t)
        for name, by in change.items() if t == 3 else ():
            if by is None:
                changed[name] = np.ones(3, "f4")
            else:
                changed[name][1, 2] += by
        save_file(changed, tmp_path / f"{t}.safetensors")
    done = run("check", lossy, "--against", tmp_path)
    assert done.code == 1
    assert words in done.err
    assert "not what it says" in done.out


def test_other_numbers_of_frames(run, lossy, checkpoints) -> None:
    done = run("check", lossy, "--against", f"{checkpoints}/frame_0.safetensors")
    assert done.code == 1
    assert "the package has 5 frames, the original 1" in done.err
    assert run("check", lossy, "--against", "nothing.nmc").code == 1
    assert run("check", lossy, lossy, "--against", checkpoints).code == 2


def test_what_is_said_of_a_lossy_package(run, lossy, package, tmp_path) -> None:
    shown = run("inspect", lossy, "--tensors")
    assert "lossy profile" in shown.out
    assert "lossy ratio" in shown.out
    assert "1 tensor quantised, 1 tensor lossless" in shown.out.replace("\n", " ")
    differs = run("diff", lossy, package)
    assert differs.code == 1
    assert f"{lossy} is lossy" in differs.out
    data = bytearray(lossy.read_bytes())
    data[data.index(b"00000002.safetensors") + 400] ^= 1
    (tmp_path / "damaged.nmc").write_bytes(bytes(data))
    damaged = run("inspect", tmp_path / "damaged.nmc")
    assert damaged.code == 0
    assert "declared errors cannot be read" in damaged.out.replace("\n", " ")


def test_the_json_view_fits_its_schema(run, lossy) -> None:
    view = json.loads(run("inspect", lossy, "--json").out)
    Draft202012Validator(dict(nmc_spec.schema("inspect")), registry=REGISTRY).validate(view)


# --- a package in place of checkpoints ------------------------------------------------------------


def test_a_package_is_packed_again(run, package, tmp_path) -> None:
    path = tmp_path / "x.nmc"
    done = run("pack", package, "-o", path, "--quality=40", "--key-every=2")
    assert done.code == 0, done.err
    assert "the source has" in done.out
    assert run("check", path, "--against", package).code == 0
    with nmc.open(path) as sequence, nmc.open(package) as source:
        assert sequence.family == "mlp"
        for new, old in zip(sequence.frames, source.frames, strict=True):
            assert (new.iterations, new.seconds, new.exclude_layers) == (
                100,
                1.5,
                old.exclude_layers,
            )
            assert new.requires_grad == old.requires_grad
    same = run("pack", package, "-o", tmp_path / "same.nmc", "--json")
    assert json.loads(same.out)["lossy"] is None
    assert run("diff", package, tmp_path / "same.nmc").code == 0
    assert run("pack", package, "-o", path, "-f", "--layers=0=fc1.weight").code == 2
    assert run("pack", tmp_path / "none.nmc", "-o", path, "-f").code == 1


def test_an_interrupted_package_goes_on(run, package, tmp_path) -> None:
    assert run("pack", package, "-o", tmp_path / "a.nmc", "--quality=40").code == 0
    with nmc.open(package) as source:
        writer = nmc.Writer(
            tmp_path / "b.nmc",
            **described(source),
            quantisation=nmc.Quantisation(quality=40),
        )
        repack(nmc_first(source, 2), writer)
        del writer
    done = run("pack", package, "-o", tmp_path / "b.nmc", "--quality=40", "--resume")
    assert done.code == 0, done.err
    assert (tmp_path / "a.nmc").read_bytes() == (tmp_path / "b.nmc").read_bytes()


def nmc_first(source, count):
    """A sequence that ends early, as for a writer that was interrupted."""

    class Beginning:
        def __getattr__(self, name):
            return getattr(source, name)

        def __getitem__(self, t):
            return source[t]

        def __len__(self):
            return count

    return Beginning()


def test_a_missed_target_is_not_among_what_is_left_out(run, tmp_path) -> None:
    rng = np.random.default_rng(0)
    tensors = {f"layer_{i:02}": rng.normal(size=(9, 9)).astype("f4") for i in range(20)}
    save_file(tensors, tmp_path / "frame_0.safetensors")
    done = run(
        "pack", tmp_path / "frame_0.safetensors", "-o", tmp_path / "x.nmc", "--target-bytes=9"
    )
    assert done.code == 0
    told = " ".join(done.err.split())
    assert told.startswith("frame 0: it has") or "note frame 0: it has" in told
    assert "more than its 9: no step is coarse enough" in told
    assert "more like these" in told


@pytest.mark.usefixtures("one_thread")
def test_target_psnr(run, package, checkpoints, tmp_path) -> None:
    source, path = tmp_path / "s.nmc", tmp_path / "x.nmc"
    model, cameras, judge = seen_by_a_camera(source)
    done = run("pack", source, "-o", path, "--target-psnr=40")
    assert done.code == 0, done.err
    with nmc.open(source) as a, nmc.open(path) as b:
        assert [judge(b[t], a[t]) >= 40 for t in range(2)] == [True, True]
    assert path.stat().st_size < source.stat().st_size / 2
    shown = run("check", path, "--against", source, "--pictures", tmp_path / "seen")
    assert shown.code == 0, shown.err
    assert "between renderings, frame 1: " in shown.out
    assert (tmp_path / "seen" / "beside.png").stat().st_size > 1000
    assert "every declared PSNR holds" in shown.out
    assert "PSNR" in run("inspect", path).out
    coarse, silent = tmp_path / "coarse.nmc", tmp_path / "silent.nmc"
    assert run("pack", source, "-o", coarse, "--quality=20").code == 0
    assert run("pack", source, "-o", silent, "--quality=20", "--no-declare-psnr").code == 0
    with nmc.open(coarse) as declared, nmc.open(silent) as not_declared:
        assert 0 < declared.frames[1].declared_psnr < 60
        assert not_declared.frames[1].declared_psnr is None
        states = [declared[t] for t in range(2)]
    false = tmp_path / "false.nmc"
    with nmc.Writer(false, **model.in_package()) as writer:
        writer.set_cameras(cameras)
        for state_ in states:
            writer.append(state_, declared_psnr=1000)
    document = json.loads(run("check", false, "--against", source, "--json").out)
    assert not document["against"]["holds"]
    assert document["against"]["psnr"][1]["declared"] == 1000
    wrong_psnr = run("check", false, "--against", source)
    assert wrong_psnr.code == 1
    assert "less than the declared 1000.00 dB" in " ".join(wrong_psnr.err.split())
    assert run("pack", package, "-o", path, "-f", "--quality=40", "--declare-psnr").code == 2
    unseen = run("check", package, "--against", checkpoints, "--pictures", tmp_path / "no")
    assert unseen.code == 1
    assert "no cameras" in unseen.err
    for wrong in (package, checkpoints):
        refusal = run("pack", wrong, "-o", path, "-f", "--target-psnr=40")
        assert refusal.code == 2
        assert "with cameras" in " ".join(refusal.err.split())
    assert run("pack", source, "-o", path, "-f", "--target-psnr=nan").code == 2


@pytest.mark.usefixtures("one_thread")
def test_each_stop_is_beside_its_original(run, tmp_path) -> None:
    """A false PSNR of a refinement is found, and so is one of the base below a true one."""
    source, path = tmp_path / "s.nmc", tmp_path / "x.nmc"
    model, cameras, judge = seen_by_a_camera(source)
    with nmc.open(source) as original:
        states = [original[t] for t in range(2)]
    for false_stop in (None, 0, 1):
        errors = []

        def told(decoded, original, *, errors=errors, false_stop=false_stop):
            """Tell 400 dB too much of one of the stops: that of the base is measured first."""
            errors.append(judge(decoded, original))
            return errors[-1] + 400 * ((len(errors) - 1) % 2 == false_stop)

        asked = nmc.Quantisation(quality=20, refinements=[3], distortion=told)
        with nmc.Writer(path, overwrite=True, quantisation=asked, **model.in_package()) as writer:
            writer.set_cameras(cameras)
            for state_ in states:
                writer.append(state_)
        done = run("check", path, "--against", source, "--json")
        assert done.code == (0 if false_stop is None else 1)
        found = json.loads(done.out)["against"]
        assert found["stops"] == 2
        assert {fact["stop"] for fact in found["tensors"]} == {0, 1}
        wrong = [p["stop"] for p in found["psnr"] if p["measured"] < p["declared"] - 1]
        assert wrong == ([] if false_stop is None else [false_stop] * 2)
    assert "frame 1, stop 1: a PSNR of" in run("check", path, "--against", source).err
