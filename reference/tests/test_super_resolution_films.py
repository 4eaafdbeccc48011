"""Super-resolution: films as they are coded and read."""

from fractions import Fraction

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("av")

import av

import nmc
from nmc_framework.models import build
from nmc_framework.rendering.video import say_colours
from nmc_framework.super_resolution import footage, self_transfer
from nmc_framework.super_resolution.coding import as_decoded, code_video
from nmc_framework.super_resolution.criteria import criterion
from nmc_framework.super_resolution.footage import Onward, look_through
from nmc_framework.super_resolution.scenes import FrameChoice, Scene, learned_scenes, scenes_of
from nmc_framework.super_resolution.self_transfer import FineTuning, fine_tune


def picture(number, size=(48, 32)):
    """A wave that moves, and a grain."""
    x, y = np.meshgrid(*(np.arange(side) for side in size))
    grain = np.random.default_rng(number).normal(0, 6, (size[1], size[0], 3))
    waves = np.stack([np.sin((x + number) / 3 + k) + np.cos((y + k * x) / 5) for k in range(3)], -1)
    return (128 + 50 * waves + grain).clip(0, 255).astype(np.uint8)


@pytest.fixture
def film(tmp_path):
    """A film of 24 pictures, nearly without loss."""
    path = tmp_path / "film.mp4"
    code_video(path, (picture(n) for n in range(24)), range(24), 24, factor=4, chroma="yuv444p")
    return look_through(path)


@pytest.fixture
def decoded(monkeypatch):
    """Counts what is decoded, by file."""
    counts = {}
    frames = footage._frames

    def counted(path, size):
        for frame in frames(path, size):
            counts[path] = counts.get(path, 0) + 1
            yield frame

    monkeypatch.setattr(footage, "_frames", counted)
    return counts


def test_pictures_are_read_in_one_pass(film, decoded):
    whole = list(film.pictures())
    assert len(whole) == 24
    decoded.clear()
    reading = Onward(film)
    for numbers in ([0, 3], [4], [9, 5], []):
        found = reading.chosen(numbers)
        assert len(found) == len(numbers)
        for number, seen in zip(sorted(numbers), found, strict=True):
            assert np.array_equal(seen, whole[number])
    assert decoded[film.path] == 10
    assert np.array_equal(reading.chosen([2])[0], whole[2])  # from the beginning again
    assert decoded[film.path] == 13


def test_fine_tuning_decodes_a_film_once_however_many_scenes_there_are(film, decoded, tmp_path):
    model = build("edsr", {"blocks": 1, "channels": 4})
    scenes = learned_scenes(film, scenes_of(film, seconds=0.15), FrameChoice())
    assert len(scenes) == 6
    tuning = FineTuning(criterion("l1"), iterations=1, batch=1, patch=8)
    with nmc.Writer(tmp_path / "x.nmc", timescale=film.timescale, **model.in_package()) as writer:
        assert len(list(fine_tune(writer, model, scenes, film, None, tuning))) == 6
    assert decoded == {film.path: 24}


def test_a_video_without_i_frames(tmp_path):
    """Refreshed column by column, its first picture lost: all are P- and B-pictures."""
    whole, path = tmp_path / "whole.ts", tmp_path / "refreshed.ts"
    options = {"preset": "ultrafast", "x264-params": "intra-refresh=1:keyint=6:threads=1"}
    with av.open(str(whole), "w") as container:
        stream = container.add_stream("libx264", rate=24, options=options)
        stream.width, stream.height, stream.pix_fmt = 48, 32, "yuv420p"
        for number in range(30):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture(number))))
        container.mux(stream.encode(None))
    with av.open(str(whole)) as source, av.open(str(path), "w") as container:
        stream = container.add_stream_from_template(source.streams.video[0])
        packets = [packet for packet in source.demux(video=0) if packet.dts is not None]
        for packet in packets[1:]:
            packet.stream = stream
            container.mux(packet)
    read = look_through(path)
    assert len(read) > 10 and not any(moment.intra for moment in read.moments)
    assert len(FrameChoice().of(read, Scene(0, len(read), True))) == len(read)
    with pytest.raises(ValueError, match=r"refreshed\.ts has no I-frame.*--frames 2/s"):
        learned_scenes(read, scenes_of(read), FrameChoice(intra=True))


def test_coding_is_repeatable_on_any_processor(tmp_path):
    """x264's AVX-512 code gives other bits now and then; what it gives without any is one thing."""
    pictures = [picture(n, (88, 72)) for n in range(10)]
    path = tmp_path / "film.mp4"
    found = set()
    for _ in range(3):
        code_video(path, iter(pictures), range(10), 50)
        found.add(path.read_bytes())
    options = {"preset": "slow", "threads": "1", "crf": "23", "x264-params": "no-asm=1"}
    plain = tmp_path / "plain.mp4"
    with av.open(str(plain), "w") as container:
        stream = container.add_stream("libx264", options=options)
        stream.width, stream.height, stream.pix_fmt = 88, 72, "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, 50)
        say_colours(stream.codec_context)
        for number, shown in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(shown, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 50)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert found == {plain.read_bytes()}


def test_the_network_that_looks_most_natural_is_kept(tmp_path, monkeypatch):
    """What NIQE says is given here, so that one in the middle is the best."""
    path = tmp_path / "film.mp4"
    code_video(path, (picture(n, (96, 48)) for n in range(3)), range(3), 24)
    film = look_through(path)
    told = iter([5.0, 4.0, 2.0, 3.0, 6.0, 6.0])  # before, and after each fifth of the iterations
    monkeypatch.setattr(self_transfer, "niqe", lambda _: next(told))
    model = build("edsr", {"blocks": 1, "channels": 4})
    states = {}

    def report(progress):
        states[progress.iteration] = model.save()

    tuning = FineTuning(criterion("l1"), iterations=10, batch=1, patch=8, by_niqe=True)
    scenes = learned_scenes(film, scenes_of(film), FrameChoice())
    with nmc.Writer(tmp_path / "x.nmc", timescale=24, **model.in_package()) as writer:
        list(fine_tune(writer, model, scenes, film, None, tuning, report=report))
    with nmc.open(tmp_path / "x.nmc") as sequence:
        assert sequence.frames[1].extras["iteration"] == 4
        assert all(np.array_equal(sequence[1][name], states[4][name]) for name in states[4])
        assert any(not np.array_equal(states[10][name], states[4][name]) for name in states[4])


def test_a_picture_as_a_receiver_has_it():
    sharp = picture(1, (33, 21))
    fine, coarse = (as_decoded(sharp, "h264", factor) for factor in (4, 45))
    assert fine.shape == coarse.shape == sharp.shape

    def error(seen):
        return np.abs(seen.astype(float) - sharp).mean()

    assert error(fine) < error(coarse)
