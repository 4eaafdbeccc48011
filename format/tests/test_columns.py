"""The paths of the manifest stand in two files, and records and objects say the same."""

from __future__ import annotations

import ast
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import nmc_spec
from nmc_format.issues import FormatError, first_error
from nmc_format.manifest import columns, media_table
from nmc_format.manifest.columns import manifest_of, objects_of
from nmc_format.manifest.digest import manifest_digest
from nmc_format.manifest.read import parse_manifest, read_objects
from nmc_format.manifest.record import Quality
from nmc_format.manifest.tensor_table import TensorTable
from nmc_format.manifest.write import manifest_bytes
from nmc_format.package.form import open_package

ROOT = Path(__file__).resolve().parents[2]
PATH = re.compile(r"/(@|(model|frames|refinements|training|cameras|quality|media)([/@]|$))")
HOMES = (Path(columns.__file__), Path(media_table.__file__))
SOURCES = [
    path
    for room in ("format", "reference", "tools")
    for path in sorted((ROOT / room).rglob("*.py"))
    if "tests" not in path.parts and path not in HOMES
]


def paths_in(source: str) -> list[str]:
    """Return the texts of a module that name an object of the manifest; docstrings aside."""
    tree = ast.parse(source)
    said = {id(n.value) for n in ast.walk(tree) if isinstance(n, ast.Expr)}
    texts = [n for n in ast.walk(tree) if isinstance(n, ast.Constant) and id(n) not in said]
    return [n.value for n in texts if isinstance(n.value, str) and _is_path(n.value)]


def _is_path(text: str) -> bool:
    """Whether a text begins with a path, or is one as h5py takes it, without its first stroke."""
    layout = nmc_spec.manifest_layout()
    if text in nmc_spec.issues():
        return False  # the code of a finding, such as media/length
    return bool(PATH.match(text)) or (f"/{text}" in layout and not text.startswith("@"))


def test_paths_are_found() -> None:
    source = (
        '"/frames/docstring"\nplace = f"/frames/{t}/coding"\nx["/@level"], "/cameras", "/framesets"'
    )
    assert sorted(paths_in(source)) == ["/@level", "/cameras", "/frames/"]
    assert paths_in('file["frames/coding"], file["frames"], "@level"') == ["frames/coding"]
    assert len(paths_in(HOMES[0].read_text("utf-8"))) > 40
    assert len(paths_in(HOMES[1].read_text("utf-8"))) > 8
    assert len(SOURCES) > 100


@pytest.mark.sweep(8)
@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_other_file_has_a_path_of_the_manifest(path: Path) -> None:
    assert paths_in(path.read_text("utf-8")) == []


def test_every_path_of_the_layout_has_a_name() -> None:
    groups = {columns.FRAMES, columns.TENSORS, media_table.MEDIA}
    constants = [*vars(columns).items(), *vars(media_table).items()]
    named = {v for k, v in constants if k.isupper() and isinstance(v, str)} - groups
    assert named | set(columns.METRICS.values()) == set(nmc_spec.manifest_layout())


def test_the_group_of_a_path() -> None:
    groups = {columns.group_of(path) for path in nmc_spec.manifest_layout()}
    further = {"encryption", "refinements", "training", "cameras", "quality", "media"}
    assert groups == {"", "model", "frames", *further}
    assert columns.group_of(columns.CONVENTION) == "cameras"
    assert columns.group_of(columns.LEVEL) == ""


def test_pointers_are_in_terms_of_the_view() -> None:
    assert columns.frame_pointer(3) == "/frames/3"
    assert columns.frame_pointer(3, columns.SECONDS) == "/frames/3/seconds"
    assert columns.tensor_pointer(2) == "/model/tensors/2"
    assert columns.tensor_pointer(2, columns.FIRST_FRAME) == "/model/tensors/2/first_frame"


@pytest.fixture
def complete(objects_of):
    """Every object of table 5-6."""
    objects = objects_of(3) | {
        columns.KEY_DIGEST: np.arange(32, dtype="u1"),
        columns.FIRST_FRAME: np.array([0, 0, 1], "<u4"),
        columns.SOURCE_NAME: np.array([b"a.pt", b"", b"b.pt"]),
        columns.EXTRAS: np.array([b"{}", b'{"epoch": 3}', b""]),
        columns.DECLARED_PSNR: np.array([41.5, -1.0, 1000.0]),
        columns.PROFILE: np.array(b"lossy"),
        columns.REFINEMENT_START: np.full((3, 2), 640, "<u8"),
        columns.REFINED_DIGEST: np.arange(3 * 2 * 32, dtype="u1").reshape(3, 2, 32),
        columns.REFINED_PSNR: np.array([[42.0, 50.0], [-1.0, 50.0], [0.0, 1000.0]]),
        columns.COLOUR_VIEW: np.array([b"left"]),
        columns.COLOUR: np.zeros((3, 1, 3, 4)),
        columns.METRICS["ssim"]: np.zeros((3, 1)),
        columns.METRICS["lpips"]: np.zeros((3, 1)),
        media_table.MEDIUM_NAME: np.array([b"low.mp4", b"note.txt"]),
        media_table.MEDIUM_TYPE: np.array([b"video/mp4", b"text/plain"]),
        media_table.ROLE: np.array([b"source", b""]),
        media_table.LENGTH: np.array([media_table.CHUNK_BYTES + 1, 0], "<u8"),
        media_table.CHUNK_SHA256: np.arange(2 * 32, dtype="u1").reshape(2, 32),
        media_table.MAP_TIMESCALE: np.array([25, 0], "<u4"),
        media_table.MAP_COUNT: np.array([2, 0], "<u4"),
        media_table.MAP_POSITION: np.array([0, 7], "<u8"),
        media_table.MAP_FRAME: np.array([2, media_table.NO_FRAME], "<i8"),
    }
    objects[columns.MANIFEST_DIGEST] = np.frombuffer(manifest_digest(objects), "u1")
    assert objects.keys() == nmc_spec.manifest_layout().keys()
    return objects


