"""``nmc experiment``: what it measures, keeps, draws and refuses."""

import json
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("bjontegaard")
from PIL import Image

from nmc_framework.models import build
from nmc_framework.training import ClipPixels
from nmc_tools.experiments.kept import Kept
from nmc_tools.experiments.rounding import learned_state, range_steps
from nmc_tools.experiments.rows import Row, differences, hull, in_similarity

TINY = ["--no-nncodec", "--size", "16x16", "--quality", "Q1", "--iterations", 8, "--json"]


def test_the_experiments_are_listed(run):
    assert "all-intra: Pictures as INRIC models" in run("experiment", "list").out
    assert json.loads(run("experiment", "list", "--json").out)[0]["name"] == "all-intra"


def test_all_intra_measures_each_coder_and_keeps_what_it_found(run, tmp_path):
    marks = ("<!-- all-intra -->\n", "<!-- /all-intra -->\n")
    (tmp_path / "here.md").write_text("".join(marks))
    done = run("experiment", "all-intra", "-o", tmp_path, *TINY, "--into", tmp_path / "here.md")
    assert done.code == 0, done
    assert "| room, train_00 | nmc lossy | " in (tmp_path / "here.md").read_text()
    rows = json.loads(done.out)["rows"]
    coders = {row["coder"] for row in rows}
    assert coders == {
        "32-bit floats", "8 bits, AdaRound and QAT", "7 bits, AdaRound and QAT", "nmc lossy",
    }  # fmt: skip
    raw = next(row for row in rows if row["coder"] == "32-bit floats")
    assert raw["bits_per_pixel"] == pytest.approx(8 * raw["size"] / 256)
    assert all(row["size"] < raw["size"] / 2 for row in rows if row is not raw)
    for name in ("all-intra.html", "all-intra.md", "all-intra.json", "curves-0.png"):
        assert (tmp_path / name).stat().st_size > 500
    assert "<h1>All-intra" in (tmp_path / "all-intra.html").read_text()
    # What was worked out is there; what another option asks for is worked out.
    results = set((tmp_path / "kept").iterdir())
    again = run("experiment", "all-intra", "-o", tmp_path, *TINY)
    assert json.loads(again.out)["rows"] == rows
    assert set((tmp_path / "kept").iterdir()) == results
    run("experiment", "all-intra", "-o", tmp_path, *TINY, "--iterations", 4)
    assert len(set((tmp_path / "kept").iterdir())) == 2 * len(results)


@pytest.mark.slow(minutes=0.02)
def test_a_picture_of_ones_own_is_taken(run, tmp_path):
    Image.fromarray(np.full((9, 7, 3), 80, np.uint8)).save(tmp_path / "grey.png")
    options = ["--picture", tmp_path / "grey.png", "-o", tmp_path / "out", *TINY]
    rows = json.loads(run("experiment", "all-intra", *options).out)["rows"]
    assert {row["picture"] for row in rows} == {"grey"}


def test_wrong_options_are_refused(run, tmp_path):
    told = run("experiment", "all-intra", "-o", tmp_path / "x", "--quality", "Q6", "--no-nncodec")
    assert told.code == 2 and "there are Q1, Q2, Q3, Q4, Q5" in told.err
    told = run("experiment", "all-intra", "-o", tmp_path / "x", "--picture", tmp_path / "no.png")
    assert told.code == 1 and "host/not-found" in told.err
    told = run("experiment", "all-intra", "-o", tmp_path / "x", "--into", tmp_path / "no.md")
    assert told.code == 2 and "has no marks" in " ".join(told.err.replace("│", " ").split())
    (tmp_path / "text.png").write_text("text")
    told = run(
        "experiment", "all-intra", "--no-nncodec", "-o", tmp_path / "x", "--picture",
        tmp_path / "text.png",
    )  # fmt: skip
    assert told.code == 1 and "input/unreadable" in told.err


def test_a_damaged_result_is_worked_out_again(tmp_path):
    kept = Kept(tmp_path)
    assert kept.values({"a": 1}, lambda: [1, 2]) == [1, 2]
    assert kept.values({"a": 1}, lambda: pytest.fail("it is known")) == [1, 2]
    next(tmp_path.iterdir()).write_text("{")
    assert kept.values({"a": 1}, lambda: [3]) == [3]
    state = {"w": np.arange(3.0)}
    kept.state({"b": 1}, lambda: state)
    next(tmp_path.glob("*.safetensors")).write_bytes(b"12345678")
    assert np.array_equal(kept.state({"b": 1}, lambda: state)["w"], state["w"])
    assert (kept.made, kept.found) == (4, 1)


