"""Camera files of data sets that keep the cameras to test with in a file of their own."""

from __future__ import annotations

from pathlib import Path

from nmc_framework.cameras.formats import RigDocument, camera_files
from nmc_framework.cameras.formats.format import Size

#: Files of the cameras to train with, and beside them those of the cameras to test with.
_BESIDE = {"train_meta.json": "test_meta.json"}


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
    beside = path.with_name(_BESIDE.get(path.name, path.name))
    if beside == path or not beside.is_file():
        return document, ()
    tests = camera_files.read(beside, name, size)
    known = {camera.name for camera in document.cameras}
    new = [k for k, camera in enumerate(tests.cameras) if camera.name not in known]
    merged = RigDocument(
        (*document.cameras, *(tests.cameras[k] for k in new)),
        (*document.lenses, *(tests.lenses[k] for k in new)),
        document.normalisation,
    )
    return merged, tuple(tests.cameras[k].name for k in new)
