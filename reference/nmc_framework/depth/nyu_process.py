"""Reads NYU Depth V2's .mat with the HDF5 library, in a process of its own with limits.

Run by `nmc_format.isolated` with the file: prints a JSON line with the number of pictures, their
size and the scene of each. Then, for each line on standard input with a number, it prints a JSON
line and the bytes of that picture and its depth. MATLAB's arrays are transposed in HDF5: ``images``
is (pictures, 3, width, height) uint8, ``depths`` (pictures, width, height) float32 in metres.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import numpy as np

from nmc_format.isolated import limit_resources

_MEMORY = 4 * 2**30
_SECONDS = 3600
_MOST_PICTURES = 100_000
_MOST_SIDE = 4096
#: Bytes of one chunk, which the library reads whole.
_MOST_CHUNK = 1 << 28
_FILTERS = frozenset({1, 2, 3})
"""Deflate, shuffle and fletcher32: what MATLAB writes."""
_LONGEST_NAME = 200


class _Refused(Exception):  # noqa: N818 - a message to the parent, not an error of this code
    """What is not as the data set has it."""


def _dataset(file: Any, name: str) -> Any:
    import h5py

    link = file.get(name, getlink=True)
    if link is None:
        raise _Refused(f"it has no {name!r}, as the labelled data set of NYU Depth V2 has")
    if not isinstance(link, h5py.HardLink) or not isinstance(file[name], h5py.Dataset):
        raise _Refused(f"{name!r} is not an array of this file")
    found = file[name]
    if found.external or found.is_virtual:
        raise _Refused(f"{name!r} lies in another file")
    plist = found.id.get_create_plist()
    for k in range(plist.get_nfilters()):
        if plist.get_filter(k)[0] not in _FILTERS:
            raise _Refused(f"{name!r} uses HDF5 filter {plist.get_filter(k)[0]}")
    if found.chunks and int(np.prod(found.chunks)) * found.dtype.itemsize > _MOST_CHUNK:
        raise _Refused(f"{name!r} has chunks of more than {_MOST_CHUNK} bytes")
    return found


def _arrays(file: Any) -> tuple[Any, Any]:
    images, depths = _dataset(file, "images"), _dataset(file, "depths")
    if images.ndim != 4 or images.shape[1] != 3 or images.dtype != np.uint8:
        raise _Refused("its images are not (pictures, 3, width, height) uint8")
    if depths.ndim != 3 or depths.dtype.kind != "f":
        raise _Refused("its depths are not (pictures, width, height) of real numbers")
    if depths.shape != (images.shape[0], *images.shape[2:]):
        raise _Refused(f"images {images.shape} and depths {depths.shape} do not belong together")
    count, _, width, height = images.shape
    if not 0 < count <= _MOST_PICTURES or not 0 < min(width, height) <= max(width, height):
        raise _Refused(f"{count} pictures of {width}x{height} are none, or too many")
    if max(width, height) > _MOST_SIDE:
        raise _Refused(f"{width}x{height} pixels are more than a side of {_MOST_SIDE}")
    return images, depths


def _scenes(file: Any, count: int) -> list[str]:
    """Return the scene of each picture: a cell array of texts; of none where there are none."""
    import h5py

    if "scenes" not in file:
        return [""] * count
    cells = _dataset(file, "scenes")
    if cells.size != count or h5py.check_ref_dtype(cells.dtype) is not h5py.Reference:
        return [""] * count
    names = []
    for reference in np.asarray(cells[()]).reshape(-1):
        text = file[reference] if reference else None
        if not isinstance(text, h5py.Dataset) or text.size > _LONGEST_NAME or text.external:
            return [""] * count
        names.append("".join(chr(int(code)) for code in np.asarray(text[()]).reshape(-1)))
    return names


def _answer(out: Any, what: dict[str, Any], *bodies: bytes) -> None:
    out.write(json.dumps(what).encode() + b"\n")
    for body in bodies:
        out.write(body)
    out.flush()


def _main(path: str) -> int:
    limit_resources(_MEMORY, _SECONDS)
    import h5py

    # The library prints to descriptor 1 in places; answers must not be mixed with that.
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    try:
        with h5py.File(path, "r", locking=False) as file:
            images, depths = _arrays(file)
            count, _, width, height = images.shape
            scenes = _scenes(file, count)
            _answer(out, {"count": count, "width": width, "height": height, "scenes": scenes})
            for line in sys.stdin:
                index = int(line)
                picture = np.ascontiguousarray(np.asarray(images[index]).transpose(2, 1, 0))
                depth = np.asarray(depths[index]).T.astype("<f4")
                _answer(out, {"index": index}, picture.tobytes(), depth.tobytes())
    except _Refused as refused:
        _answer(out, {"refused": str(refused)})
    except Exception as error:  # the library raises many kinds on damaged files
        _answer(out, {"refused": f"the HDF5 library fails on it: {type(error).__name__}"})
    return 0


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1]))
