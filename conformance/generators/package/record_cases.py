"""Vectors of clauses 5.5 to 5.7: training record, cameras and quality."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from bases import ONE, PAIR
from chain import Edits
from columns import scalar_text, text

from package.camera_objects import CAMERAS, LENSES, changed, normed, scaled, wide
from package.manifest_cases import VALUE, put_all

if TYPE_CHECKING:
    from cases import Case
    from chain import Array

WITH_CAMERAS = ONE.vary(
    "05-package/cameras",
    "cameras with and without distortion",
    ("5.6.1", "5.6.2"),
    put_all({**CAMERAS, **LENSES}),
)


def _camera(name: str, what: str, path: str, array: Array, code: str = "manifest/cameras") -> Case:
    made = {**CAMERAS, **LENSES, path: array}
    clause: str | tuple[str, ...] = "5.6.2"
    if "@" in path or path.endswith("world"):
        clause = "5.6.1"
    if code == "manifest/not-a-number":
        clause = ("5.4", "5.6.1")
    # where a model and its coefficients disagree, either is as good a place as the other
    place: dict[str, str] | None = {} if "coefficient" in name else None
    return WITH_CAMERAS.reject(
        f"05-package/camera-{name}", f"{what} is rejected", clause, code, put_all(made), place=place
    )


def _without(path: str) -> Edits:
    return put_all({name: array for name, array in CAMERAS.items() if name != path})


def _cameras() -> list[Case]:
    pose, norm = "/cameras/camera_to_world", "/cameras@normalisation"
    focal = "/cameras/intrinsics"
    number = "manifest/not-a-number"
    singular = np.diag([0.5, 0.5, 0.0, 1.0]).astype("<f8")
    flat = np.array([[1, 0, 1, 0], [0, 1, 1, 0], [0, 0, 1e-8, 0], [0, 0, 0, 1]], "<f8")
    models, lenses = "/cameras/distortion_model", "/cameras/distortion"
    mirrored = changed(pose, (0, 0, 0), -1.0)
    return [
        WITH_CAMERAS,
        ONE.vary(
            "05-package/cameras-without-distortion",
            "cameras without the columns of distortion",
            "5.6.2",
            put_all(CAMERAS),
        ),
        ONE.vary(
            "05-package/camera-mirrored",
            "a camera can be mirrored",
            "5.6.1",
            put_all({**CAMERAS, pose: mirrored}),
        ),
        _camera(
            "convention",
            "another convention",
            "/cameras@convention",
            scalar_text("world-to-camera opengl centre"),
        ),
        _camera(
            "size", "an image without columns", "/cameras/size", np.array([[0, 48], [1, 1]], "<u4")
        ),
        _camera("focal-length", "a focal length of 0", focal, changed(focal, (1, 1), 0.0)),
        _camera("focal-negative", "a negative focal length", focal, changed(focal, (0, 0), -50.0)),
        _camera(
            "scaled",
            "a camera whose first columns are scaled",
            pose,
            changed(pose, (0, 0, 0), 1.001),
        ),
        _camera(
            "last-row", "a normalisation with another last row", norm, changed(norm, (3, 3), 2.0)
        ),
        _camera("singular", "a normalisation without an inverse", norm, singular),
        _camera("flat", "a normalisation whose columns are almost in one plane", norm, flat),
        _camera("norm-stretched", "a normalisation that stretches", norm, normed(2, 2, 0.5 * 1e-3)),
        _camera("norm-sheared", "a normalisation that shears", norm, normed(0, 2, 0.5 * 1e-3)),
        *(
            WITH_CAMERAS.vary(
                f"05-package/camera-norm-{name}",
                f"a normalisation {what}",
                "5.6.1",
                put_all({**CAMERAS, **LENSES, norm: matrix}),
            )
            for name, what, matrix in (
                ("rough", "can be as inexact as binary32 numbers", normed(0, 2, 1e-5)),
                ("uneven", "can have columns of almost one length", normed(1, 1, 2e-5)),
                ("mirrored", "can mirror", normed(1, 1, -1.0)),
            )
        ),
        _camera("scale-tiny", "a normalisation of a scale of 1e-101", norm, scaled(1e-101)),
        _camera("scale-huge", "a normalisation of a scale of 1e101", norm, scaled(1e101)),
        *(
            WITH_CAMERAS.vary(
                f"05-package/camera-scale-{name}",
                f"a normalisation can have a scale of {scale:.0e}",
                "5.6.1",
                put_all({**CAMERAS, **LENSES, norm: scaled(scale)}),
            )
            for name, scale in (("small", 1e-99), ("large", 1e99))
        ),
        _camera(
            "coefficients-four",
            "the model opencv with four coefficients",
            lenses,
            np.array([[0] * 4, [0.1, -0.2, 0.001, 0.002]], "<f8"),
        ),
        _camera(
            "coefficient-sixth",
            "a sixth coefficient of the model opencv",
            lenses,
            np.array([[0] * 6, [0.1, -0.2, 0.001, 0.002, 0.3, 0.4]], "<f8"),
        ),
        _camera(
            "coefficient-of-none",
            "a coefficient of a camera without distortion",
            lenses,
            changed(lenses, (0, 4), 0.25),
        ),
        WITH_CAMERAS.vary(
            "05-package/camera-coefficients-eight",
            "columns of distortion that no model uses are 0",
            "5.6.2",
            put_all({**CAMERAS, **LENSES, lenses: wide()}),
        ),
        WITH_CAMERAS.vary(
            "05-package/camera-coefficients-none",
            "where no camera has distortion there need be no coefficients",
            "5.6.2",
            put_all({**CAMERAS, models: text("none", "none"), lenses: np.zeros((2, 0), "<f8")}),
        ),
        _camera(
            "model",
            "an unknown model of distortion",
            "/cameras/distortion_model",
            text("none", "fisheye"),
        ),
        _camera(
            "nan", "a pose that is not a number", pose, changed(pose, (1, 2, 3), np.nan), number
        ),
        _camera(
            "infinite", "an infinite focal length", focal, changed(focal, (0, 0), np.inf), number
        ),
        ONE.reject(
            "05-package/cameras-no-size",
            "cameras without a size are rejected",
            "5.3.3",
            "manifest/object-missing",
            _without("/cameras/size"),
        ),
        ONE.reject(
            "05-package/cameras-no-convention",
            "cameras without a convention are rejected",
            "5.3.3",
            "manifest/object-missing",
            _without("/cameras@convention"),
        ),
        WITH_CAMERAS.reject(
            "05-package/cameras-no-coefficients",
            "a model of distortion without coefficients is rejected",
            "5.3.3",
            "manifest/object-missing",
            put_all({**CAMERAS, "/cameras/distortion_model": LENSES["/cameras/distortion_model"]}),
        ),
    ]


TRAINING: dict[str, Array] = {
    "/training/trained_from": np.array([-1, 0], "<i8"),
    "/training/iterations": np.array([-1, 2000], "<i8"),
    "/training/seconds": np.array([-1.0, 12.5], "<f8"),
}

WITH_TRAINING = PAIR.vary(
    "05-package/training",
    "iterations and seconds are recorded for one frame and not for the other",
    "5.5",
    put_all(TRAINING),
)


def _training(name: str, what: str, path: str, values: list[Any], code: str = VALUE) -> Case:
    array = np.array(values, TRAINING[path].dtype)
    return WITH_TRAINING.reject(
        f"05-package/training-{name}",
        f"{what} is rejected",
        "5.5",
        code,
        put_all({**TRAINING, path: array}),
    )


def _fidelity() -> list[Case]:
    """Return the cases of clause 5.4.6: one frame that says its PSNR, one that does not."""
    path = "/frames/declared_psnr"

    def declared(*values: float) -> Edits:
        return put_all({path: np.array(values, "<f8")})

    base = PAIR.vary(
        "05-package/psnr", "one frame declares its PSNR, one does not", "5.4.6", declared(-1.0, 40)
    )

    def refused(name: str, what: str, value: float, code: str = VALUE) -> Case:
        return base.reject(
            f"05-package/psnr-{name}", f"{what} is rejected", "5.4.6", code, declared(-1.0, value)
        )

    return [
        base,
        base.vary(
            "05-package/psnr-edges",
            "a declared PSNR can be 0 or 1000, and a zero of either sign",
            "5.4.6",
            declared(-0.0, 1000.0),
        ),
        refused("negative", "a negative PSNR other than -1", -0.5),
        refused("near", "a PSNR just above -1", float(np.nextafter(-1.0, 0.0))),
        refused("large", "a PSNR next above 1000", float(np.nextafter(1000.0, 2000.0))),
        refused("nan", "a PSNR that is not a number", float("nan"), "manifest/not-a-number"),
        base.reject(
            "05-package/psnr-type",
            "a PSNR of 32 bits is rejected",
            "5.3.3",
            "manifest/object-type",
            put_all({path: np.array([-1.0, 40.0], "<f4")}),
        ),
        base.reject(
            "05-package/psnr-short",
            "a PSNR of one frame of two is rejected",
            "5.3.3",
            "manifest/object-shape",
            put_all({path: np.array([40.0], "<f8")}),
        ),
    ]


def _quality() -> list[Case]:
    nan = float("nan")
    views = {"/quality/view": text("test/0", "test/1")}
    psnr = np.array([[30.5, nan], [float("inf"), 28.0]], "<f8")
    everything = {
        **views,
        "/quality/psnr": psnr,
        "/quality/ssim": np.array([[0.9, nan], [nan, 1.0]], "<f8"),
        "/quality/lpips": np.array([[0.1, nan], [nan, 0.0]], "<f8"),
    }
    return [
        PAIR.vary(
            "05-package/quality",
            "quality of some views, not measured as NaN",
            "5.7",
            put_all(everything),
        ),
        PAIR.vary(
            "05-package/quality-psnr",
            "a column of quality can be left out",
            "5.7",
            put_all({**views, "/quality/psnr": psnr}),
        ),
        PAIR.vary(
            "05-package/quality-unknown",
            "a column of quality that the table does not have needs no names of views",
            ("5.3.3", "5.4"),
            put_all({"/quality/x": np.array([nan, 1.0], "<f8")}),
            warnings=("manifest/object-unknown",),
        ),
        PAIR.reject(
            "05-package/quality-views",
            "quality with a view too many is rejected",
            "5.3.3",
            "manifest/object-shape",
            put_all({"/quality/view": text("only"), "/quality/psnr": psnr}),
        ),
    ]


def _left_open() -> list[Case]:
    """Return what the tables allow without saying so aloud: nothing, the same twice, no text."""
    none = {path: array[:0] for path, array in CAMERAS.items() if "@" not in path}
    same = {
        **CAMERAS,
        "/cameras/name": text("", ""),
        "/quality/view": text("a", "a"),
        "/quality/psnr": np.full((2, 2), 30.0),
    }
    return [
        PAIR.vary(
            "05-package/record-empty",
            "cameras, views and training views of which there are none",
            "5.3.3",
            put_all(
                {
                    **CAMERAS,
                    **none,
                    "/training/colour_view": np.zeros(0, "S1"),
                    "/training/colour": np.zeros((2, 0, 3, 4)),
                    "/quality/view": np.zeros(0, "S1"),
                    "/quality/psnr": np.zeros((2, 0)),
                }
            ),
        ),
        PAIR.vary(
            "05-package/record-names",
            "cameras and views can have the same name, and an empty one",
            ("5.6.2", "5.7"),
            put_all(same),
        ),
        PAIR.vary(
            "05-package/training-zero",
            "a time of -0.0 is not negative",
            "5.5",
            put_all({"/training/seconds": np.array([-0.0, 1.0])}),
        ),
    ]


def cases() -> list[Case]:
    """Return the cases of these clauses."""
    known = {"/training/requires_grad": np.zeros((2, 1), "u1")}
    return [
        *_cameras(),
        *_left_open(),
        *_fidelity(),
        WITH_TRAINING,
        _training(
            "iterations",
            "a negative number of iterations other than -1",
            "/training/iterations",
            [-1, -2],
        ),
        _training("seconds", "a negative time other than -1", "/training/seconds", [-1.0, -0.5]),
        _training(
            "seconds-nan",
            "a time that is not a number",
            "/training/seconds",
            [-1.0, float("nan")],
            "manifest/not-a-number",
        ),
        PAIR.reject(
            "05-package/training-known",
            "a requires_grad_known of 2 is rejected",
            "5.5",
            VALUE,
            put_all({**known, "/training/requires_grad_known": np.array([0, 2], "u1")}),
        ),
        PAIR.reject(
            "05-package/training-count",
            "a count of layers of -2 is rejected",
            "5.5",
            VALUE,
            put_all(
                {
                    "/training/exclude_layers": np.zeros(0, "<i4"),
                    "/training/exclude_layers_count": np.array([-1, -2], "<i4"),
                }
            ),
        ),
        *_quality(),
    ]
