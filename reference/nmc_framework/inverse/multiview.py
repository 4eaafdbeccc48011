"""Pictures of objects from viewpoints that all objects share, with masks: how they lie in a folder.

``views.json`` says the size and the annotation of each viewpoint, and ``object_00000/view_00.png``
is a picture whose alpha channel is its mask. :func:`filmed_cars` makes such a set of synthetic
cars; one of a generator, or of a camera and a turntable, is read alike.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from nmc_framework.inverse.cars import Car, draw_car, lighting, solids
from nmc_framework.inverse.viewpoints import Bins, Poses, camera, drawn_poses
from nmc_framework.scene.blocks import camera_rays, in_rows
from nmc_framework.scene.tracer import as_bytes, shade, trace

Pixels = npt.NDArray[np.uint8]

FORMAT = "nmc multi-view set"
#: Largest side of a picture, and most pixels of a set that are held at once.
MOST_SIDE, MOST_PIXELS = 512, 1 << 29
#: Least side of a picture that a network can be trained on, in pixels.
LEAST_SIDE = 16
#: A mask that covers less than the first share of its picture, or more than the second, is bad.
SHARES = (0.005, 0.95)


class ObjectsError(ValueError):
    """Pictures or masks that no network can be trained on."""


@dataclass(frozen=True, eq=False)
class MultiView:
    """Objects seen from the same viewpoints.

    Parameters
    ----------
    pictures
        (objects, viewpoints, size, size, 3) uint8.
    masks
        (objects, viewpoints, size, size) uint8: 255 where the object is, 0 where it is not.
    bins
        The annotation of each viewpoint.
    annotated
        The bin of each viewpoint.
    poses
        The viewpoints (V, 3) where they are known, to compare with; no training looks at them.
    """

    pictures: Pixels
    masks: Pixels
    bins: Bins
    annotated: tuple[int, ...]
    poses: Poses | None = None

    def __len__(self) -> int:
        return len(self.pictures)

    @property
    def size(self) -> int:
        """Pixels of the pictures' sides."""
        return int(self.pictures.shape[2])

    def part(self, objects: slice | list[int]) -> MultiView:
        """Return some of the objects."""
        return replace(self, pictures=self.pictures[objects], masks=self.masks[objects])

    def split(self, held_out: int) -> tuple[MultiView, MultiView]:
        """Return the objects to train with and the last ``held_out``, to test with.

        Raises
        ------
        ObjectsError
            When nothing is left to train with.
        """
        if not 0 < held_out < len(self):
            raise ObjectsError(
                f"{len(self)} objects cannot be split into {held_out} to test with and others to "
                "train with; make more of them, or hold fewer out"
            )
        return self.part(slice(0, len(self) - held_out)), self.part(
            slice(len(self) - held_out, None)
        )

    def first_poses(self) -> Poses:
        """Return what the annotations say of the viewpoints (V, 3)."""
        return np.array([self.bins.pose(number) for number in self.annotated])


def filmed(car: Car, pose: npt.ArrayLike, size: int) -> tuple[Pixels, Pixels]:
    """Return the picture (size, size, 3) of a car and its exact mask (size, size), 2 x 2 rays."""
    seen = camera(pose, size)
    directions = camera_rays(seen, 2)
    centre = seen.centre.astype(np.float32)
    placed = solids(car)
    colours = shade(placed, lighting(car.background), centre, directions)
    inside = (trace(placed, centre, directions).item >= 0).astype(np.float32)
    values = in_rows(np.concatenate([colours, inside[None]]), seen, 2)
    values = values.reshape(4, size, 2, size, 2).mean(axis=(2, 4))
    image = as_bytes(np.ascontiguousarray(values.transpose(1, 2, 0)))
    return image[..., :3], image[..., 3]


def filmed_cars(
    count: int,
    viewpoints: int,
    size: int,
    seed: int = 0,
    *,
    cars: Callable[[int, int], Car] = draw_car,
    report: Callable[[int, int], None] | None = None,
) -> MultiView:
    """Film synthetic cars.

    Parameters
    ----------
    count, viewpoints, size
        Of objects, of viewpoints that all share, and pixels of the pictures' sides.
    seed
        All that is random follows from it; car k is the same however many there are.
    cars
        Draws car k of a seed.
    report
        Told how many cars are done, of how many.
    """
    require_size(size)
    if count * viewpoints * size * size > MOST_PIXELS:
        raise ObjectsError(
            f"{count} objects from {viewpoints} viewpoints of {size}x{size} are more than "
            f"{MOST_PIXELS} pixels; take fewer or smaller ones"
        )
    poses = drawn_poses(viewpoints, seed)
    pictures = np.empty((count, viewpoints, size, size, 3), np.uint8)
    masks = np.empty((count, viewpoints, size, size), np.uint8)
    for number in range(count):
        car = cars(seed, number)
        for k, pose in enumerate(poses):
            pictures[number, k], masks[number, k] = filmed(car, pose, size)
        if report:
            report(number + 1, count)
    bins = Bins()
    annotated = tuple(bins.of(azimuth) for azimuth, _, _ in poses)
    return MultiView(pictures, masks, bins, annotated, poses)


def require_size(size: int) -> None:
    """Refuse pictures that are too small or too large to be learned from."""
    if not LEAST_SIDE <= size <= MOST_SIDE:
        raise ObjectsError(
            f"pictures of {size}x{size} cannot be learned from; take {LEAST_SIDE} to {MOST_SIDE} "
            "pixels, such as 64"
        )


