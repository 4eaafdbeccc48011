"""Pictures that ``nmc inverse`` is shown: of any size and kind, or refused in one line."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch")

from nmc_framework.inverse.multiview import ObjectsError
from nmc_framework.inverse.reconstruction import open_picture


@pytest.mark.parametrize(
    ("size", "value", "told"),
    [((1, 1), None, "is 1x1: nothing can be seen"), ((40, 40), 9, "is of one colour")],
)
def test_pictures_without_an_object_are_refused(tmp_path, size, value, told):
    pixels = np.random.default_rng(0).integers(0, 255, (*size, 3), np.uint8)
    if value is not None:
        pixels[:] = value
    Image.fromarray(pixels).save(tmp_path / "p.png")
    with pytest.raises(ObjectsError, match=told):
        open_picture(tmp_path / "p.png", 32)


def test_a_picture_too_large_to_be_opened_is_refused(tmp_path):
    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    for side in (12_000, 60_000):
        head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
        data = (
            b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")
        )
        (tmp_path / "p.png").write_bytes(data)
        with pytest.raises(ObjectsError, match="too large to be opened"):
            open_picture(tmp_path / "p.png", 32)


def test_pictures_of_any_size_and_kind_are_cut_to_a_square(tmp_path):
    random = np.random.default_rng(0)
    for shape in ((31, 77, 3), (9, 9), (50, 20, 4)):
        Image.fromarray(random.integers(0, 255, shape, np.uint8)).save(tmp_path / "p.png")
        assert open_picture(tmp_path / "p.png", 32).shape == (32, 32, 3)
    # A photograph that lies on its side, as its EXIF orientation says.
    half = np.zeros((20, 20, 3), np.uint8)
    half[:, 10:] = 255
    image = Image.fromarray(half)
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(tmp_path / "turned.png", exif=exif)
    shown = open_picture(tmp_path / "turned.png", 20)
    assert shown[2, 2, 0] == 0 and shown[2, 17, 0] == 0 and shown[17, 2, 0] == 255
    (tmp_path / "p.png").write_bytes(b"no picture")
    with pytest.raises(ObjectsError, match="cannot be read as a picture"):
        open_picture(tmp_path / "p.png", 32)
