"""Cameras that a data set sets apart to test with: in a file of their own, or by lists of names."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path, PurePosixPath

from nmc_framework.cameras.formats import RigDocument, camera_files
from nmc_framework.cameras.formats.format import Size

#: Files of the cameras to train with, and those beside them that may have cameras to test with: the
#: first that is there is read.
_BESIDE = {
    "train_meta.json": ("test_meta.json",),
    "transforms_train.json": ("transforms_test.json", "transforms_val.json"),
}
#: Lists of file names in nerfstudio's ``transforms.json`` (``nerfstudio_dataparser.py``).
_TRAINED, _TESTED = "train_filenames", ("test_filenames", "val_filenames")


def read_with_tests(
    path: Path, name: str | None = None, size: Size | None = None
) -> tuple[RigDocument, tuple[str, ...]]:
    """Read a camera file, with those of the file beside it that are to test with, and name these.

    Parameters
    ----------
    path, name, size
        As of :func:`nmc_framework.cameras.formats.camera_files.read`.

    Raises
    ------
    CameraError
        As that function does, of either file.
    """
    document = camera_files.read(path, name, size)
    beside = file_beside(path)
    if beside is None:
        return document, _listed(path, document)
    tests = camera_files.read(beside, name, size)
    known = {camera.name for camera in document.cameras}
    stems = {stem(name) for name in known}
    new = [k for k, camera in enumerate(tests.cameras) if camera.name not in known]
    apart = [tests.cameras[k] for k in new]
    apart = [camera.at(camera.camera_to_world, name_apart(camera.name, stems)) for camera in apart]
    merged = RigDocument(
        (*document.cameras, *apart),
        (*document.lenses, *(tests.lenses[k] for k in new)),
        document.normalisation,
    )
    return merged, tuple(camera.name for camera in apart)


def file_beside(path: Path) -> Path | None:
    """Return the file beside a camera file that has the cameras to test with, if there is one."""
    places = (path.with_name(name) for name in _BESIDE.get(path.name, ()))
    return next((place for place in places if place.is_file()), None)


def named_apart(names: Collection[str], tested: Collection[str]) -> tuple[str, ...]:
    """Return which of the pictures named are of cameras to test with.

    ``tested`` are the cameras' names, which may have folders and suffixes.
    """
    stems = {stem(name) for name in tested}
    return tuple(name for name in names if name in tested or name in stems)


def tested_pictures(path: Path) -> dict[str, Path]:
    """Return where the pictures of the cameras to test with lie, by their names, as far as they do.

    They are known of the files beside ``transforms_train.json``, whose cameras are named after
    their pictures: of other data sets they lie with the others.
    """
    beside = file_beside(path)
    if beside is None or not path.name.startswith("transforms"):
        return {}
    stems = {stem(name) for name in _file_paths(path)}
    found = {}
    for name in _file_paths(beside):
        place = path.parent / name
        inside = path.parent.resolve() in place.resolve().parents
        known = [place, *(place.with_name(f"{place.name}{suffix}") for suffix in _SUFFIXES)]
        picture = next((each for each in known if inside and each.is_file()), None)
        if picture is not None:
            found[stem(name_apart(name, stems))] = picture
    return found


#: Of pictures whose names are written without.
_SUFFIXES = (".png", ".jpg", ".jpeg")


def name_apart(name: str, stems: Collection[str]) -> str:
    """Return what a picture to test with is called: without suffix, and with its folder if need be.

    ``stems`` are the names of those to train with: data sets count both from 0.
    """
    own = stem(name)
    return f"{PurePosixPath(name).parent.name}_{own}" if own in stems else name


def stem(name: str) -> str:
    """Return the name of a picture without its folders and suffix."""
    return PurePosixPath(name).stem


def _file_paths(path: Path) -> list[str]:
    """Return the pictures that a ``transforms_*.json`` names, which was or will be read as one."""
    try:
        document = json.loads(path.read_bytes())
        return [str(frame["file_path"]) for frame in document["frames"]]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def _listed(path: Path, document: RigDocument) -> tuple[str, ...]:
    """Return the cameras that nerfstudio's lists leave to test with."""
    if path.suffix.lower() != ".json" or not path.is_file():
        return ()
    try:
        members = json.loads(path.read_bytes())
    except ValueError:
        return ()
    if not isinstance(members, dict):
        return ()
    lists = {key: members.get(key) for key in (_TRAINED, *_TESTED)}
    known = {k: {stem(str(n)) for n in v} for k, v in lists.items() if isinstance(v, list) and v}
    names = [camera.name for camera in document.cameras]
    if _TRAINED in known:
        return tuple(name for name in names if stem(name) not in known[_TRAINED])
    tested = set[str]().union(*known.values())
    return tuple(name for name in names if stem(name) in tested)
