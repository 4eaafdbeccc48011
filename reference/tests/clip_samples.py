"""Small moving pictures that the tests of models of pictures share."""

import numpy as np


def moving(count, width=32, height=24, start=0):
    """Return (count, height, width, 3) uint8: a disc that crosses a wavy background."""
    y, x = np.mgrid[:height, :width]
    pictures = []
    for index in range(start, start + count):
        waves = 0.5 + 0.25 * np.sin(x / 5 + y / 7 + 0.1 * index)
        disc = (x - 6 - 1.5 * index) ** 2 + (y - height / 2) ** 2 < (height / 5) ** 2
        colours = [np.where(disc, 0.9, waves), np.where(disc, 0.3, 1 - waves), waves]
        pictures.append(np.stack(colours, axis=2))
    return (np.array(pictures) * 255).round().astype(np.uint8)
