"""Camera formats by name: how each is told from its file, read, and written."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import ParseError

from nmc_framework.cameras.camera import CameraError
from nmc_framework.cameras.formats import (
    calibration,
    colmap,
    datasets,
    llff,
    miv,
    native,
    photogrammetry,
    transforms,
)
from nmc_framework.cameras.formats.document import ConversionError, RigDocument
from nmc_framework.cameras.record import CONVENTION

Size = tuple[int, int]
_Reader = Callable[[Path, Size | None], RigDocument]
_Writer = Callable[[Path, RigDocument], object]


@dataclass(frozen=True)
class Format:
    """One format; ``write`` is None where only reading is possible."""

    read: _Reader
    write: _Writer | None


def _plain(read: Callable[[Path], RigDocument]) -> _Reader:
    return lambda path, _: read(path)


def _sized(read: Callable[[Path, Size], RigDocument]) -> _Reader:
    def reader(path: Path, size: Size | None) -> RigDocument:
        if size is None:
            raise ConversionError(
                f"{path.name} does not state the size of the images; give it (--size)"
            )
        return read(path, size)

    return reader


def _read_opencv(path: Path, size: Size | None) -> RigDocument:
    return calibration.read_opencv(path, size or (0, 0))


def _read_arkit(path: Path, _: Size | None) -> RigDocument:
    return calibration.read_arkit(sorted(path.glob("*.json")) if path.is_dir() else [path])


FORMATS: dict[str, Format] = {
    "nmc": Format(_plain(native.read), native.write),
    "colmap": Format(_plain(colmap.read_text), colmap.write_text),
    "colmap-bin": Format(_plain(colmap.read_binary), colmap.write_binary),
    "nerfstudio": Format(_plain(transforms.read_nerfstudio), transforms.write_nerfstudio),
    "blender": Format(_sized(transforms.read_blender), transforms.write_blender),
    "instant-ngp": Format(_plain(transforms.read_instant_ngp), transforms.write_instant_ngp),
    "llff": Format(_plain(llff.read), llff.write),
    "miv": Format(_plain(miv.read), miv.write),
    "metashape": Format(_plain(photogrammetry.read_metashape), photogrammetry.write_metashape),
    "realitycapture": Format(
        _sized(photogrammetry.read_reality_capture), photogrammetry.write_reality_capture
    ),
    "opencv": Format(_read_opencv, calibration.write_opencv),
    "caliscope": Format(_plain(calibration.read_caliscope), None),
    "arkit": Format(_read_arkit, calibration.write_arkit),
    "panoptic": Format(_plain(datasets.read_panoptic), datasets.write_panoptic),
    "dynamic-gaussians": Format(
        _plain(datasets.read_dynamic_gaussians), datasets.write_dynamic_gaussians
    ),
    "voxelpose": Format(_sized(datasets.read_voxelpose), None),
    "ncore": Format(_plain(datasets.read_ncore), None),
}

_OF_SEVERAL_FILES = frozenset({"colmap", "colmap-bin", "opencv", "arkit"})
_FOLDERS = {"cameras.txt": "colmap", "cameras.bin": "colmap-bin", "intri.yml": "opencv"}
_SUFFIXES = {".npy": "llff", ".xml": "metashape", ".csv": "realitycapture", ".toml": "caliscope"}
#: A member of the top level that only one JSON format has; the first that is found decides.
_MEMBERS = (("cameras", "miv"), ("t_00", "arkit"))
_NGP_MEMBERS = frozenset({"aabb_scale", "scale", "offset"})
_SHARED_MEMBERS = frozenset({"applied_transform", "applied_scale", "orientation_override"})


def detect(path: Path) -> str:
    """Return the format of a file or folder that is there.

    Raises
    ------
    CameraError
        When it looks like none of them; the formats are listed.
    """
    if path.is_dir():
        found = [name for member, name in _FOLDERS.items() if (path / member).is_file()]
        if not found and any(path.glob("*.json")):
            found = ["arkit"]
    elif path.suffix.lower() == ".json":
        found = _of_json(_json(path))
    else:
        found = [_SUFFIXES[path.suffix.lower()]] if path.suffix.lower() in _SUFFIXES else []
    if not found:
        raise CameraError(f"{path.name} is no camera file that is known; {_known()}")
    return found[0]


def guess(path: Path) -> str:
    """Return the format that a file to be written is meant to have, by its name alone."""
    suffix = path.suffix.lower()
    if suffix == ".json":
        if path.name.endswith("_meta.json"):
            return "dynamic-gaussians"
        return "nerfstudio" if path.name.startswith("transforms") else "nmc"
    if suffix in _SUFFIXES and FORMATS[_SUFFIXES[suffix]].write:
        return _SUFFIXES[suffix]
    if not suffix:
        return "colmap"
    raise CameraError(f"the name {path.name} does not say which format to write; {_known()}")


def read(path: Path, name: str | None = None, size: Size | None = None) -> RigDocument:
    """Read the cameras of ``path`` in the format ``name``, or in the one it looks like.

    ``size`` (width, height) is needed for the formats whose files do not state it.
    """
    chosen = name or detect(path)
    _require(chosen)
    try:
        return FORMATS[chosen].read(path, size)
    except CameraError:
        raise
    except KeyError as error:
        raise ConversionError(f"{path.name} is no {chosen} file: no {error.args[0]}") from error
    except (ValueError, TypeError, AttributeError, LookupError, SyntaxError) as error:
        raise ConversionError(f"{path.name} is no {chosen} file: {error}") from error
    except (ParseError, zipfile.BadZipFile, EOFError) as error:
        raise ConversionError(f"{path.name} is no {chosen} file: {error}") from error


def write(path: Path, document: RigDocument, name: str | None = None) -> str:
    """Write cameras in the format ``name``, or the one that the path's name means; return which."""
    chosen = name or guess(path)
    writer = _require(chosen).write
    if writer is None:
        raise CameraError(f"cameras cannot be written as {chosen}; {_known()}")
    if chosen in _OF_SEVERAL_FILES:
        writer(path, document)
        return chosen
    path.parent.mkdir(parents=True, exist_ok=True)
    # Under another name first: a refusal half-way leaves what was there.
    partial = path.with_name(f".partial-{path.name}")
    try:
        writer(partial, document)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return chosen


