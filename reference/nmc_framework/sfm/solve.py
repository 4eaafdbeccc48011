"""A rig that stands still, solved once from the images of one frame or several (clause 5.1).

In the work folder, each step is kept under the digest of all that it depends on: ``features/`` by
picture, ``database.db``, ``model/`` in COLMAP's binary form, and ``sfm.json``, which says what they
were made of. A step whose digest is the recorded one is not done again.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from dataclasses import replace as dataclass_replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nmc_framework.cameras.formats import RigDocument, native
from nmc_framework.sfm.database import models, verified, write_database
from nmc_framework.sfm.evidence import gather
from nmc_framework.sfm.exif import focal_length
from nmc_framework.sfm.features import Report, extract
from nmc_framework.sfm.mapping import reconstruct
from nmc_framework.sfm.pictures import Images, require_images
from nmc_framework.sfm.pooling import PooledFeatures, pool
from nmc_framework.sfm.posed import known_poses, triangulate
from nmc_framework.sfm.rivals import compare_rivals
from nmc_framework.sfm.sfm_options import SfmError, SfmOptions
from nmc_framework.sfm.solution import RigSolution, solution
from nmc_framework.sfm.unplaced import UnplacedError
from nmc_framework.sfm.verdict import OF_FOUND_POSES, OF_KNOWN_POSES, Verdict

if TYPE_CHECKING:
    import pycolmap

#: Options that change what is said of a result, not the result.
_OF_THE_VERDICT = frozenset({"rivals"})
RECORD, VERDICT = "sfm.json", "verdict.json"
_FEWEST_FEATURES = 8
_ADVICE = "take more frames, larger images, or views that have more in common"
#: Counts changes of this package's own steps, so that what an older one left is not taken for new.
_REVISION = 2


def solve_rig(
    images: Images,
    folder: Path,
    options: SfmOptions | None = None,
    *,
    intrinsics: RigDocument | None = None,
    poses: RigDocument | None = None,
    report: Report | None = None,
    replace: bool = False,
) -> RigSolution:
    """Find the cameras of a rig that stands still, and points of what it sees.

    Parameters
    ----------
    images
        Pictures by camera's name: files, or (height, width, 3) uint8 arrays. Picture k of every
        camera shows frame k; all pictures of one camera have one size.
    folder
        Work folder, made if need be; what it holds of the same images is used again.
    options
        See :class:`~nmc_framework.sfm.SfmOptions`.
    intrinsics
        Known intrinsics and lenses by camera's name; its poses do not count. Without them, focal
        lengths that photographs state in their Exif data are begun with.
    poses
        Known cameras by name: points are found with these, and with ``options.refine`` they are
        adjusted within bounds; see :func:`~nmc_framework.sfm.posed.triangulate`. Their intrinsics
        are used unless ``intrinsics`` are given.
    report
        Called with a step (``"features"``, ``"matches"``, ``"cameras"``), how much of it is done
        and how much there is.
    replace
        Take the work folder over although it is that of other images.

    Returns
    -------
    RigSolution
        In COLMAP's arbitrary coordinates: their scale, orientation and origin mean nothing. With
        ``poses`` in theirs.

    Raises
    ------
    SfmError
        When there are too few images or they do not fit together, a file is missing, or the folder
        is that of other images.
    UnplacedError
        When cameras cannot be registered, unless ``options.allow_partial``: an SfmError that names
        them and has a verdict.
    ModuleNotFoundError
        When pycolmap is not installed.
    """
    import pycolmap

    chosen = options or SfmOptions()
    require_images(images)
    pycolmap.logging.minloglevel = pycolmap.logging.ERROR.value
    pycolmap.set_random_seed(chosen.seed)
    folder.mkdir(parents=True, exist_ok=True)
    cameras = [pool(found) for found in extract(images, folder / "features", chosen, report)]
    record = _record(folder, cameras, replace=replace)
    names = [camera.name for camera in cameras]
    usable = _usable(cameras, chosen)
    inner = intrinsics or poses
    starts = models(usable, chosen, inner, None if inner else _focal_lengths(images))
    placed = None if poses is None else [p.tolist() for p in known_poses(usable, poses)]
    settings = {k: v for k, v in asdict(chosen).items() if k not in _OF_THE_VERDICT}
    matched = _digest(_sources(usable), _stated(starts), settings, _made_by(), placed)
    database = folder / "database.db"
    if record.get("database") != matched or not database.is_file():
        _write_record(folder, record | {"database": None, "model": None})
        write_database(database, usable, starts, chosen, report)
        record |= {"database": matched, "model": None}
        _write_record(folder, record)
    part = _kept(folder / "model") if record.get("model") == matched else None
    if part is None:
        if poses is not None:
            part = _triangulated(database, usable, chosen, starts, poses)
        else:
            part = reconstruct(database, usable, chosen, known=inner is not None, report=report)
        if part is None:
            raise UnplacedError(
                f"no camera could be registered; {_ADVICE}: {_reasons(cameras, usable, database)}",
                names,
                names,
            )
        _keep(folder / "model", part)
        _write_record(folder, record | {"model": matched})
    found = solution(part, names)
    if found.missing and not chosen.allow_partial:
        lost = [camera for camera in cameras if camera.name in found.missing]
        raise UnplacedError(
            f"{len(lost)} of {len(cameras)} cameras could not be registered: "
            f"{_reasons(lost, usable, database)}; leave them out, or {_ADVICE}",
            names,
            found.missing,
            found,
        )
    if poses is None:
        verdict = _verdict(part, folder, usable, cameras, chosen, matched, known=inner is not None)
    else:
        told = gather(part, database, names)
        verdict = Verdict(()).and_(reason for reason in told if reason.name in OF_KNOWN_POSES)
    native.write(folder / "cameras.json", found.rig)
    return dataclass_replace(found, verdict=verdict)


def _verdict(
    part: pycolmap.Reconstruction,
    folder: Path,
    usable: Sequence[PooledFeatures],
    cameras: Sequence[PooledFeatures],
    options: SfmOptions,
    matched: str,
    *,
    known: bool,
) -> Verdict:
    """Judge a reconstruction, or read what was found of the same one before."""
    path, database = folder / VERDICT, folder / "database.db"
    judged = _digest(matched, options.rivals)
    if path.is_file():
        try:
            kept = json.loads(path.read_text(encoding="utf-8"))
            if kept["of"] == judged:
                return Verdict.from_json(kept)
        except (ValueError, KeyError, TypeError):
            pass  # damaged: judged again
    told = gather(part, database, [camera.name for camera in cameras])
    reasons = [reason for reason in told if reason.name in OF_FOUND_POSES]
    reasons += compare_rivals(part, database, usable, options, verified(database), known=known)
    verdict = Verdict(()).and_(reasons)
    partial = folder / f".partial-{VERDICT}"
    record = {"of": judged} | verdict.as_json()
    partial.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    partial.replace(path)
    return verdict


def _triangulated(
    database: Path,
    usable: Sequence[PooledFeatures],
    options: SfmOptions,
    starts: Sequence[pycolmap.Camera],
    poses: RigDocument,
) -> pycolmap.Reconstruction:
    part = triangulate(database, usable, options, starts, poses)
    if part is None:
        raise SfmError(
            "no point is seen by two of the known cameras alike: the poses do not belong to these "
            "pictures, or the pictures have too little in common"
        )
    return part


def _focal_lengths(images: Images) -> dict[str, float]:
    """Return the focal lengths in pixels that cameras' first pictures state, where they do."""
    first = {name: pictures[0] for name, pictures in images.items()}
    found = {n: focal_length(place) for n, place in first.items() if isinstance(place, Path)}
    return {name: focal for name, focal in found.items() if focal is not None}


