"""Small pictures with depth, and files of them in the layouts of others, for the tests of depth."""

import h5py
import numpy as np
from PIL import Image

from nmc_framework.depth.pairs import Pair

TINY = {"width": 4, "levels": 2, "rows": 24, "columns": 32}


def pair(number=0, size=(24, 32), room="a room"):
    """Return a picture of a bright box before a dark slope: what is bright is near."""
    random = np.random.default_rng(number)
    height, width = size
    x, y = np.meshgrid(np.arange(width) / width, np.arange(height) / height)
    left, top = random.uniform(0, 0.6, 2)
    box = (abs(x - left - 0.2) < 0.2) & (abs(y - top - 0.2) < 0.2)
    grey = np.where(box, 200, 40 + 40 * y) + random.normal(0, 3, size)
    picture = np.repeat(grey[..., None], 3, axis=2).clip(0, 255).astype(np.uint8)
    depth = np.where(box, 1.2, 4 - 1.5 * y).astype(np.float32)
    return Pair(picture, depth, f"picture {number}", room)


def pairs(count, **options):
    """Return several of them."""
    return [pair(number, **options) for number in range(count)]


def write_png(path, array):
    """Write a picture of 8 or 16 bits."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)
    return path


def write_seven_scenes(folder, count=4, size=(24, 32)):
    """Write a sequence as 7-Scenes has it, a corner of each depth missing."""
    for number in range(count):
        found = pair(number, size)
        depth = (found.depth * 1000).astype(np.uint16)
        depth[:2, :2], depth[2:4, :2] = 0, 65535
        write_png(folder / f"frame-{number:06d}.color.png", found.picture)
        write_png(folder / f"frame-{number:06d}.depth.png", depth)
    return folder


def write_mat(path, scenes=("kitchen", "kitchen", "office"), **changed):
    """Write the arrays of NYU Depth V2's .mat, transposed as MATLAB writes them."""
    found = pairs(len(scenes))
    arrays = {
        "images": np.stack([p.picture.transpose(2, 1, 0) for p in found]),
        "depths": np.stack([p.depth.T for p in found]),
    } | changed
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, array in arrays.items():
            if array is not None:
                file.create_dataset(name, data=array, compression="gzip")
        references = []
        for number, scene in enumerate(scenes):
            text = np.array([[ord(letter)] for letter in scene], np.uint16)
            references.append(file.create_dataset(f"#refs#/{number}", data=text).ref)
        file.create_dataset("scenes", data=np.array([references], h5py.ref_dtype))
    return path
