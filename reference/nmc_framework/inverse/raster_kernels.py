"""Kernels of the rasteriser: the triangle that a pixel shows, and the outline near it.

They choose, and have no gradient: what is computed of the chosen triangles and edges, with
gradients, is in :mod:`nmc_framework.inverse.rasterise`.
"""

from __future__ import annotations

import math

import numpy as np

from nmc.machine_code import compiled

#: Twice the area in square pixels below which a triangle shows nothing.
_FLAT = 1e-9
#: So far beyond the outline, in pixels, nothing may be covered any more: else it is an inner one.
_BEYOND = 0.75


@compiled(nogil=True)
def covered(places, depths, faces, size):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Return the triangle that each pixel's centre shows, (N, size, size) int64; -1 where none.

    Parameters: ``places`` (N, V, 2) in pixels, ``depths`` (N, V), ``faces`` (F, 3).
    """
    count = len(places)
    found = np.full((count, size, size), -1, np.int64)
    for n in range(count):
        nearest = np.zeros((size, size), np.float64)
        for f in range(len(faces)):
            a, b, c = faces[f]
            ax, ay = places[n, a, 0], places[n, a, 1]
            bx, by = places[n, b, 0], places[n, b, 1]
            cx, cy = places[n, c, 0], places[n, c, 1]
            area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
            if not abs(area) > _FLAT:
                continue
            left = max(0, math.ceil(min(ax, bx, cx) - 0.5))
            right = min(size - 1, math.floor(max(ax, bx, cx) - 0.5))
            top = max(0, math.ceil(min(ay, by, cy) - 0.5))
            bottom = min(size - 1, math.floor(max(ay, by, cy) - 0.5))
            for row in range(top, bottom + 1):
                y = row + 0.5
                for column in range(left, right + 1):
                    x = column + 0.5
                    wa = ((bx - x) * (cy - y) - (by - y) * (cx - x)) / area
                    wb = ((cx - x) * (ay - y) - (cy - y) * (ax - x)) / area
                    wc = 1 - wa - wb
                    if wa < 0 or wb < 0 or wc < 0:
                        continue
                    near = wa / depths[n, a] + wb / depths[n, b] + wc / depths[n, c]
                    if near > nearest[row, column]:
                        nearest[row, column] = near
                        found[n, row, column] = f
    return found


@compiled(nogil=True)
def outlined(places, shown, faces, edges, beside, reach):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Return the edge of the outline nearest to each pixel within ``reach`` pixels of it, or -1.

    Parameters: ``places`` (N, V, 2), ``shown`` (N, size, size) of :func:`covered`, ``faces``
    (F, 3), ``edges`` (E, 2) and the two faces ``beside`` each. Returns (N, size, size) int64.
    """
    count, size = len(places), shown.shape[1]
    found = np.full((count, size, size), -1, np.int64)
    for n in range(count):
        best = np.full((size, size), reach * reach, np.float64)
        front = np.empty(len(faces), np.bool_)
        for f in range(len(faces)):
            a, b, c = faces[f]
            ax, ay = places[n, a, 0], places[n, a, 1]
            front[f] = (places[n, b, 0] - ax) * (places[n, c, 1] - ay) < (places[n, b, 1] - ay) * (
                places[n, c, 0] - ax
            )
        for e in range(len(edges)):
            if front[beside[e, 0]] == front[beside[e, 1]]:
                continue
            ax, ay = places[n, edges[e, 0], 0], places[n, edges[e, 0], 1]
            bx, by = places[n, edges[e, 1], 0], places[n, edges[e, 1], 1]
            dx, dy = bx - ax, by - ay
            length = max(dx * dx + dy * dy, _FLAT)
            left = max(0, math.ceil(min(ax, bx) - reach - 0.5))
            right = min(size - 1, math.floor(max(ax, bx) + reach - 0.5))
            top = max(0, math.ceil(min(ay, by) - reach - 0.5))
            bottom = min(size - 1, math.floor(max(ay, by) + reach - 0.5))
            for row in range(top, bottom + 1):
                y = row + 0.5
                for column in range(left, right + 1):
                    x = column + 0.5
                    t = min(max(((x - ax) * dx + (y - ay) * dy) / length, 0.0), 1.0)
                    qx, qy = ax + t * dx, ay + t * dy
                    apart = (x - qx) ** 2 + (y - qy) ** 2
                    if not apart < best[row, column]:
                        continue
                    if shown[n, row, column] >= 0:
                        away = max(math.sqrt(apart), 1e-6)
                        ox = math.floor(qx + (qx - x) / away * _BEYOND)
                        oy = math.floor(qy + (qy - y) / away * _BEYOND)
                        if 0 <= ox < size and 0 <= oy < size and shown[n, oy, ox] >= 0:
                            continue
                    best[row, column] = apart
                    found[n, row, column] = e
    return found