def _usable(cameras: Sequence[PooledFeatures], options: SfmOptions) -> list[PooledFeatures]:
    """Return the cameras in whose pictures anything was found; refuse blank ones, or leave out."""
    blank = [camera.name for camera in cameras if len(camera.keypoints) < _FEWEST_FEATURES]
    usable = [camera for camera in cameras if camera.name not in blank]
    names = [camera.name for camera in cameras]
    if blank and not options.allow_partial:
        message = f"no features in the pictures of {', '.join(blank)}: are they blank?"
        raise UnplacedError(message, names, blank)
    if len(usable) < 2:
        message = f"fewer than two cameras are left: nothing to see in {', '.join(blank)}"
        raise UnplacedError(message, names, blank)
    return usable


def _reasons(
    lost: Sequence[PooledFeatures], usable: Sequence[PooledFeatures], database: Path
) -> str:
    counts = verified(database)
    numbers = {camera.name: number for number, camera in enumerate(usable, start=1)}
    said = []
    for camera in lost:
        shared = {
            usable[(b if a == numbers.get(camera.name) else a) - 1].name: count
            for (a, b), count in counts.items()
            if numbers.get(camera.name) in (a, b)
        }
        best = max(shared, key=lambda name: shared[name], default=None)
        common = f"at most {shared[best]} in common, with {best}" if best else "none in common"
        said.append(f"{camera.name} ({len(camera.keypoints)} features, {common})")
    return ", ".join(said)


def _record(folder: Path, cameras: Sequence[PooledFeatures], *, replace: bool) -> dict[str, Any]:
    """Return what the folder's record says; refuse a folder that is that of other images."""
    path = folder / RECORD
    sources = {camera.name: list(camera.digests) for camera in cameras}
    fresh: dict[str, Any] = {"images": sources, "database": None, "model": None}
    if not path.is_file():
        return fresh
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        before = dict(record["images"])
    except (ValueError, KeyError, TypeError) as error:
        if replace:
            return fresh
        raise SfmError(f"{path}: not the record of a work folder: {error!r}") from error
    if before == sources:
        return dict(record)
    if replace:
        return fresh
    differing = [name for name in {**before, **sources} if before.get(name) != sources.get(name)]
    more = " and others" if len(differing) > 4 else ""
    raise SfmError(
        f"{folder} is the work folder of other images: those of {', '.join(differing[:4])}{more} "
        "differ; choose another folder, or replace it"
    )


def _write_record(folder: Path, record: Mapping[str, Any]) -> None:
    partial = folder / f".partial-{RECORD}"
    partial.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    partial.replace(folder / RECORD)


def _sources(cameras: Sequence[PooledFeatures]) -> list[Any]:
    return [[camera.name, list(camera.digests)] for camera in cameras]


def _stated(starts: Sequence[pycolmap.Camera]) -> list[Any]:
    return [
        [
            model.camera_id,
            model.model.name,
            model.width,
            model.height,
            list(map(float, model.params)),
        ]
        for model in starts
    ]


def _made_by() -> list[Any]:
    import pycolmap

    return [_REVISION, pycolmap.__version__]


def _digest(*values: Any) -> str:
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()


def _keep(folder: Path, part: pycolmap.Reconstruction) -> None:
    partial = folder.with_name(f".partial-{folder.name}")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    part.write_binary(partial)
    shutil.rmtree(folder, ignore_errors=True)
    partial.replace(folder)


def _kept(folder: Path) -> pycolmap.Reconstruction | None:
    import pycolmap

    try:
        return pycolmap.Reconstruction(folder)
    except (ValueError, RuntimeError, OSError):
        return None  # damaged or gone: mapped again