def _require(name: str) -> Format:
    if name not in FORMATS:
        raise CameraError(f"no camera format {name!r}; {_known()}")
    return FORMATS[name]


def _known() -> str:
    return f"there are {', '.join(FORMATS)}"


def _json(path: Path) -> dict[str, object]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CameraError(f"{path.name} is no JSON: {error}") from error
    return document if isinstance(document, dict) else {}


def _of_json(document: dict[str, object]) -> list[str]:
    if document.get("convention") == CONVENTION:
        return ["nmc"]
    if "frames" in document:
        if not _SHARED_MEMBERS & document.keys() and _NGP_MEMBERS & document.keys():
            return ["instant-ngp"]
        sized = {"w", "fl_x"} & document.keys()
        frames = document["frames"]
        first = frames[0] if isinstance(frames, list) and frames else {}
        sized |= {"w", "fl_x"} & first.keys() if isinstance(first, dict) else set()
        return ["nerfstudio" if sized else "blender"]
    if {"w2c", "k", "fn"} <= document.keys():
        return ["dynamic-gaussians"]
    listed = document.get("cameras")
    if isinstance(listed, list) and listed and isinstance(listed[0], dict) and "K" in listed[0]:
        return ["panoptic"]
    values = next(iter(document.values()), None)
    if isinstance(values, dict):
        if "camera_model_type" in values:
            return ["ncore"]
        if {"R", "T", "fx"} <= values.keys():
            return ["voxelpose"]
    return [name for member, name in _MEMBERS if member in document]