def same(one, two) -> None:
    assert one.keys() == two.keys()
    for path, array in one.items():
        assert array.shape == two[path].shape, path
        assert array.dtype.kind == two[path].dtype.kind, path
        assert array.tolist() == two[path].tolist() or path in columns.METRICS.values(), path


def test_records_and_objects_say_the_same(complete) -> None:
    again = objects_of(manifest_of(complete))
    same(again, complete)
    assert manifest_digest(again) == manifest_digest(complete)


@pytest.mark.parametrize(
    "left_out",
    [path for path, column in nmc_spec.manifest_layout().items() if not column.required],
)
def test_what_is_left_out_stays_left_out(complete, left_out) -> None:
    """Each optional object, together with those that are there with it only."""
    for together in (
        (columns.REQUIRES_GRAD, columns.REQUIRES_GRAD_KNOWN),
        (columns.EXCLUDE_LAYERS, columns.EXCLUDE_LAYERS_COUNT),
        (columns.COLOUR_VIEW, columns.COLOUR),
        (columns.DISTORTION_MODEL, columns.DISTORTION),
        tuple(path for path in complete if columns.group_of(path) == "cameras"),
        tuple(path for path in complete if columns.group_of(path) == "refinements"),
        tuple(path for path in complete if columns.group_of(path) == "media"),
        (columns.QUALITY_VIEW, *columns.METRICS.values()),
    ):
        alone = {*columns.METRICS.values(), columns.REFINED_PSNR}
        first = left_out not in alone
        if left_out in together and first:
            for path in together:
                complete.pop(path, None)
    complete.pop(left_out, None)
    manifest, findings = parse_manifest(manifest_bytes(complete))
    assert findings == []
    again = objects_of(manifest)
    assert left_out not in again
    assert again.keys() == complete.keys()
    assert manifest_digest(again) == manifest_digest(complete)


def test_rows_and_columns_say_the_same(complete) -> None:
    table = manifest_of(complete).table
    again = TensorTable.of(table.rows())
    assert again.rows() == table.rows()
    assert [row.first_frame for row in table.rows()] == [0, 0, 1]


def test_a_metric_that_no_manifest_has_is_refused_not_lost(complete) -> None:
    quality = Quality(["left"], {"psnr": np.zeros((3, 1)), "vmaf": np.zeros((3, 1))})
    with pytest.raises(FormatError, match="vmaf") as error:
        objects_of(replace(manifest_of(complete), quality=quality))
    assert error.value.finding.code == "manifest/value"


@pytest.mark.parametrize(
    ("change", "code", "place"),
    [
        ({"size": [[-4, 4], [4, 4]]}, "manifest/value", columns.CAMERA_SIZE),
        ({"size": [[4.5, 4], [4, 4]]}, "manifest/value", columns.CAMERA_SIZE),
        ({"size": [[2**32 + 5, 4], [4, 4]]}, "manifest/value", columns.CAMERA_SIZE),
        ({"size": [[np.nan, 4], [4, 4]]}, "manifest/value", columns.CAMERA_SIZE),
        ({"size": [["4", "x"]]}, "manifest/object-type", columns.CAMERA_SIZE),
        ({"intrinsics": [["fx"]]}, "manifest/object-type", columns.INTRINSICS),
        ({"names": ["left", "right\0"]}, "manifest/value", f"{columns.CAMERA_NAME}/1"),
        ({"names": ["\udc80", "right"]}, "manifest/value", f"{columns.CAMERA_NAME}/0"),
        (
            {"distortion_model": ["none\0", "none"]},
            "manifest/value",
            f"{columns.DISTORTION_MODEL}/0",
        ),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else None,
)
def test_cameras_that_would_change_on_the_way_are_refused(complete, change, code, place) -> None:
    cameras = replace(manifest_of(complete).cameras, **change)
    with pytest.raises(FormatError) as error:
        columns.camera_objects(cameras)
    assert (error.value.finding.code, str(error.value.finding.place)) == (code, place)


def test_cameras_of_other_types_with_the_same_numbers_are_taken(complete) -> None:
    cameras = manifest_of(complete).cameras
    other = replace(
        cameras, size=cameras.size.astype("f8").tolist(), intrinsics=cameras.intrinsics.astype("f4")
    )
    same(columns.camera_objects(other), columns.camera_objects(cameras))


def test_a_view_whose_name_would_change_is_refused() -> None:
    with pytest.raises(FormatError, match="without NUL"):
        columns.quality_objects(Quality(["left\0"], {}))


@pytest.mark.slow
def test_the_records_of_every_sound_vector_say_what_its_manifest_says() -> None:
    """Whoever wrote it, in whatever form of HDF5; objects that this version ignores aside."""
    count = 0
    for vector in sorted((ROOT / "conformance" / "vectors").rglob("package.nmc")):
        try:
            with open_package(vector) as package:
                data = package.manifest()
        except FormatError:
            continue
        manifest, findings = parse_manifest(data)
        if manifest is None or first_error(findings):
            continue
        layout, objects = nmc_spec.manifest_layout(), read_objects(data)
        known = {path: array for path, array in objects.items() if path in layout}
        again = objects_of(manifest)
        assert again.keys() == known.keys(), vector
        assert manifest_digest(again) == manifest_digest(known), vector
        assert not first_error(parse_manifest(manifest_bytes(again))[1]), vector
        count += 1
    assert count > 500
