"""Cases of bad input: objects and values of a manifest (clauses 5.3.3 to 5.6, 9 and 10)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
from bad_cases import ALL, CASES, Case, case
from bad_hdf5 import h5
from nmc_samples import edit, objects_of, put_objects

import nmc_spec
from nmc_format.manifest.digest import manifest_digest
from nmc_format.manifest.objects import text_array, text_scalar

_CHANGES: Counter[str] = Counter()


def value_case(path: str, change, *findings: tuple[str, str], on: str = "folder") -> None:
    """Add a case that changes one object; the digest of the manifest is right.

    Its name is that of the object and which of its changes this is.
    """
    _CHANGES[path] += 1
    name = f"manifest_{path}_{_CHANGES[path]}"
    CASES.append(Case(name, on, lambda p: edit(p, path, change), list(findings)))


def put(at, value):
    return lambda array: array.__setitem__(at, value)


def text(value: str):
    return lambda _: text_scalar(value)


@case(("manifest/digest", "/@manifest_digest"))
def manifest_digest_wrong(p):
    with h5(p) as file:
        file["frames/presentation_time"][5] = 77


def remove(path: str) -> Callable[[Path], None]:
    def damage(p: Path) -> None:
        objects = objects_of(p)
        del objects[path]
        put_objects(p, objects)

    return damage


CASES += [
    Case(f"manifest_without_{path}", "folder", remove(path), [("manifest/object-missing", path)])
    for path, column in nmc_spec.manifest_layout().items()
    if column.required and path != "/@manifest_digest"
]
CASES += [
    Case(f"manifest_without_{path}", "folder", remove(path), [("manifest/object-missing", path)])
    for path in (
        "/training/requires_grad_known",
        "/training/exclude_layers",
        "/cameras/size",
        "/cameras/distortion",
        "/cameras@normalisation",
        "/quality/view",
    )
]


@case(("manifest/object-missing", "/@manifest_digest"))
def manifest_without_digest(p):
    with h5(p) as file:
        del file.attrs["manifest_digest"]


@case(("manifest/object-missing", "/@format"))
def manifest_of_another_program(p):
    (p / "manifest.h5").unlink()
    with h5py.File(p / "manifest.h5", "w") as file:
        file["x"] = np.arange(5)


for _path, _type in (
    ("/frames/coding", "<i8"),
    ("/frames/presentation_time", "<f8"),
    ("/@level", "<u8"),
    ("/frames/state_digest", "|i1"),
    ("/model/tensors/shape", "<i4"),
    ("/training/seconds", "<i8"),
):
    value_case(_path, lambda a, t=_type: a.astype(t), ("manifest/object-type", _path))

for _path, _change in (
    ("/frames/coding", lambda a: a[:-1]),
    ("/frames/state_digest", lambda a: a[:, :31].copy()),
    ("/frames/coding", lambda a: a.reshape(1, -1)),
    ("/@level", lambda a: a.reshape(1)),
    ("/cameras/camera_to_world", lambda a: a[:, :, :3].copy()),
):
    value_case(_path, _change, ("manifest/object-shape", "*"))

value_case("/@format_version", text("2.0"), ("manifest/version", "/@format_version"))
value_case("/@format_version", text("10.0"), ("manifest/version", "/@format_version"))
value_case("/@format_version", text("1"), ("manifest/version", "/@format_version"))
value_case("/@format_version", text("1.0.1"), ("manifest/version", "/@format_version"))
value_case("/@format_version", text(""), ("manifest/version", "/@format_version"))
value_case("/@format", text("zarr"), ("manifest/value", "/@format"))
value_case("/@profile", text("studio"), ("profile/unknown", "/@profile"))
value_case("/@level", put((), 9), ("profile/level-unknown", "/@level"))
value_case("/@level", put((), 0), ("profile/level-unknown", "/@level"))
value_case("/@level", put((), 2**32 - 1), ("profile/level-unknown", "/@level"))
value_case("/@level", put((), 4), ("profile/level-refused", "/@level"))
value_case(
    "/@must_understand",
    text("quantised time-warp"),
    ("manifest/must-understand", "/@must_understand"),
    ("manifest/must-understand", "/@must_understand"),
)
value_case(
    "/model@family", lambda _: np.array(b"\xff\xfe", "S2"), ("manifest/value", "/model@family")
)
value_case("/model@family", lambda _: np.array(b"a\0b", "S3"), ("manifest/value", "/model@family"))
for _text in ("", "[1]", "{", '{"x": NaN}', "null", '{"x":' * 150 + "1" + "}" * 150, "[" * 90_000):
    value_case("/model@configuration", text(_text), ("manifest/value", "/model@configuration"))
value_case("/frames@timescale", put((), 0), ("manifest/value", "/frames@timescale"))
value_case("/training/seconds", put(2, np.nan), ("manifest/not-a-number", "/training/seconds"))
value_case("/training/seconds", put(2, -np.inf), ("manifest/not-a-number", "/training/seconds"))
value_case(
    "/cameras/intrinsics", put((0, 0), np.nan), ("manifest/not-a-number", "/cameras/intrinsics")
)
value_case("/cameras@convention", text("opengl"), ("manifest/cameras", "/cameras@convention"))
value_case("/cameras/size", put((0, 1), 0), ("manifest/cameras", "/cameras/size"))
value_case(
    "/cameras@normalisation", put((3, 0), 1.0), ("manifest/cameras", "/cameras@normalisation")
)
value_case(
    "/cameras@normalisation", put((0, 0), 0.0), ("manifest/cameras", "/cameras@normalisation")
)
value_case(
    "/cameras/camera_to_world",
    put((1, 0, 0), 2.0),
    ("manifest/cameras", "/cameras/camera_to_world/1"),
)
value_case("/cameras/intrinsics", put((0, 0), 0.0), ("manifest/cameras", "/cameras/intrinsics"))
value_case(
    "/cameras/distortion_model",
    lambda _: text_array(["fisheye", "none"]),
    ("manifest/cameras", "/cameras/distortion_model/0"),
)

ROWS = "/model/tensors"
value_case(f"{ROWS}/name", put(0, b""), ("manifest/tensor-name", f"{ROWS}/0/name"))
value_case(
    f"{ROWS}/name",
    lambda a: text_array(["x" * 1025, *[n.decode() for n in a.tolist()[1:]]]),
    ("manifest/tensor-name", f"{ROWS}/0/name"),
)
value_case(
    f"{ROWS}/name",
    lambda a: text_array(["__metadata__", *[n.decode() for n in a.tolist()[1:]]]),
    ("manifest/tensor-name", f"{ROWS}/0/name"),
)
value_case(f"{ROWS}/dtype", put(0, b"F5"), ("manifest/tensor-dtype", f"{ROWS}/0/dtype"))
value_case(f"{ROWS}/dtype", put(0, b"\x1b[2J"), ("manifest/tensor-dtype", f"{ROWS}/0/dtype"))
value_case(
    f"{ROWS}/role",
    put(6, 2),
    ("manifest/tensor-role", f"{ROWS}/6/role"),
)
value_case(f"{ROWS}/layer", put(6, -2), ("manifest/value", f"{ROWS}/6/layer"))
for _shape in ([-5, 1], [-1, 4], [2**60, 1], [2**30, 2**30], [2**62, 2**62]):
    value_case(f"{ROWS}/shape", put(0, _shape), ("manifest/tensor-shape", f"{ROWS}/0/shape"))


@case(("manifest/tensor-shape", f"{ROWS}/shape"))
def manifest_with_a_rank_of_33(p):
    edit(p, f"{ROWS}/shape", lambda a: np.pad(a, ((0, 0), (0, 31)), constant_values=-1))


@case(("manifest/tensor-shape", f"{ROWS}/2/shape"))
def manifest_with_half_a_byte(p):
    objects = objects_of(p)
    names = [d.decode() for d in objects[f"{ROWS}/dtype"].tolist()]
    names[2] = "F4"
    objects[f"{ROWS}/dtype"] = text_array(names)
    objects[f"{ROWS}/shape"][2] = [3, 3]
    put_objects(p, objects)


@case(("manifest/tensor-duplicate", f"{ROWS}/1"))
def manifest_with_a_row_twice(p):
    objects = objects_of(p)
    for column in ("name", "dtype", "shape"):
        objects[f"{ROWS}/{column}"][1] = objects[f"{ROWS}/{column}"][0]
    put_objects(p, objects)


@case(("manifest/value", f"{ROWS}/1/first_frame"))
def manifest_with_rows_out_of_order(p):
    objects = objects_of(p)
    objects[f"{ROWS}/first_frame"] = np.array([3, 0, 3, 3, 3, 3, 3], "<u4")
    for path in [path for path in objects if path.startswith("/training")]:
        del objects[path]
    put_objects(p, objects)


value_case("/frames/coding", put(1, 7), ("manifest/frame-coding", "/frames/1/coding"))
value_case("/frames/coding", put(0, 1), ("manifest/first-frame-key", "/frames/0/coding"))
value_case(
    "/frames/presentation_time", put(2, 1), ("manifest/time-order", "/frames/2/presentation_time")
)
value_case(
    "/frames/presentation_time",
    put(5, -(2**63)),
    ("manifest/time-order", "/frames/5/presentation_time"),
)
value_case("/frames/state_bytes", put(4, 2**40), ("profile/level-exceeded", "/frames/state_bytes"))
value_case(
    "/frames/state_bytes", put(4, 2**64 - 1), ("profile/level-exceeded", "/frames/state_bytes")
)
value_case(
    "/frames/segment_length",
    put(4, 2**63),
    ("profile/level-exceeded", "/frames/4/segment_length"),
)
value_case("/training/trained_from", put(3, 1), ("freezing/trained-from", "/frames/3/trained_from"))
value_case("/training/trained_from", put(0, 0), ("freezing/trained-from", "/frames/0/trained_from"))
value_case(
    "/training/requires_grad",
    put(2, 0xFF),
    ("freezing/requires-grad-bits", "/frames/2/requires_grad"),
    ("freezing/exclude-layers-disagree", "/frames/2/exclude_layers"),
)
value_case(
    "/training/requires_grad_known",
    put(2, 0),
    ("freezing/requires-grad-bits", "/frames/2/requires_grad"),
)
value_case(
    "/training/requires_grad_known",
    put(2, 2),
    ("manifest/value", "/training/requires_grad_known/2"),
)
value_case(
    "/training/requires_grad",
    lambda a: np.pad(a, ((0, 0), (0, 1))),
    ("manifest/object-shape", "/training/requires_grad"),
)
value_case(
    "/training/requires_grad",
    lambda a: a[:, :0],
    ("manifest/object-shape", "/training/requires_grad"),
)
value_case(
    "/training/requires_grad",
    put(3, 0),
    ("freezing/exclude-layers-disagree", "/frames/3/exclude_layers"),
)
value_case(
    "/training/exclude_layers",
    put(0, 77),
    ("freezing/exclude-layers-range", "/frames/1/exclude_layers"),
)
value_case(
    "/training/exclude_layers",
    put(0, -1),
    ("freezing/exclude-layers-range", "/frames/1/exclude_layers"),
)
value_case(
    "/training/exclude_layers",
    lambda a: np.append(a, a[:1]),
    ("freezing/exclude-layers-count", "/training/exclude_layers_count"),
)
value_case("/training/iterations", put(2, -7), ("manifest/value", "/training/iterations/2"))
value_case("/training/seconds", put(2, -0.5), ("manifest/value", "/training/seconds/2"))


@case(("freezing/exclude-layers-order", "/frames/1/exclude_layers"))
def frozen_layers_out_of_order(p):
    objects = objects_of(p)
    objects["/training/exclude_layers"] = np.array([2, 1], "<i4")
    objects["/training/exclude_layers_count"] = np.array([-1, 2, -1, -1, -1, -1], "<i4")
    objects["/training/requires_grad_known"][:] = 0
    objects["/training/requires_grad"][:] = 0
    put_objects(p, objects)


@case(("freezing/frozen-changed", "/frames/1/requires_grad"), healthy=ALL)
def frozen_parameter_that_changed(p):
    forget_layers(p, 1)


@case(("freezing/frozen-changed", "/frames/3/requires_grad"), healthy=ALL)
def frozen_parameter_that_changed_across_a_key_frame(p):
    forget_layers(p, 3)


def forget_layers(p: Path, t: int) -> None:
    """Say that head.weight, a layer of its own, was frozen in one frame."""
    objects = objects_of(p)
    names = objects[f"{ROWS}/name"].tolist()
    objects["/training/requires_grad"][t, 0] &= ~np.uint8(1 << names.index(b"head.weight"))
    del objects["/training/exclude_layers"], objects["/training/exclude_layers_count"]
    put_objects(p, objects)


@case(("freezing/requires-grad-bits", "/frames/3/requires_grad"), on="vanishing", healthy=ALL)
def trained_parameter_that_is_absent(p):
    edit(p, "/training/requires_grad", put(3, 0b11))


@case(("manifest/value", "/frames/coding"))
def manifest_without_frames(p):
    objects = objects_of(p)
    for path in [x for x in objects if x.startswith(("/training", "/quality"))]:
        del objects[path]
    for path in [x for x in objects if x.startswith("/frames/")]:
        objects[path] = objects[path][:0]
    put_objects(p, objects)


@case(("profile/level-exceeded", "/model/tensors"))
def manifest_with_more_rows_than_its_level(p):
    grow_rows(p, 2000)


@case(("profile/level-exceeded", "/model/tensors"))
def manifest_with_500_000_rows(p):
    grow_rows(p, 500_000)


def grow_rows(p: Path, count: int) -> None:
    objects = objects_of(p)
    for path in [x for x in objects if x.startswith("/training")]:
        del objects[path]
    for path in [x for x in objects if x.startswith(ROWS)]:
        objects[path] = np.zeros((count, *objects[path].shape[1:]), objects[path].dtype)
    put_objects(p, objects)


@case(("profile/level-exceeded", "/frames/coding"))
def manifest_with_a_longer_group_than_its_level(p):
    objects = long_sequence(p, 300)
    put_objects(p, objects)


@case(("profile/level-exceeded", "/frames"))
def manifest_with_more_frames_than_its_level(p):
    objects = long_sequence(p, 100_000)
    objects["/frames/coding"][:] = 0
    put_objects(p, objects)


def long_sequence(p: Path, count: int) -> dict[str, np.ndarray]:
    objects = objects_of(p)
    for path in [x for x in objects if x.startswith(("/training", "/quality"))]:
        del objects[path]
    for path in [x for x in objects if x.startswith("/frames/")]:
        objects[path] = np.repeat(objects[path][1:2], count, axis=0)
    objects["/frames/coding"][0] = 0
    objects["/frames/presentation_time"] = np.arange(count, dtype="<i8")
    return objects


@case(
    ("manifest/object-unknown", "/frames@colour"),
    ("manifest/object-unknown", "/mine/numbers"),
    healthy=ALL,
)
def manifest_with_objects_of_a_later_version(p):
    with h5(p) as file:
        file["mine/numbers"] = np.arange(3, dtype=">i2")
        file["frames"].attrs["colour"] = "blue"
    digest = manifest_digest(objects_of(p))
    with h5(p) as file:
        file.attrs["manifest_digest"] = np.frombuffer(digest, "u1")
