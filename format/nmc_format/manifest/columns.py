"""Objects of the file <-> typed records (table 5-6): the one place that knows the paths.

Each path of the manifest layout is a constant here, and the pointers of findings (clause 5.8) are
made of them; those of media are in :mod:`nmc_format.manifest.media_table`. Objects that the layout
does not have are passed over.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np

from nmc_format.issues import refuse
from nmc_format.manifest.frame_table import Colour, Frames, Refinements, Training
from nmc_format.manifest.media_table import MediaTable
from nmc_format.manifest.objects import text_array, text_scalar, texts_of
from nmc_format.manifest.record import Cameras, Manifest, Model, Quality, Root
from nmc_format.manifest.tensor_table import TensorTable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nmc_format.manifest.objects import RawObjects

FORMAT = "/@format"
FORMAT_VERSION = "/@format_version"
PROFILE = "/@profile"
LEVEL = "/@level"
MUST_UNDERSTAND = "/@must_understand"
SEQUENCE_ID = "/@sequence_id"
CREATOR = "/@creator"
MANIFEST_DIGEST = "/@manifest_digest"
KEY_DIGEST = "/encryption@key_digest"

FAMILY = "/model@family"
CONFIGURATION = "/model@configuration"

TENSORS = "/model/tensors"
TENSOR_NAME = "/model/tensors/name"
TENSOR_DTYPE = "/model/tensors/dtype"
TENSOR_ROLE = "/model/tensors/role"
TENSOR_LAYER = "/model/tensors/layer"
TENSOR_SHAPE = "/model/tensors/shape"
FIRST_FRAME = "/model/tensors/first_frame"

FRAMES = "/frames"
TIMESCALE = "/frames@timescale"
CODING = "/frames/coding"
PRESENTATION_TIME = "/frames/presentation_time"
SEGMENT_LENGTH = "/frames/segment_length"
SEGMENT_SHA256 = "/frames/segment_sha256"
STATE_BYTES = "/frames/state_bytes"
STATE_DIGEST = "/frames/state_digest"
SOURCE_NAME = "/frames/source_name"
EXTRAS = "/frames/extras"
DECLARED_PSNR = "/frames/declared_psnr"

REFINEMENT_START = "/refinements/start"
REFINED_DIGEST = "/refinements/state_digest"
REFINED_PSNR = "/refinements/declared_psnr"

TRAINED_FROM = "/training/trained_from"
ITERATIONS = "/training/iterations"
SECONDS = "/training/seconds"
REQUIRES_GRAD = "/training/requires_grad"
REQUIRES_GRAD_KNOWN = "/training/requires_grad_known"
EXCLUDE_LAYERS = "/training/exclude_layers"
EXCLUDE_LAYERS_COUNT = "/training/exclude_layers_count"
COLOUR_VIEW = "/training/colour_view"
COLOUR = "/training/colour"

CAMERA_NAME = "/cameras/name"
CAMERA_SIZE = "/cameras/size"
INTRINSICS = "/cameras/intrinsics"
DISTORTION_MODEL = "/cameras/distortion_model"
DISTORTION = "/cameras/distortion"
CAMERA_TO_WORLD = "/cameras/camera_to_world"
CONVENTION = "/cameras@convention"
NORMALISATION = "/cameras@normalisation"

QUALITY_VIEW = "/quality/view"
METRICS = {
    "psnr": "/quality/psnr",
    "ssim": "/quality/ssim",
    "lpips": "/quality/lpips",
}


def group_of(path: str) -> str:
    """Return the first group of a path, such as ``"frames"``; empty for a root attribute."""
    return re.split("[/@]", path.removeprefix("/"), maxsplit=1)[0]


def frame_pointer(index: int, column: str = "") -> str:
    """Return the pointer to what the JSON view has of one frame: the entry of a column, or all."""
    return f"/frames/{index}/{_name(column)}" if column else f"/frames/{index}"


def refined_pointer(index: int, k: int, column: str) -> str:
    """Return the pointer to what the JSON view has of refinement k of a frame, counted from 0."""
    return f"/frames/{index}/refinements/{k}/{_name(column)}"


def tensor_pointer(index: int, column: str = "") -> str:
    """Return the pointer to a row of the tensor table, or to the entry of one of its columns."""
    return f"{TENSORS}/{index}/{_name(column)}" if column else f"{TENSORS}/{index}"


def metric_path(name: str) -> str:
    """Return the path of a metric.

    Raises
    ------
    FormatError
        If this version has none of that name.
    """
    if name not in METRICS:
        reason = f"there is no metric {name!r}; known are {', '.join(METRICS)}"
        raise refuse("manifest/value", pointer=QUALITY_VIEW, reason=reason)
    return METRICS[name]


def _name(column: str) -> str:
    return column.rpartition("/")[2]


def manifest_of(objects: RawObjects) -> Manifest:
    """Return the records of objects in which the check of types found no error."""
    return Manifest(
        root=_root(objects),
        model=Model(_text(objects, FAMILY), _text(objects, CONFIGURATION)),
        table=TensorTable(
            name=objects[TENSOR_NAME],
            dtype=objects[TENSOR_DTYPE],
            role=objects[TENSOR_ROLE],
            layer=objects[TENSOR_LAYER],
            shape=objects[TENSOR_SHAPE],
            first_frame=objects.get(FIRST_FRAME),
        ),
        frames=Frames(
            timescale=int(objects[TIMESCALE]),
            coding=objects[CODING],
            presentation_time=objects[PRESENTATION_TIME],
            segment_length=objects[SEGMENT_LENGTH],
            segment_sha256=objects[SEGMENT_SHA256],
            state_bytes=objects[STATE_BYTES],
            state_digest=objects[STATE_DIGEST],
            source_name=objects.get(SOURCE_NAME),
            extras=objects.get(EXTRAS),
            declared_psnr=objects.get(DECLARED_PSNR),
        ),
        refinements=_refinements(objects),
        training=_training(objects),
        cameras=_cameras(objects),
        quality=_quality(objects),
        media=MediaTable.from_objects(objects),
    )


def _text(objects: RawObjects, path: str) -> str:
    text: str = objects[path].item().decode("utf-8")
    return text


def _root(objects: RawObjects) -> Root:
    return Root(
        profile=_text(objects, PROFILE),
        level=int(objects[LEVEL]),
        sequence_id=_text(objects, SEQUENCE_ID),
        creator=_text(objects, CREATOR) if CREATOR in objects else None,
        must_understand=_text(objects, MUST_UNDERSTAND),
        format=_text(objects, FORMAT),
        format_version=_text(objects, FORMAT_VERSION),
        manifest_digest=objects[MANIFEST_DIGEST].tobytes(),
        key_digest=objects[KEY_DIGEST].tobytes() if KEY_DIGEST in objects else b"",
    )


def _training(objects: RawObjects) -> Training:
    colour = None
    if COLOUR in objects:
        colour = Colour(texts_of(objects[COLOUR_VIEW]), objects[COLOUR])
    return Training(
        trained_from=objects.get(TRAINED_FROM),
        iterations=objects.get(ITERATIONS),
        seconds=objects.get(SECONDS),
        requires_grad=objects.get(REQUIRES_GRAD),
        requires_grad_known=objects.get(REQUIRES_GRAD_KNOWN),
        exclude_layers=objects.get(EXCLUDE_LAYERS),
        exclude_layers_count=objects.get(EXCLUDE_LAYERS_COUNT),
        colour=colour,
    )


def _refinements(objects: RawObjects) -> Refinements | None:
    if REFINEMENT_START not in objects or REFINED_DIGEST not in objects:
        return None
    return Refinements(
        objects[REFINEMENT_START], objects[REFINED_DIGEST], objects.get(REFINED_PSNR)
    )


def _cameras(objects: RawObjects) -> Cameras | None:
    if CAMERA_NAME not in objects:
        return None
    models = objects.get(DISTORTION_MODEL)
    return Cameras(
        names=texts_of(objects[CAMERA_NAME]),
        size=objects[CAMERA_SIZE],
        intrinsics=objects[INTRINSICS],
        camera_to_world=objects[CAMERA_TO_WORLD],
        normalisation=objects[NORMALISATION],
        distortion_model=None if models is None else texts_of(models),
        distortion=objects.get(DISTORTION),
        convention=_text(objects, CONVENTION),
    )


def _quality(objects: RawObjects) -> Quality | None:
    if QUALITY_VIEW not in objects:
        return None
    metrics = {name: objects[path] for name, path in METRICS.items() if path in objects}
    return Quality(texts_of(objects[QUALITY_VIEW]), metrics)


def objects_of(manifest: Manifest) -> RawObjects:
    """Return the objects of a manifest, the digest among them if it has one."""
    objects = {
        **_root_objects(manifest.root),
        FAMILY: text_scalar(manifest.model.family),
        CONFIGURATION: text_scalar(manifest.model.configuration),
        **tensor_objects(manifest.table),
        **_frame_objects(manifest.frames),
        **_training_objects(manifest.training),
    }
    if manifest.refinements is not None:
        objects |= _refinement_objects(manifest.refinements)
    if manifest.cameras is not None:
        objects |= camera_objects(manifest.cameras)
    if manifest.quality is not None:
        objects |= quality_objects(manifest.quality)
    if manifest.media is not None:
        objects |= manifest.media.objects()
    return objects


def _recorded(columns: Mapping[str, np.ndarray[Any, Any] | None]) -> RawObjects:
    return {path: column for path, column in columns.items() if column is not None}


def _root_objects(root: Root) -> RawObjects:
    return _recorded(
        {
            FORMAT: text_scalar(root.format),
            FORMAT_VERSION: text_scalar(root.format_version),
            PROFILE: text_scalar(root.profile),
            LEVEL: np.array(root.level, "<u4"),
            MUST_UNDERSTAND: text_scalar(root.must_understand),
            SEQUENCE_ID: text_scalar(root.sequence_id),
            CREATOR: None if root.creator is None else text_scalar(root.creator),
            MANIFEST_DIGEST: np.frombuffer(root.manifest_digest, "u1")
            if root.manifest_digest
            else None,
            KEY_DIGEST: np.frombuffer(root.key_digest, "u1") if root.key_digest else None,
        }
    )


def tensor_objects(table: TensorTable) -> RawObjects:
    """Return the objects of a tensor table (clause 5.4.3)."""
    return _recorded(
        {
            TENSOR_NAME: table.name,
            TENSOR_DTYPE: table.dtype,
            TENSOR_ROLE: table.role,
            TENSOR_LAYER: table.layer,
            TENSOR_SHAPE: table.shape,
            FIRST_FRAME: table.first_frame,
        }
    )


def _frame_objects(frames: Frames) -> RawObjects:
    return _recorded(
        {
            TIMESCALE: np.array(frames.timescale, "<u4"),
            CODING: frames.coding,
            PRESENTATION_TIME: frames.presentation_time,
            SEGMENT_LENGTH: frames.segment_length,
            SEGMENT_SHA256: frames.segment_sha256,
            STATE_BYTES: frames.state_bytes,
            STATE_DIGEST: frames.state_digest,
            SOURCE_NAME: frames.source_name,
            EXTRAS: frames.extras,
            DECLARED_PSNR: frames.declared_psnr,
        }
    )


def _refinement_objects(refinements: Refinements) -> RawObjects:
    return _recorded(
        {
            REFINEMENT_START: refinements.start,
            REFINED_DIGEST: refinements.state_digest,
            REFINED_PSNR: refinements.declared_psnr,
        }
    )


def _training_objects(training: Training) -> RawObjects:
    colour = training.colour
    return _recorded(
        {
            TRAINED_FROM: training.trained_from,
            ITERATIONS: training.iterations,
            SECONDS: training.seconds,
            REQUIRES_GRAD: training.requires_grad,
            REQUIRES_GRAD_KNOWN: training.requires_grad_known,
            EXCLUDE_LAYERS: training.exclude_layers,
            EXCLUDE_LAYERS_COUNT: training.exclude_layers_count,
            COLOUR_VIEW: None if colour is None else text_array(colour.views),
            COLOUR: None if colour is None else colour.affine,
        }
    )


def camera_objects(cameras: Cameras) -> RawObjects:
    """Return the objects of cameras, of the types of the layout (clause 5.6).

    Raises
    ------
    FormatError
        If a manifest cannot hold a number or a name as it is.
    """
    objects: RawObjects = {}
    if cameras.distortion_model is not None:
        objects = {
            DISTORTION_MODEL: _given_texts(cameras.distortion_model, DISTORTION_MODEL),
            DISTORTION: _given_numbers(cameras.distortion, "<f8", DISTORTION),
        }
    return {
        **objects,
        CAMERA_NAME: _given_texts(cameras.names, CAMERA_NAME),
        CAMERA_SIZE: _given_numbers(cameras.size, "<u4", CAMERA_SIZE),
        INTRINSICS: _given_numbers(cameras.intrinsics, "<f8", INTRINSICS),
        CAMERA_TO_WORLD: _given_numbers(cameras.camera_to_world, "<f8", CAMERA_TO_WORLD),
        CONVENTION: text_scalar(cameras.convention),
        NORMALISATION: _given_numbers(cameras.normalisation, "<f8", NORMALISATION),
    }


def quality_objects(quality: Quality) -> RawObjects:
    """Return the objects of a quality record, of the types of the layout (clause 5.7).

    Raises
    ------
    FormatError
        If it has a metric that the layout does not have, or a manifest cannot hold a number or a
        name as it is.
    """
    columns = {metric_path(name): values for name, values in quality.metrics.items()}
    return {
        QUALITY_VIEW: _given_texts(quality.views, QUALITY_VIEW),
        **{path: _given_numbers(values, "<f8", path) for path, values in columns.items()},
    }


def _given_texts(texts: Sequence[str], path: str) -> np.ndarray[Any, Any]:
    """Return texts of a caller; a NUL would end one early, and half a pair has no UTF-8."""
    for i, text in enumerate(texts):
        if any(c == "\0" or "\ud800" <= c <= "\udfff" for c in text):
            reason = f"{text!a} is no Unicode text without NUL"
            raise refuse("manifest/value", pointer=f"{path}/{i}", reason=reason)
    return text_array(texts)


def _given_numbers(values: Any, kind: str, path: str) -> np.ndarray[Any, Any]:
    """Return numbers of a caller as the layout has them, where that changes none of them."""
    given = np.asarray(values)
    try:
        with np.errstate(invalid="ignore"):
            made: np.ndarray[Any, Any] = given.astype(kind)
    except (TypeError, ValueError, OverflowError):
        raise refuse(
            "manifest/object-type", pointer=path, actual=given.dtype, expected=kind
        ) from None
    if made.dtype.kind == "u" and not np.array_equal(made, given):
        reason = f"a number is not an unsigned integer of {8 * made.itemsize} bits"
        raise refuse("manifest/value", pointer=path, reason=reason)
    return made
