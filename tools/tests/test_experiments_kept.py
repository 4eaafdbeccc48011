"""What experiments keep: by all that it follows from, with what it took, a frame at a time."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("bjontegaard")
import torch

from nmc_framework.models.pictures.inric import Inric
from nmc_tools.bench_rd import nncodec_peer
from nmc_tools.bench_rd.coded import Coded
from nmc_tools.commands.footage import film_scene
from nmc_tools.experiments import all_intra, compression_3d, consistency
from nmc_tools.experiments.films import Film
from nmc_tools.experiments.inputs import learned, usual_iterations
from nmc_tools.experiments.kept import Kept
from nmc_tools.experiments.peer import Peer
from nmc_tools.experiments.results_page import tables, write_results


def unheard(*_):
    """Take no notice."""


@pytest.fixture
def film():
    return Film.of("room", film_scene("room", (8, 8), frames=2), None)


@pytest.fixture
def gone(monkeypatch):
    """NNCodec cannot be had."""
    asked = []

    def environment(folder):
        asked.append(folder)
        raise nncodec_peer.PeerError("no compiler")

    monkeypatch.setattr(nncodec_peer, "environment", environment)
    return asked


def test_a_result_says_what_it_took_and_where(tmp_path):
    kept = Kept(tmp_path, one_thread=True)
    threads = kept.values({"k": 1}, torch.get_num_threads)
    assert threads == 1
    kept.state({"k": 2}, lambda: {"a": np.arange(200_000.0).cumsum()})
    spent = kept.spent
    assert spent.wall > 0 and "torch" in spent.machine and len(spent.machines) == 1
    again = Kept(tmp_path)
    assert (again.spent.wall, again.spent.machines) == (0, ())
    again.values({"k": 1}, None)
    again.state({"k": 2}, None)
    again.state({"k": 2}, None)
    assert again.spent == spent


def test_what_a_film_is_counts_cameras_times_and_bounds(film):
    def other(**changed):
        return replace(film, **changed).content

    rig = film.footage.rig
    cameras = tuple(replace(camera, fx=camera.fx + 1) for camera in rig.cameras)
    zoomed = replace(film.footage, rig=replace(rig, cameras=cameras))
    later = [replace(views, time=views.time + 1) for views in film.views]
    turned = [
        replace(v, images=[image.reshape(4, 16, 3) for image in v.images]) for v in film.views
    ]
    contents = [
        film.content,
        other(footage=zoomed),
        other(views=later),
        other(views=turned),
        other(footage=replace(film.footage, bounds=[[-9, -9, -9], [9, 9, 9]])),
        other(footage=replace(film.footage, background=[0.5, 0.5, 0.5])),
    ]
    assert all(a != b for k, a in enumerate(contents) for b in contents[:k])
    assert other(views=list(film.views)) == film.content


def test_options_that_are_not_given_count_too(film, monkeypatch):
    request = all_intra.Request({}, None, iterations=5)
    options = {"quality": "Q1", "pictures": 1, "width": 4, "height": 4}
    schedule = consistency.planned(film, 0.5)
    before = [learned("inric", options, schedule), film.learned("hash_grid", schedule)]
    assert before[0]["configuration"]["frequencies"] == Inric.defaults()["frequencies"]
    picture = np.zeros((4, 4, 3), np.uint8)
    key = all_intra._inputs(request, picture, "Q1")[1]
    assert key["schedule"]["first"] == 5
    monkeypatch.setattr(Inric, "defaults", classmethod(lambda _: options | {"frequencies": 3}))
    assert learned("inric", options, schedule) != before[0]
    assert all_intra._inputs(request, picture, "Q1")[1] != key
    assert film.learned("hash_grid", replace(schedule, hold=0.0)) != before[1]


@pytest.mark.slow(minutes=0.03)
def test_a_chain_goes_on_at_the_frame_where_it_stopped(film, tmp_path, monkeypatch):
    learn, learned_here = consistency._learn_frame, []

    def counted(film, schedule, index, before):
        if len(learned_here) == 1 and stops:
            raise KeyboardInterrupt
        learned_here.append((index, before is not None))
        return learn(film, schedule, index, before)

    monkeypatch.setattr(consistency, "_learn_frame", counted)
    stops = True
    request = consistency.Request(film, tmp_path, ("shared",), share=0.002)
    with pytest.raises(KeyboardInterrupt):
        consistency.run(request, unheard)
    stops = False
    resumed = consistency.run(request, unheard)
    assert learned_here == [(0, False), (1, True)]
    whole = consistency.run(replace(request, folder=tmp_path / "anew"), unheard)
    assert np.array_equal(resumed.pictures["shared"], whole.pictures["shared"])
    for here, there in zip(resumed.rows, whole.rows, strict=True):
        assert here.size == pytest.approx(there.size, rel=1e-3)
    # The first frame is the same for all methods, and is learned once.
    consistency.run(replace(request, methods=("shared", "frame-wise")), unheard)
    assert learned_here[4:] == [(1, False)]


@pytest.mark.slow(minutes=0.02)
def test_nncodec_that_cannot_be_had_leaves_out_its_points_alone(film, tmp_path, monkeypatch, gone):
    monkeypatch.setattr(compression_3d, "QUALITIES", (40,))
    peer = Peer(tmp_path / "environment")
    request = compression_3d.Request(film, tmp_path, ("dynerf",), 0.002, peer)
    results = compression_3d.run(request, unheard)
    assert {row.coder for row in results.rows} == {"32-bit floats", "nmc lossy"}
    assert results.anchor == "nmc lossy" and len(gone) == 1
    (note,) = results.notes
    assert "left out of dynerf at QP -48 and 4 more points: no compiler" in note
    assert note in tables(results) and note in results.as_json()["notes"]
    assert results.as_json()["seconds"]["wall"] > 0
    # Truth, the model, and the model as our coder has it.
    assert {p.shape for p in results.pictures.values()} == {(8, 24, 3)}
    written = write_results(tmp_path, results)
    page = written[0].read_text()
    assert "dynerf coded at settings in the middle, from left to right: truth; 32-bit" in page


def test_nncodec_that_fails_at_one_parameter_has_its_other_rows(tmp_path, monkeypatch):
    def codecs(python, parameters):
        def code(states, parameter, folder):
            if parameter == -52:
                raise nncodec_peer.PeerError("it ended at QP -52")
            return Coded((100.0 - parameter,), 0.0, states, 0.0, 0.0)

        return [None, type("Codec", (), {"code": staticmethod(code)})]

    monkeypatch.setattr(nncodec_peer, "environment", lambda folder: folder)
    monkeypatch.setattr(nncodec_peer, "codecs", codecs)
    for what, few in (("PARAMETERS", (-54, -52, -42)), ("BITS", ()), ("OUR_QUALITIES", (40,))):
        monkeypatch.setattr(all_intra, what, few)
    picture = np.zeros((6, 6, 3), np.uint8)
    request = all_intra.Request({"p": picture}, tmp_path, ("Q1",), 2, Peer(tmp_path))
    results = all_intra.run(request, unheard)
    settings = [row.setting for row in results.rows]
    assert settings == ["float32", "QP -54", "QP -42", "quality 40"]
    assert results.notes == ["NNCodec is left out of p, Q1 at QP -52: it ended at QP -52."]
    # What was coded is there, whatever becomes of NNCodec.
    monkeypatch.setattr(nncodec_peer, "environment", None)
    monkeypatch.setattr(all_intra, "PARAMETERS", (-54, -42))
    assert [r.setting for r in all_intra.run(request, unheard).rows] == settings
    assert "Pictures of 6x6 as INRIC models Q1, 2 iterations" in tables(results)


def test_a_share_of_iterations_is_told_in_words():
    assert usual_iterations(1.0) == "the usual iterations"
    assert usual_iterations(0.25) == "0.25 of the usual iterations"