@pytest.mark.slow(minutes=0.02)
def test_learned_rounding_lies_on_its_grid_and_beats_the_nearest():
    size = {"quality": "Q1", "width": 12, "height": 12, "frequencies": 4}
    model = build("inric", size, seed=1)
    y, x = np.mgrid[:12, :12]
    picture = np.stack([20 * x, 20 * y, 10 * (x + y)], axis=2).astype(np.uint8)
    examples = ClipPixels(model, picture[None])
    state = model.save()
    steps = range_steps(state, 5)
    found = learned_state(model, examples, state, steps, 40)
    levels = steps.levels(found)
    assert max(int(np.abs(level).max()) for level in levels.values()) <= 16

    def loss(values):
        model.load(state | values)
        import torch

        return float(model.loss(examples.draw(4096, torch.Generator().manual_seed(5))).detach())

    nearest = {n: (np.rint(state[n] / s) * s).astype("f4") for n, s in steps.of.items()}
    assert loss(found) < loss(nearest)


def test_the_hull_leaves_out_what_another_beats():
    def row(coder, rate, psnr, picture="p"):
        return Row(picture, "Q1", coder, "s", 0, rate, psnr)

    rows = [row("a", 1, 30), row("a", 2, 29), row("a", 3, 35), row("a", 3, 36), row("a", 4, 38)]
    assert hull(rows).rate == (1, 3, 4) and hull(rows).fidelity == (30, 36, 38)
    anchor = [row("8 bits, AdaRound and QAT", r.bits_per_pixel, r.psnr) for r in rows]
    half = [row("nmc lossy", r.bits_per_pixel / 2, r.psnr) for r in rows]
    found = differences(anchor + half, "8 bits, AdaRound and QAT")
    assert found == {("p", "nmc lossy"): pytest.approx(-50)}
    similar = [replace(r, ms_ssim=1 - 10 ** (-r.psnr / 20)) for r in anchor + half]
    assert differences(anchor + half, "8 bits, AdaRound and QAT", in_similarity) == {}
    over = differences(similar, "8 bits, AdaRound and QAT", in_similarity)
    assert over == {("p", "nmc lossy"): pytest.approx(-50)}


@pytest.mark.slow(minutes=0.06)
def test_inter_like_has_models_and_videos_on_one_page(run, tmp_path):
    options = ["--size", "16x16", "--pictures", 3, "--family", "nvp", "--share", 0.005, "--json"]
    done = run("experiment", "inter-like", "-o", tmp_path, *options)
    assert done.code == 0, done
    rows = json.loads(done.out)["rows"]
    coders = {"H.264 (x264)", "HEVC (x265)", "nvp", "nvp through image codecs"}
    assert {row["coder"] for row in rows} == coders
    assert {row["picture"] for row in rows} == {"still camera", "moving camera"}
    for coder in ("H.264 (x264)", "HEVC (x265)"):
        of_one = [r for r in rows if (r["picture"], r["coder"]) == ("still camera", coder)]
        # What a coder says of itself is as much as three pictures: the ends alone must lie right.
        assert of_one[0]["size"] > 1.5 * of_one[-1]["size"]
        assert of_one[0]["psnr"] > of_one[-1]["psnr"] + 3
    assert "<h1>Inter-like" in (tmp_path / "inter-like.html").read_text()
    assert all(row["ms_ssim"] is None for row in rows)


@pytest.mark.parametrize("library", ["libx264", "libx265"])
def test_small_films_come_back_in_order(library):
    """The assembly of x265 writes beyond the ends of such pictures: it ended the process."""
    from nmc_tools.experiments.inter_like import video_coded

    y, x = np.mgrid[:16, :40]
    clip = np.stack([np.stack([6 * x, 15 * y, 40 * k + x], axis=2) for k in range(5)])
    for _ in range(3):
        size, shown = video_coded(clip.astype("u1"), library, 6, 30)
        assert shown.shape == clip.shape and 100 < size < clip.size / 4
        assert np.abs(shown.astype(int) - clip).mean() < 3


