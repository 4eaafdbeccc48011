"""SIFT features of every picture (Lowe 2004), extracted once and kept by content."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from nmc_framework.sfm.pictures import Images, View, views
from nmc_framework.sfm.sfm_options import SfmOptions

#: Bytes of a descriptor.
_LENGTH = 128

Report = Callable[[str, int, int], None]


@dataclass(frozen=True, eq=False)
class Features:
    """What was found in one picture.

    ``keypoints`` (N, 4) float32 are column and row in pixels from the image corner, scale in pixels
    and orientation in radians; ``descriptors`` (N, 128) uint8; ``colours`` (N, 3) uint8.
    """

    keypoints: npt.NDArray[np.float32]
    descriptors: npt.NDArray[np.uint8]
    colours: npt.NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.keypoints)


@dataclass(frozen=True, eq=False)
class CameraFeatures:
    """The features of one camera in every frame, the size of its pictures, and their digests."""

    name: str
    size: tuple[int, int]
    frames: tuple[Features, ...]
    digests: tuple[str, ...]


def extract(
    images: Images, folder: Path, options: SfmOptions, report: Report | None = None
) -> list[CameraFeatures]:
    """Find the features of every picture; those already in ``folder`` are read.

    Parameters
    ----------
    images
        Pictures by camera; see :func:`~nmc_framework.sfm.solve_rig`.
    folder
        Holds one ``.npz`` a picture, named after the digest of its pixels and of what shapes the
        features, so that a file can never be that of another picture.
    options
        Only ``features`` matters here.
    report
        Called with ``"features"``, the number of pictures done and their number.

    Raises
    ------
    SfmError
        When a picture cannot be read.
    """
    import pycolmap

    folder.mkdir(parents=True, exist_ok=True)
    settings = pycolmap.FeatureExtractionOptions()
    settings.num_threads = 1
    settings.sift.max_num_features = options.features
    recipe = f"{pycolmap.__version__} {settings.summary()}"
    extractor = pycolmap.FeatureExtractor.create(settings)
    total = sum(len(pictures) for pictures in images.values())
    found: dict[str, list[tuple[View, Features]]] = {name: [] for name in images}
    for done, view in enumerate(views(images), start=1):
        key = hashlib.sha256(f"{recipe}\n{view.digest}".encode()).hexdigest()
        path = folder / f"{key}.npz"
        features = _load(path)
        if features is None:
            features = _features(extractor, view)
            _save(path, features)
        found[view.camera].append((view, features))
        if report:
            report("features", done, total)
    return [
        CameraFeatures(
            name,
            (rows[0][0].image.shape[1], rows[0][0].image.shape[0]),
            tuple(features for _, features in rows),
            tuple(view.digest for view, _ in rows),
        )
        for name, rows in found.items()
    ]


def _features(extractor: Any, view: View) -> Features:
    import pycolmap

    grey = np.asarray(Image.fromarray(view.image).convert("L"), dtype=np.uint8)
    points, descriptors = extractor.extract_from_uint8_array(np.ascontiguousarray(grey))
    keypoints = np.asarray(pycolmap.keypoints_to_matrix(points), dtype=np.float32).reshape(-1, 4)
    height, width = grey.shape
    columns = np.clip(keypoints[:, 0].astype(np.int64), 0, width - 1)
    rows = np.clip(keypoints[:, 1].astype(np.int64), 0, height - 1)
    data = np.asarray(descriptors.data, dtype=np.uint8).reshape(-1, _LENGTH)
    return Features(keypoints, data, view.image[rows, columns])


def _load(path: Path) -> Features | None:
    if not path.is_file():
        return None
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as kept:
            return Features(kept["keypoints"], kept["descriptors"], kept["colours"])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None  # damaged: extracted again


def _save(path: Path, found: Features) -> None:
    partial = path.with_name(f".partial-{path.name}")
    np.savez(
        partial, keypoints=found.keypoints, descriptors=found.descriptors, colours=found.colours
    )
    partial.replace(path)