def write_views(folder: Path, views: MultiView) -> None:
    """Write a set into a new folder; it has its name when it is whole.

    Raises
    ------
    ObjectsError
        When the folder is there already.
    """
    if folder.exists():
        raise ObjectsError(f"{folder} is there already; choose another name")
    partial = folder.with_name(f".partial-{folder.name}")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        for number in range(len(views)):
            place = partial / f"object_{number:05d}"
            place.mkdir(parents=True)
            for k in range(len(views.annotated)):
                both = [views.pictures[number, k], views.masks[number, k][..., None]]
                image = Image.fromarray(np.concatenate(both, axis=2), "RGBA")
                image.save(place / f"view_{k:02d}.png")
        head: dict[str, Any] = {
            "format": FORMAT,
            "size": views.size,
            "bins": views.bins.count,
            "viewpoints": [{"bin": number} for number in views.annotated],
        }
        if views.poses is not None:
            for told, (azimuth, elevation, distance) in zip(
                head["viewpoints"], views.poses.tolist(), strict=True
            ):
                told |= {"azimuth": azimuth, "elevation": elevation, "distance": distance}
        (partial / "views.json").write_text(json.dumps(head, indent=1) + "\n", encoding="utf-8")
        partial.replace(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def read_views(folder: Path) -> MultiView:
    """Read a set from its folder.

    Raises
    ------
    ObjectsError
        When a part is missing or of another kind, or a mask cannot be right; it is named, with what
        to do.
    """
    head = _head(folder)
    try:
        size, bins = int(head["size"]), Bins(int(head["bins"]))
        told = list(head["viewpoints"])
        annotated = tuple(int(each["bin"]) for each in told)
        known = [
            [float(each[k]) for k in ("azimuth", "elevation", "distance")]
            for each in told
            if "azimuth" in each
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise ObjectsError(
            f"{folder.name}/views.json lacks a size, bins, or the bin of a viewpoint: {error!r}"
        ) from None
    require_size(size)
    if not annotated or not all(0 <= number < bins.count for number in annotated):
        raise ObjectsError(
            f"{folder.name}/views.json: each viewpoint needs a bin from 0 to {bins.count - 1}"
        )
    places = sorted(path for path in folder.glob("object_*") if path.is_dir())
    if not places:
        raise ObjectsError(f"{folder.name} has no object_00000; 'nmc inverse objects' makes a set")
    if len(places) * len(annotated) * size * size > MOST_PIXELS:
        raise ObjectsError(f"{folder.name} has more than {MOST_PIXELS} pixels; make a smaller set")
    pictures = np.empty((len(places), len(annotated), size, size, 3), np.uint8)
    masks = np.empty((len(places), len(annotated), size, size), np.uint8)
    for number, place in enumerate(places):
        for k in range(len(annotated)):
            image = read_masked(place / f"view_{k:02d}.png", size)
            pictures[number, k], masks[number, k] = image[..., :3], image[..., 3]
    poses = np.array(known) if len(known) == len(annotated) else None
    return MultiView(pictures, masks, bins, annotated, poses)


def _head(folder: Path) -> dict[str, Any]:
    path = folder / "views.json"
    if not path.is_file():
        raise ObjectsError(
            f"{folder.name} has no views.json, so it is not a multi-view set; "
            "'nmc inverse objects' and 'nmc inverse multiview' make one"
        )
    try:
        head = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise ObjectsError(f"{folder.name}/views.json cannot be read: {error}") from None
    if not isinstance(head, dict) or head.get("format") != FORMAT:
        raise ObjectsError(f"{folder.name}/views.json is not one of a multi-view set")
    return head


def read_masked(path: Path, size: int) -> Pixels:
    """Return a picture with its mask, (size, size, 4) uint8.

    Raises
    ------
    ObjectsError
        When it cannot be read, has another size or no mask, one that is empty or full, or one
        colour only.
    """
    named = f"{path.parent.name}/{path.name}"
    try:
        with Image.open(path) as opened:
            if opened.size != (size, size):
                raise ObjectsError(
                    f"{named} is {opened.size[0]}x{opened.size[1]}; all pictures of the set are "
                    f"{size}x{size}: scale it, or make the set anew"
                )
            if "A" not in opened.getbands():
                raise ObjectsError(
                    f"{named} has no mask; give it an alpha channel, 255 where the object is"
                )
            image = np.asarray(opened.convert("RGBA"))
    except ObjectsError:
        raise
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise ObjectsError(f"{named} cannot be read as a picture: {error}") from None
    require_mask(image[..., 3], named)
    inside = image[..., :3][image[..., 3] >= 128]
    if (inside == inside[0]).all() and (image[..., :3] == inside[0]).all():
        raise ObjectsError(
            f"{named} is of one colour: there is nothing to learn from; leave it out"
        )
    return image


def require_mask(mask: Pixels, named: str) -> None:
    """Refuse a mask (size, size) that is about empty, or about full."""
    share = float((mask >= 128).mean())
    if not SHARES[0] <= share:
        raise ObjectsError(
            f"the mask of {named} is empty: no pixel is marked as the object; mark it, or "
            "leave the object out"
        )
    if not share <= SHARES[1]:
        raise ObjectsError(
            f"the mask of {named} is full: no pixel is marked as background; cut the object out, "
            "or leave it out"
        )
