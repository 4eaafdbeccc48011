"""Videos as phones, cutters and broken disks leave them: cut, turned, damaged, tagged."""

import struct

import av
import numpy as np
import pytest

from nmc_framework.cameras import Camera
from nmc_framework.cameras.formats import RigDocument
from nmc_framework.capture import CaptureError, VideoSource, turned_to
from nmc_framework.rendering import write_video
from nmc_framework.super_resolution.footage import look_through

PICTURES = 40


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """Pictures of 64x48 whose upper left corner is light, each 6 levels lighter than the last."""
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    pictures = np.zeros((PICTURES, 48, 64, 3), np.uint8) + np.arange(PICTURES, dtype=np.uint8)[
        :, None, None, None
    ] * np.uint8(5)
    pictures[:, :16, :16] = 250
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=20, options={"g": "20", "bf": "2"})
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def copied(film, path, of):
    """Copy the packets that ``of`` returns something for into another file."""
    with av.open(str(film)) as source, av.open(str(path), "w") as container:
        stream = source.streams.video[0]
        out = container.add_stream_from_template(stream)
        for packet in source.demux(stream):
            if packet.pts is not None and (made := of(packet)) is not None:
                made.stream = out
                container.mux(made)
    return VideoSource("a", path)


def levels(source):
    return [int(np.median(picture)) for picture in source.pictures()]


def test_what_an_edit_list_cuts_off_is_no_picture(film, tmp_path):
    def later(packet):
        if packet.pts * packet.time_base < 1:
            return None
        packet.pts -= int(1.25 / packet.time_base)
        packet.dts -= int(1.25 / packet.time_base)
        return packet

    cut = copied(film, tmp_path / "cut.mp4", later)
    assert cut.times() == pytest.approx([k / 20 for k in range(15)])
    whole = levels(VideoSource("a", film))
    assert levels(cut) == whole[25:]


def test_what_comes_before_the_first_key_frame_is_no_picture(film, tmp_path):
    cut = copied(film, tmp_path / "cut.mkv", lambda p: p if p.pts * p.time_base > 0.3 else None)
    assert len(cut.times()) == PICTURES - 20
    assert levels(cut) == levels(VideoSource("a", film))[20:]


@pytest.mark.parametrize("hidden", [25, PICTURES - 1])
def test_a_picture_that_is_missing_is_named(tmp_path, hidden):
    with av.open(str(tmp_path / "whole.webm"), "w") as container:
        stream = container.add_stream("libvpx", rate=20)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        for level in range(PICTURES):
            picture = np.full((48, 64, 3), 5 * level, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))

    def unseen(packet):
        if round(packet.pts * packet.time_base * 20) != hidden:
            return packet
        data = bytearray(bytes(packet))
        data[0] &= ~0x10  # show_frame (RFC 6386, section 9.1)
        made = av.Packet(bytes(data))
        made.pts, made.dts, made.time_base = packet.pts, packet.dts, packet.time_base
        return made

    source = copied(tmp_path / "whole.webm", tmp_path / "damaged.webm", unseen)
    with pytest.raises(CaptureError, match=rf"at {hidden / 20:.3f} s of damaged\.webm does not"):
        levels(source)


def test_what_does_not_decode_is_named(film, tmp_path):
    def emptied(packet):
        if round(packet.pts * packet.time_base * 20) != 25:
            return packet
        made = av.Packet(b"\0\0\0\1\x0c")  # filler, and no picture
        made.pts, made.dts, made.time_base = packet.pts, packet.dts, packet.time_base
        return made

    source = copied(film, tmp_path / "damaged.mp4", emptied)
    with pytest.raises(CaptureError, match=r"damaged\.mp4 does not decode"):
        levels(source)


@pytest.mark.parametrize(
    ("matrix", "quarters"),
    [((0, 1, -1, 0), 3), ((-1, 0, 0, -1), 2), ((0, -1, 1, 0), 1)],
    ids=["right", "over", "left"],
)
def test_videos_are_turned_as_their_files_say(film, tmp_path, matrix, quarters):
    (a, b, c, d), one = matrix, 1 << 16
    lies = struct.pack(">9i", one, 0, 0, 0, one, 0, 0, 0, 1 << 30)
    turned = struct.pack(">9i", a * one, b * one, 0, c * one, d * one, 0, 0, 0, 1 << 30)
    data = film.read_bytes()
    head, tail = data[: data.index(b"tkhd")], data[data.index(b"tkhd") :]
    (tmp_path / "a.mp4").write_bytes(head + tail.replace(lies, turned, 1))
    source = VideoSource("a", tmp_path / "a.mp4")
    flat = next(VideoSource("a", film).pictures())
    np.testing.assert_array_equal(next(source.pictures()), np.rot90(flat, quarters))
    # Cameras that were found from the pixels as they lie have their size, and keep it.
    [kept] = turned_to([source], _rig(64, 48))
    np.testing.assert_array_equal(
        next(kept.pictures()), flat if quarters % 2 else np.flip(flat, (0, 1))
    )
    [kept] = turned_to([source], _rig(48, 64))
    assert kept.upright
    # What enlarges videos shows them so, too.
    seen = look_through(tmp_path / "a.mp4")
    assert seen.size == seen.own == ((48, 64) if quarters % 2 else (64, 48))
    np.testing.assert_array_equal(next(seen.pictures()), np.rot90(flat, quarters))


def _rig(width, height):
    return RigDocument((Camera.from_field_of_view(60.0, width, height, np.eye(4), "a"),))


def test_films_say_how_their_colours_are_meant(tmp_path):
    green = np.full((2, 720, 1280, 3), (20, 200, 40), np.uint8)
    write_video(tmp_path / "a.mp4", green, 30)
    with av.open(str(tmp_path / "a.mp4")) as container:
        frame = next(container.decode(video=0))
    # A browser takes what says nothing for BT.709 at this size: the green would be another one.
    assert (frame.colorspace, frame.color_range) == (5, 1)
    assert np.abs(frame.to_ndarray(format="rgb24")[9, 9].astype(int) - green[0, 9, 9]).max() <= 3
