"""Pictures with depth from files: layouts of others, NYU's .mat, and what hostile files do."""

import io
import struct
import zlib

import numpy as np
import pytest

pytest.importorskip("torch")

from depth_samples import pair, write_mat, write_png, write_seven_scenes
from PIL import Image
from shared_data import shared

from nmc_framework.depth.errors import DepthError
from nmc_framework.depth.layouts import room_folders
from nmc_framework.depth.pictures import read_depth_image, read_picture
from nmc_framework.depth.sources import open_places


def only(folder, **options):
    [room] = room_folders(folder, **options)
    return room


# --- layouts -----------------------------------------------------------------------------------


def test_seven_scenes(tmp_path):
    room = only(write_seven_scenes(tmp_path / "chess" / "seq-01"))
    assert (room.layout, room.name, len(room)) == ("7-scenes", "seq-01", 4)
    found, true = room.pair(2), pair(2)
    assert np.array_equal(found.picture, true.picture)
    assert (found.depth[:4, :2] == 0).all()  # missing, and out of range
    assert np.abs(found.depth[4:] - true.depth[4:]).max() < 1e-3
    assert [r.name for r in room_folders(tmp_path)] == [f"{tmp_path.name}/chess/seq-01"]


def test_tum_by_times_and_by_associations(tmp_path):
    listed = {"rgb": [], "depth": []}
    for number, time in enumerate((1.0, 1.03, 1.06, 9.0)):
        for kind, array, late in (
            ("rgb", pair(number).picture, 0.0),
            ("depth", (pair(number).depth * 5000).astype(np.uint16), 0.011),
        ):
            if (kind, number) != ("depth", 3):
                write_png(tmp_path / kind / f"{time + late:.6f}.png", array)
                listed[kind].append(f"{time + late:.6f} {kind}/{time + late:.6f}.png")
    for kind, lines in listed.items():
        (tmp_path / f"{kind}.txt").write_text("# a comment\n\n" + "\n".join(lines))
    room = only(tmp_path)
    assert (room.layout, len(room)) == ("tum", 3)
    assert np.abs(room.pair(1).depth - pair(1).depth).max() < 1e-3
    halved = only(tmp_path, unit=2500).pair(1).depth
    assert np.abs(halved - 2 * pair(1).depth).max() < 1e-3
    # ICL-NUIM names the depth first
    both = zip(listed["rgb"], listed["depth"], strict=False)
    lines = [f"{k} {d.split()[1]} {k} {r.split()[1]}" for k, (r, d) in enumerate(both)]
    (tmp_path / "associations.txt").write_text("\n".join(lines))
    assert np.abs(only(tmp_path).pair(0).depth - pair(0).depth).max() < 1e-3


def test_icl_nuim_has_distances_along_rays(tmp_path):
    picture = np.full((480, 640, 3), 90, np.uint8)
    write_png(tmp_path / "scene_00_0000.png", picture)
    y, x = np.mgrid[:480, :640]
    slant = np.sqrt(1 + ((x - 319.5) / 481.2) ** 2 + ((y - 239.5) / 480) ** 2)
    text = " ".join(f"{value:.4f}" for value in (250 * slant).ravel())
    (tmp_path / "scene_00_0000.depth").write_text(text)
    found = only(tmp_path).pair(0)
    assert np.abs(found.depth - 2.5).max() < 1e-4  # a wall straight ahead
    (tmp_path / "scene_00_0000.depth").write_text("1 2 three")
    with pytest.raises(DepthError, match="no list of distances"):
        only(tmp_path).pair(0)
    (tmp_path / "scene_00_0000.depth").write_text("1 2 3")
    with pytest.raises(DepthError, match="3 distances, expected 307200"):
        only(tmp_path).pair(0)


def test_folders_of_colour_and_depth_and_those_of_nyu(tmp_path):
    true = pair(0)
    for where, names, depth in (
        ("scan", ("color/7.png", "depth/7.png"), (true.depth * 1000).astype(np.uint16)),
        ("test", ("00000_colors.png", "00000_depth.png"), (true.depth * 1000).astype(np.uint16)),
        ("train", ("1.jpg", "1.png"), (true.depth * 25.5).round().astype(np.uint8)),
    ):
        write_png(tmp_path / where / names[0], true.picture)
        write_png(tmp_path / where / names[1], depth)
    rooms = {room.layout: room for room in room_folders(tmp_path)}
    assert set(rooms) == {"folders", "nyu-test", "nyu-train"}
    for layout, room in rooms.items():
        assert np.abs(room.pair(0).depth - true.depth).max() < (0.03 if "train" in layout else 1e-2)


