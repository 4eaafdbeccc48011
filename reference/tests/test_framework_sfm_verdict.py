"""Whether a rig can be trusted is said: symmetric scenes are found out, sound ones are let pass."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from nmc_framework.cameras import Camera, look_at
from nmc_framework.cameras.alignment import align
from nmc_framework.cameras.formats import RigDocument
from nmc_framework.scene import diorama, render, scenes
from nmc_framework.scene.item import Item, Material, place
from nmc_framework.scene.rig import AZIMUTH, orbit_camera
from nmc_framework.scene.solids import Box, Pose
from nmc_framework.scene.tracer import as_bytes, picture
from nmc_framework.sfm import Reason, SfmError, SfmOptions, Verdict, against_known, solve_rig
from nmc_framework.sfm.exif import focal_length
from nmc_framework.sfm.nearest import mutual
from nmc_framework.sfm.verdict import LIMITS

pycolmap = pytest.importorskip("pycolmap")

OPTIONS = SfmOptions(camera_model="simple_pinhole", shared_intrinsics=True, rivals=1)


def pillar_scene() -> list[Item]:
    """Return a pillar whose four sides look alike, so that each quarter turn looks the same."""
    table = np.random.default_rng(5).random((16, 32, 3)).astype(np.float32)

    def texture(points, normals):
        level = np.where(np.abs(normals[0]) > 0.5, points[1] * normals[0], -points[0] * normals[1])
        i = np.floor((level + 0.4) / 0.1).astype(int) % 16
        j = np.floor(points[2] / 0.1).astype(int) % 32
        return np.clip(table[i, j].T, 0.05, 1)

    pose = Pose.at(0, 0, 0.7)
    return [Item("pillar", Box((0.4, 0.4, 0.7)), Material(texture), lambda _: pose)]


@pytest.fixture(scope="module")
def folded(tmp_path_factory):
    """Return a rig about the pillar, and what structure from motion makes of its pictures."""
    cameras, scene = [], pillar_scene()
    for k in range(16):
        angle = 2 * np.pi * k / 16
        eye = (2.6 * np.cos(angle), 2.6 * np.sin(angle), 0.7 + 0.3 * (k % 2))
        pose = look_at(eye, (0, 0, 0.7))
        cameras.append(Camera.from_field_of_view(40, 160, 200, pose, f"cam_{k:02d}"))
    placed = place(scene, 0.0)
    images = {c.name: [as_bytes(picture(placed, diorama.LIGHTING, c))] for c in cameras}
    options = replace(OPTIONS, allow_partial=True)
    return solve_rig(images, tmp_path_factory.mktemp("folded"), options), tuple(cameras)


@pytest.mark.slow
def test_a_symmetric_scene_that_folds_onto_itself_is_found_out(folded):
    solved, cameras = folded
    # The fit is good, and the rig is wrong.
    compared = align(solved.rig, RigDocument(cameras))
    assert solved.error < 0.8 and compared.mean_rotation > 20
    assert solved.verdict.kind == "wrong" and solved.verdict.score < 0.5
    names = {reason.name for reason in solved.verdict.against}
    assert "same_place" in names
    place = next(r for r in solved.verdict.reasons if r.name == "same_place")
    assert " and " in place.where[0] and place.figure > 0.25
    record = json.loads(json.dumps(solved.as_json(), allow_nan=False))
    assert record["verdict"] == "wrong" and record["reasons"][0]["doubtful"] is not None
    assert Verdict.from_json(record).as_json() == solved.verdict.as_json()


@pytest.mark.slow(minutes=0.06)
def test_known_cameras_that_do_not_fit_make_it_wrong(folded):
    solved, cameras = folded
    compared = align(solved.rig, RigDocument(cameras))
    told = Verdict(()).and_(against_known(compared))
    assert told.kind == "wrong" and "not the known one" in told.against[0].text()


@pytest.fixture(scope="module")
def room():
    places = [(-18, 20), (-9, 34), (0, 22), (9, 36), (18, 24)]
    cameras = tuple(
        orbit_camera(AZIMUTH + a, e, (256, 256), name=f"cam_{k}") for k, (a, e) in enumerate(places)
    )
    return RigDocument(cameras), {c.name: [render(c, 0.0)] for c in cameras}


def test_a_scene_with_enough_to_go_by_is_sound(room, tmp_path):
    _, images = room
    solved = solve_rig(images, tmp_path, OPTIONS)
    assert solved.verdict.kind == "sound", [r.text() for r in solved.verdict.against]
    assert solved.verdict.score >= 0.5
    # Judged once: read again where the same is solved.
    (tmp_path / "verdict.json").write_text(
        (tmp_path / "verdict.json").read_text().replace('"figure"', '"figure" ', 1)
    )
    again = solve_rig(images, tmp_path, OPTIONS)
    assert again.verdict.as_json() == solved.verdict.as_json()


def test_known_poses_are_triangulated_with_and_stay(room, tmp_path):
    truth, images = room
    fixed = solve_rig(images, tmp_path, replace(OPTIONS, refine=False), poses=truth)
    for found, true in zip(fixed.rig.cameras, truth.cameras, strict=True):
        np.testing.assert_allclose(found.camera_to_world, true.camera_to_world, atol=1e-9)
    assert fixed.verdict.kind == "sound" and fixed.error < 1 and len(fixed.points) > 50
    told = {reason.name for reason in fixed.verdict.reasons}
    assert "posed_tracks" in told and "tracks" not in told
    assert (
        Reason("posed_tracks", 12).kind == "doubtful" and Reason("posed_tracks", 60).kind == "sound"
    )
    # Refined: the coordinates are still the known ones.
    moved = solve_rig(images, tmp_path, OPTIONS, poses=truth)
    for found, true in zip(moved.rig.cameras, truth.cameras, strict=True):
        assert np.linalg.norm(found.centre - true.centre) < 0.03
    # Cameras of other pictures are found out.
    cameras = list(truth.cameras)
    swapped = [cameras[(k + 2) % 5].camera_to_world for k in range(5)]
    wrong = RigDocument(tuple(c.at(m) for c, m in zip(cameras, swapped, strict=True)))
    try:
        told = solve_rig(images, tmp_path, OPTIONS, poses=wrong).verdict
    except SfmError as error:
        assert "do not belong" in str(error)
    else:
        assert told.kind != "sound"
    # Two that were taken for one another are named.
    first, second, *rest = cameras
    taken = (first.at(second.camera_to_world), second.at(first.camera_to_world), *rest)
    told = solve_rig(images, tmp_path, OPTIONS, poses=RigDocument(taken)).verdict
    named = {name for reason in told.against for name in reason.where}
    assert told.kind != "sound" and {first.name, second.name} <= named
    with pytest.raises(SfmError, match="no known"):
        solve_rig(images, tmp_path, OPTIONS, poses=RigDocument(truth.cameras[:3]))


@pytest.mark.slow
def test_a_dome_that_repeats_itself_with_its_own_poses_is_sound(tmp_path):
    """Of the dome's verified correspondences a seventh are of places that look alike."""
    dome = scenes()["dome"]
    cameras = dome.rig((640, 360)).cameras
    views = dome.view_all(cameras, 0.0)
    images = {c.name: [view] for c, view in zip(cameras, views, strict=True)}
    solved = solve_rig(images, tmp_path, SfmOptions(refine=False), poses=RigDocument(cameras))
    assert solved.verdict.kind == "sound", solved.verdict.as_json()