@pytest.mark.parametrize("size", [(3, 12, 16), (1, 7, 9)])
def test_latents_come_back_from_image_codecs_about_as_they_were(size):
    from nmc_tools.experiments.latents import through_codecs

    pictures, height, width = size
    model = build("nvp", {"pictures": pictures, "height": height, "width": width}, seed=1)
    state = model.save()
    sizes, errors = [], []
    for quality, factor in ((95, 4), (10, 45)):
        found, decoded = through_codecs(state, quality, factor)
        model.load(decoded)
        sizes.append(found)
        tables = [name for name, values in state.items() if values.ndim >= 4]
        errors.append(max(float(np.abs(decoded[n] - state[n]).max()) for n in tables))
        spread = max(float(np.ptp(state[n])) for n in tables)
        assert all(np.abs(decoded[n] - state[n]).max() < 0.1 for n in state if n not in tables)
    assert sizes[0] > sizes[1] and errors[0] < errors[1] < spread
    assert errors[0] < 0.06 * spread


def test_a_video_that_is_too_short_is_refused(run, tmp_path):
    Image.fromarray(np.zeros((9, 7, 3), np.uint8)).save(tmp_path / "one.png")
    done = run("experiment", "inter-like", "-o", tmp_path / "o", "--video", tmp_path / "one.png")
    assert done.code == 1 and "it has 1 pictures: give --pictures 1 or less" in done.err


def test_what_is_worked_out_ahead_is_found(tmp_path):
    from nmc_framework.distributed import LocalExecutor
    from nmc_tools.experiments.kept import Wanted

    kept = Kept(tmp_path)
    state = {"a": np.arange(3.0)}
    kept.values({"old": 1}, lambda: "there")
    wanted = [
        Wanted({"k": 1}, lambda: state, state=True),
        Wanted({"k": 2}, lambda: [1, None]),
        Wanted({"old": 1}, lambda: pytest.fail("it was there")),
    ]
    kept.ahead(LocalExecutor(), wanted)
    assert kept.made == 3

    def never():
        pytest.fail("it was worked out ahead")

    assert np.array_equal(kept.state({"k": 1}, never)["a"], state["a"])
    assert kept.values({"k": 2}, never) == [1, None] and kept.values({"old": 1}, never) == "there"


def test_work_that_is_lost_is_done_again_three_times_at_most(tmp_path):
    from nmc_framework.distributed import DistributionError, LocalExecutor, Lost
    from nmc_tools.experiments.kept import Wanted

    class Losing(LocalExecutor):
        losses = 2

        def next(self):
            if self.losses:
                self.losses -= 1
                return Lost(self._started.pop(0)[0], "killed")
            return super().next()

    kept = Kept(tmp_path)
    kept.ahead(Losing(), [Wanted({"k": 1}, lambda: 5)])
    assert kept.values({"k": 1}, None) == 5
    hopeless = Losing()
    hopeless.losses = 9
    with pytest.raises(DistributionError, match="lost 3 times"):
        kept.ahead(hopeless, [Wanted({"k": 2}, lambda: 5)])


def test_a_plot_shows_small_models_beside_one_that_is_exact():
    from nmc_tools.experiments.results_page import lowest_shown

    points = [("Q1", 31.0), ("Q1", 28.0), ("Q1", 4.0), ("Q5", 100.0), ("Q5", 30.0)]
    rows = [Row("p", model, "c", "s", 10, 1.0, psnr) for model, psnr in points]
    assert lowest_shown(rows) == 15.5


@pytest.mark.slow(minutes=0.05)
def test_experiments_on_films_are_the_same_when_shared_out(tmp_path, monkeypatch):
    """Every task goes as a pickle to whoever does it, as Ray sends it.

    What lies elsewhere in memory may be summed up in another order: the last bits may differ.
    """
    pickled = pytest.importorskip("ray.cloudpickle")
    from nmc_framework.distributed import LocalExecutor
    from nmc_tools.commands.footage import film_scene
    from nmc_tools.experiments import compression_3d, consistency
    from nmc_tools.experiments.films import Film

    class Elsewhere(LocalExecutor):
        sent = 0

        def start(self, task, work, job):
            self.sent += 1
            super().start(task, *pickled.loads(pickled.dumps((work, job))))

    monkeypatch.setattr(compression_3d, "QUALITIES", (40,))
    film = Film.of("room", film_scene("room", (8, 8), frames=2), None)
    for module, chosen in (
        (consistency, {"methods": ("shared",)}),
        (compression_3d, {"families": ("dynerf",)}),
    ):
        rows = []
        for executor in (None, Elsewhere()):
            folder = tmp_path / f"{module.__name__}-{executor is None}"
            request = module.Request(film, folder, share=0.002, executor=executor, **chosen)
            rows.append(module.run(request, lambda *_: None).rows)
        for here, there in zip(*rows, strict=True):
            assert here.size == pytest.approx(there.size, rel=1e-3)
            assert here.psnr == pytest.approx(there.psnr, abs=1e-2)
        assert executor.sent == 2