def test_depth_of_another_size_is_brought_to_the_pictures(tmp_path):
    folder = write_seven_scenes(tmp_path, 1)
    write_png(folder / "frame-000000.depth.png", np.full((12, 16), 2000, np.uint16))
    found = only(folder).pair(0)
    assert found.depth.shape == (24, 32) and (found.depth == 2).all()
    write_png(folder / "frame-000000.depth.png", np.full((16, 12), 2000, np.uint16))
    with pytest.raises(DepthError, match="of another aspect"):
        only(folder).pair(0)


def test_folders_without_pictures_with_depth(tmp_path):
    with pytest.raises(DepthError, match="no such folder"):
        room_folders(tmp_path / "nowhere")
    with pytest.raises(DepthError, match="no pictures with depth in a layout that is known"):
        room_folders(tmp_path)
    with pytest.raises(DepthError, match="above 0"):
        room_folders(tmp_path, unit=0.0)
    write_png(tmp_path / "rgb" / "1.png", pair(0).picture)
    (tmp_path / "rgb.txt").write_text("1.0 rgb/1.png\n")
    (tmp_path / "depth.txt").write_text("5.0 depth/1.png\n")
    with pytest.raises(DepthError, match=r"within 0\.02 s"):
        room_folders(tmp_path)
    (tmp_path / "rgb.txt").write_text("soon rgb/1.png\n")
    with pytest.raises(DepthError, match="'soon' is not a time"):
        room_folders(tmp_path)
    (tmp_path / "rgb.txt").write_text("1.0 ../../secret.png\n")
    with pytest.raises(DepthError, match="outside of the folder"):
        room_folders(tmp_path)
    (tmp_path / "rgb.txt").write_text("1.0\n")
    with pytest.raises(DepthError, match="line 1: expected 2 words"):
        room_folders(tmp_path)


def test_so_many_pictures_of_a_room(tmp_path):
    write_seven_scenes(tmp_path, 9)
    with open_places(tmp_path, limit=3) as [place]:
        assert list(place.chosen) == [0, 4, 8]
        assert [p.name.rpartition("/")[2] for p in place.pairs()] == [
            f"frame-{k:06d}.color.png" for k in (0, 4, 8)
        ]
    file = tmp_path / "frame-000000.color.png"
    with pytest.raises(DepthError, match="give a folder"), open_places(file):
        pass


def test_real_pictures_of_a_kinect():
    with open_places(shared("rgbd")) as [place]:
        assert len(place) == 8
        found = next(place.pairs())
    known = found.depth > 0
    assert found.picture.shape == (480, 640, 3)
    assert 0.85 < known.mean() < 0.9  # the rest is missing
    assert 0.5 < found.depth[known].min() < found.depth.max() < 4


# --- NYU's .mat --------------------------------------------------------------------------------


def test_the_mat_of_nyu_by_scenes(tmp_path):
    path = write_mat(tmp_path / "nyu.mat")
    with open_places(path) as places:
        assert [(place.name, len(place)) for place in places] == [("kitchen", 2), ("office", 1)]
        found = list(places[0].pairs()) + list(places[1].pairs())
    for number, each in enumerate(found):
        assert np.array_equal(each.picture, pair(number).picture)
        assert np.array_equal(each.depth, pair(number).depth)
        assert each.focal == pytest.approx(518.86 * 32 / 640)


def test_depth_that_is_no_number_is_missing(tmp_path):
    depths = np.full((1, 32, 24), np.nan, np.float32)
    depths[0, :16] = -1
    depths[0, 20:] = 3
    path = write_mat(tmp_path / "nyu.mat", ["hall"], depths=depths)
    with open_places(path) as [place]:
        depth = next(place.pairs()).depth
    assert (depth[:, :20] == 0).all() and (depth[:, 20:] == 3).all()


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"images": None}, "no 'images'"),
        ({"depths": None}, "no 'depths'"),
        ({"images": np.zeros((3, 4, 32, 24), np.uint8)}, "not \\(pictures, 3"),
        ({"images": np.zeros((3, 3, 32, 24), np.float32)}, "not \\(pictures, 3"),
        ({"depths": np.zeros((3, 32, 24), np.int32)}, "real numbers"),
        ({"depths": np.zeros((2, 32, 24), np.float32)}, "do not belong together"),
        ({"images": np.zeros((0, 3, 32, 24), np.uint8), "depths": np.zeros((0, 32, 24), "f4")},
         "none, or too many"),
    ],
)  # fmt: skip
def test_a_mat_that_is_another(tmp_path, changed, words):
    path = write_mat(tmp_path / "other.mat", **changed)
    with pytest.raises(DepthError, match=words), open_places(path):
        pass