@pytest.mark.sweep(2)
@pytest.mark.parametrize("pairs", ["sequential", "retrieval"])
def test_likely_pairs_give_the_same_rig(room, tmp_path, pairs):
    truth, images = room
    solved = solve_rig(images, tmp_path, replace(OPTIONS, pairs=pairs, rivals=0))
    assert align(solved.rig, truth).mean_rotation < 2
    with pytest.raises(SfmError, match="no pairing 'some'; there are auto"):
        replace(OPTIONS, pairs="some")


def test_matches_are_those_of_colmap():
    rng = np.random.default_rng(4)
    loose = rng.gamma(0.5, 1.0, (300, 128))
    noisy = np.concatenate([loose[::2], rng.gamma(0.5, 1.0, (100, 128))])
    noisy = noisy + rng.uniform(0, 0.6, noisy.shape)
    # Of length 512, as descriptors are.
    here, there = (
        np.clip(np.rint(512 * d / np.linalg.norm(d, axis=1, keepdims=True)), 0, 255).astype(
            np.uint8
        )
        for d in (loose, noisy)
    )
    settings = pycolmap.FeatureMatchingOptions()
    settings.num_threads, settings.sift.cpu_brute_force_matcher = 1, True
    matcher, none = pycolmap.FeatureMatcher.create(settings), pycolmap.FeatureKeypoints()
    both = [
        pycolmap.FeatureDescriptors(pycolmap.FeatureExtractorType.SIFT, side)
        for side in (here, there)
    ]
    expected = np.asarray(matcher.match(none, both[0], none, both[1])).reshape(-1, 2)
    found = mutual(here, there)
    assert len(found) > 100
    assert sorted(map(tuple, found.tolist())) == sorted(map(tuple, expected.tolist()))
    assert mutual(here[:0], there).shape == (0, 2)


def test_limits_and_scores():
    assert set(LIMITS) >= {"tracks", "conflicts", "same_place", "cycles", "rivals", "known_centres"}
    poor = Reason("tracks", 50.0, ("a", "b"))
    assert poor.kind == "doubtful" and poor.score < 0.5
    assert "50 (limit 80): too little to go by [a, b]" in poor.text()
    assert Reason("tracks", 10.0).kind == "wrong" and Reason("tracks", 300.0).kind == "sound"
    assert Reason("error", float("nan")).kind == "doubtful"
    assert Reason("error", float("nan")).as_json()["figure"] is None
    assert Reason("conflicts", 0.2).kind == "doubtful"
    # Two signs of one illusion prove it.
    assert Verdict((Reason("same_place", 0.1),)).kind == "doubtful"
    assert Verdict((Reason("same_place", 0.1), Reason("conflicts", 0.2))).kind == "wrong"
    assert Verdict(()).kind == "sound" and Verdict(()).score == 1


@pytest.mark.parametrize(
    ("tags", "focal"),
    [
        ({0xA405: 28}, 28 * np.hypot(400, 300) / np.hypot(36, 24)),
        ({0x920A: 5.0, 0xA20E: 800.0, 0xA210: 3, 0xA002: 800}, 5.0 * 800 / 10 * 400 / 800),
        ({0x920A: 5.0}, None),
        ({0xA405: 100000}, None),
        ({}, None),
    ],
)
def test_focal_lengths_of_photographs(tmp_path, tags, focal):
    exif = Image.Exif()
    exif.get_ifd(0x8769).update(tags)
    path = tmp_path / "a.jpg"
    Image.new("RGB", (400, 300)).save(path, exif=exif)
    found = focal_length(path)
    assert found == (None if focal is None else pytest.approx(focal, rel=1e-3))
    (tmp_path / "b.jpg").write_bytes(b"nothing")
    assert focal_length(tmp_path / "b.jpg") is None
