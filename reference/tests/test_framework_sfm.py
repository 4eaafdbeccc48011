"""Structure from motion on the embedded scene: found, aligned, resumed, and refused by name."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from shared_data import SHARED

from nmc_framework.cameras import Camera
from nmc_framework.cameras.alignment import align
from nmc_framework.cameras.formats import Lens, RigDocument
from nmc_framework.capture import find_sources, read_frames, synchronise
from nmc_framework.scene import BOUNDS, render
from nmc_framework.scene.rig import AZIMUTH, orbit_camera
from nmc_framework.sfm import SfmError, SfmOptions, UnplacedError, solve_rig
from nmc_framework.sfm.features import CameraFeatures, Features
from nmc_framework.sfm.matching import _one_to_one
from nmc_framework.sfm.pictures import View
from nmc_framework.sfm.pooling import pool

pycolmap = pytest.importorskip("pycolmap")

EXTENT = float(np.ptp(np.array(BOUNDS), axis=0).max())
OPTIONS = SfmOptions(camera_model="simple_pinhole", shared_intrinsics=True)
PIXELS = 192


def rig(count: int = 5, pixels: int = PIXELS) -> tuple[Camera, ...]:
    """Return cameras close enough together to be solved from few pixels."""
    places = [(-18, 20), (-9, 34), (0, 22), (9, 36), (18, 24)][:count]
    return tuple(
        orbit_camera(AZIMUTH + azimuth, elevation, (pixels, pixels), name=f"cam_{k}")
        for k, (azimuth, elevation) in enumerate(places)
    )


@pytest.fixture(scope="module")
def images() -> dict[str, list[np.ndarray]]:
    return {camera.name: [render(camera, t) for t in (0.0, 0.9)] for camera in rig()}


@pytest.fixture(scope="module")
def solved(images, tmp_path_factory):
    folder = tmp_path_factory.mktemp("sfm")
    return solve_rig(images, folder, OPTIONS), folder


def blank() -> np.ndarray:
    return np.full((PIXELS, PIXELS, 3), 200, np.uint8)


def test_the_rig_of_the_embedded_scene_is_found(solved):
    found, _ = solved
    assert [camera.name for camera in found.rig.cameras] == [c.name for c in rig()]
    assert found.missing == () and found.error < 1
    compared = align(found.rig, RigDocument(rig()), EXTENT)
    assert compared.worst_centre < 0.05 and compared.worst_rotation < 2
    # Most points lie in the room, and are of the colours that are there.
    moved = found.moved(compared.similarity)
    low, high = np.array(BOUNDS)
    inside = ((moved.points.positions > low - 0.1) & (moved.points.positions < high + 0.1)).all(1)
    assert len(inside) > 100 and inside.mean() > 0.9
    assert np.ptp(moved.points.colours, axis=0).min() > 60


def test_reprojection_errors_are_those_of_the_cameras(solved):
    found, folder = solved
    model = pycolmap.Reconstruction(folder / "model")
    errors = []
    for fit, camera in zip(found.errors, found.rig.cameras, strict=True):
        image = model.find_image_with_name(camera.name)
        seen = image.get_observation_points2D()
        assert len(seen) == fit.observations <= fit.keypoints == image.num_points2D()
        truth = np.array([point.xy for point in seen])
        projected, depth = camera.project([model.points3D[p.point3D_id].xyz for p in seen])
        assert (depth > 0).all()
        errors.append(np.linalg.norm(projected - truth, axis=1))
        assert fit.error == pytest.approx(errors[-1].mean(), rel=1e-9)
    assert found.error == pytest.approx(np.concatenate(errors).mean(), rel=1e-9)
    assert found.points.tracks.sum() == sum(fit.observations for fit in found.errors)


def test_the_normalisation_of_an_alignment_can_be_undone(solved):
    found, _ = solved
    compared = align(found.rig, RigDocument(rig()))
    moved = found.moved(compared.similarity)
    back = moved.rig.in_source_units()
    for before, after in zip(found.rig.cameras, back.cameras, strict=True):
        np.testing.assert_allclose(after.camera_to_world, before.camera_to_world, atol=1e-9)
    # Camera and points move together: every projection stays where it was.
    for before, after in zip(found.rig.cameras, moved.rig.cameras, strict=True):
        a, _ = before.project(found.points.positions)
        b, _ = after.project(moved.points.positions)
        np.testing.assert_allclose(a, b, atol=1e-6)


@pytest.mark.slow(minutes=0.02)
def test_same_seed_same_bytes(solved, images, tmp_path):
    _, folder = solved
    solve_rig(images, tmp_path / "again", OPTIONS)
    for name in ("cameras.json", "model/cameras.bin", "model/images.bin", "model/points3D.bin"):
        assert (tmp_path / "again" / name).read_bytes() == (folder / name).read_bytes(), name


def test_what_is_done_is_not_done_again(solved, images, monkeypatch):
    found, folder = solved

    def refuse(*_, **__):
        raise AssertionError("done again")

    monkeypatch.setattr("nmc_framework.sfm.features._features", refuse)
    monkeypatch.setattr("nmc_framework.sfm.solve.write_database", refuse)
    monkeypatch.setattr("nmc_framework.sfm.solve.reconstruct", refuse)
    again = solve_rig(images, folder, OPTIONS)
    for a, b in zip(found.rig.cameras, again.rig.cameras, strict=True):
        np.testing.assert_array_equal(a.camera_to_world, b.camera_to_world)
    np.testing.assert_array_equal(found.points.positions, again.points.positions)
    # Other options are another result: only the features serve again.
    with pytest.raises(AssertionError, match="done again"):
        solve_rig(images, folder, replace(OPTIONS, shared_intrinsics=False))


def test_a_damaged_feature_file_is_made_anew(images, tmp_path):
    from nmc_framework.sfm.features import extract

    some = {name: pictures[:1] for name, pictures in list(images.items())[:2]}
    first = extract(some, tmp_path, OPTIONS)
    path = min(tmp_path.glob("*.npz"))
    path.write_bytes(path.read_bytes()[:100])
    again = extract(some, tmp_path, OPTIONS)
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a.frames[0].keypoints, b.frames[0].keypoints)


def features(keypoints, seed: int = 7) -> Features:
    """Return features at (column, row), each with a look of its own."""
    places = np.array([(x, y, 2, 0) for x, y in keypoints], np.float32).reshape(-1, 4)
    looks = np.random.default_rng(seed).integers(0, 255, (len(places), 128), dtype=np.uint8)
    return Features(places, looks, np.zeros((len(places), 3), np.uint8))


def test_what_stands_still_is_pooled_once():
    first = features([(10, 10), (20, 30), (40, 15)])
    # The first stays except for noise, the second has moved, where the third was is something else.
    second = features([(10.3, 9.8), (26, 30), (40, 15)])
    second.descriptors[2] = 255 - first.descriptors[2]
    pooled = pool(CameraFeatures("a", (64, 64), (first, second, first), ("x", "y", "x")))
    assert [index.tolist() for index in pooled.indices] == [[0, 1, 2], [0, 3, 4], [0, 1, 2]]
    assert pooled.keypoints[:, 0].tolist() == [10, 20, 40, 26, 40]


def test_pooling_survives_frames_without_features():
    none, some = features([]), features([(10, 10)])
    pooled = pool(CameraFeatures("a", (64, 64), (none, some, none), ("x", "y", "z")))
    assert [index.tolist() for index in pooled.indices] == [[], [0], []]


def test_of_rival_matches_the_one_that_most_frames_agree_on_is_kept():
    pairs = np.array([(0, 5), (0, 6), (0, 6), (1, 6), (2, 7), (3, 7), (3, 7)])
    assert sorted(_one_to_one(pairs).tolist()) == [[0, 6], [3, 7]]


def test_frames_of_a_still_scene_add_nothing(images, tmp_path):
    once = {name: pictures[:1] for name, pictures in list(images.items())[:3]}
    twice = {name: pictures * 2 for name, pictures in once.items()}
    a = solve_rig(once, tmp_path / "a", OPTIONS)
    b = solve_rig(twice, tmp_path / "b", OPTIONS)
    assert [fit.keypoints for fit in a.errors] == [fit.keypoints for fit in b.errors]
    assert len(a.points) == len(b.points)


def test_known_intrinsics_stay(images, tmp_path):
    some = {name: pictures[:1] for name, pictures in images.items()}
    given = RigDocument(rig(), (Lens("opencv", {"k1": -0.001}), *([Lens()] * 4)))
    found = solve_rig(some, tmp_path, SfmOptions(), intrinsics=given)
    for camera, truth in zip(found.rig.cameras, rig(), strict=True):
        np.testing.assert_array_equal(camera.intrinsics, truth.intrinsics)
    assert found.rig.lenses[0].get("k1") == -0.001 and found.rig.lenses[1].straight
    assert found.error < 1


@pytest.mark.slow(minutes=0.03)
def test_a_camera_that_sees_something_else_is_named(images, tmp_path):
    rng = np.random.default_rng(3)
    odd = rng.integers(0, 255, (24, 24, 3), dtype=np.uint8)
    noise = np.asarray(Image.fromarray(odd).resize((PIXELS, PIXELS), Image.Resampling.BICUBIC))
    some = {name: pictures[:1] for name, pictures in images.items()} | {"elsewhere": [noise]}
    with pytest.raises(
        UnplacedError, match=r"1 of 6 cameras could not be regist.*: elsewhere \("
    ) as e:
        solve_rig(some, tmp_path, OPTIONS)
    assert e.value.verdict.kind == "wrong" and e.value.missing == ("elsewhere",)
    told = e.value.as_json()
    assert told["verdict"] == "wrong" and len(told["cameras"]) == 5 and told["points"] > 50
    found = solve_rig(some, tmp_path, replace(OPTIONS, allow_partial=True))
    assert found.missing == ("elsewhere",) and len(found.rig.cameras) == 5
    assert [fit.name for fit in found.errors] == [camera.name for camera in rig()]


@pytest.mark.slow(minutes=0.03)
def test_blank_pictures_are_named(images, tmp_path):
    some = {name: pictures[:1] for name, pictures in images.items()} | {"dark": [blank()]}
    with pytest.raises(SfmError, match="no features in the pictures of dark: are they blank"):
        solve_rig(some, tmp_path, OPTIONS)
    assert solve_rig(some, tmp_path, replace(OPTIONS, allow_partial=True)).missing == ("dark",)
    with pytest.raises(SfmError, match="fewer than two cameras are left"):
        nothing = {"a": [blank()], "b": [blank()]}
        solve_rig(nothing, tmp_path / "n", replace(OPTIONS, allow_partial=True))


def test_pictures_with_nothing_in_common_are_refused(tmp_path):
    rng = np.random.default_rng(5)
    noise = {n: [rng.integers(0, 255, (96, 96, 3), dtype=np.uint8)] for n in ("a", "b", "c")}
    with pytest.raises(SfmError, match=r"no camera could be registered; take more .*: a \(\d+ "):
        solve_rig(noise, tmp_path, OPTIONS)


@pytest.mark.parametrize(
    ("pictures", "words"),
    [
        ({"a": [blank()]}, "two cameras at least; given: a"),
        ({}, "given: none"),
        ({"a": [blank()], "b": []}, "camera 'b' has no pictures"),
        ({"a": [blank()], "b": [blank()] * 2}, "camera 'b' has 2 pictures, 'a' has 1"),
        ({"a": [blank()], "b": [Path("no/such.png")]}, "camera 'b': there is no file"),
        ({"a": [blank()], "b": [blank()[..., 0]]}, r"camera 'b', frame 0: a picture is \(height"),
        (
            {"a": [blank()] * 2, "b": [blank(), blank()[:50]]},
            "camera 'b': its picture of frame 1 is 192x50, the ones before are 192x192",
        ),
    ],
)
def test_images_that_do_not_fit_are_refused(pictures, words, tmp_path):
    with pytest.raises(SfmError, match=words):
        solve_rig(pictures, tmp_path / "work", OPTIONS)


def test_a_file_that_is_no_image_is_named(tmp_path):
    (tmp_path / "a.png").write_bytes(b"\x89PNG nothing")
    with pytest.raises(SfmError, match=r"camera 'a', frame 0: a\.png"):
        solve_rig({"a": [tmp_path / "a.png"], "b": [blank()]}, tmp_path / "work")


def test_shared_intrinsics_need_one_size(images, tmp_path):
    mixed = {"cam_0": images["cam_0"][:1], "cam_1": [images["cam_1"][0][:150]]}
    with pytest.raises(SfmError, match="those of 'cam_1' are 192x150, those of 'cam_0' 192x192"):
        solve_rig(mixed, tmp_path, OPTIONS)
    with pytest.raises(SfmError, match="no known intrinsics for camera 'cam_1'; there are cam_0"):
        solve_rig(mixed, tmp_path, intrinsics=RigDocument(rig(1)))
    with pytest.raises(SfmError, match="its pictures are 192x150"):
        solve_rig(mixed, tmp_path, intrinsics=RigDocument(rig(2)))


def test_a_work_folder_of_other_images_is_kept(images, tmp_path):
    some = {name: pictures[:1] for name, pictures in list(images.items())[:3]}
    solve_rig(some, tmp_path, OPTIONS)
    before = (tmp_path / "sfm.json").read_bytes()
    others = some | {"cam_1": images["cam_1"][1:]}
    with pytest.raises(SfmError, match="work folder of other images: those of cam_1 differ"):
        solve_rig(others, tmp_path, OPTIONS)
    assert (tmp_path / "sfm.json").read_bytes() == before
    solve_rig(others, tmp_path, OPTIONS, replace=True)
    (tmp_path / "sfm.json").write_text("{}")
    with pytest.raises(SfmError, match="not the record of a work folder"):
        solve_rig(some, tmp_path, OPTIONS)


def test_options_are_checked():
    with pytest.raises(SfmError, match="no camera model 'lens'; there are simple_pinhole"):
        SfmOptions(camera_model="lens")
    with pytest.raises(SfmError, match="seed"):
        SfmOptions(seed=-1)


def test_missing_pycolmap_is_named(monkeypatch, images, tmp_path):
    monkeypatch.setitem(sys.modules, "pycolmap", None)
    with pytest.raises(ModuleNotFoundError, match="pycolmap"):
        solve_rig(images, tmp_path)


def test_pixels_and_shape_make_the_digest():
    from nmc_framework.sfm.pictures import views

    image = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    found: list[View] = list(views({"a": [image], "b": [image.reshape(4, 2, 3)], "c": [image]}))
    assert found[0].digest == found[2].digest != found[1].digest


def test_points_are_written_as_ply(solved, tmp_path):
    found, _ = solved
    found.points.write_ply(tmp_path / "points.ply")
    cloud = pycolmap.Reconstruction()
    cloud.import_PLY(tmp_path / "points.ply")
    written = [(*np.float32(p.xyz), *map(int, p.color)) for p in cloud.points3D.values()]
    positions = found.points.positions.astype(np.float32)
    expected = [(*p, *map(int, c)) for p, c in zip(positions, found.points.colours, strict=True)]
    assert sorted(written) == sorted(expected)


@pytest.mark.slow(minutes=0.02)
@pytest.mark.skipif(
    not (SHARED / "video-4cam").is_dir(), reason="the shared video of four cameras is not here"
)
def test_real_cameras_too_far_apart_are_refused_by_name(tmp_path):
    sources = find_sources(SHARED / "video-4cam" / "calibration" / "extrinsic")
    synchrony = synchronise(sources)
    view = next(read_frames(sources, synchrony, limit=1, size=(640, 360)))
    pictures = {source.name: [view.images[k]] for k, source in enumerate(sources)}
    with pytest.raises(SfmError, match=r"no camera could be registered; take more .*: cam_0 \("):
        solve_rig(pictures, tmp_path, SfmOptions())