def test_a_mat_that_claims_too_much_is_refused_before_it_is_read(tmp_path):
    import h5py

    path = tmp_path / "large.mat"
    with h5py.File(path, "w") as file:
        file.create_dataset("images", (10, 3, 60000, 60000), np.uint8, chunks=(1, 1, 100, 100))
        file.create_dataset("depths", (10, 60000, 60000), np.float32, chunks=(1, 100, 100))
    with pytest.raises(DepthError, match="more than a side of 4096"), open_places(path):
        pass
    with h5py.File(path, "w") as file:
        file.create_dataset("images", (9000, 3, 4000, 4000), np.uint8, chunks=(90, 3, 2000, 2000))
        file.create_dataset("depths", (9000, 4000, 4000), np.float32)
    with pytest.raises(DepthError, match="chunks of more than"), open_places(path):
        pass
    with h5py.File(path, "w") as file:
        file["images"] = h5py.ExternalLink("/etc/hostname", "images")
    with pytest.raises(DepthError, match="not an array of this file"), open_places(path):
        pass


def test_damaged_mats_are_one_line(tmp_path):
    path = write_mat(tmp_path / "nyu.mat")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 3])
    with pytest.raises(DepthError, match="HDF5 library fails on it"), open_places(path):
        pass
    path.write_bytes(b"MATLAB 5.0 MAT-file" + bytes(600))
    with pytest.raises(DepthError, match="HDF5 library fails on it"), open_places(path):
        pass
    with pytest.raises(DepthError, match="no such file"), open_places(tmp_path / "no.mat"):
        pass


# --- single pictures ---------------------------------------------------------------------------


def coded(image, form="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def test_pictures_are_turned_as_their_exif_data_say():
    image = Image.fromarray(pair(0).picture)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    found = read_picture(coded(image, exif=exif))
    assert np.array_equal(found, np.rot90(pair(0).picture, -1))


@pytest.mark.parametrize("mode", ["L", "1", "P", "RGBA", "LA", "CMYK", "I;16", "F", "I"])
def test_pictures_of_all_modes_become_colours(mode):
    grey = Image.fromarray((np.arange(24 * 32).reshape(24, 32) % 200).astype(np.uint8))
    if mode == "I;16":
        image = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    else:
        image = grey.convert("RGBA").convert("P") if mode == "P" else grey.convert(mode)
    form = "TIFF" if mode in ("CMYK", "F", "I") else "PNG"
    found = read_picture(coded(image, form))
    assert found.shape == (24, 32, 3) and found.dtype == np.uint8
    assert found.max() > 100


def test_transparent_parts_are_white():
    image = Image.new("RGBA", (4, 4), (10, 20, 30, 0))
    assert (read_picture(coded(image)) == 255).all()


def test_large_pictures_are_reduced_or_refused_before_they_are_decoded():
    found = read_picture(coded(Image.new("RGB", (900, 300)), "JPEG"), longest=300)
    assert found.shape == (100, 300, 3)

    def bomb(width, height):
        head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
        parts = [(b"IHDR", head), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b"")]
        chunks = (
            struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d))
            for k, d in parts
        )
        return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)

    for width, height in ((9000, 9000), (40000, 2), (30000, 30000), (2**31 - 1, 2**31 - 1)):
        with pytest.raises(DepthError, match=r"bomb.png: .* pixels are more than the"):
            read_picture(bomb(width, height), "bomb.png")
    with pytest.raises(DepthError, match=r"small.png: it cannot be read: the file is damaged"):
        read_picture(bomb(300, 300), "small.png")


@pytest.mark.parametrize(
    "data", [b"", b"GIF89a", b"%!PS-Adobe-3.0 EPSF-3.0\n", b"<svg/>", b"\0" * 99]
)
def test_what_is_no_picture(data):
    with pytest.raises(DepthError, match=r"no picture; PNG, JPEG|damaged"):
        read_picture(data, "it")


def test_every_cut_of_a_picture_is_one_line():
    whole = coded(Image.fromarray(pair(0).picture), "JPEG")
    refused = 0
    for length in range(0, len(whole), 17):
        try:
            assert read_picture(whole[:length], "cut.jpg").shape == (24, 32, 3)
        except DepthError as error:
            refused += 1
            assert str(error).startswith("cut.jpg: ") and "\n" not in str(error)
    assert refused > len(whole) // 17 // 2  # the last bytes need not be there


def test_depth_pictures_have_one_channel(tmp_path):
    path = write_png(tmp_path / "depth.png", pair(0).picture)
    with pytest.raises(DepthError, match="one channel of 8 or 16 bits, not RGB"):
        read_depth_image(path, 1000)
    with pytest.raises(DepthError, match="no such file"):
        read_depth_image(tmp_path / "none.png", 1000)
    zeros = write_png(tmp_path / "zeros.png", np.zeros((4, 4), np.uint16))
    assert (read_depth_image(zeros, 1000) == 0).all()
